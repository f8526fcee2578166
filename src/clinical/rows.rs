//! Files of rules: a rule a line, fields between blanks, the last field to the end of the line; `#` begins a line that
//! is for people.

use crate::error::{Error, ErrorKind, Result};

/// The rows of a text, each with `N` fields, given to `take`.
///
/// # Errors
/// [`ErrorKind::Input`] with the number of the line: for a row of fewer fields, or what `take` refuses.
pub(super) fn each<'a, const N: usize>(
    text: &'a str,
    columns: [&str; N],
    mut take: impl FnMut([&'a str; N]) -> Result<()>,
) -> Result<()> {
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = [""; N];
        let taken = cut(line, &columns, &mut fields).and_then(|()| take(fields));
        taken.map_err(|error| error.at(format_args!("line {}", number + 1)))?;
    }
    Ok(())
}

/// Cuts a row into its fields.
fn cut<'a>(line: &'a str, columns: &[&str], fields: &mut [&'a str]) -> Result<()> {
    let mut rest = line;
    for (at, field) in fields.iter_mut().enumerate() {
        let end = if at + 1 == columns.len() { None } else { rest.find(char::is_whitespace) };
        (*field, rest) = rest.split_at(end.unwrap_or(rest.len()));
        rest = rest.trim_start();
        if field.is_empty() {
            return Err(refuse(format!("has no {}: expected {}", columns[at], columns.join(", "))));
        }
    }
    Ok(())
}

/// An error of a rule.
pub(super) fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, message)
}

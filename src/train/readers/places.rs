//! Reading a file, and naming the place in it that is broken.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// A file of a data set that is not as its format says.
pub(super) fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, message)
}

/// The bytes of a file.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::new(ErrorKind::Io, format!("{}: {e}", path.display())))
}

/// Reads UTF-8; the error names the file, and the line of the first byte that is not UTF-8.
pub(super) fn read_utf8(path: &Path) -> Result<String> {
    String::from_utf8(read_bytes(path)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        broken("is not UTF-8").at(format!("{}:{line}", path.display()))
    })
}

/// [`read_utf8`] without the mark that some programs put before UTF-8. Not for texts with offsets into them.
pub(super) fn read_table(path: &Path) -> Result<String> {
    let text = read_utf8(path)?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Where in a file something stands, counted from 1.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Line(usize),
    Record(usize),
    Row(usize),
}

/// Reads what stands at a place: `None` if the recipe passes it over, an error with the place if it is broken.
pub(super) fn read_at<T>(
    path: &Path,
    place: Place,
    skip: &BTreeSet<String>,
    parse: impl FnOnce() -> Result<T>,
) -> Result<Option<T>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (number, named) = match place {
        Place::Line(number) => (number, format!("{}:{number}", path.display())),
        Place::Record(number) => (number, format!("{}: record {number}", path.display())),
        Place::Row(number) => (number, format!("{}: row {number}", path.display())),
    };
    if !skip.is_empty() && skip.contains(&format!("{name}:{number}")) {
        return Ok(None);
    }
    parse().map(Some).map_err(|e| e.at(named))
}

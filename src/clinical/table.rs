//! Lines of a caller's table: columns between tabs, UTF-8, with or without a byte order mark and CRLF.

use crate::error::{Error, ErrorKind, Result};

/// The text of a table, without the byte order mark.
///
/// # Errors
/// [`ErrorKind::Data`] when it is not UTF-8, with the line.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        broken(line, "not UTF-8; save the table as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// The lines that are not blank: their number from 1, where they start, and what they hold.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').enumerate().map(move |(i, line)| {
        let at = start;
        start += line.len();
        (i + 1, at, line.trim_end_matches(['\n', '\r']))
    });
    lines.filter(|(_, _, line)| !line.trim().is_empty())
}

/// An error of a line. It never repeats what the line holds.
pub(super) fn broken(line: usize, message: &str) -> Error {
    Error::new(ErrorKind::Data, format!("line {line}: {message}"))
}

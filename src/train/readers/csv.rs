//! Rows of cells, one row at a time: comma-separated with quoted cells that may hold line breaks (RFC 4180), or
//! tab-separated with nothing quoted.

use std::io::{BufRead, Read};

use super::broken;
use crate::error::{Error, ErrorKind, Result};

/// A row and the line on which it begins, from 1.
pub(in crate::train) struct Row {
    pub(in crate::train) line: usize,
    pub(in crate::train) cells: Vec<String>,
}

/// How cells are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::train) enum Cells {
    /// By commas; a cell in quotes holds commas, line breaks and doubled quotes.
    Commas,
    /// By tabs; a quote is a character like others.
    Tabs,
}

/// The rows of a file that is never whole in memory. An error comes with its line: that on which an unfinished quoted
/// cell began, else that of the row.
pub(in crate::train) struct Rows<R> {
    reader: R,
    cells: Cells,
    /// Bytes of a row: without a bound a quote that nobody closes would read the rest of the file into one cell.
    most: u64,
    line: usize,
}

impl<R: BufRead> Rows<R> {
    pub(in crate::train) fn new(reader: R, cells: Cells, most: u64) -> Self {
        Self { reader, cells, most, line: 1 }
    }

    fn row(&mut self) -> Result<Option<Row>, (usize, Error)> {
        let first = self.line;
        let mut open = Open { form: self.cells, cells: Vec::new(), cell: Vec::new(), quote: None };
        let (mut bytes, mut left) = (Vec::new(), self.most);
        loop {
            bytes.clear();
            let read = (&mut self.reader).take(left.saturating_add(1)).read_until(b'\n', &mut bytes);
            let read = read.map_err(|e| (self.line, Error::new(ErrorKind::Io, e.to_string())))?;
            match left.checked_sub(read as u64) {
                Some(rest) => left = rest,
                None => return Err((open.quote.unwrap_or(first), broken(format!("longer than {} bytes", self.most)))),
            }
            match open.quote {
                None if read == 0 => return Ok(None),
                Some(line) if read == 0 => return Err((line, broken("a quoted cell does not end"))),
                _ => open.take(&bytes, self.line),
            }
            self.line += usize::from(bytes.ends_with(b"\n"));
            if open.quote.is_none() {
                let cells = open.finish().map_err(|e| (first, e))?;
                return Ok(Some(Row { line: first, cells }));
            }
        }
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Row, (usize, Error)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}

/// A row whose last cell is not yet complete.
struct Open {
    form: Cells,
    cells: Vec<Vec<u8>>,
    cell: Vec<u8>,
    /// The line of the quote that is open.
    quote: Option<usize>,
}

impl Open {
    /// Adds a line with its end.
    fn take(&mut self, bytes: &[u8], line: usize) {
        let mut rest = bytes.iter().copied().peekable();
        let separator = if self.form == Cells::Commas { b',' } else { b'\t' };
        while let Some(byte) = rest.next() {
            match (byte, self.quote) {
                (b'"', Some(_)) if rest.peek() == Some(&b'"') => self.cell.extend(rest.next()),
                (b'"', Some(_)) => self.quote = None,
                (b'"', None) if self.form == Cells::Commas && self.cell.is_empty() => self.quote = Some(line),
                (byte, None) if byte == separator => self.cells.push(std::mem::take(&mut self.cell)),
                (b'\r', None) if rest.peek() == Some(&b'\n') => {}
                (b'\n', None) => {}
                (byte, _) => self.cell.push(byte),
            }
        }
    }

    fn finish(mut self) -> Result<Vec<String>> {
        self.cells.push(self.cell);
        let utf8 = |cell| String::from_utf8(cell).map_err(|_| broken("is not UTF-8"));
        self.cells.into_iter().map(utf8).collect()
    }
}

/// The comma-separated rows of a text.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, (usize, Error)> {
    Rows::new(text.as_bytes(), Cells::Commas, u64::MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_what_they_quote() {
        let found = rows("a,b\r\n\"x, \"\"y\"\"\nz\",\n\"\",last").expect("well formed");
        assert_eq!(found.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 2, 4]);
        let found: Vec<_> = found.into_iter().map(|row| row.cells).collect();
        assert_eq!(found, [["a", "b"], ["x, \"y\"\nz", ""], ["", "last"]]);
    }

    #[test]
    fn tabs_quote_nothing() {
        let found = Rows::new(&b"a\tb\n\"x\t,y\"\r\n"[..], Cells::Tabs, 100).map(|row| row.expect("well formed").cells);
        assert_eq!(found.collect::<Vec<_>>(), [["a", "b"], ["\"x", ",y\""]]);
    }

    #[test]
    fn an_open_quote_is_named_by_its_line() {
        let (line, error) = rows("a,b\n1,\"two\n3,4\n").err().expect("open quote");
        assert_eq!((line, error.to_string().as_str()), (2, "a quoted cell does not end"));
    }

    #[test]
    fn a_row_is_bounded() {
        let refused = |text: &str| Rows::new(text.as_bytes(), Cells::Commas, 8).find_map(Result::err).map(|e| e.0);
        assert_eq!(refused("a,b\n1234567\n"), None);
        assert_eq!(refused("a,b\n12345678\n"), Some(2));
        assert_eq!(refused("a,b\n1,\"\n\n\n\n\n\n\n\n"), Some(2), "a quote that nobody closes");
    }
}

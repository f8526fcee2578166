//! Comma-separated values with quoted cells that may hold line breaks: RFC 4180.

use super::broken;
use crate::error::Result;

/// A row and the line on which it begins, from 1.
pub(super) struct Row {
    pub line: usize,
    pub cells: Vec<String>,
}

/// The rows of a file. The error is the line on which an unfinished quoted cell began.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, (usize, crate::error::Error)> {
    let mut rows = Vec::new();
    let (mut row, mut cell) = (Vec::new(), String::new());
    let mut quote_line = None;
    let (mut line, mut first) = (1, 1);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        line += usize::from(c == '\n');
        match (c, quote_line) {
            ('"', Some(_)) if rest.peek() == Some(&'"') => cell.extend(rest.next()),
            ('"', Some(_)) => quote_line = None,
            ('"', None) if cell.is_empty() => quote_line = Some(line),
            (',', None) => row.push(std::mem::take(&mut cell)),
            ('\r', None) if rest.peek() == Some(&'\n') => {}
            ('\n', None) => {
                row.push(std::mem::take(&mut cell));
                rows.push(Row { line: first, cells: std::mem::take(&mut row) });
                first = line;
            }
            (c, _) => cell.push(c),
        }
    }
    if let Some(line) = quote_line {
        return Err((line, broken("a quoted cell does not end")));
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(Row { line: first, cells: row });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn cells_hold_what_they_quote() {
        let found = rows("a,b\r\n\"x, \"\"y\"\"\nz\",\n\"\",last").expect("well formed");
        assert_eq!(found.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 2, 4]);
        let found: Vec<_> = found.into_iter().map(|row| row.cells).collect();
        assert_eq!(found, [["a", "b"], ["x, \"y\"\nz", ""], ["", "last"]]);
    }

    #[test]
    fn an_open_quote_is_named_by_its_line() {
        let (line, error) = rows("a,b\n1,\"two\n3,4\n").err().expect("open quote");
        assert_eq!((line, error.to_string().as_str()), (2, "a quoted cell does not end"));
    }
}

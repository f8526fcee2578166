//! A row a note, under a header.

use std::fs::File;
use std::path::PathBuf;

use super::{MAX_NOTE, Note, buffered, data};
use crate::error::{Error, Result};
use crate::train::readers::csv::{Cells, Row, Rows};

/// The texts of the column `key`, blank rows passed over.
pub(super) fn read(
    path: PathBuf,
    file: File,
    cells: Cells,
    key: &str,
) -> Result<impl Iterator<Item = Result<Note>> + use<>> {
    let at = move |(line, e): (usize, Error)| e.at(format!("{}:{line}", path.display()));
    let mut rows = Rows::new(buffered(file), cells, MAX_NOTE);
    let header = rows.next().transpose().map_err(&at)?.map_or_else(Vec::new, |row| row.cells);
    // A first row that is no header is a note: it is not shown.
    let missing = || at((1, data(format!("the header has no column {key:?}"))));
    let column = header.iter().position(|cell| cell.trim() == key).ok_or_else(missing)?;
    let (width, blank) = (header.len(), |row: &Result<Row, _>| row.as_ref().is_ok_and(|row| row.cells == [""]));
    // Under a header of one column a blank row is an empty note, which comes to the same.
    Ok(rows.filter(move |row| !blank(row)).map(move |row| row.and_then(|row| note(row, column, width)).map_err(&at)))
}

fn note(Row { line, mut cells }: Row, column: usize, width: usize) -> Result<Note, (usize, Error)> {
    if cells.len() != width {
        return Err((line, data(format!("{} cells, the header has {width}", cells.len()))));
    }
    let bytes = cells.iter().map(|cell| cell.len() as u64 + 1).sum();
    Ok(Note { text: cells.swap_remove(column), bytes })
}

//! The first sheet of an xlsx workbook, which is a zip archive of XML: small on disk, of any size once unpacked. So the
//! archive is measured before anything reads it, and cells are taken one by one, never as a filled rectangle.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use calamine::{Data, DataRef, Reader, Xlsx};
use zip::ZipArchive;

use super::{broken, read_bytes};
use crate::error::Result;

/// What is read at most. The largest sheet of the corpora has 6,000 rows and half a megabyte of XML.
struct Limits {
    entries: usize,
    /// Of all entries together, unpacked.
    bytes: u64,
    /// Of an entry above [`Limits::small`], unpacked by packed. Deflate reaches 1,032; sheets reach 30.
    ratio: u64,
    small: u64,
    cells: usize,
}

const LIMITS: Limits = Limits { entries: 256, bytes: 64 << 20, ratio: 200, small: 1 << 20, cells: 1 << 20 };

/// A row with a cell that is not empty.
pub(super) struct Row {
    /// From 1, as programs show it.
    pub number: usize,
    cells: BTreeMap<u32, String>,
}

impl Row {
    /// The text of a cell, nothing where there is none.
    pub(super) fn cell(&self, column: u32) -> &str {
        self.cells.get(&column).map_or("", String::as_str)
    }

    /// The column of a cell, by its text without regard to case and to spaces around it.
    pub(super) fn column(&self, text: &str) -> Option<u32> {
        let found = self.cells.iter().find(|(_, cell)| cell.trim().eq_ignore_ascii_case(text));
        found.map(|(column, _)| *column)
    }
}

/// The rows of the first sheet, from above.
pub(super) fn rows(path: &Path) -> Result<Vec<Row>> {
    let bytes = read_bytes(path)?;
    measure(&bytes, &LIMITS).and_then(|()| cells(&bytes, &LIMITS)).map_err(|e| e.at(path.display()))
}

/// Refuses an archive that would unpack to more than the limits. Entries are unpacked to be counted, because what they
/// declare need not be true.
fn measure(bytes: &[u8], limits: &Limits) -> Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| broken("not a zip archive, expected xlsx"))?;
    if archive.len() > limits.entries {
        return Err(broken(format!("{} entries in the archive, expected at most {}", archive.len(), limits.entries)));
    }
    let mut left = limits.bytes;
    for index in 0..archive.len() {
        let unreadable = || broken(format!("entry {index} of the archive cannot be unpacked"));
        let entry = archive.by_index(index).map_err(|_| unreadable())?;
        let (packed, declared) = (entry.compressed_size(), entry.size());
        let too_large = || broken(format!("the archive unpacks to more than {} MiB", limits.bytes >> 20));
        if declared > left {
            return Err(too_large());
        }
        let most = packed.saturating_mul(limits.ratio).max(limits.small).min(left);
        let real = std::io::copy(&mut entry.take(most + 1), &mut std::io::sink()).map_err(|_| unreadable())?;
        if real > left {
            return Err(too_large());
        }
        if real > most {
            return Err(broken(format!(
                "entry {index} of the archive unpacks to more than {} times its size",
                limits.ratio
            )));
        }
        left -= real;
    }
    Ok(())
}

fn cells(bytes: &[u8], limits: &Limits) -> Result<Vec<Row>> {
    // what the parser says is not repeated: it may quote a cell
    let wrong = || broken("not a readable xlsx workbook");
    let mut workbook = Xlsx::new(Cursor::new(bytes)).map_err(|_| wrong())?;
    let name = workbook.sheet_names().first().cloned().ok_or_else(|| broken("the workbook has no sheet"))?;
    let mut reader = workbook.worksheet_cells_reader(&name).map_err(|_| wrong())?;
    let mut rows = BTreeMap::<u32, BTreeMap<u32, String>>::new();
    let (mut count, mut left) = (0, limits.bytes as usize);
    while let Some(cell) = reader.next_cell().map_err(|_| wrong())? {
        let text = match cell.get_value() {
            DataRef::Empty => continue,
            DataRef::SharedString(text) => (*text).to_owned(),
            DataRef::String(text) => text.clone(),
            other => Data::from(other.clone()).to_string(),
        };
        // one shared string may stand in every cell
        (count, left) = (count + 1, left.saturating_sub(text.len()));
        if count > limits.cells || left == 0 {
            return Err(broken(format!(
                "more than {} cells, or more than {} MiB in them",
                limits.cells,
                limits.bytes >> 20
            )));
        }
        let (row, column) = cell.get_position();
        rows.entry(row).or_default().insert(column, text);
    }
    Ok(rows.into_iter().map(|(row, cells)| Row { number: row as usize + 1, cells }).collect())
}

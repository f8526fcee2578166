//! Labelled texts in the rows of a table.

use std::collections::BTreeSet;
use std::path::Path;

use super::csv::{self, Row};
use super::{Place, RawSequence, broken, read_at, read_table};
use crate::error::Result;

/// How columns are called; of several names the first that is there counts.
pub(super) struct Columns {
    text: &'static [&'static str],
    pair: &'static [&'static str],
    label: &'static [&'static str],
    id: &'static [&'static str],
}

/// What users call them.
pub(super) const GENERIC: Columns = Columns {
    text: &["text", "premise", "sentence1"],
    pair: &["text_pair", "hypothesis", "sentence2"],
    label: &["label", "gold_label"],
    id: &["id", "ID"],
};

/// MTS-Dialog, <https://github.com/abachaa/MTS-Dialog>.
pub(super) const MTS_DIALOG: Columns =
    Columns { text: &["section_text"], pair: &[], label: &["section_header"], id: &["ID"] };

/// Comma-separated, cells quoted where they must be.
pub(super) fn read_csv(path: &Path, columns: &Columns, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    let rows = csv::rows(&read_table(path)?).map_err(|(line, e)| e.at(format!("{}:{line}", path.display())))?;
    read(path, columns, rows.into_iter(), skip)
}

/// Tab-separated, nothing quoted.
pub(super) fn read_tsv(path: &Path, columns: &Columns, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    let text = read_table(path)?;
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect();
    let lines = text.lines().enumerate().map(|(index, line)| Row { line: index + 1, cells: cells(line) });
    read(path, columns, lines, skip)
}

fn read(
    path: &Path,
    columns: &Columns,
    mut rows: impl Iterator<Item = Row>,
    skip: &BTreeSet<String>,
) -> Result<Vec<RawSequence>> {
    let header = rows.next().map(|row| row.cells).unwrap_or_default();
    let places = Places::new(&header, columns).map_err(|e| e.at(format!("{}:1", path.display())))?;
    let mut found = Vec::new();
    for row in rows.filter(|row| row.cells != [""]) {
        let (place, number) = (Place::Line(row.line), row.line - 1);
        found.extend(read_at(path, place, skip, || places.sequence(row.cells, number))?);
    }
    Ok(found)
}

/// Which cell is what.
struct Places {
    cells: usize,
    text: usize,
    pair: Option<usize>,
    label: usize,
    id: Option<usize>,
}

impl Places {
    fn new(header: &[String], columns: &Columns) -> Result<Self> {
        let find = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|cell| cell.trim() == *name));
        let must = |names: &[&str]| {
            find(names).ok_or_else(|| broken(format!("the header has no column {:?}", names.first().unwrap_or(&""))))
        };
        let (text, label) = (must(columns.text)?, must(columns.label)?);
        Ok(Self { cells: header.len(), text, pair: find(columns.pair), label, id: find(columns.id) })
    }

    /// Rows without an id column have the number of their line below the header.
    fn sequence(&self, mut cells: Vec<String>, number: usize) -> Result<RawSequence> {
        if cells.len() != self.cells {
            return Err(broken(format!("{} cells, the header has {}", cells.len(), self.cells)));
        }
        let mut take = |at: usize| std::mem::take(&mut cells[at]);
        let label = take(self.label).trim().to_owned();
        if label.is_empty() {
            return Err(broken("the label is empty"));
        }
        let id = self.id.map_or_else(|| number.to_string(), &mut take);
        let text = take(self.text);
        Ok(RawSequence::new(id, text, self.pair.map(take), label))
    }
}

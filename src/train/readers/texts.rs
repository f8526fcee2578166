//! Text without labels: for masked-language-model runs, and for counting word pieces.

use std::path::Path;

use serde::Deserialize;

use super::json::Id;
use super::split::files;
use super::{Document, broken, csv, json, read_table, read_utf8};
use crate::error::Result;

/// The columns of a CSV file that hold a note, and those that hold its id, the first that is there.
const TEXT_COLUMNS: &[&str] = &["note", "section_text", "text"];
const ID_COLUMNS: &[&str] = &["encounter_id", "ID", "id"];

/// Reads texts from a `.txt` file, a folder of them, a `.jsonl` or `.json` file of records with `text` (and `id`), or a
/// `.csv` file with a column `note`, `section_text` or `text`. The documents have no spans; their order is that of the
/// file, or of the names in a folder. Split what comes of it by id: one note may be several rows elsewhere.
///
/// # Errors
/// [`crate::ErrorKind::Io`], and [`crate::ErrorKind::Data`] with file and line for a record that is broken.
pub fn read_texts(path: &Path) -> Result<Vec<Document>> {
    if path.is_dir() {
        let notes = files(path)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "txt"));
        let texts = notes.map(|path| note(&path)).collect::<Result<Vec<_>>>()?;
        return if texts.is_empty() { Err(broken("holds no .txt file").at(path.display())) } else { Ok(texts) };
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("txt") => Ok(vec![note(path)?]),
        Some("jsonl") => json_lines(path),
        Some("json") => json_array(path),
        Some("csv") => table(path),
        _ => Err(broken("expected a folder or a .txt, .jsonl, .json or .csv file").at(path.display())),
    }
}

#[derive(Deserialize)]
struct Record {
    #[serde(alias = "nctid")]
    id: Option<Id>,
    text: String,
}

impl Record {
    fn document(self, number: usize) -> Document {
        let id = self.id.map_or_else(|| number.to_string(), String::from);
        Document { id, text: self.text, spans: Vec::new() }
    }
}

fn note(path: &Path) -> Result<Document> {
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Document { id, text: read_utf8(path)?, spans: Vec::new() })
}

fn json_lines(path: &Path) -> Result<Vec<Document>> {
    let text = read_utf8(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(index, line): (usize, &str)| {
        let record: Record = serde_json::from_str(line)
            .map_err(|_| broken("expected a JSON object with text").at(format!("{}:{}", path.display(), index + 1)))?;
        Ok(record.document(index + 1))
    };
    lines.map(read).collect()
}

fn json_array(path: &Path) -> Result<Vec<Document>> {
    let read = |(index, value)| {
        let record: Record = serde_json::from_value(value)
            .map_err(|_| broken(format!("record {}: expected text", index + 1)).at(path.display()))?;
        Ok(record.document(index + 1))
    };
    json::array(path)?.into_iter().enumerate().map(read).collect()
}

fn table(path: &Path) -> Result<Vec<Document>> {
    let rows = csv::rows(&read_table(path)?).map_err(|(line, e)| e.at(format!("{}:{line}", path.display())))?;
    let mut rows = rows.into_iter();
    let header = rows.next().map(|row| row.cells).unwrap_or_default();
    let column = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|cell| cell == name));
    let Some(text) = column(TEXT_COLUMNS) else {
        return Err(broken(format!("expected a column of {TEXT_COLUMNS:?}")).at(path.display()));
    };
    let id = column(ID_COLUMNS);
    let read = |(index, csv::Row { line, cells: mut row }): (usize, csv::Row)| {
        if row.len() != header.len() {
            let message = format!("{} cells, the header has {}", row.len(), header.len());
            return Err(broken(message).at(format!("{}:{line}", path.display())));
        }
        let id = id.map_or_else(|| (index + 1).to_string(), |column| row[column].clone());
        Ok(Document { id, text: row.swap_remove(text), spans: Vec::new() })
    };
    rows.enumerate().map(read).collect()
}

//! Labelled texts as a JSON object a line.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::json::Id;
use super::{Place, RawSequence, broken, read_at, read_table};
use crate::error::Result;

#[derive(Deserialize)]
struct Record {
    id: Option<Id>,
    #[serde(alias = "premise")]
    text: String,
    #[serde(alias = "hypothesis")]
    text_pair: Option<String>,
    label: Option<String>,
    #[serde(alias = "specialties")]
    labels: Option<Vec<String>>,
}

/// One text a line; without an id its number is the line's.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    let text = read_table(path)?;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        found.extend(read_at(path, Place::Line(index + 1), skip, || sequence(line, index + 1))?);
    }
    Ok(found)
}

fn sequence(line: &str, number: usize) -> Result<RawSequence> {
    let expected = || broken("expected an object with text, perhaps text_pair, and either label or labels");
    let record: Record = serde_json::from_str(line).map_err(|_| expected())?;
    let id = record.id.map_or_else(|| number.to_string(), String::from);
    let (labels, many) = match (record.label, record.labels) {
        (Some(label), None) => (vec![label], false),
        (None, Some(labels)) => (labels, true),
        _ => return Err(expected()),
    };
    let mut raw = RawSequence::new(id, record.text, record.text_pair, String::new());
    raw.sequence.labels = labels;
    Ok(RawSequence { many, ..raw })
}

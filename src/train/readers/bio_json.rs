//! JSON records with a text and its entities, as NeuroTrialNER has them.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::json;
use super::spans::{CodePoints, RawSpan, check_text};
use super::{Place, Raw, broken, read_at};
use crate::error::Result;

#[derive(Deserialize)]
struct Record {
    #[serde(alias = "nctid")]
    id: String,
    text: String,
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
struct Entity {
    start: usize,
    end: usize,
    text: String,
    #[serde(rename = "type")]
    label: String,
}

/// One document a record; records are counted from 1.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let records = json::array(path)?;
    let mut documents = Vec::new();
    for (index, record) in records.into_iter().enumerate() {
        documents.extend(read_at(path, Place::Record(index + 1), skip, || document(record))?);
    }
    Ok(documents)
}

fn document(record: Value) -> Result<Raw> {
    let record: Record = serde_json::from_value(record)
        .map_err(|_| broken("expected nctid or id, text, and entities with start, end, text and type"))?;
    let points = CodePoints::new(&record.text);
    let span = |(index, entity): (usize, &Entity)| {
        let read = || {
            let fragments = vec![points.bytes(entity.start, entity.end)?];
            check_text(&record.text, &fragments, &entity.text)?;
            Ok(RawSpan::new(fragments, entity.label.clone()))
        };
        read().map_err(|e: crate::error::Error| e.at(format!("entity {}", index + 1)))
    };
    let spans = record.entities.iter().enumerate().map(span).collect::<Result<_>>()?;
    Ok(Raw::new(record.id, record.text, spans))
}

//! PubMedQA: questions that the title of an abstract asks, <https://pubmedqa.github.io>.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{Place, RawSequence, broken, json, read_at};
use crate::error::Result;

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "QUESTION")]
    question: String,
    #[serde(rename = "CONTEXTS")]
    contexts: Vec<String>,
    final_decision: String,
}

/// One pair a question: the abstract without its conclusion, in one line, and the question.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    let mut found = Vec::new();
    for (index, (id, record)) in json::entries(path)?.into_iter().enumerate() {
        found.extend(read_at(path, Place::Record(index + 1), skip, || pair(id, record))?);
    }
    Ok(found)
}

fn pair(id: String, record: Value) -> Result<RawSequence> {
    let record: Record =
        serde_json::from_value(record).map_err(|_| broken("expected QUESTION, CONTEXTS and final_decision"))?;
    Ok(RawSequence::new(id, record.contexts.join(" "), Some(record.question), record.final_decision))
}

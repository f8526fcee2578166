//! Labelled texts as a JSON object a line: a user's own, and MedNLI, <https://physionet.org/content/mednli>.

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

#[derive(Deserialize)]
struct Pair {
    #[serde(rename = "pairID")]
    id: String,
    sentence1: String,
    sentence2: String,
    gold_label: String,
}

/// One text a line; without an id its number is the line's.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    lines(path, skip, |line, number| Ok(Some(sequence(line, number)?)))
}

/// One pair a line, `sentence1` the premise. Pairs without agreement, labelled `-`, are left out. The hypotheses of a
/// premise stay together when the set is split by hash.
pub(super) fn mednli(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    lines(path, skip, |line, _| {
        let pair: Pair = serde_json::from_str(line)
            .map_err(|_| broken("expected an object with pairID, sentence1, sentence2 and gold_label"))?;
        let Pair { id, sentence1, sentence2, gold_label } = pair;
        let agreed = gold_label != "-";
        let sequence = RawSequence::new(id, sentence1.clone(), Some(sentence2), gold_label);
        Ok(agreed.then_some(RawSequence { group: sentence1, ..sequence }))
    })
}

fn lines(
    path: &Path,
    skip: &BTreeSet<String>,
    parse: impl Fn(&str, usize) -> Result<Option<RawSequence>>,
) -> Result<Vec<RawSequence>> {
    let text = read_table(path)?;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        found.extend(read_at(path, Place::Line(index + 1), skip, || parse(line, index + 1))?.flatten());
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

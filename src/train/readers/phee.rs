//! PHEE: drugs and their effects in sentences of case reports, <https://github.com/ZhaoyueSun/PHEE>.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::spans::{CodePoints, RawSpan, check_text};
use super::{Place, Raw, broken, read_at, read_utf8};
use crate::error::Result;

#[derive(Deserialize)]
struct Record {
    id: String,
    context: String,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    event_type: String,
    #[serde(rename = "Treatment")]
    treatment: Option<Treatment>,
    #[serde(rename = "Effect")]
    effect: Option<Argument>,
}

#[derive(Deserialize)]
struct Treatment {
    #[serde(rename = "Drug")]
    drug: Option<Argument>,
}

/// Several entities, each of one or more fragments.
#[derive(Deserialize)]
struct Argument {
    text: Vec<Vec<String>>,
    start: Vec<Vec<usize>>,
    entity_id: Vec<String>,
}

/// One document a line. The entities are the drugs and the effects of all events; each drug of an event is related to
/// each of its effects, by the type of the event.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let text = read_utf8(path)?;
    let mut documents = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        documents.extend(read_at(path, Place::Line(number + 1), skip, || document(line))?);
    }
    Ok(documents)
}

fn document(line: &str) -> Result<Raw> {
    let record: Record = serde_json::from_str(line)
        .map_err(|_| broken("expected an object with id, context, and annotations with events"))?;
    let points = CodePoints::new(&record.context);
    let mut raw = Raw::new(record.id, record.context, Vec::new());
    let mut known = BTreeMap::new();
    for event in record.annotations.iter().flat_map(|annotation| &annotation.events) {
        let drugs = event.treatment.as_ref().and_then(|treatment| treatment.drug.as_ref());
        let drugs = entities(drugs, "Drug", &mut raw, &mut known, &points)?;
        let effects = entities(event.effect.as_ref(), "Effect", &mut raw, &mut known, &points)?;
        for &drug in &drugs {
            for &effect in &effects {
                raw.relate(drug, effect, &event.event_type)?;
            }
        }
    }
    Ok(raw)
}

/// The indices of the spans of an argument. Events share entities: one of the same id and label is the same.
fn entities(
    argument: Option<&Argument>,
    label: &'static str,
    raw: &mut Raw,
    known: &mut BTreeMap<(&'static str, String), usize>,
    points: &CodePoints,
) -> Result<Vec<usize>> {
    let Some(Argument { text, start, entity_id }) = argument else { return Ok(Vec::new()) };
    if text.len() != start.len() || text.len() != entity_id.len() {
        return Err(broken("an argument with lists of different lengths: text, start, entity_id"));
    }
    let mut indices = Vec::new();
    for ((text, start), id) in text.iter().zip(start).zip(entity_id) {
        let index = match known.get(&(label, id.clone())) {
            Some(&index) => index,
            None => {
                let fragments = fragments(&raw.text, text, start, points)?;
                raw.spans.push(RawSpan::new(fragments, label).with_id(id));
                known.insert((label, id.clone()), raw.spans.len() - 1);
                raw.spans.len() - 1
            }
        };
        indices.push(index);
    }
    Ok(indices)
}

fn fragments(
    context: &str,
    text: &[String],
    start: &[usize],
    points: &CodePoints,
) -> Result<Vec<std::ops::Range<usize>>> {
    if text.is_empty() || text.len() != start.len() {
        return Err(broken(format!("an entity of {} texts and {} offsets", text.len(), start.len())));
    }
    let mut fragments = Vec::new();
    for (text, &start) in text.iter().zip(start) {
        let range = points.bytes(start, start.saturating_add(text.chars().count()))?;
        check_text(context, std::slice::from_ref(&range), text)?;
        fragments.push(range);
    }
    fragments.sort_by_key(|range| (range.start, range.end));
    Ok(fragments)
}

//! Documents as the source has them: labels unmapped, spans overlapping, relations by the index of a span.

use std::collections::BTreeSet;

use super::spans::{RawSpan, flatten, place};
use super::{DataSet, Document, Entity, Relation, RelationDocument, Sequence, broken};
use crate::error::Result;

/// More relations than this in one document are no annotation but an attack: mentions multiply.
const MAX_RELATIONS: usize = 10_000;

/// A text, its spans and its relations.
pub(super) struct Raw {
    pub id: String,
    pub text: String,
    pub spans: Vec<RawSpan>,
    pub relations: Vec<Relation>,
    /// What it shares with others that must be in the same part of a split; absent: its id.
    pub group: Option<String>,
}

impl Raw {
    pub(super) fn new(id: String, text: String, spans: Vec<RawSpan>) -> Self {
        Self { id, text, spans, relations: Vec::new(), group: None }
    }

    pub(super) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.id)
    }

    /// Adds a relation of two spans, by their indices.
    pub(super) fn relate(&mut self, head: usize, tail: usize, label: &str) -> Result<()> {
        self.push(Relation { head, tail, label: label.to_owned(), concepts: None })
    }

    /// Adds a relation of two spans.
    pub(super) fn push(&mut self, relation: Relation) -> Result<()> {
        if self.relations.len() == MAX_RELATIONS {
            return Err(broken(format!("more than {MAX_RELATIONS} relations in one document")));
        }
        self.relations.push(relation);
        Ok(())
    }

    /// Flat spans under our labels.
    pub(super) fn document(self, set: &DataSet) -> Document {
        let mapped = self.spans.into_iter().filter_map(|span| {
            let labels = set.labels(&span.label, span.coarse.as_deref())?;
            Some((span.fragments, labels))
        });
        let spans = flatten(&self.text, mapped);
        Document { id: self.id, text: self.text, spans }
    }

    /// All spans under our labels, and the relations among those that the map keeps.
    pub(super) fn relation_document(self, set: &DataSet) -> Result<RelationDocument> {
        let Self { id, text, spans, relations, .. } = self;
        let mut entities = Vec::new();
        for (index, span) in spans.into_iter().enumerate() {
            let (Some(labels), Some(range)) =
                (set.labels(&span.label, span.coarse.as_deref()), place(&text, &span.fragments))
            else {
                continue;
            };
            let label = one(labels)?;
            let id = if span.id.is_empty() { format!("T{}", index + 1) } else { span.id };
            entities.push((index, Entity { id, range, label, concept: span.concept }));
        }
        entities.sort_by_key(|(index, entity)| (entity.range.start, entity.range.end, *index));
        let mut new = vec![None; entities.iter().map(|(index, _)| index + 1).max().unwrap_or(0)];
        entities.iter().enumerate().for_each(|(at, (index, _))| new[*index] = Some(at));
        let at = |old: usize| new.get(old).copied().flatten();
        let kept = relations.into_iter().filter_map(|relation| {
            let label = set.relation_label(&relation.label)?;
            Some(Relation { head: at(relation.head)?, tail: at(relation.tail)?, label, ..relation })
        });
        let relations = kept.collect::<BTreeSet<_>>().into_iter().collect();
        Ok(RelationDocument { id, text, entities: entities.into_iter().map(|(_, entity)| entity).collect(), relations })
    }
}

/// A labelled text, and what it shares with others that must be in the same part of a split by hash.
pub(super) struct RawSequence {
    pub group: String,
    pub sequence: Sequence,
    /// Whether the source gives a list of labels, which may be empty.
    pub many: bool,
}

impl RawSequence {
    pub(super) fn new(id: String, text: String, pair: Option<String>, label: String) -> Self {
        let sequence = Sequence { id: id.clone(), text, pair, labels: vec![label] };
        Self { group: id, sequence, many: false }
    }

    /// With our labels; nothing if the map leaves all of them out.
    pub(super) fn finish(self, set: &DataSet) -> Result<Option<Sequence>> {
        let Self { mut sequence, many, .. } = self;
        let (mut labels, before) = (Vec::new(), sequence.labels.len());
        for label in &sequence.labels {
            if let Some(mapped) = set.labels(label, None) {
                let mapped = one(mapped)?;
                if !labels.contains(&mapped) {
                    labels.push(mapped);
                }
            }
        }
        let left_out = labels.is_empty() && (before > 0 || !many);
        sequence.labels = labels;
        Ok((!left_out).then_some(sequence))
    }
}

/// Only the spans of named entity recognition may be of several labels.
fn one(labels: Vec<String>) -> Result<String> {
    match <[String; 1]>::try_from(labels) {
        Ok([label]) => Ok(label),
        Err(labels) => Err(broken(format!("map gives {} labels for one of the source, expected one", labels.len()))),
    }
}

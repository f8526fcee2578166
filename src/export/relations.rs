//! The document of the relations of one text.

use serde::Serialize;

use super::{Engine, Length, Model, rounded, sha256};
use crate::error::Result;
use crate::tasks::relation::{self, Extraction};
use crate::text::offsets::{self, OffsetUnit};

/// The version of this form. It changes when a field changes its meaning or goes away.
pub const SCHEMA: &str = "clinlite/relations/1";

/// A text with its entities and relations.
#[derive(Serialize)]
pub struct Document<'a> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Of the text as UTF-8.
    pub text_sha256: String,
    /// The unit of every `start` and `end`.
    pub offset_unit: &'static str,
    /// The length of the text in each unit.
    pub length: Length,
    /// What computed.
    pub engine: Engine,
    /// What was asked.
    pub model: Model<'a>,
    /// How pairs were marked: `typed` or `replaced`.
    pub markers: &'static str,
    /// Which pairs were judged.
    pub coverage: Coverage,
    /// As they were given.
    pub entities: Vec<Entity<'a>>,
    /// In the order of their heads, then of their tails.
    pub relations: Vec<Relation<'a>>,
}

/// Which pairs were judged, of those whose types the model is asked about.
#[derive(Serialize)]
pub struct Coverage {
    /// Word pieces of the text without markers.
    pub tokens: usize,
    /// Pairs that were judged, one sequence each.
    pub pairs: usize,
    /// The longest sequence in pieces.
    pub max_length: usize,
    /// Pairs that do not fit one sequence.
    pub pairs_too_far: usize,
    /// Pairs that cannot be marked because they overlap.
    pub pairs_overlapping: usize,
    /// Pairs that the caller's limits left out.
    pub pairs_beyond: usize,
}

/// One entity.
#[derive(Serialize)]
pub struct Entity<'a> {
    /// `T1`, `T2`, … in the order in which they were given.
    pub id: String,
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
    /// The text from `start` to `end`.
    pub text: &'a str,
    /// The type.
    pub label: &'a str,
}

/// One relation.
#[derive(Serialize)]
pub struct Relation<'a> {
    /// `R1`, `R2`, …
    pub id: String,
    /// The id of an entity.
    pub head: String,
    /// The id of an entity.
    pub tail: String,
    /// One of the model's.
    pub label: &'a str,
    /// Between 0 and 1, rounded to four places.
    pub score: f64,
}

/// The document of the relations of one text.
///
/// # Errors
/// [`crate::ErrorKind::Input`] when the text is not the one that was read.
pub fn document<'a>(extraction: &'a Extraction, text: &'a str, unit: OffsetUnit) -> Result<Document<'a>> {
    let borders: Vec<usize> = extraction.entities.iter().flat_map(|entity| [entity.start, entity.end]).collect();
    let borders = offsets::unordered(&borders, |bytes| offsets::from_bytes(text, bytes, unit))?;
    let entity = |(i, (entity, border)): (usize, (&'a relation::Entity, &[usize]))| Entity {
        id: format!("T{}", i + 1),
        start: border[0],
        end: border[1],
        text: &text[entity.start..entity.end],
        label: &entity.label,
    };
    let relation = |(i, relation): (usize, &'a relation::Relation)| Relation {
        id: format!("R{}", i + 1),
        head: format!("T{}", relation.head + 1),
        tail: format!("T{}", relation.tail + 1),
        label: &extraction.model.labels[relation.label],
        score: rounded(relation.score),
    };
    let relation::Coverage { tokens, pairs, max_length, pairs_too_far, pairs_overlapping, pairs_beyond } =
        extraction.coverage;
    Ok(Document {
        schema: SCHEMA,
        text_sha256: sha256(text),
        offset_unit: unit.name(),
        length: Length::of(text),
        engine: Engine::new(&extraction.engine),
        model: Model::new(&extraction.model),
        markers: extraction.markers.name(),
        coverage: Coverage { tokens, pairs, max_length, pairs_too_far, pairs_overlapping, pairs_beyond },
        entities: extraction.entities.iter().zip(borders.chunks_exact(2)).enumerate().map(entity).collect(),
        relations: extraction.relations.iter().enumerate().map(relation).collect(),
    })
}

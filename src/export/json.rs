//! The document of one tagged note, the same from Rust, the command line and JavaScript.

use serde::Serialize;

use super::{Engine, Length, rounded, sha256};
use crate::error::Result;
use crate::tasks::ner::{ModelInfo, Tagging};
use crate::text::decode::Span;
use crate::text::offsets::{self, OffsetUnit};

/// The version of this form. It changes when a field changes its meaning or goes away.
pub const SCHEMA: &str = "clinlite/tagging/1";

/// A tagged note.
#[derive(Serialize)]
pub struct Document<'a> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Of the note as UTF-8.
    pub text_sha256: String,
    /// The unit of every `start` and `end`.
    pub offset_unit: &'static str,
    /// The length of the note in each unit.
    pub length: Length,
    /// What computed.
    pub engine: Engine,
    /// What was asked.
    pub model: Model<'a>,
    /// How much of the note was read.
    pub coverage: Coverage,
    /// Sorted by place.
    pub entities: Vec<Entity<'a>>,
}

/// The model that was asked.
#[derive(Serialize)]
pub struct Model<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its version.
    pub version: &'a str,
    /// One hash over all its files.
    pub sha256: &'a str,
    /// What it does.
    pub task: &'static str,
    /// How its tags mark the borders of an entity.
    pub scheme: &'static str,
    /// The types of entities that it knows.
    pub labels: &'a [String],
}

/// How much of the note was read.
#[derive(Serialize)]
pub struct Coverage {
    /// Word pieces of the note.
    pub tokens: usize,
    /// Forward passes.
    pub windows: usize,
    /// The longest window in pieces.
    pub max_length: usize,
    /// The least overlap of two windows in pieces.
    pub stride: usize,
    /// Whether some part of the note was not judged. It never is.
    pub truncated: bool,
    /// Placeholders of de-identification, which may hide findings.
    pub placeholders: usize,
}

/// One entity.
#[derive(Serialize)]
pub struct Entity<'a> {
    /// `T1`, `T2`, … in order of place.
    pub id: String,
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
    /// The note from `start` to `end`.
    pub text: &'a str,
    /// The type.
    pub label: &'a str,
    /// Between 0 and 1, rounded to four places.
    pub score: f64,
    /// How the score came about: the aggregation.
    pub score_method: &'static str,
}

impl<'a> Model<'a> {
    /// What results say of a tagger.
    pub fn new(info: &'a ModelInfo) -> Self {
        let ModelInfo { id, version, sha256, labels } = info;
        Self { id, version, sha256, task: "ner", scheme: labels.scheme().name(), labels: labels.types() }
    }
}

/// The document of one tagged note.
///
/// # Errors
/// [`crate::ErrorKind::Input`] when the note is not the one that was tagged.
pub fn document<'a>(tagging: &'a Tagging, note: &'a str, unit: OffsetUnit) -> Result<Document<'a>> {
    let borders: Vec<usize> = tagging.entities.iter().flat_map(|entity| [entity.start, entity.end]).collect();
    let borders = offsets::from_bytes(note, &borders, unit)?;
    let types = tagging.model.labels.types();
    let entity = |(i, (span, border)): (usize, (&'a Span, &[usize]))| Entity {
        id: format!("T{}", i + 1),
        start: border[0],
        end: border[1],
        text: &note[span.start..span.end],
        label: &types[span.label],
        score: rounded(span.score),
        score_method: tagging.options.aggregation.name(),
    };
    let entities = tagging.entities.iter().zip(borders.chunks_exact(2)).enumerate().map(entity).collect();
    Ok(Document {
        schema: SCHEMA,
        text_sha256: sha256(note),
        offset_unit: unit.name(),
        length: Length::of(note),
        engine: Engine::new(tagging.backend),
        model: Model::new(&tagging.model),
        coverage: coverage(tagging),
        entities,
    })
}

fn coverage(tagging: &Tagging) -> Coverage {
    let crate::tasks::ner::Coverage { tokens, judged, windows, max_length, stride, placeholders } = tagging.coverage;
    Coverage { tokens, windows, max_length, stride, truncated: judged < tokens, placeholders }
}

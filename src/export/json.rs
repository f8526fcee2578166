//! The document of one tagged note, the same from Rust, the command line and JavaScript.
//!
//! Every other form is made from a [`Document`] and its note alone, so that a document which a person corrected can be
//! written in any of them. `docs/schema/tagging-1.json` is its JSON Schema. A list that is empty is not written.

use std::fmt;

use serde::Serialize;

use super::assertion::Assertion;
pub use super::tagging::document;
use super::{Engine, Length};
use crate::tasks::ner::ModelInfo;
use crate::text::offsets::OffsetUnit;

/// The version of this form. It changes when a field changes its meaning or goes away.
pub const SCHEMA: &str = "clinlite/tagging/1";

/// A tagged note. Its `Debug` shows no text.
#[derive(Clone, PartialEq, Serialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// Of the note as UTF-8.
    pub text_sha256: String,
    /// The unit of every `start` and `end`.
    pub offset_unit: OffsetUnit,
    /// The length of the note in each unit.
    pub length: Length,
    /// What computed.
    pub engine: Engine,
    /// What was asked.
    pub model: Model,
    /// How much of the note was read.
    pub coverage: Coverage,
    /// Sorted by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// Sorted by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<Place>,
    /// Where the note was de-identified. Sorted by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placeholders: Vec<Place>,
    /// Sorted by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub abbreviations: Vec<Abbreviation>,
    /// Sorted by place.
    pub entities: Vec<Entity>,
    /// Sorted by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// The model that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One hash over all its files.
    pub sha256: String,
    /// What it does: `ner`.
    pub task: String,
    /// How its tags mark the borders of an entity.
    pub scheme: String,
    /// The types of entities that it knows.
    pub labels: Vec<String>,
}

/// How much of the note was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    /// How many places of the note hold a placeholder instead of what was written there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholders: Option<usize>,
}

/// A part of the note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
}

/// A part of the note under a heading.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
    /// The heading as the note has it.
    pub title: String,
    /// What the heading means: `history_of_present_illness`.
    pub category: String,
    /// The same as a LOINC code, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc: Option<String>,
}

/// A short form and what it stands for.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Abbreviation {
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
    /// The note from `start` to `end`.
    pub short: String,
    /// What it stands for.
    pub long: String,
    /// Where the note says so. Absent for one of the caller's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defined: Option<Place>,
}

/// One entity.
#[derive(Clone, PartialEq, Serialize)]
pub struct Entity {
    /// `T1`, `T2`, … in order of place.
    pub id: String,
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
    /// The note from `start` to `end`.
    pub text: String,
    /// The type.
    pub label: String,
    /// Between 0 and 1, rounded to four places. Absent where a person added the entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// How the score came about: the aggregation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_method: Option<String>,
    /// What the note says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Assertion>,
    /// The category of the section in which it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// What it is in code systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// What belongs to it: dose, value, unit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
}

/// A code of a code system.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The URI of the system.
    pub system: String,
    /// The code.
    pub code: String,
    /// What the system calls it.
    pub term: String,
    /// How the term was found: `exact` or `normalised`.
    #[serde(rename = "match")]
    pub matched: String,
}

/// What belongs to an entity, and where it stands.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// `dose`, `route`, `frequency`, `duration`, `form`, `value`, `unit`, `range` or `flag`.
    pub name: String,
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
    /// The note from `start` to `end`.
    pub text: String,
    /// What was computed from it: of a `range`, whether the value is `low`, `high` or `within`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Something that a reader should look at.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// `POSSIBLE_PHI`.
    pub code: String,
    /// What it looks like.
    pub kind: String,
    /// In `offset_unit`.
    pub start: usize,
    /// In `offset_unit`, exclusive.
    pub end: usize,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} entities in {} bytes)", self.entities.len(), self.length.utf8)
    }
}

impl Model {
    /// What results say of a tagger.
    pub fn new(info: &ModelInfo) -> Self {
        let ModelInfo { id, version, sha256, labels } = info.clone();
        let (scheme, labels) = (labels.scheme().name().into(), labels.types().to_vec());
        Self { id, version, sha256, task: "ner".into(), scheme, labels }
    }
}

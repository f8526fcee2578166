//! The document of one classified text.

use serde::Serialize;

use super::{Coverage, Engine, Length, Model, Scored, scored, sha256};
use crate::tasks::sequences::Answer;

/// The version of this form. It changes when a field changes its meaning or goes away.
pub const SCHEMA: &str = "clinlite/classification/1";

/// A classified text.
#[derive(Serialize)]
pub struct Document<'a> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Of the text as UTF-8.
    pub text_sha256: String,
    /// The length of the text in each unit.
    pub length: Length,
    /// What computed.
    pub engine: Engine,
    /// What was asked.
    pub model: Model<'a>,
    /// How much of the text was read.
    pub coverage: Coverage,
    /// How the windows became one answer: `mean` or `max` of their logits.
    pub pooling: &'static str,
    /// The least score of a label that holds. Only of a multi-label model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The labels that hold, highest score first: exactly one, or of a multi-label model any number.
    pub labels: Vec<Scored<'a>>,
    /// All labels, in the order of the model.
    pub scores: Vec<Scored<'a>>,
}

/// The document of one classified text.
pub fn document<'a>(answer: &'a Answer, text: &str) -> Document<'a> {
    Document {
        schema: SCHEMA,
        text_sha256: sha256(text),
        length: Length::of(text),
        engine: Engine::new(&answer.engine),
        model: Model::new(&answer.model),
        coverage: answer.coverage.into(),
        pooling: answer.pooling.name(),
        threshold: answer.threshold.map(super::rounded),
        labels: scored(answer, answer.labels.iter().copied()),
        scores: scored(answer, 0..answer.scores.len()),
    }
}

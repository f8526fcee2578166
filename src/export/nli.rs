//! The document of one judged pair of premise and hypothesis.

use serde::Serialize;

use super::{Coverage, Engine, Length, Model, Scored, scored, sha256};
use crate::tasks::sequences::Answer;

/// The version of this form. It changes when a field changes its meaning or goes away.
pub const SCHEMA: &str = "clinlite/nli/1";

/// A judged pair.
#[derive(Serialize)]
pub struct Document<'a> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which premise.
    pub premise: Text,
    /// Which hypothesis.
    pub hypothesis: Text,
    /// What computed.
    pub engine: Engine,
    /// What was asked.
    pub model: Model<'a>,
    /// How much of the two was read.
    pub coverage: Coverage,
    /// How the windows of a long premise became one answer: `mean` or `max` of their logits.
    pub pooling: &'static str,
    /// The likeliest label.
    pub label: &'a str,
    /// Its score.
    pub score: f64,
    /// All labels, in the order of the model.
    pub scores: Vec<Scored<'a>>,
}

/// Which text a result is about.
#[derive(Serialize)]
pub struct Text {
    /// Of the text as UTF-8.
    pub sha256: String,
    /// The length of the text in each unit.
    pub length: Length,
}

/// The document of one judged pair.
pub fn document<'a>(answer: &'a Answer, premise: &str, hypothesis: &str) -> Document<'a> {
    let text = |text| Text { sha256: sha256(text), length: Length::of(text) };
    let best = scored(answer, answer.labels.iter().copied()).into_iter().next();
    let Scored { label, score } = best.unwrap_or(Scored { label: "", score: 0.0 });
    Document {
        schema: SCHEMA,
        premise: text(premise),
        hypothesis: text(hypothesis),
        engine: Engine::new(&answer.engine),
        model: Model::new(&answer.model),
        coverage: answer.coverage.into(),
        pooling: answer.pooling.name(),
        label,
        score,
        scores: scored(answer, 0..answer.scores.len()),
    }
}

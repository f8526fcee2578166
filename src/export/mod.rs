//! Results in the forms that others read. Offsets are converted here, once, from bytes to the unit of the reader.
//!
//! A document holds no time and no random value: the same question to the same model gives the same bytes. A hash of a
//! text lets a reader check what a result is about.

pub mod annotation;
pub mod assertion;
pub mod brat;
mod check;
pub mod classification;
pub mod conll;
pub mod csv;
pub mod displacy;
pub mod doccano;
pub mod fhir;
mod format;
mod html;
pub mod json;
pub mod nli;
pub mod options;
pub mod prodigy;
mod read;
pub mod relations;
mod tagging;
#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::tasks::Computed;
use crate::tasks::sequences::{self, Answer, ModelInfo};
use crate::text::offsets::OffsetUnit;

pub use assertion::Named;
pub use check::{Checked, Placed};
pub use format::{Format, body, write};
pub use options::Options;

/// The length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Length {
    /// As JavaScript counts.
    pub utf16: usize,
    /// As Python counts.
    pub codepoint: usize,
    /// As Rust counts.
    pub utf8: usize,
}

/// What computed the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Engine {
    /// This crate.
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
    /// `simd`, `webgpu` or `candle`.
    pub backend: Cow<'static, str>,
    /// Why it was this one, where there was a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who answers, as every document names them: known before anything is asked.
#[derive(Serialize)]
pub struct About<M> {
    /// What computes.
    pub engine: Engine,
    /// [`Model`], or [`json::Model`].
    pub model: M,
}

/// The classifier that was asked.
#[derive(Serialize)]
pub struct Model<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its version.
    pub version: &'a str,
    /// One hash over all its files.
    pub sha256: &'a str,
    /// What it does: `classify`, `nli` or `relation`.
    pub task: &'static str,
    /// Its labels, in its own order.
    pub labels: &'a [String],
    /// Whether each label holds or not for itself. Else exactly one does.
    pub multi_label: bool,
}

/// How much of a text was read.
#[derive(Serialize)]
pub struct Coverage {
    /// Word pieces of the text or texts.
    pub tokens: usize,
    /// Sequences that were judged.
    pub windows: usize,
    /// The longest sequence in pieces.
    pub max_length: usize,
    /// The least overlap of two windows in pieces.
    pub stride: usize,
    /// Whether some part of the text was not read. It never is: an answer is made only when all windows are judged.
    pub truncated: bool,
}

/// A label and how likely it is.
#[derive(Serialize)]
pub struct Scored<'a> {
    /// One of the model's.
    pub label: &'a str,
    /// Between 0 and 1, rounded to four places.
    pub score: f64,
}

impl Length {
    /// Of a text, in every unit.
    pub fn of(text: &str) -> Self {
        let [utf16, codepoint] = [OffsetUnit::Utf16, OffsetUnit::CodePoint].map(|unit| unit.length(text));
        Self { utf16, codepoint, utf8: text.len() }
    }

    fn of_unit(self, unit: OffsetUnit) -> usize {
        match unit {
            OffsetUnit::Utf16 => self.utf16,
            OffsetUnit::CodePoint => self.codepoint,
            OffsetUnit::Utf8 => self.utf8,
        }
    }
}

impl Engine {
    /// This crate on a backend.
    pub fn new(Computed { backend, reason }: &Computed) -> Self {
        let (name, version) = ("clinlite".into(), env!("CARGO_PKG_VERSION").into());
        Self { name, version, backend: (*backend).into(), reason: reason.clone() }
    }
}

impl<'a> Model<'a> {
    /// What results say of a classifier.
    pub fn new(info: &'a ModelInfo) -> Self {
        let ModelInfo { id, version, sha256, task, labels, multi_label } = info;
        Self { id, version, sha256, task: task.name(), labels, multi_label: *multi_label }
    }
}

impl From<sequences::Coverage> for Coverage {
    fn from(coverage: sequences::Coverage) -> Self {
        let sequences::Coverage { tokens, windows, max_length, stride } = coverage;
        Self { tokens, windows, max_length, stride, truncated: false }
    }
}

/// Some labels of an answer with their scores.
fn scored(answer: &Answer, labels: impl IntoIterator<Item = usize>) -> Vec<Scored<'_>> {
    let name = |label: usize| &answer.model.labels[label];
    labels.into_iter().map(|label| Scored { label: name(label), score: rounded(answer.scores[label]) }).collect()
}

/// Four places, and not what the number happens to be as a double.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e4).round() / 1e4
}

fn input(message: String) -> Error {
    Error::new(ErrorKind::Input, message)
}

/// The sha256 of a text as UTF-8, in lower-case hexadecimal digits.
fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

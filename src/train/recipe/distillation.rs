//! The tables of a recipe that learns from a teacher.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::train::readers::{Document, read_texts};

/// `[teacher]`: the loss becomes
/// `hard · (loss on the labels) + soft · T² · KL(softmax(teacher / T) ‖ softmax(student / T))`.
///
/// The second is a mean over all pieces of a tagger but `[CLS]` and `[SEP]`, and over all sequences of the other tasks. All
/// count the same: the weights of a stage are of labels.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Teacher {
    /// The folder of a model with the student's labels and vocabulary; the command line can name another.
    pub base: Option<String>,
    /// Of the loss on the labels; 0: the labels are not looked at.
    pub hard: f32,
    /// Of what the teacher thinks.
    pub soft: f32,
    /// `T`.
    pub temperature: f32,
}

impl Default for Teacher {
    fn default() -> Self {
        Self { base: None, hard: 1.0, soft: 1.0, temperature: 2.0 }
    }
}

/// `[unlabelled.…]`: text of which nobody but the teacher says anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlabelled {
    /// Below the data root: what [`read_texts`] reads.
    pub path: PathBuf,
}

impl Unlabelled {
    /// The texts.
    ///
    /// # Errors
    /// As [`read_texts`], and when there is no text.
    pub fn read(&self, root: &Path) -> Result<Vec<Document>> {
        let place = root.join(&self.path);
        let mut texts = read_texts(&place)?;
        texts.retain(|document| !document.text.trim().is_empty());
        if texts.is_empty() {
            return Err(Error::new(ErrorKind::Data, "holds no text").at(place.display()));
        }
        Ok(texts)
    }
}

/// `[grid]`: what `--grid` tries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// In place of `train.lr`, one after the other.
    pub lr: Vec<f64>,
}

//! The tables of a recipe, and what they say when they say nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::backend::adamw::Settings;
use crate::tasks::settings::{Pooling, Task};
use crate::train::examples::Pieces;
use crate::train::schedule::Schedule;

/// `[model]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A Hugging Face folder, relative to where the command runs; the command line can name another.
    #[serde(default)]
    pub base: Option<String>,
    /// What the model is to do.
    #[serde(default)]
    pub task: Task,
    /// Of a tagger: entity types in the order of the labels.
    #[serde(default)]
    pub types: Vec<String>,
    /// Of the other tasks: the labels in their order.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Whether a text may have several labels, or none.
    #[serde(default)]
    pub multi_label: bool,
    /// These layers of the base, counted from 0 and in this order, are all that the model has; absent: all layers.
    #[serde(default)]
    pub layers: Option<Vec<usize>>,
}

/// `[window]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowTable {
    /// Rows of a training window, special tokens included.
    pub max_length: usize,
    /// What the pieces of a word are taught.
    pub pieces: Pieces,
}

impl Default for WindowTable {
    fn default() -> Self {
        Self { max_length: 128, pieces: Pieces::Word }
    }
}

/// `[evaluate]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Rows of a window, special tokens included.
    pub max_length: usize,
    /// The least overlap of two windows, in pieces.
    pub stride: usize,
    /// Scores in each stage, evenly spread; the last is at its end.
    pub times: u64,
    /// How much it counts, when a sequence of labels is chosen, how well they follow each other in the sets that mark
    /// all types; 0: not at all.
    pub transitions: f32,
    /// How the windows of a long text become one answer.
    pub pooling: Pooling,
    /// What the best is chosen by; absent: micro F1 of entities and relations, accuracy of pairs, macro F1 of texts.
    pub metric: Option<Metric>,
    /// A stage ends after so many scores without a better one; absent: never before its time.
    pub patience: Option<u64>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            max_length: 256,
            stride: 64,
            times: 4,
            transitions: 0.2,
            pooling: Pooling::Mean,
            metric: None,
            patience: None,
        }
    }
}

/// What the best is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// The share of texts whose labels are all right.
    Accuracy,
    /// F1 over all decisions; of relations without the label that says that there is none.
    MicroF1,
    /// The mean of the F1 of each label.
    MacroF1,
}

impl Metric {
    /// As people say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MicroF1 => "F1",
            Self::MacroF1 => "macro F1",
        }
    }
}

/// `[train]`: what a stage does not say itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// The highest learning rate.
    pub lr: f64,
    /// Of the head; absent: `lr`.
    pub head_lr: Option<f64>,
    /// The factor on the learning rate from each layer to the one below.
    pub layer_decay: f64,
    /// How often all windows are seen.
    pub epochs: f64,
    /// Steps of the optimizer, whatever they come to in epochs; absent: what `epochs` says.
    pub steps: Option<u64>,
    /// Of a tagger: rows of a step, about.
    pub batch_tokens: usize,
    /// Of the other tasks: sequences of a step.
    pub batch_size: usize,
    /// The share of steps over which the learning rate rises.
    pub warmup: f64,
    /// What follows.
    pub schedule: Schedule,
    /// Of matrices and tables.
    pub weight_decay: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the squares.
    pub eps: f64,
    /// The most that the norm of all gradients may be.
    pub clip: f64,
    /// Of hidden states.
    pub dropout: f32,
    /// Of attention probabilities.
    pub attention_dropout: f32,
    /// Decay of the moving average of the weights, which is what is scored and saved; 0: none.
    pub ema: f64,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            lr: 3e-4,
            head_lr: None,
            layer_decay: 1.0,
            epochs: 8.0,
            steps: None,
            batch_tokens: 1024,
            batch_size: 16,
            warmup: 0.1,
            schedule: Schedule::Linear,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            clip: 1.0,
            dropout: 0.1,
            attention_dropout: 0.0,
            ema: 0.0,
        }
    }
}

/// One `[[stage]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTable {
    /// For the log.
    pub name: String,
    /// How often an epoch sees each document of a set; a set that is not named is not seen. Absent: all sets once.
    pub sets: Option<BTreeMap<String, f64>>,
    /// How much a row of a set counts beside others; 1 for a set that is not named.
    #[serde(default)]
    pub weights: BTreeMap<String, f32>,
    /// In place of `[train]`'s.
    pub lr: Option<f64>,
    /// In place of `[train]`'s.
    pub head_lr: Option<f64>,
    /// In place of `[train]`'s.
    pub layer_decay: Option<f64>,
    /// In place of `[train]`'s.
    pub epochs: Option<f64>,
    /// In place of `[train]`'s.
    pub steps: Option<u64>,
    /// In place of `[train]`'s.
    pub batch_tokens: Option<usize>,
    /// In place of `[train]`'s.
    pub batch_size: Option<usize>,
    /// In place of `[train]`'s.
    pub warmup: Option<f64>,
    /// In place of `[train]`'s.
    pub schedule: Option<Schedule>,
    /// In place of `[train]`'s.
    pub ema: Option<f64>,
    /// In place of `[evaluate]`'s.
    pub evaluations: Option<u64>,
}

/// A stage with nothing left open.
#[derive(Clone, Debug)]
pub struct Stage {
    /// For the log.
    pub name: String,
    /// How often an epoch sees each document of a set.
    pub sets: BTreeMap<String, f64>,
    /// How much a row of a set counts.
    pub weights: BTreeMap<String, f32>,
    /// Scores, evenly spread.
    pub evaluations: u64,
    /// Scores without a better one after which it ends.
    pub patience: Option<u64>,
    /// The rest.
    pub train: Train,
}

impl Train {
    /// What the optimizer wants to know.
    pub fn settings(&self) -> Settings {
        let Self { beta1, beta2, eps, weight_decay, clip, ema, .. } = *self;
        Settings { beta1, beta2, eps, weight_decay, clip, ema }
    }
}

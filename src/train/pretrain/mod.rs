//! Pre-training a masked language model by a recipe: from the words alone, and from a teacher.
//!
//! The run folder holds `recipe.toml`, `log.jsonl`, an event file for TensorBoard, `checkpoint.safetensors` while it runs,
//! and in the end `model/`, a Hugging Face folder with its head, `metrics.json` and `curve.svg`. With patience `model/` holds
//! the best weights so far while the run goes on.

mod cache;
mod course;
mod material;
pub mod progress;
pub mod recipe;
mod run;
mod start;

use std::path::PathBuf;

pub use self::course::{pretrain, pretrain_among};
pub use super::finetune::{Options, Role};

/// Where a run finds and leaves things.
#[derive(Clone, Debug)]
pub struct Places {
    /// A folder of token blocks, see [`super::corpus::blocks`].
    pub blocks: PathBuf,
    /// The teacher, in place of the recipe's.
    pub teacher: Option<PathBuf>,
    /// The folder that the student starts from, in place of the recipe's `[student]`.
    pub base: Option<PathBuf>,
    /// The run folder.
    pub out: PathBuf,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Steps done.
    pub step: u64,
    /// The masked loss of the notes that were set apart, of the weights that were kept: with patience the lowest, else the
    /// last; nothing where no notes were.
    pub held_out: Option<f64>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

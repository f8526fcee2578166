//! What a run tells while it runs. The library calls, the command line draws.

use std::collections::BTreeMap;

/// Listens to a run.
pub trait Progress {
    /// A stage begins: its name, its first step and the number of steps of the whole run.
    fn stage(&mut self, _name: &str, _step: u64, _steps: u64) {}
    /// A step is done.
    fn step(&mut self, _at: &Step) {}
    /// The model was scored on the development split.
    fn scored(&mut self, _at: &Scored) {}
    /// Something worth a line.
    fn note(&mut self, _line: &str) {}
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Steps done in this run, all stages together, counted from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Epochs done in this stage.
    pub epoch: f64,
    /// The loss of this step.
    pub loss: f64,
    /// With a teacher: what of it is `hard`, of the labels, and what `soft`, of the teacher.
    pub losses: BTreeMap<&'static str, f64>,
    /// The learning rate of this step.
    pub lr: f64,
    /// The norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Word pieces of this step.
    pub tokens: usize,
    /// Word pieces a second since the run began or went on, scoring left out.
    pub tokens_per_second: f64,
    /// Seconds until the last step, at the pace so far with all scores and checkpoints.
    pub seconds_left: f64,
}

/// One score.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    /// Steps done.
    pub step: u64,
    /// What `score` is: `F1`, `accuracy`, `macro F1`.
    pub metric: &'static str,
    /// Of 1. Of a tagger word-level, strict, micro.
    pub score: f64,
    /// Of a tagger: the same, of the likeliest label of the first piece of each word.
    pub plain: Option<f64>,
    /// Whether no score before was as high.
    pub best: bool,
}

/// Listens to nothing.
impl Progress for () {}

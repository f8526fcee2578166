//! What a run tells while it runs. The library calls, the command line draws.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Listens to a run.
pub trait Progress {
    /// The run begins, or goes on: steps done, steps in all.
    fn begins(&mut self, _step: u64, _steps: u64) {}
    /// Before the first step: what the teacher says of so many blocks is kept, of so many.
    fn asked(&mut self, _blocks: u64, _of: u64) {}
    /// A step was handed to the device; how it went is known at the next [`Progress::logged`].
    fn stepped(&mut self, _step: u64) {}
    /// A step whose losses were read.
    fn logged(&mut self, _at: &Logged) {}
    /// The masked loss of the notes that were set apart, and whether no look before saw a lower one.
    fn held_out(&mut self, _step: u64, _loss: f64, _best: bool) {}
    /// Something worth a line.
    fn note(&mut self, _line: &str) {}
}

/// A step whose losses were read.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Steps done, counted from 1.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Epochs done.
    pub epoch: f64,
    /// The losses of this step by name, each with its weight.
    pub losses: BTreeMap<&'static str, f64>,
    /// The learning rate of this step.
    pub lr: f64,
    /// The norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Word pieces of this step.
    pub tokens: usize,
    /// Word pieces a second since the run began or went on, without looks at what was set apart.
    pub tokens_per_second: f64,
    /// Seconds until the last step, at the pace so far with all looks and checkpoints.
    pub seconds_left: f64,
}

impl Logged {
    /// The sum of all losses.
    pub fn loss(&self) -> f64 {
        self.losses.values().sum()
    }

    /// As the log has it.
    pub(super) fn line(&self) -> Value {
        json!({
            "step": self.step, "epoch": self.epoch, "loss": self.loss(), "losses": self.losses, "lr": self.lr,
            "gradient_norm": self.gradient_norm, "tokens": self.tokens, "tokens_per_second": self.tokens_per_second,
        })
    }
}

/// Listens to nothing.
impl Progress for () {}

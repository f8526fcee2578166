//! How fast a run is, and when it will be done.

use std::time::{Duration, Instant};

/// Tokens and steps over time, since the run began or went on.
pub(super) struct Clock {
    tokens: u64,
    steps: u64,
    spent: Duration,
    first: Option<Instant>,
    /// When the last checkpoint was written.
    pub(super) saved: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { tokens: 0, steps: 0, spent: Duration::ZERO, first: None, saved: Instant::now() }
    }

    /// Counts a step that began then and is done now.
    pub(super) fn count(&mut self, tokens: usize, begun: Instant) {
        self.tokens += tokens as u64;
        self.steps += 1;
        self.spent += begun.elapsed();
        self.first.get_or_insert(begun);
    }

    /// Of the steps alone: scores, looks and checkpoints left out.
    pub(super) fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.spent.as_secs_f64().max(1e-9)
    }

    /// Seconds, beside those of the steps.
    pub(super) fn share(&self, part: Duration) -> String {
        let (part, all) = (part.as_secs_f64(), self.spent.as_secs_f64());
        format!("{part:.1} of {all:.1} s, {:.1} %", 100.0 * part / all.max(1e-9))
    }

    /// How long so many steps will take at the pace so far, with all that lay between the steps.
    pub(super) fn seconds_left(&self, steps: u64) -> f64 {
        let all = self.first.map_or(0.0, |first| first.elapsed().as_secs_f64());
        steps as f64 * all / self.steps.max(1) as f64
    }
}

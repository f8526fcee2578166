//! What a training step is judged by.

pub use crate::backend::candle::kernels::label_loss::label_loss;
pub use crate::backend::candle::kernels::token_loss::{TokenLoss, token_loss};

/// What is known about the rows of a batch, `[R]` each.
#[derive(Clone, Default)]
pub struct Targets {
    /// Bit `l`: label `l` may be right. No bit: the row is not judged.
    pub allowed: Vec<u64>,
    /// How much a row counts beside others.
    pub weight: Vec<f32>,
}

impl Targets {
    /// The sum of the weights of all rows that a loss judges: a row that may be anything says nothing and does not
    /// count.
    pub fn norm(&self, labels: usize) -> f64 {
        let anything = u64::MAX >> (64 - labels);
        let judged = self.allowed.iter().zip(&self.weight).filter(|(bits, _)| **bits != 0 && **bits != anything);
        judged.map(|(_, weight)| f64::from(*weight)).sum()
    }
}

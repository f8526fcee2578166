//! AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, with bias correction as PyTorch.
//!
//! The numbers of a step, worked out once for every engine; the engines do the rest in one pass over each weight:
//! clipping, both moments, decay, the step and the moving average of the weights.

use super::training::Kind;

/// What does not change during a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the squares.
    pub eps: f64,
    /// Of matrices and tables; norms and biases are spared.
    pub weight_decay: f64,
    /// The most that the norm of all gradients together may be.
    pub clip: f64,
    /// Decay of the moving average of the weights; 0 keeps none.
    pub ema: f64,
}

/// The numbers of one pass over one weight, in `f32`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Pass {
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    /// `√(1 − β₂ᵗ)`.
    pub(crate) root: f32,
    pub(crate) eps: f32,
    /// `lr / (1 − β₁ᵗ)`.
    pub(crate) rate: f32,
    /// `1 − lr · weight_decay`.
    pub(crate) keep: f32,
    /// Of the moving average; 0 is none.
    pub(crate) ema: f32,
}

impl Settings {
    /// The pass of step `t`, counted from 1, at a learning rate.
    pub(crate) fn pass(&self, t: u64, kind: Kind, rate: f64) -> Pass {
        let t = i32::try_from(t).unwrap_or(i32::MAX);
        let decay = if kind == Kind::Vector { 0.0 } else { self.weight_decay };
        // An average that begins at once would remember the start for long: let it follow closely at first.
        let ema = self.ema.min(f64::from(t) / (f64::from(t) + 9.0));
        Pass {
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            root: (1.0 - self.beta2.powi(t)).sqrt() as f32,
            eps: self.eps as f32,
            rate: (rate / (1.0 - self.beta1.powi(t))) as f32,
            keep: (1.0 - rate * decay) as f32,
            ema: if self.ema > 0.0 { ema as f32 } else { 0.0 },
        }
    }

    /// What gradients of this norm are multiplied with.
    pub(crate) fn scale(&self, norm: f64) -> f64 {
        (self.clip / (norm + 1e-6)).min(1.0)
    }
}

//! How the learning rate moves over a stage.

use serde::Deserialize;

/// What follows the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// In a straight line to zero.
    #[default]
    Linear,
    /// Half a cosine to zero.
    Cosine,
    /// Nothing.
    Constant,
}

impl Schedule {
    /// The factor on the learning rate at `step` of `steps`, counted from 0: rises in a straight line over the first
    /// `warmup` steps, the first of which already learns, and is above zero at the last step.
    pub fn factor(self, step: u64, steps: u64, warmup: u64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let done = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Linear => (1.0 - done).max(0.0),
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()),
            Self::Constant => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let linear: Vec<f64> = (0..10).map(|step| Schedule::Linear.factor(step, 10, 2)).collect();
        assert_eq!(linear, [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]);
        assert_eq!(Schedule::Cosine.factor(6, 10, 2), 0.5);
        assert_eq!(Schedule::Constant.factor(9, 10, 0), 1.0);
        assert_eq!(Schedule::Linear.factor(0, 1, 0), 1.0);
    }
}

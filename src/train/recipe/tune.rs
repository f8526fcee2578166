//! `[tune]`: which weights learn.

use serde::Deserialize;

use super::require;
use crate::error::Result;

/// `[tune]`: by its `method`, which is `full`, `adapters` or `lora`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Tune {
    /// All weights.
    Full {},
    /// The adapters of a MiniALBERT and the head: the paper's `trainAdaptersOnly`.
    Adapters {},
    /// Low-rank matrices beside frozen layers, and the head.
    Lora(Lora),
}

impl Default for Tune {
    fn default() -> Self {
        Self::Full {}
    }
}

/// The settings of LoRA, with the names, meanings and defaults of Hugging Face's peft.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lora {
    /// The rank of the matrices.
    pub r: usize,
    /// Their product counts `alpha / r`.
    pub alpha: f64,
    /// The share of their inputs that training drops.
    pub dropout: f32,
    /// The ends of the names of the dense layers; absent: query and value.
    pub target_modules: Option<Vec<String>>,
}

impl Default for Lora {
    fn default() -> Self {
        Self { r: 8, alpha: 8.0, dropout: 0.0, target_modules: None }
    }
}

impl Lora {
    /// What the product of the matrices counts.
    pub fn scale(&self) -> f32 {
        (self.alpha / self.r as f64) as f32
    }
}

impl Tune {
    pub(super) fn check(&self) -> Result<()> {
        let Self::Lora(Lora { r, alpha, dropout, target_modules }) = self else { return Ok(()) };
        require((1..=1024).contains(r), "tune.r", "a rank between 1 and 1024")?;
        require(alpha.is_finite() && *alpha > 0.0, "tune.alpha", "a finite number above 0")?;
        require((0.0..1.0).contains(dropout), "tune.dropout", "a share below 1")?;
        let named =
            target_modules.as_ref().is_none_or(|names| !names.is_empty() && names.iter().all(|name| !name.is_empty()));
        require(named, "tune.target_modules", "at least one name of a dense layer, and none that is empty")
    }
}

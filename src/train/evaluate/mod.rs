//! A model on what is known, read off exactly as the product reads it off.

pub mod entities;
pub mod sequences;

use serde_json::Value;

/// How a model did.
#[derive(Clone, Debug)]
pub struct Score {
    /// What `value` is, as people say it.
    pub metric: &'static str,
    /// Of 1. What chooses the best.
    pub value: f64,
    /// Of a tagger: the same of the likeliest label of the first piece of each word, for comparison with others.
    pub plain: Option<f64>,
    /// All figures.
    pub details: Value,
}

//! Fine-tuning, readers, losses, metrics.

pub mod bootstrap;
pub mod metrics;
pub mod prune;
pub mod readers;

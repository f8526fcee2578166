//! Fine-tuning, readers, losses, metrics.

pub mod readers;

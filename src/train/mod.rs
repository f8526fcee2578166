//! Fine-tuning, readers, losses, metrics.

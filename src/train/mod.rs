//! Fine-tuning, readers, losses, metrics.

pub mod bootstrap;
pub mod checkpoint;
pub mod corpus;
pub mod distil;
pub mod evaluate;
pub mod examples;
pub mod finetune;
pub mod loss;
mod material;
pub mod metrics;
pub mod model;
pub mod progress;
pub mod prune;
pub mod readers;
pub mod recipe;
mod run;
pub mod schedule;
pub mod sequences;
pub mod series;
pub mod teacher;

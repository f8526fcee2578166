//! Pre-training, fine-tuning, readers, losses, metrics.

pub mod bootstrap;
pub mod checkpoint;
pub mod corpus;
pub mod coverage;
pub mod curve;
pub mod distil;
pub mod evaluate;
mod events;
pub mod examples;
pub mod finetune;
pub mod loss;
mod material;
pub mod metrics;
pub mod model;
pub mod pretrain;
pub mod progress;
pub mod prune;
pub mod readers;
pub mod recipe;
mod run;
pub mod schedule;
pub mod sequences;
pub mod series;
pub mod teacher;
mod whole;

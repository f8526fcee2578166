//! The integration tests: one binary, because each one links candle.

#![allow(clippy::unwrap_used, reason = "in a test a step that fails is the failure")]

mod allocated;
mod architecture;
mod backends;
mod batch;
mod cli;
mod cli_tasks;
mod clinical;
mod corpus;
mod distillation;
mod eval;
mod exports;
mod fallback;
mod logs;
mod metrics;
mod parallel;
mod parity;
mod pretrain;
mod prune;
mod readers;
mod support;
mod tasks;
mod text;
mod train;
mod weights;

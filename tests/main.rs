//! The integration tests: one binary, because each one links candle.

mod architecture;
mod backends;
mod cli;
mod eval;
mod metrics;
mod parity;
mod prune;
mod readers;
mod support;
mod weights;
mod train;

//! The integration tests: one binary, because each one links candle.

mod architecture;
mod metrics;
mod prune;
mod readers;

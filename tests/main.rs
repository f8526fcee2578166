//! The integration tests: one binary, because each one links candle.

mod architecture;
mod backends;
mod metrics;
mod prune;
mod readers;

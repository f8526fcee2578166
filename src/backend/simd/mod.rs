//! The product's CPU engine.

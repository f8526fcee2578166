//! The model pack.

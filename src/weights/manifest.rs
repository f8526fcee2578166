//! The model manifest.

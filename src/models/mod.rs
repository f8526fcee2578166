//! One architecture a file, in Hugging Face's own names, generic over the [`crate::backend::Backend`].
//!
//! [`bert`] is the one to read first; each of the others is written as a difference from it. An [`Encoder`] is any of
//! them, [`TokenClassification`], [`SequenceClassification`] and [`MaskedLm`] stand on it, and a [`Model`] is what a
//! folder holds.

mod batch;
pub mod bert;
mod config;
pub mod distilbert;
mod encoder;
mod heads;
mod masked_lm;
pub mod minialbert;
pub mod mobilebert;
mod model;

pub use batch::Batch;
pub use config::{Config, Shape};
pub use encoder::Encoder;
pub use heads::{SequenceClassification, TokenClassification};
pub use masked_lm::MaskedLm;
pub use model::{Head, Model};

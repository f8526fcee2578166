//! A note becomes ids and comes back as spans.
//!
//! Everything in here counts in bytes of the UTF-8 note; [`crate::export`] converts once, at the border.

pub mod decode;
pub mod frames;
pub mod labels;
pub mod markers;
mod normalize;
pub mod offsets;
mod tokenizer_json;
mod vocabulary;
pub mod windows;
pub mod wordpiece;

pub use decode::{Aggregation, Decoding, Span, decode};
pub use labels::Labels;
pub use normalize::Normalization;
pub use offsets::OffsetUnit;
pub use windows::Window;
pub use wordpiece::{Encoding, Tokenizer};

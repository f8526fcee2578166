//! One architecture a file, in Hugging Face's own names, generic over the [`crate::backend::Backend`].

mod bert;
mod heads;

pub use bert::{Bert, Config};
pub use heads::TokenClassification;

use crate::backend::Lengths;

/// The sequences of one forward pass, packed one after the other without padding.
#[derive(Clone)]
pub struct Batch {
    /// One id a row, special tokens included. `[R]`.
    pub input_ids: Vec<u32>,
    /// Segment of each row, all zero for a single text. `[R]`.
    pub token_type_ids: Vec<u32>,
    /// How the rows divide into sequences.
    pub lengths: Lengths,
}

impl Batch {
    /// Packs single-segment sequences.
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut input_ids = Vec::new();
        let mut lengths = Vec::new();
        for sequence in sequences {
            input_ids.extend_from_slice(sequence);
            lengths.push(sequence.len());
        }
        Self { token_type_ids: vec![0; input_ids.len()], input_ids, lengths: Lengths::new(lengths) }
    }

    /// The place of each row in its own sequence. `[R]`.
    fn position_ids(&self) -> Vec<u32> {
        self.lengths.ranges().flat_map(|rows| 0..rows.len() as u32).collect()
    }
}

/// Ids never hold note text, but they can be turned back into it.
impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} rows)", self.input_ids.len())
    }
}

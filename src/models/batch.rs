//! What a forward pass is given.

use crate::backend::Lengths;
use crate::error::{Error, ErrorKind, Result};

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

    /// Packs sequences of two segments, of which the first one has `first` rows.
    pub fn of_pairs<'a>(sequences: impl IntoIterator<Item = (&'a [u32], usize)>) -> Self {
        let mut token_type_ids = Vec::new();
        let sequences = sequences.into_iter().map(|(ids, first)| {
            token_type_ids.extend((0..ids.len()).map(|row| u32::from(row >= first)));
            ids
        });
        let batch = Self::new(sequences);
        Self { token_type_ids, ..batch }
    }

    /// The first row of each sequence, where `[CLS]` stands.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when a sequence is empty.
    pub(super) fn first_rows(&self) -> Result<Vec<u32>> {
        let first = |rows: std::ops::Range<usize>| match rows.is_empty() {
            true => Err(Error::new(ErrorKind::Input, "a sequence without tokens has no first one")),
            false => Ok(rows.start as u32),
        };
        self.lengths.ranges().map(first).collect()
    }

    /// The place of each row in its own sequence. `[R]`.
    pub(super) fn position_ids(&self) -> Vec<u32> {
        self.lengths.ranges().flat_map(|rows| 0..rows.len() as u32).collect()
    }
}

/// Ids never hold note text, but they can be turned back into it.
impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} rows)", self.input_ids.len())
    }
}

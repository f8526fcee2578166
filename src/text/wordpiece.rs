//! WordPiece.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};

/// A whole note as pieces, without special tokens and never truncated.
#[derive(Clone, Default)]
pub struct Encoding {
    /// One id a piece.
    pub input_ids: Vec<u32>,
    /// Bytes of the note that each piece came from.
    pub offsets: Vec<Range<usize>>,
    /// The pieces of each word, in order and without gaps: a word is what the pre-tokenizer splits at white space and
    /// punctuation.
    pub words: Vec<Range<usize>>,
}

/// A BERT WordPiece tokenizer.
pub struct Tokenizer {}

impl Tokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], [`ErrorKind::Unsupported`].
    pub fn from_json(_json: &[u8]) -> Result<Self> {
        Err(Error::new(ErrorKind::Unsupported, "not built yet"))
    }

    /// Cuts a note into pieces.
    pub fn encode(&self, _text: &str) -> Encoding {
        Encoding::default()
    }

    /// `[CLS]`.
    pub fn cls_id(&self) -> u32 {
        0
    }

    /// `[SEP]`.
    pub fn sep_id(&self) -> u32 {
        0
    }
}

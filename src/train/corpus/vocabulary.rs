//! Which tokenizer a corpus was made with, told by what it does and not by how its files are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::text::{Normalization, Tokenizer};
use crate::train::hash::hex;

/// More than any WordPiece vocabulary has: a file with an id of four billion would ask for as many lines.
pub const MAX_SIZE: u32 = 1 << 24;

/// BERT's special tokens.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The vocabulary of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// Of the pieces, one a line in the order of their ids: what `sha256sum vocab.txt` prints.
    pub sha256: String,
    /// One more than the highest id.
    pub size: u32,
    /// The ids of `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`, of those that the vocabulary has.
    pub special_ids: BTreeMap<String, u32>,
    /// What is done to a text before it is cut.
    pub normalization: Normalization,
}

impl Vocabulary {
    /// The vocabulary of a tokenizer.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when `[MASK]` is missing, or when an id is beyond [`MAX_SIZE`].
    pub fn of(tokenizer: &Tokenizer) -> Result<Self> {
        let size = u32::try_from(tokenizer.vocab_size()).ok().filter(|&size| size <= MAX_SIZE);
        let size = size.ok_or_else(|| refuse(format!("an id of the vocabulary is not below {MAX_SIZE}")))?;
        let pieces: BTreeMap<u32, &str> = tokenizer.pieces().map(|(piece, id)| (id, piece)).collect();
        let mut hash = Sha256::new();
        for id in 0..size {
            hash.update(pieces.get(&id).copied().unwrap_or_default());
            hash.update("\n");
        }
        let named = pieces.iter().filter(|(_, piece)| SPECIAL.contains(piece));
        let mut special_ids: BTreeMap<_, _> = named.map(|(&id, &piece)| (piece.to_owned(), id)).collect();
        // as the tokenizer has them: they may stand beside the vocabulary
        special_ids.extend([("[CLS]".to_owned(), tokenizer.cls_id()), ("[SEP]".to_owned(), tokenizer.sep_id())]);
        let vocabulary = Self { sha256: hex(hash), size, special_ids, normalization: tokenizer.normalization() };
        vocabulary.check().map(|()| vocabulary)
    }

    /// Whether what is stated can be.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a size or an id out of bounds, or a special token that is missing or unknown.
    pub fn check(&self) -> Result<()> {
        let Self { size, special_ids, .. } = self;
        if !(1..=MAX_SIZE).contains(size) {
            return Err(refuse(format!("expected a size of 1 to {MAX_SIZE}, found {size}")));
        }
        if let Some(name) = ["[CLS]", "[SEP]", "[MASK]"].iter().find(|name| !special_ids.contains_key(**name)) {
            return Err(refuse(format!("the vocabulary has no {name:?}")));
        }
        match special_ids.iter().find(|(name, id)| *id >= size || !SPECIAL.contains(&name.as_str())) {
            Some((name, id)) => Err(refuse(format!("the special token {name:?} with the id {id}, of {size}"))),
            None => Ok(()),
        }
    }

    /// Refuses what was made with another vocabulary.
    ///
    /// # Errors
    /// [`ErrorKind::Hash`] with both hashes, [`ErrorKind::Format`] when the pieces are the same and the rest is not.
    pub fn require(&self, found: &Self) -> Result<()> {
        if self.sha256 != found.sha256 {
            let message = format!("expected the vocabulary {}, found {}", self.sha256, found.sha256);
            return Err(Error::new(ErrorKind::Hash, message));
        }
        if self != found {
            return Err(refuse("the vocabulary is the same, but texts are normalised otherwise before they are cut"));
        }
        Ok(())
    }

    /// `[CLS]`, with which every block begins.
    pub fn cls_id(&self) -> u32 {
        self.special_ids.get("[CLS]").copied().unwrap_or_default()
    }

    /// `[SEP]`, with which every block ends, and which stands between two notes.
    pub fn sep_id(&self) -> u32 {
        self.special_ids.get("[SEP]").copied().unwrap_or_default()
    }
}

/// Whether a piece is no text: BERT's special tokens and the `[unused…]` ones. A text never becomes one, because a
/// bracket is a word of its own.
pub(super) fn is_special(piece: &str) -> bool {
    piece.len() > 2 && piece.starts_with('[') && piece.ends_with(']')
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, message)
}

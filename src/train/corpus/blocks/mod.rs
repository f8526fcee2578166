//! Notes as blocks of tokens on the disk.
//!
//! A folder holds `blocks.json`, which states what it was made of and the sha256 of every other file, and shards
//! `blocks-train-00000.bin`, `blocks-dev-00000.bin`, …: records of one size, one block each (docs/data-formats.md). A
//! block is read by its number with one seek, so a corpus takes no memory however long it is.

mod cut;
mod manifest;
mod read;
mod record;
mod shards;
mod write;

use std::fmt;

pub use manifest::{Manifest, Shard, SourceFile, Split, VERSION};
pub use read::{Blocks, Corpus};
pub use write::{Options, Progress, write};

/// `[CLS] … [SEP]`, a piece of the stream of notes.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// The pieces, special ones included.
    pub input_ids: Vec<u32>,
    /// Whether a piece begins a word; special ones do not. Of a word longer than a block only the first part begins.
    pub begins: Vec<bool>,
}

/// Ids can be turned back into the notes.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} pieces)", self.input_ids.len())
    }
}

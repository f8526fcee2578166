//! `blocks.json`: what a corpus is, and the hash of every file of it. It names files of notes and holds no text of them.

use serde::{Deserialize, Serialize};

use super::super::Vocabulary;
use crate::error::{Error, ErrorKind, Result};

/// The file's name.
pub(super) const NAME: &str = "blocks.json";
/// More than the list of a million sources takes.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// The form that this crate writes, and the only one that it reads.
pub const VERSION: u32 = 1;
/// Pieces of a block: `[CLS]`, `[SEP]` and some words, up to more than any encoder here has positions for.
pub(super) const LENGTHS: std::ops::RangeInclusive<usize> = 8..=8192;
/// The splits, by the names of their files.
pub(super) const SPLITS: [&str; 2] = ["train", "dev"];

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The most pieces of a block, special ones included.
    pub length: usize,
    /// The share of notes, by hash of their text, that was set apart.
    pub dev_share: f64,
    /// What the notes were cut with.
    pub vocabulary: Vocabulary,
    /// What to learn from.
    pub train: Split,
    /// What was set apart: whole notes, none of which is in `train`.
    pub dev: Split,
    /// Notes without a single word; they are in no split.
    pub empty_notes: u64,
    /// The files of notes, in the order in which they were read.
    pub sources: Vec<SourceFile>,
}

/// One of the two parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Notes.
    pub notes: u64,
    /// Their pieces, without special tokens.
    pub pieces: u64,
    /// Blocks of all shards.
    pub blocks: u64,
    /// The files, in the order of their blocks.
    pub shards: Vec<Shard>,
}

/// A file of blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its name.
    pub file: String,
    /// Blocks of it.
    pub blocks: u64,
    /// The sha256 of it.
    pub sha256: String,
}

/// A file of notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Where it lay.
    pub file: String,
    /// Notes of it, empty ones included.
    pub notes: u64,
    /// The sha256 of it.
    pub sha256: String,
}

impl Manifest {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] with what is wrong; [`ErrorKind::Unsupported`] for another version.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed = |e: serde_json::Error| refuse(e.to_string());
        let Versioned { version } = serde_json::from_slice(json).map_err(malformed)?;
        if version != VERSION {
            let message = format!("expected version {VERSION}, found {version}: make the blocks again");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let manifest: Self = serde_json::from_slice(json).map_err(malformed)?;
        manifest.vocabulary.check().map_err(|e| e.at("vocabulary"))?;
        if !LENGTHS.contains(&manifest.length) {
            return Err(refuse(format!("expected a length in {LENGTHS:?}, found {}", manifest.length)));
        }
        for (name, split) in SPLITS.into_iter().zip([&manifest.train, &manifest.dev]) {
            split.check(name).map_err(|e| e.at(name))?;
        }
        Ok(manifest)
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self).map_err(|e| refuse(e.to_string()))?;
        json.push(b'\n');
        Ok(json)
    }
}

impl Split {
    fn check(&self, name: &str) -> Result<()> {
        let mut blocks = 0_u64;
        for (number, shard) in self.shards.iter().enumerate() {
            let expected = file_name(name, number);
            if shard.file != expected {
                return Err(refuse(format!("expected a shard {expected:?}, found {:?}", shard.file)));
            }
            let sum = blocks.checked_add(shard.blocks).filter(|_| shard.blocks > 0);
            blocks = sum.ok_or_else(|| refuse(format!("a shard of {} blocks", shard.blocks)).at(&shard.file))?;
        }
        if blocks != self.blocks {
            return Err(refuse(format!("states {} blocks, its shards have {blocks}", self.blocks)));
        }
        Ok(())
    }
}

/// What a shard is called. No other name is opened: a file that states its own could lead out of the folder.
pub(super) fn file_name(split: &str, number: usize) -> String {
    format!("blocks-{split}-{number:05}.bin")
}

/// Whether a file is called as one that an unfinished run leaves.
pub(super) fn is_partial(name: &str) -> bool {
    let shard = |split| name.starts_with(&format!("blocks-{split}-")) && name.ends_with(".bin");
    name == "blocks.part" || SPLITS.into_iter().any(shard)
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, message)
}

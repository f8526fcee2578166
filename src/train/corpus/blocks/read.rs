//! Blocks by their number, from a folder that is verified first.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::super::Vocabulary;
use super::Block;
use super::manifest::{MAX_BYTES, Manifest, NAME, Shard, Split};
use super::record::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::text::Tokenizer;
use crate::train::hash;

/// A folder of blocks, every byte of which is as its `blocks.json` states.
pub struct Corpus {
    manifest: Manifest,
    sha256: String,
    train: Blocks,
    dev: Blocks,
}

/// The blocks of a split. The files stay open and nothing else is held.
pub struct Blocks {
    layout: Layout,
    shards: Vec<OpenShard>,
}

struct OpenShard {
    /// A seek and a read belong together.
    file: Mutex<File>,
    name: String,
    /// The number of the first block behind it.
    end: u64,
}

impl Corpus {
    /// Opens a folder for a model with this tokenizer. Reads all of it once, to compare the hashes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] for a file that cannot be read; [`ErrorKind::Hash`] for a shard that is not as stated, and for
    /// another vocabulary, with both hashes; [`ErrorKind::Format`] for what is not a corpus.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Self::read(folder, tokenizer).map_err(|e| e.at(folder.display()))
    }

    fn read(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let mut json = Vec::new();
        let file = File::open(folder.join(NAME)).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut json));
        file.map_err(|e| io_error(&e, NAME))?;
        if json.len() as u64 > MAX_BYTES {
            return Err(Error::new(ErrorKind::Format, format!("longer than {MAX_BYTES} bytes")).at(NAME));
        }
        let manifest = Manifest::from_json(&json).map_err(|e| e.at(NAME))?;
        Vocabulary::of(tokenizer)?.require(&manifest.vocabulary)?;
        let layout = Layout::new(manifest.length, &manifest.vocabulary);
        let open = |split: &Split| Blocks::open(folder, split, layout);
        let sha256 = hash::hex(Sha256::new_with_prefix(&json));
        Ok(Self { train: open(&manifest.train)?, dev: open(&manifest.dev)?, manifest, sha256 })
    }

    /// What the folder states.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The sha256 of `blocks.json`, which states that of every other file: one name for all of the corpus.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What to learn from.
    pub fn train(&self) -> &Blocks {
        &self.train
    }

    /// What was set apart; perhaps nothing.
    pub fn dev(&self) -> &Blocks {
        &self.dev
    }
}

impl Blocks {
    pub(super) fn open(folder: &Path, split: &Split, layout: Layout) -> Result<Self> {
        let opened = split.shards.par_iter().map(|shard| {
            let file = open_shard(&folder.join(&shard.file), shard, layout);
            file.map_err(|e| e.at(&shard.file))
        });
        let mut end = 0;
        let mut shards = Vec::new();
        for (file, shard) in opened.collect::<Result<Vec<_>>>()?.into_iter().zip(&split.shards) {
            end += shard.blocks;
            shards.push(OpenShard { file: Mutex::new(file), name: shard.file.clone(), end });
        }
        Ok(Self { layout, shards })
    }

    /// Blocks.
    pub fn len(&self) -> u64 {
        self.shards.last().map_or(0, |shard| shard.end)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// A block by its number.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for a number that is not below [`Blocks::len`]; [`ErrorKind::Io`]; [`ErrorKind::Format`] for a
    /// record that is none.
    pub fn read(&self, index: u64) -> Result<Block> {
        let found = self.shards.partition_point(|shard| shard.end <= index);
        let Some(shard) = self.shards.get(found) else {
            return Err(Error::new(ErrorKind::Input, format!("block {index}, of {}", self.len())));
        };
        let first = found.checked_sub(1).map_or(0, |before| self.shards[before].end);
        let mut record = vec![0; self.layout.bytes()];
        let place = (index - first) * record.len() as u64;
        let mut read = || -> io::Result<()> {
            // A panic between seek and read leaves nothing in disorder: every reader seeks.
            let mut file = shard.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(place))?;
            file.read_exact(&mut record)
        };
        read().map_err(|e| io_error(&e, &shard.name))?;
        self.layout.decode(&record).map_err(|e| e.at(format!("{}: block {index}", shard.name)))
    }

    /// The blocks of a step, in its order.
    ///
    /// # Errors
    /// As [`Blocks::read`].
    pub fn read_all(&self, indices: &[u64]) -> Result<Vec<Block>> {
        indices.par_iter().map(|&index| self.read(index)).collect()
    }
}

/// Opens a shard and reads it once.
fn open_shard(path: &Path, shard: &Shard, layout: Layout) -> Result<File> {
    let fail = |e: io::Error| Error::new(ErrorKind::Io, e.to_string());
    let mut file = File::open(path).map_err(fail)?;
    let (found, expected) = (file.metadata().map_err(fail)?.len(), shard.blocks.checked_mul(layout.bytes() as u64));
    if expected != Some(found) {
        let message = format!("expected {} records of {} bytes, found {found} bytes", shard.blocks, layout.bytes());
        return Err(Error::new(ErrorKind::Format, message));
    }
    let found = hash::of(&mut file).map_err(fail)?;
    if found != shard.sha256 {
        return Err(Error::new(ErrorKind::Hash, format!("expected sha256 {}, found {found}", shard.sha256)));
    }
    Ok(file)
}

fn io_error(e: &io::Error, place: &str) -> Error {
    Error::new(ErrorKind::Io, e.to_string()).at(place)
}

impl fmt::Debug for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Corpus({:?} train, {:?} dev)", self.train, self.dev)
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks({})", self.len())
    }
}

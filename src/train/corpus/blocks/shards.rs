//! The files of a split while they are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::super::hash::hex;
use super::Block;
use super::manifest::{Shard, file_name};
use super::record::Layout;
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a shard, about: a thousand million pieces are nine files.
const SHARD_BYTES: u64 = 256 << 20;

/// Writes blocks one after the other; the next file begins where one is full.
pub(super) struct Shards {
    split: &'static str,
    folder: PathBuf,
    layout: Layout,
    open: Option<Open>,
    finished: Vec<Shard>,
}

struct Open {
    file: BufWriter<File>,
    name: String,
    hash: Sha256,
    blocks: u64,
}

impl Shards {
    pub(super) fn new(split: &'static str, folder: PathBuf, layout: Layout) -> Self {
        Self { split, folder, layout, open: None, finished: Vec::new() }
    }

    pub(super) fn push(&mut self, block: &Block) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(&self.folder, file_name(self.split, self.finished.len()))?),
        };
        let record = self.layout.encode(block);
        open.file.write_all(&record).map_err(|e| fail(&e, &self.folder.join(&open.name)))?;
        open.hash.update(&record);
        open.blocks += 1;
        if open.blocks * record.len() as u64 >= SHARD_BYTES { self.close() } else { Ok(()) }
    }

    /// The files, all of them on the disk.
    pub(super) fn finish(mut self) -> Result<Vec<Shard>> {
        self.close()?;
        Ok(self.finished)
    }

    fn close(&mut self) -> Result<()> {
        let Some(Open { file, name, hash, blocks }) = self.open.take() else { return Ok(()) };
        // A disk may find out that it is full only when it must write.
        let written = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        written.map_err(|e| fail(&e, &self.folder.join(&name)))?;
        self.finished.push(Shard { file: name, blocks, sha256: hex(hash) });
        Ok(())
    }
}

impl Open {
    fn new(folder: &std::path::Path, name: String) -> Result<Self> {
        let path = folder.join(&name);
        let file = File::create(&path).map_err(|e| fail(&e, &path))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), name, hash: Sha256::new(), blocks: 0 })
    }
}

fn fail(e: &io::Error, path: &std::path::Path) -> Error {
    Error::new(ErrorKind::Io, e.to_string()).at(path.display())
}

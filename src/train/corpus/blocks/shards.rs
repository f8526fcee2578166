//! The files of a split while they are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Block;
use super::manifest::{Shard, file_name};
use super::record::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::train::hash::hex;

/// Bytes of a shard, about: a thousand million pieces are nine files.
pub(super) const SHARD_BYTES: u64 = 256 << 20;

/// Writes blocks one after the other; the next file begins where one is full.
pub(super) struct Shards {
    split: &'static str,
    folder: PathBuf,
    layout: Layout,
    /// Bytes at which a file is full.
    most: u64,
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
    pub(super) fn new(split: &'static str, folder: PathBuf, layout: Layout, most: u64) -> Self {
        Self { split, folder, layout, most, open: None, finished: Vec::new() }
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
        if open.blocks * record.len() as u64 >= self.most { self.close() } else { Ok(()) }
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
    fn new(folder: &Path, name: String) -> Result<Self> {
        let path = folder.join(&name);
        let file = File::create(&path).map_err(|e| fail(&e, &path))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), name, hash: Sha256::new(), blocks: 0 })
    }
}

fn fail(e: &io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, e.to_string()).at(path.display())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::text::Normalization;
    use crate::train::corpus::Vocabulary;
    use crate::train::corpus::blocks::{Blocks, Split};

    /// Of a vocabulary of so many pieces, with ids up to the highest.
    fn round_trip(size: u32) {
        let special_ids = BTreeMap::from([("[CLS]".to_owned(), 1), ("[SEP]".to_owned(), 2)]);
        let normalization = Normalization::uncased();
        let layout = Layout::new(9, &Vocabulary { sha256: String::new(), size, special_ids, normalization });
        let folder = std::env::temp_dir().join(format!("clinlite-shards-{}-{size}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let block = |number: u32| Block {
            input_ids: [&[1], &vec![size - 1 - number; 1 + number as usize % 7][..], &[2]].concat(),
            begins: (0..3 + number % 7).map(|piece| (piece * number) % 3 == 1).collect(),
        };
        // Three records a file, and a last file of one.
        let mut shards = Shards::new("dev", folder.clone(), layout, 2 * layout.bytes() as u64 + 1);
        (0..10).for_each(|number| shards.push(&block(number)).unwrap());
        let shards = shards.finish().unwrap();
        assert_eq!(shards.iter().map(|shard| shard.blocks).collect::<Vec<_>>(), [3, 3, 3, 1]);
        let split = Split { notes: 0, pieces: 0, blocks: 10, shards };
        let blocks = Blocks::open(&folder, &split, layout).unwrap();
        assert_eq!(blocks.len(), 10);
        for number in (0..10).rev() {
            assert!(blocks.read(u64::from(number)).unwrap() == block(number), "block {number} of {size} pieces");
        }
        assert!(blocks.read(10).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn blocks_come_back_from_any_file_in_ids_of_either_width() {
        [1000, 1 << 16, (1 << 16) + 1, 1 << 24].into_iter().for_each(round_trip);
    }
}

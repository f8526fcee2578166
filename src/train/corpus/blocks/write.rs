//! Notes are read by one thread, cut into pieces by all, and put into blocks in their order: the folder is a function of
//! the notes, the tokenizer and the options.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::super::Vocabulary;
use super::super::notes::{Note, Source};
use super::cut::Cutter;
use super::manifest::{LENGTHS, Manifest, NAME, SPLITS, SourceFile, Split, VERSION, is_partial};
use super::record::Layout;
use super::shards::{SHARD_BYTES, Shards};
use crate::error::{Error, ErrorKind, Result};
use crate::text::{Encoding, Tokenizer};
use crate::train::whole;

/// Text that is worked on at a time, in bytes: enough notes for all cores, and some 50 MB of pieces.
const BATCH: usize = 4 << 20;
/// Notes of it at most: empty ones take no text.
const BATCH_NOTES: usize = 1 << 16;
/// Batches that are read ahead.
const AHEAD: usize = 2;

/// How notes become blocks.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most pieces of a block, special ones included.
    pub length: usize,
    /// The share of notes that is set apart, from 0 to below 1.
    pub dev_share: f64,
    /// The field or column that holds the text.
    pub text_key: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { length: 128, dev_share: 0.01, text_key: "text".into() }
    }
}

/// What was done since the last call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// About how many bytes of the sources.
    pub bytes: u64,
    /// Pieces.
    pub pieces: u64,
}

/// Writes the blocks of notes into a folder, which is made where it is missing. `blocks.json` comes last: a folder that
/// was not finished has none, and on an error it is left as it was found. Whether a note is set apart follows from
/// its text alone: the same text is never on both sides, and stays on its side when notes are added.
///
/// # Errors
/// [`ErrorKind::Input`] for options out of bounds, a folder that holds blocks already, and notes without a word;
/// [`ErrorKind::Io`] when a file cannot be read or written; [`ErrorKind::Data`] for a note that is broken, by its place.
pub fn write(
    sources: &[Source],
    tokenizer: &Tokenizer,
    folder: &Path,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<Manifest> {
    check(options)?;
    let vocabulary = Vocabulary::of(tokenizer)?;
    if folder.join(NAME).exists() {
        return Err(input("holds blocks already, name another folder").at(folder.display()));
    }
    let unfinished = Unfinished::make(folder)?;
    let mut parts = SPLITS.map(|name| Part::new(name, folder, options.length, &vocabulary));
    let mut empty_notes = 0;
    let sources = read(sources, &options.text_key, |notes| {
        let mut done = Progress { bytes: 0, pieces: 0 };
        for (note, bytes, dev) in encode(notes, tokenizer, options.dev_share) {
            done = Progress { bytes: done.bytes + bytes, pieces: done.pieces + note.len() as u64 };
            empty_notes += u64::from(note.is_empty());
            parts[usize::from(dev)].note(&note)?;
        }
        progress(done);
        Ok(())
    })?;
    let [train, dev] = parts.map(Part::finish);
    let (train, dev) = (train?, dev?);
    if train.blocks == 0 {
        let message = format!("{empty_notes} notes without a word, {} set apart, none to learn from", dev.notes);
        return Err(input(message));
    }
    let (version, length, dev_share) = (VERSION, options.length, options.dev_share);
    let manifest = Manifest { version, length, dev_share, vocabulary, train, dev, empty_notes, sources };
    whole::write(&folder.join(NAME), &manifest.to_json()?)?;
    unfinished.done();
    Ok(manifest)
}

fn check(options: &Options) -> Result<()> {
    if !LENGTHS.contains(&options.length) {
        return Err(input(format!("expected a length in {LENGTHS:?}, found {}", options.length)));
    }
    if !(0.0..1.0).contains(&options.dev_share) {
        return Err(input(format!("expected a share from 0 to below 1, found {}", options.dev_share)));
    }
    Ok(())
}

/// The notes with the bytes that they took, and whether they are set apart.
fn encode(notes: Vec<Note>, tokenizer: &Tokenizer, dev_share: f64) -> Vec<(Encoding, u64, bool)> {
    let encode = |note: Note| (tokenizer.encode(&note.text), note.bytes, is_dev(&note.text, dev_share));
    notes.into_par_iter().map(encode).collect()
}

/// By the first 32 bits of the sha256 of the text.
fn is_dev(text: &str, share: f64) -> bool {
    let hash = Sha256::digest(text);
    let number = hash.iter().take(4).fold(0_u32, |number, &byte| number << 8 | u32::from(byte));
    f64::from(number) < share * f64::from(u32::MAX)
}

/// Hands over the notes of all sources, some at a time, while the next are read and the files are hashed.
fn read(sources: &[Source], key: &str, mut take: impl FnMut(Vec<Note>) -> Result<()>) -> Result<Vec<SourceFile>> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let counts = scope.spawn(move || send(sources, key, &sender));
        let hashes = scope.spawn(|| sources.iter().map(Source::sha256).collect());
        // Whoever fails first is heard: the reader ends when nobody receives, and the loop when nobody sends.
        for notes in receiver {
            take(notes)?;
        }
        let panicked = |_| Error::new(ErrorKind::Io, "a reader of notes failed");
        let counts: Vec<u64> = counts.join().map_err(panicked)??;
        let hashes: Result<Vec<String>> = hashes.join().map_err(panicked)?;
        let named = sources.iter().zip(counts).zip(hashes?);
        let named = named.map(|((source, notes), sha256)| {
            let file = source.path().display().to_string();
            SourceFile { file, notes, sha256 }
        });
        Ok(named.collect())
    })
}

/// Sends the notes in batches of many small files or of parts of a large one; returns the number of each file.
fn send(sources: &[Source], key: &str, sender: &SyncSender<Vec<Note>>) -> Result<Vec<u64>> {
    let (mut batch, mut bytes, mut counts) = (Vec::new(), 0, Vec::new());
    let closed = |_| Error::new(ErrorKind::Io, "nobody takes the notes"); // and nobody hears of it
    for source in sources {
        let mut count = 0;
        for note in source.notes(key)? {
            let note = note?;
            (bytes, count) = (bytes + note.text.len(), count + 1);
            batch.push(note);
            if bytes >= BATCH || batch.len() >= BATCH_NOTES {
                sender.send(std::mem::take(&mut batch)).map_err(closed)?;
                bytes = 0;
            }
        }
        counts.push(count);
    }
    sender.send(batch).map_err(closed)?;
    Ok(counts)
}

/// A split while it is written.
struct Part {
    cutter: Cutter,
    shards: Shards,
    notes: u64,
    pieces: u64,
}

impl Part {
    fn new(name: &'static str, folder: &Path, length: usize, vocabulary: &Vocabulary) -> Self {
        let cutter = Cutter::new(length, vocabulary.cls_id(), vocabulary.sep_id());
        let shards = Shards::new(name, folder.to_owned(), Layout::new(length, vocabulary), SHARD_BYTES);
        Self { cutter, shards, notes: 0, pieces: 0 }
    }

    fn note(&mut self, note: &Encoding) -> Result<()> {
        self.notes += u64::from(!note.is_empty());
        self.pieces += note.len() as u64;
        self.cutter.note(note, |block| self.shards.push(&block))
    }

    fn finish(mut self) -> Result<Split> {
        self.cutter.finish(|block| self.shards.push(&block))?;
        let shards = self.shards.finish()?;
        let blocks = shards.iter().map(|shard| shard.blocks).sum();
        Ok(Split { notes: self.notes, pieces: self.pieces, blocks, shards })
    }
}

/// Takes back what was written unless all of it was.
struct Unfinished<'a> {
    folder: &'a Path,
    made: bool,
    done: bool,
}

impl<'a> Unfinished<'a> {
    /// Makes the folder, without what a run that was killed left in it.
    fn make(folder: &'a Path) -> Result<Self> {
        let made = !folder.exists();
        fs::create_dir_all(folder).map_err(|e| Error::new(ErrorKind::Io, e.to_string()).at(folder.display()))?;
        let unfinished = Self { folder, made, done: false };
        unfinished.clear();
        Ok(unfinished)
    }

    /// What cannot be removed is no corpus all the same: it has no `blocks.json`.
    fn clear(&self) {
        let entries = fs::read_dir(self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_partial(&entry.file_name().to_string_lossy())) {
            let _ = fs::remove_file(entry.path());
        }
    }

    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.clear();
            if self.made {
                let _ = fs::remove_dir(self.folder);
            }
        }
    }
}

fn input(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, message)
}

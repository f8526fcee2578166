//! What a teacher says at the masks, kept on the disk: it is asked once, and every run that asks the same reads.
//!
//! Masks that come again (`blocks.masks`) are functions of their seed, their number and the block, so what is kept serves
//! all epochs, and every student, weight of a loss, learning rate, batch size and seed of a run. A folder that is named by
//! a hash of teacher, blocks, masks, words and temperature holds `cache.json`, which says what it is, and files of
//! [`SHARD`] blocks each (see [`record`]). They are made before the first step; one that is there is not made again.

mod record;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::record::{Layout, Span, Starts};
use super::material::Material;
use super::recipe::Recipe;
use super::start::Start;
use crate::backend::top_words::TopWords;
use crate::backend::training::Training;
use crate::error::{Error, ErrorKind, Result};
use crate::train::corpus::masking::Place;
use crate::train::distil::Teacher;
use crate::train::whole;

/// Blocks of a file: some 30 MB of 64 words at 38 masks a block.
const SHARD: u64 = 2048;

/// The cache of a run.
pub(super) struct Cache {
    folder: PathBuf,
    layout: Layout,
    /// What the key is the hash of.
    stated: Value,
    blocks: u64,
    /// Masks that this run comes to see.
    masks: u64,
    /// Where the words of each block lie, by mask and file; empty until [`Cache::open`].
    files: Vec<Starts>,
}

impl Cache {
    /// That of a recipe, if it wants one. Nothing is read or written yet.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for more words than there are.
    pub(super) fn of(recipe: &Recipe, start: &Start, material: &Material, place: &Path) -> Result<Option<Self>> {
        let Some(wanted) = &recipe.teacher.cache else { return Ok(None) };
        let (corpus, vocabulary) = (material.corpus(), start.student.model.shape().vocab_size);
        if wanted.top > vocabulary {
            let message = format!("teacher.cache.top: {} words of a vocabulary of {vocabulary}", wanted.top);
            return Err(Error::new(ErrorKind::Input, message).at("recipe"));
        }
        let (temperature, masking) = (recipe.temperature(), recipe.masking());
        let stated = json!({
            "version": 1,
            "teacher": start.teacher_provenance(),
            "blocks": corpus.sha256(),
            "mask": [masking.share, masking.mask, masking.random],
            "whole_words": masking.whole_words,
            "mask_seed": recipe.mask_seed(),
            "top": wanted.top,
            "temperature": temperature,
        });
        let key: [u8; 32] = Sha256::digest(stated.to_string()).into();
        let name: String = key[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let parent = wanted.folder.as_ref().map_or_else(|| place.join("teacher"), PathBuf::from);
        let length = corpus.manifest().length;
        let layout = Layout { key, top: wanted.top, temperature, vocabulary, length };
        let seen = recipe.steps(material.len()).saturating_mul(recipe.blocks.batch_size as u64);
        let masks = recipe.blocks.masks.unwrap_or(1).min(seen.div_ceil(material.len()));
        let (folder, blocks) = (parent.join(name), material.len());
        Ok(Some(Self { folder, layout, stated, blocks, masks, files: Vec::new() }))
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that are not there yet.
    fn missing(&self) -> Vec<Span> {
        self.spans().filter(|span| !self.path(*span).exists()).collect()
    }

    /// Whether somebody has to be asked.
    pub(super) fn is_complete(&self) -> bool {
        self.missing().is_empty()
    }

    /// Asks the teacher for what is not there yet, and says whether it came to the end before `stop` said so. `asked` is told
    /// how many blocks are done, and of how many.
    ///
    /// # Errors
    /// A failure of the engine; numbers that are none; a file that cannot be written.
    pub(super) fn fill<B: Training>(
        &self,
        teacher: &Teacher<B>,
        recipe: &Recipe,
        material: &Material,
        stop: impl Fn() -> bool,
        mut asked: impl FnMut(u64, u64),
    ) -> Result<bool> {
        let missing = self.missing();
        fs::create_dir_all(&self.folder).map_err(|e| io(&e, &self.folder))?;
        let said = serde_json::to_vec_pretty(&self.stated).unwrap_or_default();
        whole::write(&self.folder.join("cache.json"), &said)?;
        let (of, mut done) = (missing.iter().map(|span| u64::from(span.blocks)).sum(), 0);
        for span in missing {
            let (mut rows, mut words) = (Vec::new(), TopWords::none(self.layout.top, self.layout.temperature));
            let blocks: Vec<u64> = (span.first..span.first + u64::from(span.blocks)).collect();
            for part in blocks.chunks(recipe.part()) {
                if stop() {
                    return Ok(false);
                }
                let places: Vec<Place> = part.iter().map(|&block| Place { mask: span.mask, block }).collect();
                self.ask(teacher, recipe, material, &places, &mut rows, &mut words)?;
                done += part.len() as u64;
                asked(done, of);
            }
            whole::write(&self.path(span), &self.layout.encode(span, &rows, &words))?;
        }
        Ok(true)
    }

    /// Adds what the teacher says of some blocks.
    fn ask<B: Training>(
        &self,
        teacher: &Teacher<B>,
        recipe: &Recipe,
        material: &Material,
        places: &[Place],
        rows: &mut Vec<u16>,
        words: &mut TopWords,
    ) -> Result<()> {
        let batch = material.masked(recipe, places)?;
        let ends = batch.input.lengths.ranges().map(|rows| rows.end as u32);
        let mut before = 0;
        for end in ends {
            let here = batch.rows.partition_point(|row| *row < end);
            rows.push((here - before) as u16); // at most the pieces of a block
            before = here;
        }
        if batch.rows.is_empty() {
            return Ok(());
        }
        let logits = teacher.model.forward(&teacher.engine, &batch.input, Some(&batch.rows))?; // [M, V]
        let logits = pollster::block_on(teacher.engine.to_host(&logits))?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::new(ErrorKind::Weights, "says numbers that are not finite").at("teacher"));
        }
        let top = TopWords::new(&logits, self.layout.vocabulary, self.layout.top, self.layout.temperature);
        words.ids.extend(top.ids);
        words.logits.extend(top.logits);
        words.rest.extend(top.rest);
        Ok(())
    }

    /// Reads all files of this run once, to see that each is as it was written.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; [`ErrorKind::Hash`] or [`ErrorKind::Format`] with the file.
    pub(super) fn open(&mut self) -> Result<()> {
        let spans: Vec<Span> = self.spans().collect();
        let opened = spans.par_iter().map(|span| {
            let path = self.path(*span);
            let again = |e: Error| e.at(format!("{}: remove it, it is made again", path.display()));
            let size = fs::metadata(&path).map_err(|e| io(&e, &path))?.len();
            if size > self.layout.most_bytes(span.blocks) {
                return Err(again(Error::new(ErrorKind::Format, format!("{size} bytes"))));
            }
            self.layout.open(*span, &fs::read(&path).map_err(|e| io(&e, &path))?).map_err(again)
        });
        self.files = opened.collect::<Result<_>>()?;
        Ok(())
    }

    /// What the teacher said at the masks of these blocks, in their order: `rows` of them.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; [`ErrorKind::Format`] for words of other masks, or that are none.
    pub(super) fn read(&self, places: &[Place], rows: usize) -> Result<TopWords> {
        let mut words = TopWords::none(self.layout.top, self.layout.temperature);
        for place in places {
            let (number, path, at) = self.find(*place)?;
            let mut bytes = vec![0; (at.end - at.start) as usize];
            let mut read = || {
                let mut file = File::open(&path)?;
                file.seek(SeekFrom::Start(at.start))?;
                file.read_exact(&mut bytes)
            };
            read().map_err(|e| io(&e, &path))?;
            let decoded = self.layout.decode(&bytes, &mut words);
            decoded.map_err(|e| e.at(format!("{}: block {number}", path.display())))?;
        }
        if words.rows() == rows {
            return Ok(words);
        }
        let message = format!("{} rows of words for {rows} masks: remove this folder, it is made again", words.rows());
        Err(Error::new(ErrorKind::Format, message).at(self.folder.display()))
    }

    /// The number of a block in its file, the file, and where in it the words of the block lie.
    fn find(&self, Place { mask, block }: Place) -> Result<(usize, PathBuf, Range<u64>)> {
        let (shard, number) = (block / SHARD, (block % SHARD) as usize);
        let file = mask * self.blocks.div_ceil(SHARD) + shard;
        let starts = usize::try_from(file).ok().and_then(|file| self.files.get(file));
        let at = starts.and_then(|starts| Some(*starts.get(number)?..*starts.get(number + 1)?));
        let missing = || Error::new(ErrorKind::Input, format!("no words of mask {mask} of block {block}"));
        let at = at.ok_or_else(missing)?;
        Ok((number, self.path(Span { mask, first: shard * SHARD, blocks: 0 }), at))
    }

    /// By mask, then by block.
    fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let firsts = move |mask| (0..self.blocks).step_by(SHARD as usize).map(move |first| (mask, first));
        let span = |(mask, first)| Span { mask, first, blocks: (self.blocks - first).min(SHARD) as u32 };
        (0..self.masks).flat_map(firsts).map(span)
    }

    fn path(&self, span: Span) -> PathBuf {
        self.folder.join(format!("words-{:04}-{:06}.bin", span.mask, span.first / SHARD))
    }
}

fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

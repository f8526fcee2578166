//! The blocks of a run, and how they become the parts of its steps.

use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::recipe::Recipe;
use super::start::Start;
use crate::error::{Error, ErrorKind, Result};
use crate::train::corpus::masking::Place;
use crate::train::corpus::{Corpus, MaskedBatch, Masking, Sampler};
use crate::train::hash::hex;
use crate::train::parallel;

/// A step that no run reaches: the masks of what is set apart are always the same, and no others.
const APART: u64 = u64::MAX;

/// The blocks, and how they become batches.
pub(super) struct Material {
    corpus: Corpus,
    sampler: Sampler,
    masking: Masking,
    /// What is set apart, in parts.
    apart: Vec<MaskedBatch>,
}

/// Some blocks of a step.
pub(super) struct Part {
    /// Among the parts of all ranks.
    pub(super) number: u32,
    /// Which blocks of the step.
    pub(super) rows: Range<usize>,
    pub(super) batch: MaskedBatch,
}

impl Material {
    /// Opens a folder of blocks for the student and the teacher of a run.
    pub(super) fn open(recipe: &Recipe, start: &Start, place: &Path) -> Result<Self> {
        let at = |e: Error| e.at("blocks");
        let corpus = Corpus::open(place, &start.student.tokenizer).map_err(at)?;
        let length = corpus.manifest().length;
        for (who, source) in [("student", Some(&start.student)), ("teacher", start.teacher.as_ref())] {
            let most = source.map_or(usize::MAX, |source| source.model.shape().max_position_embeddings);
            if length > most {
                let message = format!("blocks of {length} pieces, the {who} takes at most {most}: make shorter ones");
                return Err(at(Error::new(ErrorKind::Input, message).at(place.display())));
            }
        }
        let sampler = Sampler::new(corpus.train().len(), recipe.seed).map_err(|e| at(e.at(place.display())))?;
        let masking = Masking::new(&start.student.tokenizer, recipe.masking())?;
        let indices: Vec<u64> = (0..corpus.dev().len().min(recipe.evaluate.blocks)).collect();
        let mut apart = Vec::new();
        for part in indices.chunks(recipe.part()) {
            apart.push(masking.batch(&corpus.dev().read_all(part)?, recipe.seed, APART, part[0]));
        }
        if recipe.evaluate.patience.is_some() && apart.iter().all(|part| part.rows.is_empty()) {
            let message = "evaluate.patience: no notes are set apart to be patient by: cut the blocks with --dev-share";
            return Err(at(Error::new(ErrorKind::Input, message).at(place.display())));
        }
        Ok(Self { corpus, sampler, masking, apart })
    }

    /// The parts of a step that one of so many ranks does.
    pub(super) fn step(&self, recipe: &Recipe, step: u64, [rank, size]: [usize; 2]) -> Result<Vec<Part>> {
        let indices = self.sampler.batch(step, recipe.blocks.batch_size);
        let places = recipe.blocks.masks.map(|_| self.places(recipe, step));
        let part = |(number, rows): (u32, Range<usize>)| {
            let blocks = self.corpus.train().read_all(&indices[rows.clone()])?;
            let batch = match &places {
                Some(places) => self.masking.fixed(&blocks, &places[rows.clone()], recipe.mask_seed()),
                None => self.masking.batch(&blocks, recipe.seed, step, rows.start as u64),
            };
            Ok(Part { number, rows, batch })
        };
        parallel::parts(indices.len(), recipe.train.accumulate, rank, size).into_iter().map(part).collect()
    }

    /// The blocks of a step and which of their masks it has, where these come again.
    pub(super) fn places(&self, recipe: &Recipe, step: u64) -> Vec<Place> {
        let (size, masks) = (recipe.blocks.batch_size, recipe.blocks.masks.unwrap_or(1));
        let epoch = |i: usize| ((u128::from(step) * size as u128 + i as u128) / u128::from(self.len())) as u64;
        let blocks = self.sampler.batch(step, size).into_iter().enumerate();
        blocks.map(|(i, block)| Place { mask: epoch(i) % masks, block }).collect()
    }

    /// Some blocks under masks that come again.
    pub(super) fn masked(&self, recipe: &Recipe, places: &[Place]) -> Result<MaskedBatch> {
        let numbers: Vec<u64> = places.iter().map(|place| place.block).collect();
        Ok(self.masking.fixed(&self.corpus.train().read_all(&numbers)?, places, recipe.mask_seed()))
    }

    /// The whole corpus.
    pub(super) fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Blocks to learn from.
    pub(super) fn len(&self) -> u64 {
        self.corpus.train().len()
    }

    /// What is set apart.
    pub(super) fn apart(&self) -> &[MaskedBatch] {
        &self.apart
    }

    /// One hash for all that decides what comes out of a run.
    pub(super) fn identity(&self, recipe: &str, start: &Start) -> String {
        let mut hash = Sha256::new();
        hash.update(recipe);
        hash.update(start.provenance().to_string());
        let manifest = self.corpus.manifest();
        hash.update(&manifest.vocabulary.sha256);
        manifest.train.shards.iter().chain(&manifest.dev.shards).for_each(|shard| hash.update(&shard.sha256));
        hex(hash)
    }
}

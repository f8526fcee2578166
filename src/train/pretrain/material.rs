//! The blocks of a run, and how they become the parts of its steps.

use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::recipe::Recipe;
use super::start::Start;
use crate::error::{Error, ErrorKind, Result};
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

    /// The parts of a step that one of so many ranks does, with their numbers.
    pub(super) fn step(&self, recipe: &Recipe, step: u64, [rank, size]: [usize; 2]) -> Result<Vec<(u32, MaskedBatch)>> {
        let indices = self.sampler.batch(step, recipe.blocks.batch_size);
        let parts = parallel::parts(indices.len(), recipe.train.accumulate, rank, size).into_iter();
        let part = |(number, rows): (u32, Range<usize>)| {
            let blocks = self.corpus.train().read_all(&indices[rows.clone()])?;
            Ok((number, self.masking.batch(&blocks, recipe.seed, step, rows.start as u64)))
        };
        parts.map(part).collect()
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

//! What a masked language model is asked: Devlin et al., "BERT", 2019, section 3.1.
//!
//! Of the pieces of a block some are chosen, 15 in 100, each on its own or with the rest of its word. Of those 80 in 100
//! become `[MASK]`, 10 another piece, and 10 stay; the model must name all of them. Every draw is a function of the
//! seed, the step, the row of the batch and the place, so masks are the same on any number of threads and after a resume.

use std::fmt;
use std::ops::Range;

use super::blocks::Block;
use super::vocabulary::is_special;
use crate::backend::candle::kernels::random::Stream;
use crate::error::{Error, ErrorKind, Result};
use crate::models::Batch;
use crate::text::Tokenizer;

/// Tells these numbers from those of dropout and of the order of blocks; rows count on from here.
const SITE: u64 = 0x6d61_736b_0000_0000;

/// How much is masked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The share of pieces, or of words, that is chosen.
    pub share: f64,
    /// Of the chosen pieces, those that become `[MASK]`.
    pub mask: f64,
    /// Of the chosen pieces, those that become a random one; the others stay.
    pub random: f64,
    /// Whether all pieces of a word are chosen or none.
    pub whole_words: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { share: 0.15, mask: 0.8, random: 0.1, whole_words: false }
    }
}

/// Masks blocks of one vocabulary.
pub struct Masking {
    options: Options,
    mask_id: u32,
    /// Of each id, whether it is text.
    text: Vec<bool>,
    /// The ids that are.
    ordinary: Vec<u32>,
}

/// A block with some pieces hidden. Ids can be turned back into notes, so it is not for printing.
pub struct Masked {
    /// What the model reads.
    pub input_ids: Vec<u32>,
    /// Which pieces it must name, ascending.
    pub positions: Vec<u32>,
    /// What they are.
    pub labels: Vec<u32>,
}

/// Of a corpus whose masks come again: a block, and which of its masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the mask.
    pub mask: u64,
    /// The number of the block in its split.
    pub block: u64,
}

/// The blocks of a step, as [`MaskedLm::forward`](crate::models::MaskedLm::forward) takes them.
pub struct MaskedBatch {
    /// What the model reads.
    pub input: Batch,
    /// The rows of the packed batch that it must name, ascending. None if no block of the batch holds text.
    pub rows: Vec<u32>,
    /// The id that belongs at each of them.
    pub labels: Vec<u32>,
}

impl Masking {
    /// Masking by the vocabulary of a tokenizer.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for shares that are none; [`ErrorKind::Format`] for a vocabulary without `[MASK]` or text.
    pub fn new(tokenizer: &Tokenizer, options: Options) -> Result<Self> {
        let Options { share, mask, random, .. } = options;
        let all = [share, mask, random, mask + random];
        // as sums of decimals have it, 0.8 + 0.2 may be a little more than 1
        if share <= 0.0 || all.iter().any(|share| !(0.0..=1.0 + 1e-9).contains(share)) {
            let message = format!("expected shares of 1 to mask, found {share} with {mask} [MASK] and {random} random");
            return Err(Error::new(ErrorKind::Input, message));
        }
        let missing = |what: &str| Error::new(ErrorKind::Format, format!("the vocabulary has no {what}"));
        let mask_id = tokenizer.pieces().find(|(piece, _)| *piece == "[MASK]").map(|(_, id)| id);
        let mask_id = mask_id.ok_or_else(|| missing("\"[MASK]\""))?;
        let special = [tokenizer.cls_id(), tokenizer.sep_id(), tokenizer.unk_id()];
        let mut text = vec![false; tokenizer.vocab_size()];
        for (_, id) in tokenizer.pieces().filter(|(piece, id)| !is_special(piece) && !special.contains(id)) {
            text[id as usize] = true;
        }
        let ordinary: Vec<u32> = (0..).zip(&text).filter(|(_, text)| **text).map(|(id, _)| id).collect();
        if ordinary.is_empty() {
            return Err(missing("piece that is text"));
        }
        Ok(Self { options, mask_id, text, ordinary })
    }

    /// Masks one block. `row` is its place among all blocks of the step, whichever machine or part of the step it is in.
    /// A block that holds text is asked about at least one piece.
    pub fn mask(&self, block: &Block, seed: u64, step: u64, row: u64) -> Masked {
        let stream = Stream::new(seed, step, SITE.wrapping_add(row));
        let (mut input_ids, mut positions, mut labels) = (block.input_ids.clone(), Vec::new(), Vec::new());
        for place in self.chosen(block, stream).into_iter().flatten() {
            positions.push(place as u32);
            labels.push(input_ids[place]);
            input_ids[place] = self.replacement(input_ids[place], place as u32, stream);
        }
        Masked { input_ids, positions, labels }
    }

    /// Masks the blocks of a step, or of a part of it whose first block is `first_row` of the step.
    pub fn batch(&self, blocks: &[Block], seed: u64, step: u64, first_row: u64) -> MaskedBatch {
        let rows = (first_row..).zip(blocks);
        Self::pack(&rows.map(|(row, block)| self.mask(block, seed, step, row)).collect::<Vec<_>>())
    }

    /// Masks blocks each of which has some masks that come again: a function of the seed, the number of the mask and the
    /// number of the block, whichever step it is in.
    pub fn fixed(&self, blocks: &[Block], places: &[Place], seed: u64) -> MaskedBatch {
        let places = places.iter().zip(blocks);
        Self::pack(&places.map(|(place, block)| self.mask(block, seed, place.mask, place.block)).collect::<Vec<_>>())
    }

    fn pack(masked: &[Masked]) -> MaskedBatch {
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        let mut first = 0;
        for Masked { input_ids, positions, labels: own } in masked {
            rows.extend(positions.iter().map(|position| first + position));
            labels.extend(own);
            first += input_ids.len() as u32;
        }
        MaskedBatch { input: Batch::new(masked.iter().map(|masked| &masked.input_ids[..])), rows, labels }
    }

    /// The pieces to be named, by units.
    fn chosen(&self, block: &Block, stream: Stream) -> Vec<Range<usize>> {
        let mut units = self.units(block);
        let drawn = |unit: &Range<usize>| f64::from(stream.uniform(4 * unit.start as u32)) < self.options.share;
        if !units.iter().any(drawn) && !units.is_empty() {
            let one = stream.below(u32::MAX, units.len());
            return vec![units.swap_remove(one)];
        }
        units.retain(drawn);
        units
    }

    /// What is chosen or not as one: pieces, or the pieces of a word, of which a block may hold the end only.
    fn units(&self, block: &Block) -> Vec<Range<usize>> {
        let mut units: Vec<Range<usize>> = Vec::new();
        for (place, &id) in block.input_ids.iter().enumerate() {
            if !self.text.get(id as usize).copied().unwrap_or(false) {
                continue;
            }
            let begins = block.begins.get(place).copied().unwrap_or(true);
            match units.last_mut() {
                Some(word) if self.options.whole_words && !begins && word.end == place => word.end += 1,
                _ => units.push(place..place + 1),
            }
        }
        units
    }

    /// What stands where a chosen piece stood.
    fn replacement(&self, id: u32, place: u32, stream: Stream) -> u32 {
        let draw = f64::from(stream.uniform(4 * place + 1));
        if draw < self.options.mask {
            self.mask_id
        } else if draw < self.options.mask + self.options.random {
            self.ordinary[stream.below(4 * place + 2, self.ordinary.len())]
        } else {
            id
        }
    }
}

impl fmt::Debug for Masking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masking({:?}, {} pieces of text)", self.options, self.ordinary.len())
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masked({} of {} pieces)", self.positions.len(), self.input_ids.len())
    }
}

impl fmt::Debug for MaskedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedBatch({} of {} rows)", self.rows.len(), self.input.input_ids.len())
    }
}

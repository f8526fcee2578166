//! Which blocks make a step: a new order of all blocks each epoch, without a list of them.
//!
//! The order is a permutation that can be asked for one place: a Feistel network over the next power of four, walked
//! until it falls below the number of blocks (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). So a run
//! that goes on at any step costs what it costs at step 0.

use crate::backend::candle::kernels::random::Stream;
use crate::error::{Error, ErrorKind, Result};

/// Four rounds are a random permutation (Luby and Rackoff, 1988) of large halves; halves of few bits take more.
const ROUNDS: u64 = 8;
/// Tells these numbers from those of dropout and masks.
const SITE: u64 = 0x6f72_6465_7200_0000;

/// The order in which a run sees its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    blocks: u64,
    seed: u64,
}

impl Sampler {
    /// The order of a run over so many blocks.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for no block at all.
    pub fn new(blocks: u64, seed: u64) -> Result<Self> {
        match blocks {
            0 => Err(Error::new(ErrorKind::Input, "no blocks to sample from")),
            blocks => Ok(Self { blocks, seed }),
        }
    }

    /// The blocks of a step, counted from 0: a function of the seed, the step and the size of the batch, and of nothing
    /// that came before. Each epoch has every block once; a step at its end goes on into the next.
    ///
    /// Only the last block of a split and the few around long words are shorter than the others, so a batch of equal
    /// number is one of equal length.
    pub fn batch(&self, step: u64, batch_size: usize) -> Vec<u64> {
        let first = u128::from(step) * batch_size as u128;
        (0..batch_size as u128).map(|i| self.at(first + i)).collect()
    }

    /// Steps of an epoch, the last one perhaps shared with the next.
    pub fn steps_per_epoch(&self, batch_size: usize) -> u64 {
        self.blocks.div_ceil(batch_size.max(1) as u64)
    }

    fn at(&self, place: u128) -> u64 {
        let blocks = u128::from(self.blocks);
        // Below 2^64 as long as the step is.
        let (epoch, within) = ((place / blocks) as u64, (place % blocks) as u64);
        self.permute(epoch, within)
    }

    /// The block at a place of an epoch.
    fn permute(&self, epoch: u64, place: u64) -> u64 {
        let bits = (u64::BITS - (self.blocks - 1).leading_zeros()).div_ceil(2);
        let mut place = place;
        loop {
            place = self.feistel(epoch, place, bits);
            if place < self.blocks {
                return place; // after four rounds of the loop at most, on average
            }
        }
    }

    /// A permutation of the numbers of twice `bits` bits.
    fn feistel(&self, epoch: u64, place: u64, bits: u32) -> u64 {
        let mask = (1 << bits) - 1;
        let (mut left, mut right) = (place >> bits, place & mask);
        for round in 0..ROUNDS {
            let mixed = Stream::new(self.seed, epoch, SITE + round).bits(right as u32);
            (left, right) = (right, left ^ (u64::from(mixed) & mask));
        }
        left << bits | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks of an epoch, one step after the other.
    fn epoch(sampler: Sampler, number: u64) -> Vec<u64> {
        let first = number * sampler.blocks;
        (first..first + sampler.blocks).flat_map(|step| sampler.batch(step, 1)).collect()
    }

    #[test]
    fn an_epoch_is_a_permutation() {
        let mut failed = Vec::new();
        for blocks in (1..=300).chain([1023, 1024, 1025, 1_000_003]) {
            let sampler = Sampler::new(blocks, 7).unwrap();
            let (first, second) = (epoch(sampler, 0), epoch(sampler, 1));
            for mut seen in [first.clone(), second.clone()] {
                seen.sort_unstable();
                if !seen.into_iter().eq(0..blocks) {
                    failed.push(blocks);
                }
            }
            // Of few blocks two orders may be the same one.
            if blocks > 8 && (first == second || first.is_sorted()) {
                failed.push(blocks);
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn a_jump_is_a_walk() {
        for (blocks, size) in [(1, 4), (10, 3), (97, 8), (300, 300), (300, 301)] {
            let sampler = Sampler::new(blocks, 3).unwrap();
            let walked: Vec<u64> = (0..40).flat_map(|step| sampler.batch(step, size)).collect();
            let one_by_one: Vec<u64> = (0..40 * size as u64).flat_map(|step| sampler.batch(step, 1)).collect();
            assert_eq!(walked, one_by_one, "{blocks} blocks, {size} a batch");
            assert_eq!(sampler.batch(39, size), &walked[39 * size..], "{blocks} blocks, {size} a batch");
        }
        let far = Sampler::new(10_000_000_019, 3).unwrap().batch(u64::MAX, 64);
        assert!(far.iter().all(|&block| block < 10_000_000_019), "the end of time is a step like others");
    }

    #[test]
    fn a_seed_is_an_order() {
        let of = |seed| epoch(Sampler::new(100, seed).unwrap(), 0);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(Sampler::new(0, 1).err().map(|e| e.kind()), Some(ErrorKind::Input));
    }

    /// Each block at each place about equally often, over 20,000 epochs: chi-square of 36 degrees of freedom, whose
    /// mean is 36 and whose deviation is 8.5.
    #[test]
    fn no_place_is_preferred() {
        let (sampler, epochs) = (Sampler::new(7, 11).unwrap(), 20_000);
        let mut counts = [[0f64; 7]; 7];
        for number in 0..epochs {
            for (place, block) in epoch(sampler, number).into_iter().enumerate() {
                counts[place][block as usize] += 1.0;
            }
        }
        let expected = epochs as f64 / 7.0;
        let chi: f64 = counts.iter().flatten().map(|count| (count - expected).powi(2) / expected).sum();
        assert!(chi < 36.0 + 5.0 * 8.5, "{chi}");
    }

    #[test]
    fn steps_cover_the_blocks() {
        let steps = |blocks, size| Sampler::new(blocks, 0).unwrap().steps_per_epoch(size);
        assert_eq!((steps(1, 4), steps(8, 4), steps(9, 4)), (1, 2, 3));
    }
}

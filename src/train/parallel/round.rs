//! The sum of numbers over all ranks, the same bits on all of them.
//!
//! Numbers are cut into chunks, and chunk `c` belongs to rank `c mod size`: everybody sends it there, its owner adds the
//! parts in the order of their ranks and sends the sum to all. So every number is sent and received twice at most, as in a ring,
//! each sum is made once, and its bits do not depend on who came first.

use std::collections::BTreeMap;
use std::ops::Range;

/// Numbers of a chunk: 256 KiB, so that the first are summed while the others are still under way.
pub(super) const CHUNK: usize = 1 << 16;

/// What a rank knows of one sum.
#[derive(Default)]
pub(super) struct Round {
    /// Its own numbers, in which chunk after chunk becomes the sum; nothing before it takes part.
    values: Option<Vec<f32>>,
    /// What has come of the chunks that it owns, by rank.
    parts: BTreeMap<usize, BTreeMap<usize, Vec<f32>>>,
    summed: usize,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(super) enum Send {
    /// Part of a chunk, to its owner.
    Part { to: usize, chunk: usize, values: Vec<f32> },
    /// The sum of a chunk, to all others.
    Sum { chunk: usize, values: Vec<f32> },
}

impl Round {
    /// Takes part with these numbers.
    pub(super) fn begin(&mut self, values: Vec<f32>, rank: usize, size: usize) -> Result<Vec<Send>, String> {
        let mut sends = Vec::new();
        let chunks = chunks(values.len());
        let own: Vec<(usize, Vec<f32>)> =
            (0..chunks).map(|chunk| (chunk, values[within(chunk, values.len())].to_vec())).collect();
        self.values = Some(values);
        for (chunk, part) in own {
            match chunk % size {
                owner if owner == rank => sends.extend(self.part(chunk, rank, part, size)?),
                to => sends.push(Send::Part { to, chunk, values: part }),
            }
        }
        Ok(sends)
    }

    /// Takes the part of a rank in a chunk that is owned here; the sum if it was the last.
    pub(super) fn part(
        &mut self,
        chunk: usize,
        from: usize,
        part: Vec<f32>,
        size: usize,
    ) -> Result<Option<Send>, String> {
        let parts = self.parts.entry(chunk).or_default();
        if parts.insert(from, part).is_some() {
            return Err(format!("rank {from} adds to chunk {chunk} twice"));
        }
        if parts.len() < size {
            return Ok(None);
        }
        let parts = self.parts.remove(&chunk).unwrap_or_default();
        let mut sum: Option<Vec<f32>> = None;
        for (from, part) in parts {
            match &mut sum {
                None => sum = Some(part),
                Some(sum) if sum.len() == part.len() => sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part),
                Some(sum) => return Err(format!("rank {from} adds {} numbers to {}", part.len(), sum.len())),
            }
        }
        let values = sum.unwrap_or_default();
        self.sum(chunk, &values)?;
        Ok(Some(Send::Sum { chunk, values }))
    }

    /// Takes the sum of a chunk.
    pub(super) fn sum(&mut self, chunk: usize, sum: &[f32]) -> Result<(), String> {
        let own = self.values.as_mut().ok_or_else(|| format!("a sum of chunk {chunk} before its parts"))?;
        let place = within(chunk, own.len());
        if place.len() != sum.len() || chunk >= chunks(own.len()) {
            return Err(format!("a sum of {} numbers for {}", sum.len(), place.len()));
        }
        own[place].copy_from_slice(sum);
        self.summed += 1;
        Ok(())
    }

    /// The sums, when all are there.
    pub(super) fn take(&mut self) -> Option<Vec<f32>> {
        let done = self.values.as_ref().is_some_and(|values| self.summed == chunks(values.len()));
        if done { self.values.take() } else { None }
    }
}

fn chunks(len: usize) -> usize {
    len.div_ceil(CHUNK)
}

fn within(chunk: usize, len: usize) -> Range<usize> {
    let at = |chunk: usize| chunk.saturating_mul(CHUNK).min(len);
    at(chunk)..at(chunk.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks that take part one after the other in some order; messages go by in between.
    fn all(numbers: &[Vec<f32>], order: &[usize]) -> Vec<Vec<f32>> {
        let size = numbers.len();
        let mut rounds: Vec<Round> = numbers.iter().map(|_| Round::default()).collect();
        let mut under_way: Vec<(usize, Send)> = Vec::new();
        for &rank in order {
            let sends = rounds[rank].begin(numbers[rank].clone(), rank, size).unwrap();
            under_way.extend(sends.into_iter().map(|send| (rank, send)));
            while let Some((from, send)) = under_way.pop() {
                match send {
                    Send::Part { to, chunk, values } => {
                        let more = rounds[to].part(chunk, from, values, size).unwrap();
                        under_way.extend(more.map(|send| (to, send)));
                    }
                    Send::Sum { chunk, values } => {
                        let others = rounds.iter_mut().enumerate().filter(|(other, _)| *other != from);
                        others.for_each(|(_, round)| round.sum(chunk, &values).unwrap());
                    }
                }
            }
        }
        rounds.iter_mut().map(|round| round.take().unwrap()).collect()
    }

    #[test]
    fn every_rank_has_the_same_bits_whoever_came_first() {
        for len in [0, 1, 5, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            let number = |rank: usize, i: usize| ((i * 31 + rank * 17) as f32).sin() * 10f32.powi(rank as i32 * 4);
            let numbers: Vec<Vec<f32>> = (0..3).map(|rank| (0..len).map(|i| number(rank, i)).collect()).collect();
            let expected: Vec<f32> = (0..len).map(|i| (number(0, i) + number(1, i)) + number(2, i)).collect();
            for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
                for sums in all(&numbers, &order) {
                    assert!(sums.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{len} {order:?}");
                    assert_eq!(sums.len(), len);
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut round = Round::default();
        assert!(round.sum(0, &[1.0]).unwrap_err().contains("before its parts"));
        round.begin(vec![1.0, 2.0], 0, 2).unwrap();
        assert!(round.part(0, 1, vec![1.0], 2).unwrap_err().contains("rank 1 adds 1 numbers to 2"));
        let mut round = Round::default();
        round.begin(vec![1.0], 0, 3).unwrap();
        assert!(round.part(0, 0, vec![1.0], 3).unwrap_err().contains("twice"));
        assert!(round.sum(usize::MAX, &[]).is_err() && round.sum(0, &[1.0, 2.0]).is_err());
    }
}

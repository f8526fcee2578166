//! What a run knows of the other processes that work on it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::group::Group;
use super::sums::Sums;
use crate::backend::training::{Report, Training};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of gradients that are summed at once: enough that a message costs its bytes and not its start, and little enough
/// that most of the sums are on their way before the backward pass ends. PyTorch's data parallelism takes the same.
pub const BUCKET: usize = 25 << 20;

/// The other processes of a run, if there are any.
pub struct Ranks<B: Training> {
    others: Option<Others<B>>,
}

struct Others<B: Training> {
    group: Group,
    sums: Box<dyn Sums<B>>,
    bucket: usize,
}

impl<B: Training> Ranks<B> {
    /// No others.
    pub fn alone() -> Self {
        Self { others: None }
    }

    /// A group, and how gradients are summed in it: in buckets of so many bytes, [`BUCKET`] if nothing speaks against it.
    pub fn new(group: Group, sums: Box<dyn Sums<B>>, bucket: usize) -> Self {
        Self { others: Some(Others { group, sums, bucket }) }
    }

    /// Which one this is, from 0.
    pub fn rank(&self) -> usize {
        self.others.as_ref().map_or(0, |others| others.group.rank())
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.others.as_ref().map_or(1, |others| others.group.size())
    }

    /// Whether this one writes files and tells how it goes.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Walks back the last part of a step, and sums the gradients of all ranks meanwhile: a bucket sets off when the last
    /// gradient in it is complete. Weights become complete in the order that the forward pass gives, which is the same on
    /// all ranks, so the buckets are.
    ///
    /// # Errors
    /// A failure of the engine, a rank that is gone.
    pub fn backward(&self, engine: &B) -> Result<()> {
        let Some(Others { group, sums, bucket }) = &self.others else { return engine.backward() };
        let layouts = engine.layouts().into_iter();
        let sizes: BTreeMap<String, usize> =
            layouts.map(|layout| (layout.name().to_owned(), 4 * layout.len())).collect();
        let (mut weights, mut bytes) = (Vec::new(), 0);
        engine.backward_telling(&mut |name| {
            weights.push(name.to_owned());
            bytes += sizes.get(name).copied().unwrap_or(0);
            if bytes < *bucket {
                return Ok(());
            }
            bytes = 0;
            sums.begin(group, engine, std::mem::take(&mut weights))
        })?;
        if !weights.is_empty() {
            sums.begin(group, engine, weights)?;
        }
        sums.finish(group, engine)
    }

    /// What each rank says, by rank.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn gather(&self, own: &[f64]) -> Result<Vec<Vec<f64>>> {
        let Some(Others { group, .. }) = &self.others else { return Ok(vec![own.to_vec()]) };
        let bytes: Vec<u8> = own.iter().flat_map(|number| number.to_le_bytes()).collect();
        let numbers = |bytes: &Vec<u8>| bytes.as_chunks().0.iter().map(|number| f64::from_le_bytes(*number)).collect();
        Ok(group.gather(&bytes)?.iter().map(numbers).collect())
    }

    /// Whether any rank says so.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn any(&self, own: bool) -> Result<bool> {
        Ok(self.gather(&[f64::from(u8::from(own))])?.iter().flatten().any(|said| *said != 0.0))
    }

    /// Refuses ranks that do not all start from the same.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] with the first rank that differs from rank 0; a rank that is gone.
    pub fn agree(&self, what: &str, own: &str) -> Result<()> {
        let Some(Others { group, .. }) = &self.others else { return Ok(()) };
        let all = group.gather(own.as_bytes())?;
        match all.iter().position(|said| Some(said) != all.first()) {
            None => Ok(()),
            Some(rank) => {
                let message = format!("rank {rank} has another {what} than rank 0: all ranks need the same files");
                Err(Error::new(ErrorKind::Input, message))
            }
        }
    }

    /// The losses of a whole step of those of each rank's part in it. The norm is the same on all ranks already.
    ///
    /// # Errors
    /// A rank that is gone, or that has other losses.
    pub fn whole(&self, mut own: Report) -> Result<Report> {
        if self.others.is_none() {
            return Ok(own);
        }
        let names: Vec<&'static str> = own.losses.keys().copied().collect();
        self.agree("list of losses", &names.join(","))?;
        let values: Vec<f64> = own.losses.values().copied().collect();
        own.losses.values_mut().for_each(|loss| *loss = 0.0);
        for rank in self.gather(&values)? {
            own.losses.values_mut().zip(rank).for_each(|(sum, loss)| *sum += loss);
        }
        Ok(own)
    }

    /// Tells the others why this rank gives up.
    pub fn fail(&self, error: &Error) {
        self.others.iter().for_each(|others| others.group.fail(&error.to_string()));
    }

    /// How long the run stood still for the others.
    pub fn waited(&self) -> Duration {
        self.others.as_ref().map_or(Duration::ZERO, |others| others.group.waited())
    }
}

/// The parts of a step that a rank does: their numbers among the parts of all ranks, and their blocks. Parts are at least as many
/// as `accumulate` asks for and the same number for each rank, so as many parts are the same parts, whoever does them.
pub fn parts(blocks: usize, accumulate: usize, rank: usize, size: usize) -> Vec<(u32, Range<usize>)> {
    let each = accumulate.div_ceil(size).min(blocks / size).max(1);
    let all = each * size;
    let part = |number: usize| (number as u32, number * blocks / all..(number + 1) * blocks / all);
    (rank * each..(rank + 1) * each).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn the_ranks_share_a_step() {
        for (blocks, accumulate, size) in
            [(6, 2, 1), (6, 2, 2), (6, 2, 3), (6, 1, 4), (192, 4, 4), (192, 4, 3), (7, 7, 2), (8, 8, 5)]
        {
            let of = |rank| parts(blocks, accumulate, rank, size);
            let all: Vec<_> = (0..size).flat_map(of).collect();
            assert!(all.len() >= accumulate.min(blocks / size * size), "{blocks} {accumulate} {size}");
            assert!(all.iter().all(|(_, blocks)| !blocks.is_empty()), "{all:?}");
            assert!(all.iter().zip(0..).all(|((number, _), expected)| *number == expected), "{all:?}");
            assert!(all.iter().flat_map(|(_, blocks)| blocks.clone()).eq(0..blocks), "{all:?}");
            assert!((0..size).all(|rank| of(rank).len() == of(0).len()), "{all:?}");
        }
        // As many parts are the same parts.
        let four = parts(192, 4, 0, 1);
        assert_eq!(four, (0..4).flat_map(|rank| parts(192, 4, rank, 4)).collect::<Vec<_>>());
        assert_eq!(four, (0..2).flat_map(|rank| parts(192, 4, rank, 2)).collect::<Vec<_>>());
        assert_eq!(four[1], (1, 48..96));
    }
}

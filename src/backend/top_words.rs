//! What a teacher said, cut down to the words that it finds likeliest: small enough to be kept.

use rayon::prelude::*;

use crate::error::{Error, ErrorKind, Result};

/// What a teacher said at `M` rows of `V` words, cut down to its `K` likeliest words.
///
/// A word that was left out counts as likely as every other that was: together they keep the mass that they had, and
/// share it equally.
#[derive(Clone, Debug, PartialEq)]
pub struct TopWords {
    /// `K`, at most `V`.
    pub k: usize,
    /// `T`: the mass that was left out is that of `softmax(z / T)`, so what is kept serves one temperature.
    pub temperature: f32,
    /// `[M, K]`, no word twice in a row.
    pub ids: Vec<u32>,
    /// Their logits `z`, `[M, K]`.
    pub logits: Vec<f32>,
    /// `ln Σ exp(z / T)` over the words that were left out, `[M]`; `−∞` where nothing is.
    pub rest: Vec<f32>,
}

impl TopWords {
    /// Of no rows yet.
    pub fn none(k: usize, temperature: f32) -> Self {
        Self { k, temperature, ids: Vec::new(), logits: Vec::new(), rest: Vec::new() }
    }

    /// The `k` likeliest words of each row of `logits` `[M, V]`, the likeliest first.
    pub fn new(logits: &[f32], v: usize, k: usize, temperature: f32) -> Self {
        let rows: Vec<_> = logits.par_chunks_exact(v).map(|row| likeliest(row, k, temperature)).collect();
        let mut top = Self::none(k, temperature);
        for (ids, rest) in rows {
            let row = &logits[top.rest.len() * v..][..v];
            top.logits.extend(ids.iter().map(|id| row[*id as usize]));
            top.ids.extend(ids);
            top.rest.push(rest);
        }
        top
    }

    /// `M`.
    pub fn rows(&self) -> usize {
        self.rest.len()
    }

    /// Whether it speaks of so many rows and words.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] with what does not fit.
    pub fn check(&self, rows: usize, v: usize) -> Result<()> {
        let n = rows * self.k;
        let fits = self.rest.len() == rows && self.ids.len() == n && self.logits.len() == n && self.k <= v;
        if fits && self.ids.iter().all(|id| (*id as usize) < v) {
            return Ok(());
        }
        let message = format!("{} words of {} rows for logits {:?}", self.k, self.rows(), [rows, v]);
        Err(Error::new(ErrorKind::Backend, message))
    }
}

/// The ids of one row, and what was left out.
fn likeliest(row: &[f32], k: usize, temperature: f32) -> (Vec<u32>, f32) {
    let z = |id: &u32| row[*id as usize];
    let order = |a: &u32, b: &u32| z(b).total_cmp(&z(a)).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..row.len() as u32).collect();
    if k < ids.len() {
        ids.select_nth_unstable_by(k, order);
    }
    let left = ids.split_off(k);
    ids.sort_unstable_by(order);
    (ids, log_sum_exp(left.iter().map(|id| f64::from(z(id)) / f64::from(temperature))) as f32)
}

/// `ln Σ exp(x)`; `−∞` of nothing.
pub(super) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY { max } else { max + values.map(|x| (x - max).exp()).sum::<f64>().ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_are_kept_and_the_rest_is_counted() {
        let top = TopWords::new(&[1.0, 3.0, 2.0, 3.0, 0.0, 0.0, 0.0, 9.0], 4, 2, 2.0);
        assert_eq!((top.rows(), &top.ids[..], &top.logits[..]), (2, &[1, 3, 3, 0][..], &[3.0, 3.0, 9.0, 0.0][..]));
        let expected = [(0.5f32.exp() + 1f32.exp()).ln(), 2f32.ln()];
        assert!(top.rest.iter().zip(expected).all(|(rest, expected)| (rest - expected).abs() < 1e-6), "{:?}", top.rest);
        assert!(top.check(2, 4).is_ok());
        for (rows, v) in [(1, 4), (2, 3), (2, 1)] {
            assert!(top.check(rows, v).is_err(), "{rows} rows of {v} words");
        }
    }
}

//! How far a figure would move with other documents of the same kind.
//!
//! Efron's percentile bootstrap: documents are drawn with replacement, as many as there are, and scored; the interval
//! holds the middle 95 % of what comes out. Entities of one document are not independent, so the document is the unit.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::metrics::{Counts, Score};

/// How often documents are drawn.
pub const RESAMPLES: usize = 1_000;

/// The middle 95 % of an F1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// Intervals of F1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Intervals {
    /// Of the micro average; none without documents.
    pub micro: Option<Interval>,
    /// Of each label, over the draws in which it occurs at all.
    pub labels: BTreeMap<String, Interval>,
}

/// Draws `resamples` times from the counts of documents.
pub(super) fn resample(documents: &[BTreeMap<String, Counts>], resamples: usize, seed: u64) -> Intervals {
    let labels: BTreeSet<&String> = documents.iter().flat_map(BTreeMap::keys).collect();
    let labels: Vec<&String> = labels.into_iter().collect();
    let row = |document: &BTreeMap<String, Counts>| -> Vec<Counts> {
        labels.iter().map(|&label| document.get(label).copied().unwrap_or_default()).collect()
    };
    let rows: Vec<Vec<Counts>> = documents.iter().map(row).collect();
    let add = |totals: &mut Vec<Counts>, row: &Vec<Counts>| {
        totals.iter_mut().zip(row).for_each(|(total, &counts)| *total += counts);
    };
    let figures = |totals: &Vec<Counts>| -> Vec<Option<f64>> {
        let mut sum = Counts::default();
        totals.iter().for_each(|&counts| sum += counts);
        std::iter::once(sum).chain(totals.iter().copied()).map(f1).collect()
    };
    let mut found = draw(&rows, &vec![Counts::default(); labels.len()], add, figures, resamples, seed).into_iter();
    let micro = found.next().flatten();
    let labels = labels.into_iter().zip(found).filter_map(|(label, interval)| Some((label.clone(), interval?)));
    Intervals { micro, labels: labels.collect() }
}

/// Draws `resamples` times as many of the documents as there are, with replacement, sums them up from `zero`, and gives
/// the interval of each figure of the sum over the draws in which there is one.
pub(super) fn draw<T: Clone>(
    documents: &[T],
    zero: &T,
    add: impl Fn(&mut T, &T),
    figures: impl Fn(&T) -> Vec<Option<f64>>,
    resamples: usize,
    seed: u64,
) -> Vec<Option<Interval>> {
    let mut random = SplitMix(seed);
    let mut values = vec![Vec::new(); figures(zero).len()];
    for _ in 0..resamples {
        let mut sum = zero.clone();
        for _ in 0..documents.len() {
            add(&mut sum, &documents[random.below(documents.len())]);
        }
        values.iter_mut().zip(figures(&sum)).for_each(|(values, figure)| values.extend(figure));
    }
    values.into_iter().map(interval).collect()
}

/// Nothing for a label of which neither gold nor prediction has an entity.
fn f1(counts: Counts) -> Option<f64> {
    (counts.gold + counts.predicted > 0).then(|| Score::from(counts).f1)
}

fn interval(mut values: Vec<f64>) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    Some(Interval { low: percentile(&values, 0.025)?, high: percentile(&values, 0.975)? })
}

/// Of sorted values, with linear interpolation, as `numpy.percentile`.
fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let place = part * (values.len().checked_sub(1)? as f64);
    let low = *values.get(place.floor() as usize)?;
    let high = *values.get(place.ceil() as usize)?;
    Some(low + (high - low) * place.fract())
}

/// Steele, Lea and Flood's SplitMix64: the same draws on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(correct: usize, predicted: usize, gold: usize) -> BTreeMap<String, Counts> {
        BTreeMap::from([("P".to_owned(), Counts { correct, predicted, gold })])
    }

    #[test]
    fn equal_documents_leave_no_doubt() {
        let found = resample(&vec![document(1, 2, 2); 20], 100, 1);
        let half = Interval { low: 0.5, high: 0.5 };
        assert_eq!(found.micro, Some(half));
        assert_eq!(found.labels["P"], half);
        assert_eq!(resample(&[], 100, 1), Intervals::default());
    }

    /// With one gold and one predicted entity a document, F1 is the share of documents that are right: a binomial,
    /// whose interval is known.
    #[test]
    fn the_width_is_that_of_the_binomial() {
        let documents: Vec<_> = (0..400).map(|i| document(usize::from(i % 10 < 7), 1, 1)).collect();
        let found = resample(&documents, 4_000, 7).micro.expect("documents");
        let half = 1.96 * (0.7_f64 * 0.3 / 400.0).sqrt();
        assert!((found.low - (0.7 - half)).abs() < 0.006, "{found:?}");
        assert!((found.high - (0.7 + half)).abs() < 0.006, "{found:?}");
    }

    #[test]
    fn a_seed_fixes_the_draws() {
        let documents: Vec<_> = (0..30).map(|i| document(i % 4, 4, 4 + i % 3)).collect();
        assert_eq!(resample(&documents, 500, 3), resample(&documents, 500, 3));
        assert_ne!(resample(&documents, 500, 3), resample(&documents, 500, 4));
        let mut random = SplitMix(1_234_567);
        // the first values of the authors' reference code for this seed
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_rare_label_is_judged_where_it_occurs() {
        let mut documents = vec![document(1, 1, 1); 50];
        documents[0].insert("RARE".to_owned(), Counts { correct: 1, predicted: 1, gold: 1 });
        assert_eq!(resample(&documents, 200, 5).labels["RARE"], Interval { low: 1.0, high: 1.0 });
    }

    #[test]
    fn percentiles_are_numpys() {
        let values = [1.0, 2.0, 4.0, 8.0];
        for (part, expected) in [(0.0, 1.0), (0.5, 3.0), (0.25, 1.75), (1.0, 8.0)] {
            assert_eq!(percentile(&values, part), Some(expected));
        }
    }
}

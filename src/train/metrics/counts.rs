//! From counts to figures.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use crate::train::bootstrap::{Intervals, RESAMPLES, resample};

/// How many entities (or relations, or texts) a label has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// In both.
    pub correct: usize,
    /// In the prediction.
    pub predicted: usize,
    /// In the gold annotation.
    pub gold: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.correct += other.correct;
        self.predicted += other.predicted;
        self.gold += other.gold;
    }
}

/// Precision, recall and F1, from 0 to 1; what cannot be divided is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// Correct of predicted.
    pub precision: f64,
    /// Correct of gold.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Gold entities.
    pub support: usize,
}

impl From<Counts> for Score {
    fn from(counts: Counts) -> Self {
        let part = |whole: usize| if whole == 0 { 0.0 } else { counts.correct as f64 / whole as f64 };
        let (precision, recall) = (part(counts.predicted), part(counts.gold));
        let sum = precision + recall;
        let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
        Self { precision, recall, f1, support: counts.gold }
    }
}

/// The figures of a set of documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// All entities in one pot.
    pub micro: Score,
    /// The mean over labels.
    #[serde(rename = "macro")]
    pub macro_average: Score,
    /// The mean over labels, weighted by support.
    pub weighted: Score,
    /// Each label that occurs in gold or prediction.
    pub labels: BTreeMap<String, Score>,
}

impl Report {
    pub(super) fn new(totals: &BTreeMap<String, Counts>) -> Self {
        let mut sum = Counts::default();
        totals.values().for_each(|&counts| sum += counts);
        let labels: BTreeMap<_, _> = totals.iter().map(|(label, &counts)| (label.clone(), counts.into())).collect();
        let mean = |weight: fn(&Score) -> f64| {
            let whole: f64 = labels.values().map(weight).sum();
            let over = |part: fn(&Score) -> f64| {
                let sum: f64 = labels.values().map(|score| part(score) * weight(score)).sum();
                if whole == 0.0 { 0.0 } else { sum / whole }
            };
            let (precision, recall, f1) = (over(|s| s.precision), over(|s| s.recall), over(|s| s.f1));
            Score { precision, recall, f1, support: sum.gold }
        };
        Self { micro: sum.into(), macro_average: mean(|_| 1.0), weighted: mean(|s| s.support as f64), labels }
    }
}

/// The counts of each document: what is summed for the figures, and drawn from for their intervals.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals(pub Vec<BTreeMap<String, Counts>>);

impl Totals {
    pub(super) fn report(&self) -> Report {
        let mut totals = BTreeMap::<String, Counts>::new();
        for (label, &counts) in self.0.iter().flatten() {
            *totals.entry(label.clone()).or_default() += counts;
        }
        Report::new(&totals)
    }

    pub(super) fn intervals(&self, seed: u64) -> Intervals {
        resample(&self.0, RESAMPLES, seed)
    }
}

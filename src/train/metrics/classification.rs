//! Texts of one label or of many, as `classification_report` and `accuracy_score` of scikit-learn count them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::counts::{self, Counts, Totals};
use crate::train::bootstrap::{Interval, Intervals, RESAMPLES, draw};

/// The figures of a set of texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The number of texts.
    pub texts: usize,
    /// The share of texts whose labels are all right and complete.
    pub accuracy: f64,
    /// Averages and labels. With one label a text, micro precision, recall and F1 all equal accuracy.
    #[serde(flatten)]
    pub figures: counts::Report,
    /// Of accuracy and F1, from a bootstrap over texts.
    pub intervals: ReportIntervals,
}

/// The middle 95 % of what other texts of the same kind would give.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReportIntervals {
    /// Of the draws.
    pub seed: u64,
    /// None without texts.
    pub accuracy: Option<Interval>,
    /// Of the mean F1 over the labels that a draw has.
    pub macro_f1: Option<Interval>,
    /// Of the micro average and of each label.
    pub f1: Intervals,
}

/// Collects texts.
#[derive(Clone, Debug, Default)]
pub struct Scorer {
    totals: Totals,
    right: Vec<bool>,
}

impl Scorer {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text of one label.
    pub fn add(&mut self, gold: &str, predicted: &str) {
        self.add_many(&[gold], &[predicted]);
    }

    /// Adds a text of any number of labels; one that is named twice counts once.
    pub fn add_many<S: AsRef<str>>(&mut self, gold: &[S], predicted: &[S]) {
        let set = |side: &[S]| -> BTreeSet<String> { side.iter().map(|label| label.as_ref().to_owned()).collect() };
        let (gold, predicted) = (set(gold), set(predicted));
        let mut counts = BTreeMap::<String, Counts>::new();
        for label in &gold {
            let counts = counts.entry(label.clone()).or_default();
            counts.gold += 1;
            counts.correct += usize::from(predicted.contains(label));
        }
        predicted.iter().for_each(|label| counts.entry(label.clone()).or_default().predicted += 1);
        self.totals.0.push(counts);
        self.right.push(gold == predicted);
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.right.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.right.is_empty()
    }

    /// The figures, with intervals from the draws of a seed.
    pub fn report(&self, seed: u64) -> Report {
        let right = self.right.iter().filter(|&&right| right).count();
        let accuracy = if self.is_empty() { 0.0 } else { right as f64 / self.len() as f64 };
        Report { texts: self.len(), accuracy, figures: self.totals.report(), intervals: self.intervals(seed) }
    }

    fn intervals(&self, seed: u64) -> ReportIntervals {
        let labels: BTreeSet<&String> = self.totals.0.iter().flat_map(BTreeMap::keys).collect();
        let place: BTreeMap<&String, usize> = labels.iter().enumerate().map(|(at, label)| (*label, at)).collect();
        // a text names few of the labels: its row is sparse, the sum is not
        let rows = self.totals.0.iter().zip(&self.right).map(|(counts, &right)| {
            let sparse = counts.iter().map(|(label, &counts)| (place[label], counts)).collect();
            Row { texts: 1, right: usize::from(right), counts: sparse }
        });
        let zero = Row { counts: (0..labels.len()).map(|at| (at, Counts::default())).collect(), ..Row::default() };
        let found = draw(&rows.collect::<Vec<_>>(), &zero, Row::add, Row::figures, RESAMPLES, seed);
        let mut found = found.into_iter();
        let (accuracy, macro_f1) = (found.next().flatten(), found.next().flatten());
        ReportIntervals { seed, accuracy, macro_f1, f1: self.totals.intervals(seed) }
    }
}

/// A text, or the sum of a draw.
#[derive(Clone, Default)]
struct Row {
    texts: usize,
    right: usize,
    counts: Vec<(usize, Counts)>,
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.texts += other.texts;
        self.right += other.right;
        other.counts.iter().for_each(|&(at, counts)| self.counts[at].1 += counts);
    }

    /// Accuracy and macro F1.
    fn figures(&self) -> Vec<Option<f64>> {
        let there = self.counts.iter().filter(|(_, counts)| counts.gold + counts.predicted > 0);
        let f1: Vec<f64> = there.map(|(_, counts)| counts::Score::from(*counts).f1).collect();
        let mean = (!f1.is_empty()).then(|| f1.iter().sum::<f64>() / f1.len() as f64);
        vec![(self.texts > 0).then(|| self.right as f64 / self.texts as f64), mean]
    }
}

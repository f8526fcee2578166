//! Relations between pairs: F1 over the labels of relations. That a pair has no relation is no label: a pair rightly left
//! alone counts nowhere, as in i2b2 2010.

use std::collections::{BTreeMap, BTreeSet};

use super::counts::{Counts, Report, Totals};
use crate::train::bootstrap::Intervals;

/// Collects documents.
#[derive(Clone, Debug)]
pub struct Scorer {
    none: String,
    totals: Totals,
}

impl Scorer {
    /// Of nothing yet. `none` is what a pair without a relation is called.
    pub fn new(none: &str) -> Self {
        Self { none: none.to_owned(), totals: Totals::default() }
    }

    /// Adds a document as what is said of its pairs on both sides. A pair is whatever tells it from others: the indices
    /// of two entities, or two concepts. Pairs without a relation need not be named; a relation that is named twice counts
    /// once. A gold relation whose pair was never a candidate is missed.
    pub fn add<K: Ord>(
        &mut self,
        gold: impl IntoIterator<Item = (K, String)>,
        predicted: impl IntoIterator<Item = (K, String)>,
    ) {
        let is_relation = |(_, label): &(K, String)| *label != self.none;
        let gold: BTreeSet<(K, String)> = gold.into_iter().filter(is_relation).collect();
        let predicted: BTreeSet<(K, String)> = predicted.into_iter().filter(is_relation).collect();
        let mut counts = BTreeMap::<String, Counts>::new();
        for relation in &gold {
            let counts = counts.entry(relation.1.clone()).or_default();
            counts.gold += 1;
            counts.correct += usize::from(predicted.contains(relation));
        }
        predicted.iter().for_each(|(_, label)| counts.entry(label.clone()).or_default().predicted += 1);
        self.totals.0.push(counts);
    }

    /// The number of documents.
    pub fn documents(&self) -> usize {
        self.totals.0.len()
    }

    /// The figures.
    pub fn report(&self) -> Report {
        self.totals.report()
    }

    /// 95 % percentile intervals of F1 from a bootstrap over documents.
    pub fn intervals(&self, seed: u64) -> Intervals {
        self.totals.intervals(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_related_counts_nowhere() {
        let said =
            |list: &[((usize, usize), &str)]| list.iter().map(|(k, l)| (*k, (*l).to_owned())).collect::<Vec<_>>();
        let mut scorer = Scorer::new("none");
        let gold = said(&[((0, 1), "TrAP"), ((1, 2), "none"), ((2, 3), "PIP"), ((2, 3), "PIP")]);
        scorer.add(gold, said(&[((0, 1), "TrAP"), ((1, 2), "PIP"), ((2, 3), "none"), ((4, 5), "none")]));
        let report = scorer.report();
        assert_eq!((report.micro.precision, report.micro.recall, report.micro.support), (0.5, 0.5, 2));
        assert_eq!(report.labels.keys().collect::<Vec<_>>(), ["PIP", "TrAP"]);
        assert_eq!(report.labels["PIP"].f1, 0.0);
    }
}

//! Exact and inexact spans, as the challenges of i2b2 define them (Uzuner et al. 2011): an exact one has the words and
//! the label of a gold entity, an inexact one its label and at least one of its words.
//!
//! Each gold entity is found once at most and each prediction finds one at most, from left to right; what is left over
//! is wrong. (The script of n2c2 2018 forgives a second prediction on one gold entity; here it costs precision.)

use std::collections::BTreeMap;

use super::counts::{Counts, Report, Totals};
use super::schemes::Entity;
use super::words::{Aligned, overlap};
use crate::train::bootstrap::Intervals;

/// Collects documents.
#[derive(Clone, Debug)]
pub struct Scorer {
    exact: bool,
    totals: Totals,
}

impl Scorer {
    /// Of exact spans.
    pub fn exact() -> Self {
        Self { exact: true, totals: Totals::default() }
    }

    /// Of spans that overlap.
    pub fn inexact() -> Self {
        Self { exact: false, totals: Totals::default() }
    }

    /// Adds a document.
    pub fn add(&mut self, document: &Aligned) {
        self.add_entities(&document.gold, &document.predicted);
    }

    /// Adds a document as entities over the same words, in their order.
    pub fn add_entities(&mut self, gold: &[Entity], predicted: &[Entity]) {
        let mut counts = BTreeMap::<String, Counts>::new();
        let mut found = vec![false; gold.len()];
        gold.iter().for_each(|entity| counts.entry(entity.label.clone()).or_default().gold += 1);
        for entity in predicted {
            let counts = counts.entry(entity.label.clone()).or_default();
            counts.predicted += 1;
            let agrees = |other: &Entity| {
                let words = if self.exact { other.words == entity.words } else { overlap(&other.words, &entity.words) };
                words && other.label == entity.label
            };
            if let Some(at) = (0..gold.len()).find(|&at| !found[at] && agrees(&gold[at])) {
                found[at] = true;
                counts.correct += 1;
            }
        }
        self.totals.0.push(counts);
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

    fn side(entities: &[(&str, usize, usize)]) -> Vec<Entity> {
        entities.iter().map(|&(label, start, end)| Entity { label: label.to_owned(), words: start..end }).collect()
    }

    #[test]
    fn each_is_found_once() {
        struct Case {
            name: &'static str,
            gold: &'static [(&'static str, usize, usize)],
            predicted: &'static [(&'static str, usize, usize)],
            exact: usize,
            inexact: usize,
        }
        let cases = [
            Case { name: "same", gold: &[("P", 0, 2)], predicted: &[("P", 0, 2)], exact: 1, inexact: 1 },
            Case { name: "overlap", gold: &[("P", 0, 2)], predicted: &[("P", 1, 4)], exact: 0, inexact: 1 },
            Case { name: "touch", gold: &[("P", 0, 2)], predicted: &[("P", 2, 4)], exact: 0, inexact: 0 },
            Case { name: "label", gold: &[("P", 0, 2)], predicted: &[("T", 0, 2)], exact: 0, inexact: 0 },
            Case { name: "cut", gold: &[("P", 0, 4)], predicted: &[("P", 0, 1), ("P", 2, 4)], exact: 0, inexact: 1 },
            Case { name: "joined", gold: &[("P", 0, 1), ("P", 2, 4)], predicted: &[("P", 0, 4)], exact: 0, inexact: 1 },
        ];
        for case in cases {
            for (mut scorer, expected) in [(Scorer::exact(), case.exact), (Scorer::inexact(), case.inexact)] {
                scorer.add_entities(&side(case.gold), &side(case.predicted));
                let found: usize = scorer.totals.0[0].values().map(|counts| counts.correct).sum();
                assert_eq!(found, expected, "{}, exact: {}", case.name, scorer.exact);
            }
        }
    }
}

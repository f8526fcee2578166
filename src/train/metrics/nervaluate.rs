//! The four ways of SemEval 2013 task 9 to compare entities, as nervaluate 1.2.1 counts them.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Range};

use serde::Serialize;

use super::schemes::Entity;
use super::words::Aligned;
use crate::train::bootstrap::{Interval, RESAMPLES, draw};

/// When a prediction agrees with a gold entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// The same words and the same label.
    Strict,
    /// The same words, whatever the label.
    Exact,
    /// The same words; other words that overlap count half. Whatever the label.
    Partial,
    /// The same label on words that overlap.
    EntType,
}

impl Matching {
    /// All, in the order of nervaluate's documentation.
    pub const ALL: [Self; 4] = [Self::Strict, Self::Exact, Self::Partial, Self::EntType];

    /// As nervaluate calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Exact => "exact",
            Self::Partial => "partial",
            Self::EntType => "ent_type",
        }
    }

    /// What a gold entity is to a prediction; `None` when the two do not share enough words.
    fn judge(self, gold: &Entity, predicted: &Entity) -> Option<Verdict> {
        let same_words = gold.words == predicted.words;
        let same_label = gold.label == predicted.label;
        if !is_shared(&gold.words, &predicted.words) {
            return None;
        }
        Some(match self {
            Self::Strict if same_words && same_label => Verdict::Correct,
            Self::Exact | Self::Partial if same_words => Verdict::Correct,
            Self::Partial => Verdict::Partial,
            Self::EntType if same_label => {
                let distance = |a: usize, b: usize| a.abs_diff(b);
                let (start, end) =
                    (distance(gold.words.start, predicted.words.start), distance(gold.words.end, predicted.words.end));
                Verdict::Near(start + end)
            }
            _ => Verdict::Incorrect,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Ends the search.
    Correct,
    /// Correct, unless a gold entity whose borders are nearer follows.
    Near(usize),
    Partial,
    Incorrect,
}

/// At least one word, and one in a hundred of the gold entity: nervaluate's least overlap.
fn is_shared(gold: &Range<usize>, predicted: &Range<usize>) -> bool {
    let shared = gold.end.min(predicted.end).saturating_sub(gold.start.max(predicted.start));
    shared > 0 && shared * 100 >= gold.len()
}

/// How many predictions and gold entities were what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Predictions that agree.
    pub correct: usize,
    /// Predictions that meet a gold entity and do not agree.
    pub incorrect: usize,
    /// Predictions that agree in part.
    pub partial: usize,
    /// Gold entities that nothing met.
    pub missed: usize,
    /// Predictions that met nothing.
    pub spurious: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.correct += other.correct;
        self.incorrect += other.incorrect;
        self.partial += other.partial;
        self.missed += other.missed;
        self.spurious += other.spurious;
    }
}

impl Tally {
    /// Of one document; both sides in the order of the text.
    pub fn new(gold: &[&Entity], predicted: &[&Entity], matching: Matching) -> Self {
        let mut tally = Self::default();
        let mut met = vec![false; gold.len()];
        for predicted in predicted {
            match find(gold, &met, predicted, matching) {
                None => tally.spurious += 1,
                Some((index, verdict)) => {
                    met[index] = true;
                    match verdict {
                        Verdict::Correct | Verdict::Near(_) => tally.correct += 1,
                        Verdict::Partial => tally.partial += 1,
                        Verdict::Incorrect => tally.incorrect += 1,
                    }
                }
            }
        }
        tally.missed = met.iter().filter(|&&met| !met).count();
        tally
    }

    /// Precision, recall and F1, from 0 to 1; a partial one counts half.
    pub fn figures(&self) -> [f64; 3] {
        let right = self.correct as f64 + 0.5 * self.partial as f64;
        let met = self.correct + self.incorrect + self.partial;
        let part = |whole: usize| if whole == 0 { 0.0 } else { right / whole as f64 };
        let (precision, recall) = (part(met + self.spurious), part(met + self.missed));
        let sum = precision + recall;
        [precision, recall, if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum }]
    }
}

/// The gold entity that a prediction meets: the first that is correct (the nearest, where labels alone count), else the
/// first that it shares words with.
fn find(gold: &[&Entity], met: &[bool], predicted: &Entity, matching: Matching) -> Option<(usize, Verdict)> {
    let mut best: Option<(usize, Verdict)> = None;
    for (index, gold) in gold.iter().enumerate().filter(|(index, _)| !met[*index]) {
        let Some(verdict) = matching.judge(gold, predicted) else { continue };
        let better = match (verdict, best) {
            (Verdict::Correct, _) => return Some((index, verdict)),
            (_, None) => true,
            (Verdict::Near(now), Some((_, Verdict::Near(before)))) => now < before,
            (Verdict::Near(_), Some(_)) => true,
            _ => false,
        };
        if better {
            best = Some((index, verdict));
        }
    }
    best
}

/// A tally with its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// The counts.
    #[serde(flatten)]
    pub tally: Tally,
    /// Correct, and half of partial, of all predictions.
    pub precision: f64,
    /// Of all gold entities.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

impl From<Tally> for Figures {
    fn from(tally: Tally) -> Self {
        let [precision, recall, f1] = tally.figures();
        Self { tally, precision, recall, f1 }
    }
}

/// The figures by the name of the matching.
pub type ByMatching = BTreeMap<&'static str, Figures>;

/// The figures of a set of documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// All labels together.
    pub overall: ByMatching,
    /// Each label by itself.
    pub labels: BTreeMap<String, ByMatching>,
}

/// Collects documents.
#[derive(Clone, Debug, Default)]
pub struct Scorer {
    overall: Vec<[Tally; 4]>,
    labels: BTreeMap<String, [Tally; 4]>,
}

impl Scorer {
    /// Adds a document.
    pub fn add(&mut self, document: &Aligned) {
        self.add_entities(&document.gold, &document.predicted);
    }

    /// Adds a document as entities over the same words, in their order.
    pub fn add_entities(&mut self, gold: &[Entity], predicted: &[Entity]) {
        let tallies = |wanted: &dyn Fn(&Entity) -> bool| {
            let of = |side: &'_ [Entity]| -> Vec<usize> { (0..side.len()).filter(|&i| wanted(&side[i])).collect() };
            let gold: Vec<&Entity> = of(gold).into_iter().map(|i| &gold[i]).collect();
            let predicted: Vec<&Entity> = of(predicted).into_iter().map(|i| &predicted[i]).collect();
            Matching::ALL.map(|matching| Tally::new(&gold, &predicted, matching))
        };
        self.overall.push(tallies(&|_| true));
        let labels: std::collections::BTreeSet<&String> = gold.iter().chain(predicted).map(|e| &e.label).collect();
        for label in labels {
            let found = tallies(&|entity| entity.label == *label);
            let sums = self.labels.entry(label.clone()).or_default();
            sums.iter_mut().zip(found).for_each(|(sum, tally)| *sum += tally);
        }
    }

    /// The figures.
    pub fn report(&self) -> Report {
        let named = |tallies: &[Tally; 4]| -> ByMatching {
            Matching::ALL.iter().zip(tallies).map(|(matching, &tally)| (matching.name(), tally.into())).collect()
        };
        let mut sums = [Tally::default(); 4];
        self.overall.iter().for_each(|document| add(&mut sums, document));
        let labels = self.labels.iter().map(|(label, tallies)| (label.clone(), named(tallies))).collect();
        Report { overall: named(&sums), labels }
    }

    /// 95 % percentile intervals of F1 over all labels, by the name of the matching, from a bootstrap over documents.
    pub fn intervals(&self, seed: u64) -> BTreeMap<&'static str, Interval> {
        let f1 =
            |tallies: &[Tally; 4]| tallies.iter().map(|t| (*t != Tally::default()).then(|| t.figures()[2])).collect();
        let found = draw(&self.overall, &[Tally::default(); 4], add, f1, RESAMPLES, seed);
        Matching::ALL.iter().zip(found).filter_map(|(matching, interval)| Some((matching.name(), interval?))).collect()
    }
}

fn add(sums: &mut [Tally; 4], document: &[Tally; 4]) {
    sums.iter_mut().zip(document).for_each(|(sum, &tally)| *sum += tally);
}

//! Entities over words. The unit is the word, never the word piece: a word is what the tokenizer's pre-tokenizer splits
//! at white space and punctuation. An entity counts as found when label, first word and last word agree.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::counts::{Counts, Report, Totals};
use super::schemes::{Entity, Mode, entities};
use crate::error::{Error, ErrorKind, Result};
use crate::text::Encoding;
use crate::train::bootstrap::Intervals;
use crate::train::readers::Gold;

/// Collects documents.
#[derive(Clone, Debug)]
pub struct Scorer {
    mode: Mode,
    totals: Totals,
    lost: usize,
}

impl Scorer {
    /// Of nothing yet.
    pub fn new(mode: Mode) -> Self {
        Self { mode, totals: Totals::default(), lost: 0 }
    }

    /// How tags are read.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The number of documents.
    pub fn documents(&self) -> usize {
        self.totals.0.len()
    }

    /// Gold spans that word tags cannot say: they have no word, or one that an earlier span has. They are in no count.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// Adds a document as two tag sequences over the same words.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] for sequences of different lengths and for a tag that the mode does not know.
    pub fn add_tags<S: AsRef<str>>(&mut self, gold: &[S], predicted: &[S]) -> Result<()> {
        if gold.len() != predicted.len() {
            let message = format!("{} gold tags, {} predicted", gold.len(), predicted.len());
            return Err(Error::new(ErrorKind::Data, message));
        }
        self.add(&entities(gold, self.mode)?, &entities(predicted, self.mode)?);
        Ok(())
    }

    /// Adds a document as spans in bytes; see [`Aligned::new`].
    pub fn add_spans(
        &mut self,
        words: &[Range<usize>],
        gold: &[Gold],
        predicted: &[(Range<usize>, &str)],
        marks: impl Fn(&str) -> bool,
    ) {
        self.add_aligned(&Aligned::new(words, gold, predicted, marks));
    }

    /// Adds a document as entities over the same words.
    pub fn add_aligned(&mut self, document: &Aligned) {
        self.lost += document.lost;
        self.add(&document.gold, &document.predicted);
    }

    fn add(&mut self, gold: &[Entity], predicted: &[Entity]) {
        let mut counts = BTreeMap::<String, Counts>::new();
        let wanted: BTreeSet<_> = gold.iter().map(Entity::key).collect();
        for entity in gold {
            counts.entry(entity.label.clone()).or_default().gold += 1;
        }
        for entity in predicted {
            let counts = counts.entry(entity.label.clone()).or_default();
            counts.predicted += 1;
            counts.correct += usize::from(wanted.contains(&entity.key()));
        }
        self.totals.0.push(counts);
    }

    /// The figures.
    pub fn report(&self) -> Report {
        self.totals.report()
    }

    /// 95 % percentile intervals of F1 from a bootstrap over documents; a seed gives the same figures everywhere.
    pub fn intervals(&self, seed: u64) -> Intervals {
        self.totals.intervals(seed)
    }
}

/// The entities of a document over its words, those that count: what every protocol compares.
#[derive(Clone, Debug, Default)]
pub struct Aligned {
    /// In the order of the text, none sharing a word with another.
    pub gold: Vec<Entity>,
    /// The same.
    pub predicted: Vec<Entity>,
    /// Gold spans that have no word, or one that an earlier span has.
    pub lost: usize,
}

impl Aligned {
    /// From spans in bytes, over the words of [`words`]. Only types for which `marks` holds count, on both sides. A gold
    /// span of several labels takes the one that a prediction on its words has, else its first; if it may also be a
    /// type that does not count, or `O`, it is left out, and so is what agrees with it.
    pub fn new(
        words: &[Range<usize>],
        gold: &[Gold],
        predicted: &[(Range<usize>, &str)],
        marks: impl Fn(&str) -> bool,
    ) -> Self {
        let (wanted, open): (Vec<_>, Vec<_>) = gold.iter().partition(|gold| is_decided(gold, &marks));
        let wanted = wanted.into_iter().filter_map(|gold| Some((gold.range.clone(), choose(gold, predicted)?)));
        let (wanted, lost) = on_words(words, wanted);
        let undecided = |range: &Range<usize>, label: &str| {
            open.iter().any(|gold| overlap(&gold.range, range) && gold.labels.iter().any(|known| known == label))
        };
        let found = predicted.iter().filter(|(range, label)| marks(label) && !undecided(range, label));
        let (found, _) = on_words(words, found.map(|(range, label)| (range.clone(), *label)));
        Self { gold: wanted, predicted: found, lost }
    }
}

/// Whether a gold span is certainly of a type that counts.
pub(super) fn is_decided(gold: &Gold, marks: &impl Fn(&str) -> bool) -> bool {
    gold.labels.iter().all(|label| label != "O" && marks(label))
}

/// The words of a text, in bytes: what the pre-tokenizer splits at white space and punctuation.
pub fn words(encoding: &Encoding) -> Vec<Range<usize>> {
    let bytes = |pieces: &Range<usize>| {
        let offsets = encoding.offsets.get(pieces.clone())?;
        Some(offsets.first()?.start..offsets.last()?.end)
    };
    encoding.words.iter().filter_map(bytes).collect()
}

/// The label of a gold span: among several the one of a prediction that overlaps.
fn choose<'a>(gold: &'a Gold, predicted: &[(Range<usize>, &str)]) -> Option<&'a str> {
    let said = |label: &&String| predicted.iter().any(|(range, said)| overlap(range, &gold.range) && said == label);
    gold.labels.iter().find(said).or(gold.labels.first()).map(String::as_str)
}

pub(super) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Spans as entities over words, a word belonging to a span that it overlaps, and the number of spans that are left
/// out because they have no word, or one that a span before them has.
fn on_words<'a>(words: &[Range<usize>], spans: impl Iterator<Item = (Range<usize>, &'a str)>) -> (Vec<Entity>, usize) {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|(range, _)| (range.start, range.end));
    let (mut found, mut lost, mut free) = (Vec::new(), 0, 0);
    for (range, label) in spans {
        let start = words.partition_point(|word| word.end <= range.start);
        let end = words.partition_point(|word| word.start < range.end);
        if start < free || start >= end {
            lost += 1;
            continue;
        }
        free = end;
        found.push(Entity { label: label.to_owned(), words: start..end });
    }
    (found, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::metrics::Counts;

    #[test]
    fn spans_snap_to_words() {
        let words = [0..2, 3..4, 4..7, 8..12]; // "no -pro 12mg"
        let gold = |range: Range<usize>, labels: &[&str]| Gold {
            range,
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        };
        struct Case {
            name: &'static str,
            gold: Vec<Gold>,
            predicted: Vec<(Range<usize>, &'static str)>,
            expected: (usize, usize, usize), // correct, predicted, gold
            lost: usize,
        }
        let cases = [
            Case {
                name: "part of a word is the word",
                gold: vec![gold(4..6, &["A"])],
                predicted: vec![(4..7, "A")],
                expected: (1, 1, 1),
                lost: 0,
            },
            Case {
                name: "one word more",
                gold: vec![gold(3..7, &["A"])],
                predicted: vec![(4..7, "A")],
                expected: (0, 1, 1),
                lost: 0,
            },
            Case {
                name: "two in one word",
                gold: vec![gold(8..10, &["A"]), gold(10..12, &["A"])],
                predicted: vec![(8..12, "A")],
                expected: (1, 1, 1),
                lost: 1,
            },
            Case { name: "no word", gold: vec![gold(2..3, &["A"])], predicted: vec![], expected: (0, 0, 0), lost: 1 },
            Case {
                name: "either label",
                gold: vec![gold(0..2, &["A", "B"])],
                predicted: vec![(0..2, "B")],
                expected: (1, 1, 1),
                lost: 0,
            },
            Case {
                name: "types that the set does not mark",
                gold: vec![gold(0..2, &["A"])],
                predicted: vec![(0..2, "A"), (8..12, "C")],
                expected: (1, 1, 1),
                lost: 0,
            },
            Case {
                name: "perhaps nothing, perhaps a type that the set does not mark",
                gold: vec![gold(0..2, &["A", "O"]), gold(8..12, &["A", "C"])],
                predicted: vec![(0..2, "A"), (8..12, "A"), (4..7, "A")],
                expected: (0, 1, 0),
                lost: 0,
            },
        ];
        for case in cases {
            let mut scorer = Scorer::new(Mode::StrictIob2);
            scorer.add_spans(&words, &case.gold, &case.predicted, |label| label != "C");
            let mut sum = Counts::default();
            scorer.totals.0[0].values().for_each(|&counts| sum += counts);
            assert_eq!((sum.correct, sum.predicted, sum.gold), case.expected, "{}", case.name);
            assert_eq!(scorer.lost(), case.lost, "{}", case.name);
        }
    }

    #[test]
    fn sequences_of_two_lengths_are_refused() {
        let mut scorer = Scorer::new(Mode::Default);
        let error = scorer.add_tags(&["O", "O"][..], &["O"][..]).expect_err("lengths");
        assert_eq!(error.to_string(), "2 gold tags, 1 predicted");
    }
}

//! Entity scores on word tags, equal to those of seqeval 1.2.2.
//!
//! The unit is the word, never the word piece: a word is what the tokenizer's pre-tokenizer splits at white space and
//! punctuation. An entity counts as found when label, first word and last word agree. [`Mode`] says which tag sequences
//! are entities at all. A [`Scorer`] collects documents and makes a [`Report`]; [`Scorer::intervals`] adds how far the
//! figures would move with other documents of the same kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{AddAssign, Range};

use serde::Serialize;

use super::bootstrap::{Intervals, resample};
use super::readers::Gold;
use crate::error::{Error, ErrorKind, Result};
use crate::text::Encoding;

/// How tags become entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// seqeval's default, as conlleval: an `I-` without a beginning begins.
    Default,
    /// seqeval's `mode="strict"` with `scheme=IOB2`: an entity is `B-` and the `I-` of its label that follow.
    StrictIob2,
    /// seqeval's `mode="strict"` with `scheme=IOBES`: an entity is `S-`, or `B-`, any `I-`, and `E-` of one label.
    StrictIobes,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "seqeval default",
            Self::StrictIob2 => "seqeval strict IOB2",
            Self::StrictIobes => "seqeval strict IOBES",
        })
    }
}

/// A label and the words that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The label.
    pub label: String,
    /// Indices of words.
    pub words: Range<usize>,
}

impl Entity {
    fn key(&self) -> (&str, usize, usize) {
        (&self.label, self.words.start, self.words.end)
    }
}

/// A tag, taken apart. `O` is `('O', "")`.
type Tag<'a> = (char, &'a str);

fn parse<'a>(tag: &'a str, mode: Mode) -> Result<Tag<'a>> {
    let known = if mode == Mode::StrictIob2 { "BI" } else { "BIES" };
    match tag.split_once('-') {
        None if tag == "O" => Ok(('O', "")),
        Some((prefix, label)) if prefix.len() == 1 && known.contains(prefix) && !label.is_empty() => {
            Ok((prefix.chars().next().unwrap_or('O'), label))
        }
        _ => Err(Error::new(ErrorKind::Data, format!("tag {tag:?}: expected O, or one of {known} with a label"))),
    }
}

/// The entities of one tag sequence, in order.
///
/// # Errors
/// [`ErrorKind::Data`] for a tag that the mode does not know.
pub fn entities<S: AsRef<str>>(tags: &[S], mode: Mode) -> Result<Vec<Entity>> {
    let tags = tags.iter().map(|tag| parse(tag.as_ref(), mode)).collect::<Result<Vec<_>>>()?;
    Ok(match mode {
        Mode::Default => lenient(&tags),
        Mode::StrictIob2 | Mode::StrictIobes => strict(&tags, mode),
    })
}

/// `get_entities` of <https://github.com/chakki-works/seqeval/blob/v1.2.2/seqeval/metrics/sequence_labeling.py>.
fn lenient(tags: &[Tag<'_>]) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    let mut previous = ('O', "");
    for (i, &(prefix, label)) in tags.iter().chain([&('O', "")]).enumerate() {
        let continues = matches!(previous.0, 'B' | 'I') && matches!(prefix, 'I' | 'E') && previous.1 == label;
        if !continues {
            found.extend(open.take().map(|start| Entity { label: previous.1.to_owned(), words: start..i }));
            open = (prefix != 'O').then_some(i);
        }
        previous = (prefix, label);
    }
    found
}

/// `Tokens.entities` of <https://github.com/chakki-works/seqeval/blob/v1.2.2/seqeval/scheme.py>.
fn strict(tags: &[Tag<'_>], mode: Mode) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < tags.len() {
        let (start, (prefix, label)) = (i, tags[i]);
        i += 1;
        if !matches!(prefix, 'B' | 'S') {
            continue;
        }
        while prefix == 'B' && tags[i - 1].0 != 'E' && i < tags.len() && matches!(tags[i], ('I' | 'E', l) if l == label)
        {
            i += 1;
        }
        if mode == Mode::StrictIob2 || matches!(tags[i - 1].0, 'S' | 'E') {
            found.push(Entity { label: label.to_owned(), words: start..i });
        }
    }
    found
}

/// How many entities a label has.
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
    fn new(totals: &BTreeMap<String, Counts>) -> Self {
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

/// Collects documents.
#[derive(Clone, Debug)]
pub struct Scorer {
    mode: Mode,
    documents: Vec<BTreeMap<String, Counts>>,
    lost: usize,
}

impl Scorer {
    /// Of nothing yet.
    pub fn new(mode: Mode) -> Self {
        Self { mode, documents: Vec::new(), lost: 0 }
    }

    /// How tags are read.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The number of documents.
    pub fn documents(&self) -> usize {
        self.documents.len()
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

    /// Adds a document as spans in bytes, over the words of [`words`]. Only types for which `marks` holds are scored,
    /// on both sides. A gold span of several labels takes the one that a prediction on its words has, else its first;
    /// if it may also be a type that is not scored, or `O`, it is in no count, nor is what agrees with it.
    pub fn add_spans(
        &mut self,
        words: &[Range<usize>],
        gold: &[Gold],
        predicted: &[(Range<usize>, &str)],
        marks: impl Fn(&str) -> bool,
    ) {
        let (wanted, open): (Vec<_>, Vec<_>) =
            gold.iter().partition(|gold| gold.labels.iter().all(|label| label != "O" && marks(label)));
        let wanted = wanted.into_iter().filter_map(|gold| Some((gold.range.clone(), choose(gold, predicted)?)));
        let (wanted, lost) = on_words(words, wanted);
        let undecided = |range: &Range<usize>, label: &str| {
            open.iter().any(|gold| overlap(&gold.range, range) && gold.labels.iter().any(|known| known == label))
        };
        let found = predicted.iter().filter(|(range, label)| marks(label) && !undecided(range, label));
        let (found, _) = on_words(words, found.map(|(range, label)| (range.clone(), *label)));
        self.lost += lost;
        self.add(&wanted, &found);
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
        self.documents.push(counts);
    }

    /// The figures.
    pub fn report(&self) -> Report {
        let mut totals = BTreeMap::<String, Counts>::new();
        for (label, &counts) in self.documents.iter().flatten() {
            *totals.entry(label.clone()).or_default() += counts;
        }
        Report::new(&totals)
    }

    /// 95 % percentile intervals of F1 from a bootstrap over documents; a seed gives the same figures everywhere.
    pub fn intervals(&self, seed: u64) -> Intervals {
        resample(&self.documents, super::bootstrap::RESAMPLES, seed)
    }
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

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
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
            scorer.documents[0].values().for_each(|&counts| sum += counts);
            assert_eq!((sum.correct, sum.predicted, sum.gold), case.expected, "{}", case.name);
            assert_eq!(scorer.lost(), case.lost, "{}", case.name);
        }
    }

    #[test]
    fn tags_outside_the_mode_are_refused() {
        for (tags, mode) in [
            (["E-P"], Mode::StrictIob2),
            (["U-P"], Mode::StrictIobes),
            (["B"], Mode::Default),
            (["B-"], Mode::Default),
            (["é-P"], Mode::Default),
        ] {
            assert!(entities(&tags, mode).is_err(), "{tags:?}");
        }
        let mut scorer = Scorer::new(Mode::Default);
        let error = scorer.add_tags(&["O", "O"][..], &["O"][..]).expect_err("lengths");
        assert_eq!(error.to_string(), "2 gold tags, 1 predicted");
    }
}

//! Texts, pairs and marked relations as what a sequence classifier learns from.
//!
//! A text longer than a window is several sequences that share its weight. Rows are packed without padding, and a step has
//! about as much work as the others of its epoch; everything is a function of the seed and the epoch.

use std::collections::{BTreeMap, BTreeSet};

use super::batches::{deal, work};
use super::examples::Step;
use super::loss::Targets;
use super::readers::{Entity, RelationDocument, Sequence};
use crate::backend::candle::kernels::random::Stream;
use crate::error::{Error, ErrorKind, Result};
use crate::models::Batch;
use crate::tasks::settings::Relations;
use crate::text::Tokenizer;
use crate::text::frames::{Frame, frame_around, frames};
use crate::text::markers::{Argument, mark};
use crate::weights::manifest::Window;

/// A text with its labels. Holds ids, so it is not for printing.
pub struct SequenceExample {
    /// Its windows.
    pub frames: Vec<Frame>,
    /// Bit `l`: it has label `l`.
    pub labels: u64,
}

impl SequenceExample {
    /// Frames a text and finds its labels among those of the model.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] for a label that the model lacks, and as [`frames`]; both with the id of the text.
    pub fn new(sequence: &Sequence, labels: &[String], tokenizer: &Tokenizer, window: Window) -> Result<Self> {
        let bits = sequence.labels.iter().try_fold(0, |bits, label| Ok(bits | 1 << index(labels, label)?));
        let frames = frames(tokenizer, &sequence.text, sequence.pair.as_deref(), window.max_length, window.stride);
        let at = |e: Error| e.at(format!("text {:?}", sequence.id));
        Ok(Self { frames: frames.map_err(at)?, labels: bits.map_err(at)? })
    }
}

/// The number of a label.
///
/// # Errors
/// [`ErrorKind::Data`] when the model lacks it.
pub fn index(labels: &[String], label: &str) -> Result<usize> {
    let unknown = || Error::new(ErrorKind::Data, format!("the label {label:?} is not one of model.labels"));
    labels.iter().position(|known| known == label).ok_or_else(unknown)
}

/// Two entities, or two concepts, that a relation classifier is asked about.
pub struct Candidate {
    /// What tells it from the others of its document: two concepts where both entities have one, else two indices.
    pub pair: (String, String),
    /// The marked text; nothing when the two are too far apart for a window.
    pub frame: Option<Frame>,
    /// What the document says of it; the label that says nothing where it says nothing.
    pub label: String,
}

/// The candidates of a document, in a fixed order. Of the mentions of two concepts the closest that fit a window speak
/// for all.
pub fn candidates(
    document: &RelationDocument,
    relations: &Relations,
    tokenizer: &Tokenizer,
    max_length: usize,
) -> Vec<Candidate> {
    let gold = gold(document);
    let mut pairs: BTreeMap<(String, String), Vec<(usize, usize)>> = BTreeMap::new();
    for (h, head) in document.entities.iter().enumerate() {
        for (t, tail) in document.entities.iter().enumerate().filter(|(t, _)| *t != h) {
            if relations.asks(&head.label, &tail.label) {
                for pair in names(document, h, t) {
                    pairs.entry(pair).or_default().push((h, t));
                }
            }
        }
    }
    let candidate = |(pair, mut mentions): (_, Vec<(usize, usize)>)| {
        mentions.sort_by_key(|&(h, t)| distance(&document.entities[h], &document.entities[t]));
        let frame = mentions.iter().take(MOST_MENTIONS).find_map(|&(h, t)| {
            let argument = |entity: usize| {
                let Entity { range, label, .. } = &document.entities[entity];
                Argument { start: range.start, end: range.end, label }
            };
            let marked = mark(&document.text, argument(h), argument(t), relations.markers)?;
            frame_around(tokenizer, &marked.text, &marked.focus, max_length)
        });
        let label = gold.iter().find(|(known, _)| *known == pair).map_or(&relations.none, |(_, label)| label).clone();
        Candidate { pair, frame, label }
    };
    pairs.into_iter().map(candidate).collect()
}

/// Of two concepts the closest mentions may overlap; trying all of them would take time that grows with their product.
const MOST_MENTIONS: usize = 4;

/// The relations of a document by pairs.
pub fn gold(document: &RelationDocument) -> BTreeSet<((String, String), String)> {
    let mut gold = BTreeSet::new();
    for relation in &document.relations {
        match &relation.concepts {
            Some(concepts) => drop(gold.insert((concepts.clone(), relation.label.clone()))),
            None => {
                let pairs = names(document, relation.head, relation.tail);
                gold.extend(pairs.into_iter().map(|pair| (pair, relation.label.clone())));
            }
        }
    }
    gold
}

/// The names of a pair of entities: of each of their concepts, or of themselves.
fn names(document: &RelationDocument, h: usize, t: usize) -> Vec<(String, String)> {
    let (head, tail) = (&document.entities[h], &document.entities[t]);
    let pairs: Vec<_> =
        head.concepts().flat_map(|head| tail.concepts().map(move |tail| (head.to_owned(), tail.to_owned()))).collect();
    if pairs.is_empty() { vec![(head.id.clone(), tail.id.clone())] } else { pairs }
}

fn distance(a: &Entity, b: &Entity) -> usize {
    let (first, second) = if a.range.start <= b.range.start { (a, b) } else { (b, a) };
    second.range.start.saturating_sub(first.range.end)
}

/// The steps of one epoch over examples, each taken as often as its share says (a part of one by chance) and counting as
/// much as its weight says. Of `batch_size` sequences or a few less, and of about equal work for a model so wide.
pub fn steps(
    examples: &[(&SequenceExample, f64, f32)],
    batch_size: usize,
    hidden_size: usize,
    stream: Stream,
) -> Vec<Step> {
    let mut rows: Vec<(&Frame, u64, f32)> = Vec::new();
    for (i, (example, share, weight)) in examples.iter().enumerate() {
        let extra = f64::from(stream.uniform((1 << 30) + i as u32)) < share.fract();
        let weight = weight / example.frames.len() as f32;
        for _ in 0..share.trunc() as usize + usize::from(extra) {
            rows.extend(example.frames.iter().map(|frame| (frame, example.labels, weight)));
        }
    }
    let works: Vec<u64> = rows.iter().map(|(frame, ..)| work(frame.input_ids.len(), hidden_size)).collect();
    let dealt = deal(&works, rows.len().div_ceil(batch_size), stream);
    dealt.iter().map(|batch| pack(batch.iter().map(|i| rows[*i]))).collect()
}

fn pack<'a>(rows: impl Iterator<Item = (&'a Frame, u64, f32)> + Clone) -> Step {
    let batch = Batch::of_pairs(rows.clone().map(|(frame, ..)| (&frame.input_ids[..], frame.first)));
    let (allowed, weight) = rows.map(|(_, labels, weight)| (labels, weight)).unzip();
    Step { batch, targets: Targets { allowed, weight } }
}

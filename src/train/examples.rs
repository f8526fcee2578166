//! Documents become rows with what is known about each, and rows become the windows of a step.
//!
//! All documents of an epoch are shuffled and joined into one stream with `[SEP]` between them; the stream is cut into
//! windows at word borders, at another place each epoch. Windows are so of equal length without padding, a word is seen
//! with ever other neighbours at the edges, and everything is a function of the seed and the epoch.

mod tags;

use std::ops::Range;

pub use self::tags::Tags;
use super::batches::{deal, work};
use super::loss::Targets;
use super::readers::{DataSet, Document};
use crate::backend::candle::kernels::random::Stream;
use crate::clinical::placeholders;
use crate::error::Result;
use crate::models::Batch;
use crate::text::{Encoding, Tokenizer};

/// A document as the trainer sees it. Holds ids, so it is not for printing.
pub struct Example {
    input_ids: Vec<u32>,
    allowed: Vec<u64>,
    /// Whether a piece begins a word.
    begins: Vec<bool>,
}

/// What the pieces of a word are taught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pieces {
    /// All have the tag of their word, so that a word may be read off the mean of its pieces.
    #[default]
    Word,
    /// Those after the first continue the entity.
    Inside,
    /// Only the first is judged.
    First,
}

impl Example {
    /// Reads off what is known about each piece.
    ///
    /// # Errors
    /// When the document has a label that the model lacks.
    pub fn new(document: &Document, set: &DataSet, tokenizer: &Tokenizer, tags: &Tags, pieces: Pieces) -> Result<Self> {
        let encoding = tokenizer.encode_around(&document.text, &placeholders::find(&document.text));
        let outside = tags.outside(set)?;
        let mut allowed = vec![0; encoding.input_ids.len()];
        let mut begins = vec![false; encoding.input_ids.len()];
        let mut inside: Option<usize> = None;
        for word in encoding.words.iter().filter(|word| !word.is_empty()) {
            let span = document.spans.iter().position(|gold| overlap(&gold.range, &bytes(&encoding, word)));
            let (first, rest) = match span {
                Some(span) => {
                    let gold = &document.spans[span];
                    let first = if inside == Some(span) { 'I' } else { 'B' };
                    (tags.of(gold, first)?, tags.of(gold, 'I')?)
                }
                None => (outside, outside),
            };
            inside = span;
            begins[word.start] = true;
            allowed[word.start] = first;
            allowed[word.start + 1..word.end].fill(match pieces {
                Pieces::Word => first,
                Pieces::Inside => rest,
                Pieces::First => 0,
            });
        }
        Ok(Self { input_ids: encoding.input_ids, allowed, begins })
    }

    /// A text of which nothing is known: no row has a bit.
    pub fn unlabelled(text: &str, tokenizer: &Tokenizer) -> Self {
        let encoding = tokenizer.encode_around(text, &placeholders::find(text));
        let mut begins = vec![false; encoding.input_ids.len()];
        encoding.words.iter().filter(|word| !word.is_empty()).for_each(|word| begins[word.start] = true);
        Self { allowed: vec![0; begins.len()], begins, input_ids: encoding.input_ids }
    }

    /// The one tag that each word may have, in order; nothing for a word of which more is open.
    pub fn word_tags(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        let first = self.allowed.iter().zip(&self.begins).filter(|(_, begins)| **begins);
        first.map(|(bits, _)| (bits.count_ones() == 1).then_some(bits.trailing_zeros() as usize))
    }

    /// Pieces.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether there is no piece.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }
}

fn bytes(encoding: &Encoding, word: &Range<usize>) -> Range<usize> {
    encoding.offsets[word.start].start..encoding.offsets[word.end - 1].end
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// One sequence of a step.
pub struct Window {
    input_ids: Vec<u32>,
    targets: Targets,
}

/// What a training step eats.
pub struct Step {
    /// The rows.
    pub batch: Batch,
    /// What is known about them.
    pub targets: Targets,
}

/// How well tags follow each other: `factor · (log p(after | before) − log p(after))`, `[N, N]`, over neighbouring words
/// whose tags are known, each pair counted half a time more than it occurs.
pub fn transitions<'a>(examples: impl Iterator<Item = &'a Example>, n: usize, factor: f32) -> Vec<f32> {
    let mut counts = vec![0.5f64; n * n];
    for example in examples {
        let mut before = None;
        for tag in example.word_tags() {
            if let (Some(before), Some(tag)) = (before, tag) {
                counts[before * n + tag] += 1.0;
            }
            before = tag;
        }
    }
    let total: f64 = counts.iter().sum();
    let after: Vec<f64> = (0..n).map(|tag| counts.iter().skip(tag).step_by(n).sum::<f64>() / total).collect();
    let score = |before: usize, tag: usize| {
        let row: f64 = counts[before * n..(before + 1) * n].iter().sum();
        factor * ((counts[before * n + tag] / row).ln() - after[tag].ln()) as f32
    };
    (0..n * n).map(|at| score(at / n, at % n)).collect()
}

/// How an epoch is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The most rows of a window, special tokens included.
    pub max_length: usize,
    /// The rows of a step, about.
    pub batch_tokens: usize,
    /// Of the model, for the work of a window.
    pub hidden_size: usize,
    /// `[CLS]`.
    pub cls_id: u32,
    /// `[SEP]`.
    pub sep_id: u32,
}

/// The windows of one epoch over examples, each taken as often as its share says (a part of one by chance) and counting
/// as much as its weight says.
pub fn windows(examples: &[(&Example, f64, f32)], cut: &Cut, stream: Stream) -> Vec<Window> {
    let mut chosen: Vec<(&Example, f32)> = Vec::new();
    for (i, (example, share, weight)) in examples.iter().enumerate() {
        let extra = f64::from(stream.uniform((1 << 30) + i as u32)) < share.fract();
        let times = share.trunc() as usize + usize::from(extra);
        chosen.extend(std::iter::repeat_n((*example, *weight), times));
    }
    stream.shuffle(&mut chosen);
    let mut rows = Rows::default();
    for (example, weight) in chosen.iter().filter(|(example, _)| !example.is_empty()) {
        rows.push(example, *weight, cut.sep_id);
    }
    rows.cut(cut, stream)
}

/// The stream of an epoch.
#[derive(Default)]
struct Rows {
    input_ids: Vec<u32>,
    allowed: Vec<u64>,
    weight: Vec<f32>,
    begins: Vec<bool>,
}

impl Rows {
    fn push(&mut self, example: &Example, weight: f32, sep_id: u32) {
        self.input_ids.extend(&example.input_ids);
        self.input_ids.push(sep_id);
        self.allowed.extend(&example.allowed);
        self.allowed.push(0);
        self.begins.extend(&example.begins);
        self.begins.push(true);
        self.weight.resize(self.input_ids.len(), weight);
    }

    /// Cuts at word borders, the first window shorter by chance.
    fn cut(&self, cut: &Cut, stream: Stream) -> Vec<Window> {
        let inner = cut.max_length - 2;
        let mut windows = Vec::new();
        let mut from = 0;
        let mut room = 1 + stream.below(1 << 29, inner);
        while from < self.input_ids.len() {
            let mut to = (from + room).min(self.input_ids.len());
            while to < self.input_ids.len() && to > from + 1 && !self.begins[to] {
                to -= 1;
            }
            windows.push(self.window(from..to, cut));
            (from, room) = (to, inner);
        }
        windows
    }

    fn window(&self, rows: Range<usize>, cut: &Cut) -> Window {
        let weight = [&[0.0], &self.weight[rows.clone()], &[0.0]].concat();
        Window {
            input_ids: [&[cut.cls_id], &self.input_ids[rows.clone()], &[cut.sep_id]].concat(),
            targets: Targets { allowed: [&[0], &self.allowed[rows], &[0]].concat(), weight },
        }
    }
}

/// The steps of one epoch: all windows, in steps of about `batch_tokens` rows and equal work.
pub fn steps(windows: &[Window], cut: &Cut, stream: Stream) -> Vec<Step> {
    let works: Vec<u64> = windows.iter().map(|window| work(window.input_ids.len(), cut.hidden_size)).collect();
    let rows = windows.iter().map(|window| window.input_ids.len()).sum::<usize>();
    // As many as come closest to `batch_tokens`; an epoch that is shorter is one step.
    let steps = ((rows + cut.batch_tokens / 2) / cut.batch_tokens).max(usize::from(rows > 0));
    let dealt = deal(&works, steps, stream);
    dealt.iter().map(|batch| pack(batch.iter().map(|i| &windows[*i]))).collect()
}

fn pack<'a>(windows: impl Iterator<Item = &'a Window> + Clone) -> Step {
    let batch = Batch::new(windows.clone().map(|window| &window.input_ids[..]));
    let mut targets = Targets::default();
    for window in windows {
        targets.allowed.extend(&window.targets.allowed);
        targets.weight.extend(&window.targets.weight);
    }
    Step { batch, targets }
}

//! A sequence classifier on texts and relations whose labels are known, asked as the product asks it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::backend::Backend;
use crate::error::Result;
use crate::models::{Batch, SequenceClassification};
use crate::tasks::pass::read;
use crate::tasks::settings::{Pooling, Settings, Task};
use crate::text::Tokenizer;
use crate::text::frames::Frame;
use crate::train::bootstrap::Intervals;
use crate::train::metrics::{Report, classification, relations};
use crate::train::readers::{RelationDocument, Sequence};
use crate::train::recipe::Metric;
use crate::train::sequences::{Candidate, SequenceExample, candidates, gold};
use crate::weights::manifest::Window;

/// Rows of a forward pass, about.
const ROWS: usize = 4096;

/// Of the bootstrap.
const SEED: u64 = 1;

/// What a classifier is scored on.
pub struct Exam {
    labels: Vec<String>,
    settings: Settings,
    window: Window,
    multi_label: bool,
    texts: Vec<SequenceExample>,
    documents: Vec<Document>,
}

/// The pairs of a document of relations.
struct Document {
    gold: BTreeSet<((String, String), String)>,
    candidates: Vec<Candidate>,
}

/// How a classifier did.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Figures {
    /// Of texts and pairs.
    Texts(classification::Report),
    /// Of relations.
    Relations(RelationFigures),
}

/// Figures of relations. The label that says that there is none is in no count.
#[derive(Clone, Debug, Serialize)]
pub struct RelationFigures {
    /// Documents.
    pub documents: usize,
    /// Pairs that the model was asked about.
    pub candidates: usize,
    /// Of these, pairs that fit no window: they count as having no relation.
    pub too_far_apart: usize,
    /// Averages and labels.
    #[serde(flatten)]
    pub figures: Report,
    /// Of F1, from a bootstrap over documents.
    pub intervals: Intervals,
}

impl Figures {
    /// The one number of a metric, of 1.
    pub fn value(&self, metric: Metric) -> f64 {
        match (self, metric) {
            (Self::Texts(report), Metric::Accuracy) => report.accuracy,
            (Self::Texts(report), Metric::MicroF1) => report.figures.micro.f1,
            (Self::Texts(report), Metric::MacroF1) => report.figures.macro_average.f1,
            (Self::Relations(report), Metric::Accuracy | Metric::MicroF1) => report.figures.micro.f1,
            (Self::Relations(report), Metric::MacroF1) => report.figures.macro_average.f1,
        }
    }
}

impl Exam {
    /// Of nothing yet. `most` is the longest sequence of the model.
    pub fn new(labels: Vec<String>, settings: Settings, multi_label: bool, most: usize) -> Self {
        let window = settings.window(most);
        Self { labels, settings, window, multi_label, texts: Vec::new(), documents: Vec::new() }
    }

    /// Adds texts or pairs.
    ///
    /// # Errors
    /// As [`SequenceExample::new`].
    pub fn add_texts(&mut self, texts: &[Sequence], tokenizer: &Tokenizer) -> Result<()> {
        for text in texts {
            self.texts.push(SequenceExample::new(text, &self.labels, tokenizer, self.window)?);
        }
        Ok(())
    }

    /// Adds documents with relations.
    pub fn add_relations(&mut self, documents: &[RelationDocument], tokenizer: &Tokenizer) {
        let relations = self.settings.relations.clone().unwrap_or_default();
        self.documents.extend(documents.iter().map(|document| Document {
            gold: gold(document),
            candidates: candidates(document, &relations, tokenizer, self.window.max_length),
        }));
    }

    /// Whether there is nothing to be scored on.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.documents.is_empty()
    }

    /// All figures.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn figures<B: Backend>(&self, backend: &B, model: &SequenceClassification<B>) -> Result<Figures> {
        match self.settings.task {
            Some(Task::Relation) => self.relations(backend, model).await.map(Figures::Relations),
            _ => self.texts(backend, model).await.map(Figures::Texts),
        }
    }

    async fn texts<B: Backend>(
        &self,
        backend: &B,
        model: &SequenceClassification<B>,
    ) -> Result<classification::Report> {
        let frames: Vec<&Frame> = self.texts.iter().flat_map(|text| &text.frames).collect();
        let n = self.labels.len();
        let logits = logits(backend, model, &frames).await?; // [frames, labels]
        let mut scorer = classification::Scorer::new();
        let mut at = 0;
        for text in &self.texts {
            let end = at + text.frames.len();
            let pooled = self.settings.pooling.unwrap_or(Pooling::Mean).pool(&logits[at * n..end * n], n);
            at = end;
            let predicted = if self.multi_label { positive(&pooled) } else { 1 << highest(&pooled) };
            scorer.add_many(&self.names(text.labels), &self.names(predicted));
        }
        Ok(scorer.report(SEED))
    }

    async fn relations<B: Backend>(&self, backend: &B, model: &SequenceClassification<B>) -> Result<RelationFigures> {
        let candidates = || self.documents.iter().flat_map(|document| &document.candidates);
        let frames: Vec<&Frame> = candidates().filter_map(|candidate| candidate.frame.as_ref()).collect();
        let logits = logits(backend, model, &frames).await?; // [frames, labels]
        let mut rows = logits.chunks_exact(self.labels.len());
        let none = self.settings.relations.clone().unwrap_or_default().none;
        let mut scorer = relations::Scorer::new(&none);
        for document in &self.documents {
            let mut predicted = Vec::new();
            for candidate in document.candidates.iter().filter(|candidate| candidate.frame.is_some()) {
                let label = rows.next().map_or(0, highest);
                predicted.push((candidate.pair.clone(), self.labels[label].clone()));
            }
            scorer.add(document.gold.iter().cloned(), predicted);
        }
        Ok(RelationFigures {
            documents: scorer.documents(),
            candidates: candidates().count(),
            too_far_apart: candidates().filter(|candidate| candidate.frame.is_none()).count(),
            figures: scorer.report(),
            intervals: scorer.intervals(SEED),
        })
    }

    fn names(&self, bits: u64) -> Vec<&str> {
        let labels = self.labels.iter().enumerate();
        labels.filter(|(i, _)| bits >> i & 1 == 1).map(|(_, label)| label.as_str()).collect()
    }
}

fn highest(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a))).unwrap_or(0)
}

/// Labels whose probability is above a half.
fn positive(logits: &[f32]) -> u64 {
    logits.iter().enumerate().filter(|(_, z)| **z > 0.0).fold(0, |bits, (label, _)| bits | 1 << label)
}

/// Logits `[frames, labels]`.
async fn logits<B: Backend>(backend: &B, model: &SequenceClassification<B>, frames: &[&Frame]) -> Result<Vec<f32>> {
    let mut logits = Vec::new();
    let (mut from, mut rows) = (0, 0);
    for (i, frame) in frames.iter().enumerate() {
        rows += frame.input_ids.len();
        if rows >= ROWS || i + 1 == frames.len() {
            let batch = Batch::of_pairs(frames[from..=i].iter().map(|frame| (&frame.input_ids[..], frame.first)));
            logits.extend(read(backend, &|| model.forward(backend, &batch)).await?);
            (from, rows) = (i + 1, 0);
        }
    }
    Ok(logits)
}

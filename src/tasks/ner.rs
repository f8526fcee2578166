//! Named entity recognition: a note in, entities at their exact bytes out.
//!
//! A [`Tagger`] reads the whole note, however long: it is cut into overlapping windows and every piece is judged in the
//! window in which it stands furthest from an edge. Work is done in steps, one window each, so that a caller can show
//! progress or stop between them: [`Tagger::start`], [`Tagger::step`] until it is done, [`Tagger::finish`]; or
//! [`Tagger::tag`] for all at once.
//!
//! What de-identification left in a note is one neutral piece for the model and never an entity; what the words around an
//! entity say of it is judged by the rules of [`crate::clinical`].

mod job;

use std::sync::Arc;

pub use self::job::{Job, Judged};

use super::pass::Pass;
use super::settings::{Settings, Task};
use super::{Computed, check_task, read_fitting_tokenizer};
use crate::backend::Backend;
use crate::clinical::{Finding, Knowledge, Mention, Reading};
use crate::error::{Error, ErrorKind, Result};
use crate::json::float;
use crate::models::{Batch, Config, TokenClassification};
use crate::text::Tokenizer;
use crate::text::decode::{Aggregation, Decoding, Span, decode};
use crate::text::frames::Frame;
use crate::text::labels::Labels;
use crate::text::windows::{self, Window};
use crate::weights::folder::Folder;
use crate::weights::manifest;

/// Tags notes with one model on one engine.
pub struct Tagger<B: Backend> {
    backend: B,
    model: TokenClassification<B>,
    tokenizer: Tokenizer,
    knowledge: Arc<Knowledge>,
    info: ModelInfo,
    max_length: usize,
    stride: usize,
}

/// What a model is, as results name it.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The name in the manifest, or `unnamed`.
    pub id: String,
    /// The version in the manifest, or empty.
    pub version: String,
    /// One hash over all files of the model.
    pub sha256: String,
    /// The labels in the order of the logits.
    pub labels: Labels,
}

/// How a note is tagged.
#[derive(Clone, Copy, Debug)]
pub struct TagOptions {
    /// How pieces become words and words become entities.
    pub aggregation: Aggregation,
    /// How the label of each word is chosen.
    pub decoding: Decoding,
}

/// The mean over the pieces of a word, and only legal sequences: what scored best on the development split.
impl Default for TagOptions {
    fn default() -> Self {
        Self { aggregation: Aggregation::Average, decoding: Decoding::Viterbi }
    }
}

/// What was found in a note.
#[derive(Debug)]
pub struct Tagging {
    /// Sorted by place; offsets in bytes of the note.
    pub entities: Vec<Span>,
    /// What the rules say of each entity.
    pub findings: Vec<Finding>,
    /// What the rules read in the note.
    pub reading: Reading,
    /// How much of the note was read.
    pub coverage: Coverage,
    /// What computed.
    pub engine: Computed,
    /// The model that was asked.
    pub model: ModelInfo,
    /// How the entities were read off the scores.
    pub options: TagOptions,
}

/// How much of a note was read. Nothing is ever cut off: every piece is judged in exactly one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Pieces of the note, special tokens not counted.
    pub tokens: usize,
    /// Pieces that a window judged: all of them.
    pub judged: usize,
    /// Forward passes.
    pub windows: usize,
    /// The longest window, special tokens included.
    pub max_length: usize,
    /// The least overlap of two windows, in pieces.
    pub stride: usize,
    /// Placeholders of de-identification, each one piece: findings may hide behind them.
    pub placeholders: usize,
}

impl<B: Backend> Tagger<B> {
    /// Loads a token classifier from a model folder onto an engine.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another hash than its manifest states; an architecture that is not
    /// implemented; a model of another task; labels that are missing or follow no known scheme; a tensor of another
    /// shape than configured.
    pub fn load(backend: B, folder: &Folder) -> Result<Self> {
        let config = Config::of(folder)?;
        let (shape, settings) = (config.shape(), Settings::of(folder)?);
        check_task(folder, &settings, Task::Ner)?;
        let labels = read_labels(folder)?;
        let tokenizer = read_fitting_tokenizer(folder, &shape)?;
        let weights = folder.weights()?;
        let model = TokenClassification::load(&backend, &weights.root(), &config, labels.len())?;
        let manifest::Window { max_length, stride } = settings.window(shape.max_position_embeddings);
        let (id, version) = folder.manifest().map_or(("unnamed", ""), |m| (&m.name, &m.version));
        let info = ModelInfo { id: id.into(), version: version.into(), sha256: folder.sha256().into(), labels };
        let knowledge = Knowledge::shipped();
        Ok(Self { backend, model, tokenizer, knowledge, info, max_length, stride })
    }

    /// The same tagger with other rules than those that ship.
    #[must_use]
    pub fn with_knowledge(mut self, knowledge: impl Into<Arc<Knowledge>>) -> Self {
        self.knowledge = knowledge.into();
        self
    }

    /// The same tagger with other windows than the model folder states: `max_length` pieces, special tokens included,
    /// with an overlap of at least `stride`. What fits is checked when a note is cut.
    #[must_use]
    pub fn with_window(mut self, max_length: usize, stride: usize) -> Self {
        (self.max_length, self.stride) = (max_length, stride);
        self
    }

    /// The model that this tagger asks.
    pub fn model(&self) -> &ModelInfo {
        &self.info
    }

    /// What computes.
    pub fn engine(&self) -> Computed {
        Computed::on(&self.backend)
    }

    /// The engine, of which some can be asked to change.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// How notes are cut.
    pub fn window(&self) -> manifest::Window {
        manifest::Window { max_length: self.max_length, stride: self.stride }
    }

    /// So many full windows of any words, to try an engine with.
    pub fn trial(&self, windows: usize) -> Pass {
        Pass::trial(&self.tokenizer, self.max_length, windows, windows * self.max_length)
    }

    /// See [`Backend::busy_rows`].
    pub fn busy_rows(&self) -> usize {
        self.backend.busy_rows()
    }

    /// Cuts a note into windows; nothing is computed yet.
    ///
    /// # Errors
    /// A window of the model folder that leaves no room for a piece.
    pub fn start(&self, note: &str, options: TagOptions) -> Result<Job> {
        let reading = self.knowledge.read(note);
        let encoding = self.tokenizer.encode_around(note, &reading.placeholders);
        let windows = windows::cut(&encoding, self.max_length, self.stride)?;
        let logits = Vec::with_capacity(encoding.input_ids.len() * self.info.labels.len());
        Ok(Job { note: note.to_owned(), reading, encoding, windows, next: 0, logits, options })
    }

    /// Judges the next window. Does nothing when the job is done.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn step(&self, job: &mut Job) -> Result<()> {
        if job.is_done() {
            return Ok(());
        }
        let judged = self.judge(&self.pass(job, job.next)?).await?;
        judged.into_iter().try_for_each(|window| job.accept(window))
    }

    /// What the model reads of one window. Passes of several windows, of one note or of many, may be joined.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when there is no such window.
    pub fn pass(&self, job: &Job, window: usize) -> Result<Pass> {
        let Window { pieces, kept } = job.window(window)?;
        let frame = Frame::single(&self.tokenizer, &job.encoding.input_ids[pieces.clone()]);
        let (rows, row) = (frame.input_ids.len(), |piece: usize| piece - pieces.start + 1);
        Ok(Pass::new(window, vec![frame], rows, row(kept.start)..row(kept.end)))
    }

    /// Judges the windows of a pass, in its order. Several threads may judge windows of a job at once; [`Job::accept`]
    /// takes them in the order of the note.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn judge(&self, pass: &Pass) -> Result<Vec<Judged>> {
        let forward = |batch: &Batch| self.model.forward(&self.backend, batch); // [R, labels]
        let judged = pass.judge(&self.backend, self.info.labels.len(), &forward).await?;
        Ok(judged.into_iter().map(|(window, logits)| Judged { window, logits }).collect())
    }

    /// What another instance of this model said of a window: [`Judged::into_logits`].
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when there is no such window, or when it judges another number of pieces.
    pub fn judged(&self, job: &Job, window: usize, logits: Vec<f32>) -> Result<Judged> {
        let expected = job.window(window)?.kept.len() * self.info.labels.len();
        if logits.len() != expected {
            let message = format!("window {window}: expected {expected} logits, found {}", logits.len());
            return Err(Error::new(ErrorKind::Input, message));
        }
        Ok(Judged { window, logits })
    }

    /// The likeliest label of each piece that was judged, by itself: what some protocols score.
    pub fn piece_labels(&self, job: &Job) -> Vec<&str> {
        let likeliest =
            |row: &[f32]| row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map(|(label, _)| label);
        let names = self.info.labels.names();
        let labels = job.logits.chunks_exact(names.len().max(1)).filter_map(likeliest);
        labels.filter_map(|label| names.get(label).map(String::as_str)).collect()
    }

    /// Reads the entities off a finished job.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when windows are still to be judged, [`ErrorKind::Backend`] when a logit is not a number.
    pub fn finish(&self, job: Job) -> Result<Tagging> {
        if !job.is_done() {
            let (done, all) = job.progress();
            return Err(Error::new(ErrorKind::Input, format!("the note is not finished: {done} of {all} windows")));
        }
        let labels = &self.info.labels;
        let TagOptions { aggregation, decoding } = job.options;
        let entities = decode(labels, &job.logits, &job.encoding, aggregation, decoding)?;
        let coverage = Coverage {
            tokens: job.encoding.input_ids.len(),
            judged: job.logits.len() / labels.len(),
            windows: job.windows.len(),
            max_length: self.max_length,
            stride: self.stride,
            placeholders: job.reading.placeholders.len(),
        };
        let findings = self.judge_entities(&job, &entities);
        let (engine, model) = (self.engine(), self.info.clone());
        Ok(Tagging { entities, findings, reading: job.reading, coverage, engine, model, options: job.options })
    }

    /// What the rules say of each entity.
    fn judge_entities(&self, job: &Job, entities: &[Span]) -> Vec<Finding> {
        let types = self.info.labels.types();
        let mention = |span: &Span| Mention { range: span.start..span.end, label: &types[span.label] };
        let mentions: Vec<_> = entities.iter().map(mention).collect();
        self.knowledge.judge(&job.note, &job.reading, &mentions)
    }

    /// Tags a whole note.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn tag(&self, note: &str, options: TagOptions) -> Result<Tagging> {
        let mut job = self.start(note, options)?;
        while !job.is_done() {
            self.step(&mut job).await?;
        }
        self.finish(job)
    }
}

/// `id2label`, and `label_transitions` `[L, L]` where the trainer measured them.
fn read_labels(folder: &Folder) -> Result<Labels> {
    let labels = Labels::new(folder.label_names()?)?;
    let rows = folder.config().optional("label_transitions", |rows| rows.items(|row| row.items(float)));
    match rows.map_err(|e| e.at("config.json"))? {
        Some(rows) => labels.with_transitions(rows.concat()),
        None => Ok(labels),
    }
}

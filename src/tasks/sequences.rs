//! The sequence classifier under [`super::classify`], [`super::nli`] and [`super::relation`]: sequences in, a score for
//! each label out.
//!
//! A [`Job`] holds the sequences of one question and the logits found so far. It is done in steps of one forward pass:
//! [`SequenceClassifier::judge`] and [`Job::accept`], as for a note.

mod job;

pub use self::job::{Job, Judged};
use super::pass::Pass;
use super::settings::{Pooling, Settings, Task};
use super::{Computed, check_task, read_fitting_tokenizer};
use crate::backend::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::json::string;
use crate::models::{Batch, Config, SequenceClassification};
use crate::sort;
use crate::text::Tokenizer;
use crate::weights::folder::Folder;
use crate::weights::manifest::Window;

/// Judges sequences with one model on one engine.
pub struct SequenceClassifier<B: Backend> {
    backend: B,
    model: SequenceClassification<B>,
    tokenizer: Tokenizer,
    info: ModelInfo,
    settings: Settings,
    window: Window,
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
    /// What it is asked.
    pub task: Task,
    /// The labels in the order of the logits.
    pub labels: Vec<String>,
    /// Whether each label is said or not for itself: the scores are sigmoids. Else exactly one holds, and they are a
    /// softmax. From `problem_type` of `config.json`; a single label is for itself.
    pub multi_label: bool,
}

/// What a model says about one text, or one pair of texts.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Those that hold, highest score first: exactly one, or of a multi-label model any number.
    pub labels: Vec<usize>,
    /// One a label.
    pub scores: Vec<f32>,
    /// What the scores were computed from: the logits of all windows, pooled.
    pub logits: Vec<f32>,
    /// How the windows became one answer.
    pub pooling: Pooling,
    /// The least score of a label of a multi-label model that holds.
    pub threshold: Option<f32>,
    /// How much was read.
    pub coverage: Coverage,
    /// What computed.
    pub engine: Computed,
    /// The model that was asked.
    pub model: ModelInfo,
}

/// How much of a text was read: every piece, in one or more windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Pieces of the text or texts, special tokens not counted.
    pub tokens: usize,
    /// Sequences that were judged.
    pub windows: usize,
    /// The longest sequence, special tokens included.
    pub max_length: usize,
    /// The least overlap of two windows, in pieces; beside a long second text it is less.
    pub stride: usize,
}

impl ModelInfo {
    /// One score a label from one row of logits: a softmax, or sigmoids.
    pub fn scores(&self, logits: &[f32]) -> Vec<f32> {
        if self.multi_label {
            return logits.iter().map(|&logit| (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32).collect();
        }
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| (power / sum) as f32).collect()
    }

    /// The labels that hold: the likeliest, or of a multi-label model all of at least `threshold`; the likelier first,
    /// of equals the first.
    fn holding(&self, scores: &[f32], threshold: f32) -> Vec<usize> {
        let mut labels: Vec<usize> = (0..scores.len()).collect();
        sort::by(&mut labels, |&a, &b| scores[b].total_cmp(&scores[a]));
        match self.multi_label {
            true => labels.retain(|&label| scores[label] >= threshold),
            false => labels.truncate(1),
        }
        labels
    }
}

impl<B: Backend> SequenceClassifier<B> {
    /// Loads a sequence classifier from a model folder onto an engine.
    ///
    /// # Errors
    /// [`ErrorKind::Task`] when the model was made for something else than `task`; [`ErrorKind::Unsupported`] for a
    /// regression; else as [`super::ner::Tagger::load`].
    pub fn load(backend: B, folder: &Folder, task: Task) -> Result<Self> {
        let config = Config::of(folder)?;
        let settings = Settings::of(folder)?;
        check_task(folder, &settings, task)?;
        let (labels, shape) = (folder.label_names()?, config.shape());
        let multi_label = is_multi_label(folder, labels.len())?;
        let tokenizer = read_fitting_tokenizer(folder, &shape)?;
        let weights = folder.weights()?;
        let model = SequenceClassification::load(&backend, &weights.root(), &config, labels.len())?;
        let window = settings.window(shape.max_position_embeddings);
        let (id, version) = folder.manifest().map_or(("unnamed", ""), |m| (&m.name, &m.version));
        let (id, version, sha256) = (id.into(), version.into(), folder.sha256().into());
        let info = ModelInfo { id, version, sha256, task, labels, multi_label };
        Ok(Self { backend, model, tokenizer, info, settings, window })
    }

    /// The same with other windows than the model folder states: see [`super::ner::Tagger::with_window`].
    #[must_use]
    pub fn with_window(mut self, max_length: usize, stride: usize) -> Self {
        self.window = Window { max_length, stride };
        self
    }

    /// The model that is asked.
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

    /// So many full sequences of any words, to try an engine with.
    pub fn trial(&self, sequences: usize) -> Pass {
        Pass::trial(&self.tokenizer, self.window.max_length, sequences, sequences)
    }

    /// See [`Backend::busy_rows`].
    pub fn busy_rows(&self) -> usize {
        self.backend.busy_rows()
    }

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long texts are cut.
    pub fn window(&self) -> Window {
        self.window
    }

    /// What the model reads in one step of a job. Passes of several steps, of one job or of many, may be joined.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when there is no such step.
    pub fn pass(&self, job: &Job, step: usize) -> Result<Pass> {
        let frames = job.pass(step)?;
        Ok(Pass::new(step, frames.to_vec(), frames.len(), 0..frames.len()))
    }

    /// Judges the sequences of a pass, in its order. Several threads may judge steps of a job at once; [`Job::accept`]
    /// takes them in the order of the job.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn judge(&self, pass: &Pass) -> Result<Vec<Judged>> {
        let forward = |batch: &Batch| self.model.forward(&self.backend, batch); // [sequences, labels]
        let judged = pass.judge(&self.backend, self.info.labels.len(), &forward).await?;
        Ok(judged.into_iter().map(|(step, logits)| Judged::new(step, logits)).collect())
    }

    /// What another instance of this model said of a pass: [`Judged::into_logits`].
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when there is no such pass, or when it is of another number of sequences.
    pub fn judged(&self, job: &Job, pass: usize, logits: Vec<f32>) -> Result<Judged> {
        let expected = job.pass(pass)?.len() * self.info.labels.len();
        if logits.len() != expected {
            return Err(input(format!("pass {pass}: expected {expected} logits, found {}", logits.len())));
        }
        Ok(Judged::new(pass, logits))
    }

    /// Does the next pass. Does nothing when the job is done.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn step(&self, job: &mut Job) -> Result<()> {
        if job.is_done() {
            return Ok(());
        }
        let judged = self.judge(&self.pass(job, job.progress().0)?).await?;
        judged.into_iter().try_for_each(|pass| job.accept(pass))
    }

    /// One answer from all sequences of a finished job.
    pub(super) fn answer(&self, job: &Job, pooling: Option<Pooling>, threshold: f32) -> Result<Answer> {
        let pooling = pooling.or(self.settings.pooling).unwrap_or_default();
        let logits = pooling.pool(job.finished()?, self.info.labels.len());
        let scores = self.info.scores(&logits);
        let Window { max_length, stride } = self.window;
        Ok(Answer {
            labels: self.info.holding(&scores, threshold),
            scores,
            logits,
            pooling,
            threshold: self.info.multi_label.then_some(threshold),
            coverage: Coverage { tokens: job.tokens(), windows: job.frames().len(), max_length, stride },
            engine: self.engine(),
            model: self.info.clone(),
        })
    }
}

/// As Hugging Face's pipeline decides between softmax and sigmoid.
fn is_multi_label(folder: &Folder, labels: usize) -> Result<bool> {
    let said = folder.config().optional("problem_type", string).map_err(|e| e.at("config.json"))?;
    match said.as_deref() {
        None => Ok(labels == 1),
        Some("single_label_classification") => Ok(false),
        Some("multi_label_classification") => Ok(true),
        Some(other) => {
            let message = format!("problem_type {other:?} is not implemented");
            Err(Error::new(ErrorKind::Unsupported, message).at("config.json"))
        }
    }
}

pub(super) fn input(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(multi_label: bool) -> ModelInfo {
        let labels = ["a", "b", "c"].map(String::from).to_vec();
        let (id, version, sha256) = (String::new(), String::new(), String::new());
        ModelInfo { id, version, sha256, task: Task::Classify, labels, multi_label }
    }

    #[test]
    fn scores_and_what_holds_by_hand() {
        let (one, many) = (info(false), info(true));
        let logits = [0.0, 3.0_f32.ln(), 0.0];
        assert_eq!(one.scores(&logits), [0.2, 0.6, 0.2]);
        assert_eq!(many.scores(&logits), [0.5, 0.75, 0.5]);
        assert_eq!(one.scores(&[1000.0, 0.0, -1000.0]), [1.0, 0.0, 0.0]);
        assert_eq!(many.scores(&[1000.0, 0.0, -1000.0]), [1.0, 0.5, 0.0]);
        assert_eq!(one.holding(&[0.4, 0.2, 0.4], 0.5), [0]);
        assert_eq!(many.holding(&[0.5, 0.75, 0.4], 0.5), [1, 0]);
        assert_eq!(many.holding(&[0.1, 0.2, 0.3], 0.5), [0; 0]);
    }
}

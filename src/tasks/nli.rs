//! Natural language inference: a premise and a hypothesis in, entailment, contradiction or neither out.
//!
//! The hypothesis stands whole beside each window of a long premise. The names of the labels are the model's own.

use super::sequences::{Answer, Job, SequenceClassifier, input};
use super::settings::Task;
use crate::backend::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::text::frames::frames_of;
use crate::weights::folder::Folder;

/// Judges pairs of premise and hypothesis with one model on one engine.
pub struct Nli<B: Backend>(SequenceClassifier<B>);

impl<B: Backend> Nli<B> {
    /// Loads a model of inference.
    ///
    /// # Errors
    /// As [`SequenceClassifier::load`]; [`ErrorKind::Unsupported`] for a multi-label model.
    pub fn load(backend: B, folder: &Folder) -> Result<Self> {
        let sequences = SequenceClassifier::load(backend, folder, Task::Nli)?;
        one_label(&sequences)?;
        Ok(Self(sequences))
    }

    /// What judges.
    pub fn sequences(&self) -> &SequenceClassifier<B> {
        &self.0
    }

    /// Cuts a premise into windows, one a step, each with the hypothesis; nothing is computed yet.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when a text holds no word, or when the hypothesis takes more than half of a window.
    pub fn start(&self, premise: &str, hypothesis: &str) -> Result<Job> {
        let [first, second] = [premise, hypothesis].map(|text| self.0.tokenizer().encode(text));
        for (name, encoding) in [("premise", &first), ("hypothesis", &second)] {
            if encoding.is_empty() {
                return Err(input(format!("the {name} holds no word")));
            }
        }
        let window = self.0.window();
        let frames = frames_of(self.0.tokenizer(), &first, Some(&second), window.max_length, window.stride)
            .map_err(|error| error.at("hypothesis"))?;
        Ok(Job::new(frames, 0, first.len() + second.len()))
    }

    /// Reads the answer off a finished job: one label.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when windows are still to be judged, [`ErrorKind::Backend`] when a logit is not a number.
    pub fn finish(&self, job: Job) -> Result<Answer> {
        self.0.answer(&job, None, 0.5)
    }

    /// Judges a whole premise.
    ///
    /// # Errors
    /// As [`Nli::start`] and [`Nli::finish`]; a failure of the engine.
    pub async fn infer(&self, premise: &str, hypothesis: &str) -> Result<Answer> {
        let mut job = self.start(premise, hypothesis)?;
        while !job.is_done() {
            self.0.step(&mut job).await?;
        }
        self.finish(job)
    }
}

/// Refuses a model whose labels do not exclude each other.
pub(super) fn one_label<B: Backend>(sequences: &SequenceClassifier<B>) -> Result<()> {
    if !sequences.model().multi_label {
        return Ok(());
    }
    let message = format!("a multi-label model is not implemented for {}", sequences.model().task.name());
    Err(Error::new(ErrorKind::Unsupported, message).at("config.json"))
}

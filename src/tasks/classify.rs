//! Classification: a text in, its label or labels out.
//!
//! A text longer than a window becomes several that overlap, and their logits one answer: see [`Pooling`].

use super::sequences::{Answer, Job, SequenceClassifier, input};
use super::settings::{Pooling, Task};
use crate::backend::Backend;
use crate::error::Result;
use crate::text::frames::frames_of;
use crate::weights::folder::Folder;

/// Labels texts with one model on one engine.
pub struct Classifier<B: Backend>(SequenceClassifier<B>);

/// How a text is classified.
#[derive(Clone, Copy, Debug)]
pub struct ClassifyOptions {
    /// How windows become one answer; as the model folder states, else the mean.
    pub pooling: Option<Pooling>,
    /// The least score of a label that holds. Only of a multi-label model.
    pub threshold: f32,
}

/// What the model was taught with, and an even chance.
impl Default for ClassifyOptions {
    fn default() -> Self {
        Self { pooling: None, threshold: 0.5 }
    }
}

impl<B: Backend> Classifier<B> {
    /// Loads a classifier of texts.
    ///
    /// # Errors
    /// As [`SequenceClassifier::load`].
    pub fn load(backend: B, folder: &Folder) -> Result<Self> {
        Ok(Self(SequenceClassifier::load(backend, folder, Task::Classify)?))
    }

    /// What judges.
    pub fn sequences(&self) -> &SequenceClassifier<B> {
        &self.0
    }

    /// Cuts a text into windows, one a step; nothing is computed yet.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] when the text holds no word.
    pub fn start(&self, text: &str) -> Result<Job> {
        let encoding = self.0.tokenizer().encode(text);
        if encoding.is_empty() {
            return Err(input("the text holds no word"));
        }
        let window = self.0.window();
        let frames = frames_of(self.0.tokenizer(), &encoding, None, window.max_length, window.stride)?;
        Ok(Job::new(frames, 0, encoding.len()))
    }

    /// Reads the answer off a finished job.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] when windows are still to be judged, or for a threshold that is no score;
    /// [`crate::ErrorKind::Backend`] when a logit is not a number.
    pub fn finish(&self, job: Job, options: ClassifyOptions) -> Result<Answer> {
        if !(0.0..=1.0).contains(&options.threshold) {
            return Err(input("threshold: expected a number from 0 to 1"));
        }
        self.0.answer(&job, options.pooling, options.threshold)
    }

    /// Classifies a whole text.
    ///
    /// # Errors
    /// As [`Classifier::start`] and [`Classifier::finish`]; a failure of the engine.
    pub async fn classify(&self, text: &str, options: ClassifyOptions) -> Result<Answer> {
        let mut job = self.start(text)?;
        while !job.is_done() {
            self.0.step(&mut job).await?;
        }
        self.finish(job, options)
    }
}

//! What reads the passes of a model, whatever its task, and the engine that it lies on.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::engine::{self, Engine};
use crate::backend::Backend;
use crate::error::Result;
use crate::tasks::classify::Classifier;
use crate::tasks::ner::{self, Tagger};
use crate::tasks::nli::Nli;
use crate::tasks::pass::Pass;
use crate::tasks::relation::Extractor;
use crate::tasks::sequences::{self, SequenceClassifier};

/// The logits of the steps of a pass, once the engine has them.
pub(super) type Judging<'a> = Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>>> + 'a>>;

/// A model that is asked.
pub(super) trait Judge {
    /// What it computes on.
    fn engine(&self) -> &Engine;
    /// The most rows of a sequence.
    fn max_length(&self) -> usize;
    /// So many sequences of that length, of any ids.
    #[cfg_attr(not(feature = "webgpu"), allow(dead_code, reason = "without a second engine there is no trial"))]
    fn trial(&self, sequences: usize) -> Pass;
    /// The logits of each step of a pass; of any steps, in any order, in any instance that holds the same model.
    fn judge<'a>(&'a self, pass: &'a Pass) -> Judging<'a>;

    /// See [`Backend::busy_rows`].
    fn busy_rows(&self) -> usize {
        self.engine().busy_rows()
    }
}

impl Judge for Tagger<Engine> {
    fn engine(&self) -> &Engine {
        self.backend()
    }

    fn max_length(&self) -> usize {
        self.window().max_length
    }

    fn trial(&self, sequences: usize) -> Pass {
        self.trial(sequences)
    }

    fn judge<'a>(&'a self, pass: &'a Pass) -> Judging<'a> {
        Box::pin(async {
            let judged = self.judge(pass).await?;
            Ok(judged.into_iter().map(ner::Judged::into_logits).collect())
        })
    }
}

/// A task that stands on a classifier of sequences.
trait OnSequences {
    fn classifier(&self) -> &SequenceClassifier<Engine>;
}

impl OnSequences for Classifier<Engine> {
    fn classifier(&self) -> &SequenceClassifier<Engine> {
        self.sequences()
    }
}

impl OnSequences for Nli<Engine> {
    fn classifier(&self) -> &SequenceClassifier<Engine> {
        self.sequences()
    }
}

impl OnSequences for Extractor<Engine> {
    fn classifier(&self) -> &SequenceClassifier<Engine> {
        self.sequences()
    }
}

impl<T: OnSequences> Judge for T {
    fn engine(&self) -> &Engine {
        self.classifier().backend()
    }

    fn max_length(&self) -> usize {
        self.classifier().window().max_length
    }

    fn trial(&self, sequences: usize) -> Pass {
        self.classifier().trial(sequences)
    }

    fn judge<'a>(&'a self, pass: &'a Pass) -> Judging<'a> {
        Box::pin(async {
            let judged = self.classifier().judge(pass).await?;
            Ok(judged.into_iter().map(sequences::Judged::into_logits).collect())
        })
    }
}

/// The engine that a model computes on.
#[wasm_bindgen]
pub struct Chosen(pub(super) Rc<dyn Judge>);

impl Chosen {
    pub(super) fn new(judge: Rc<dyn Judge>) -> Self {
        Self(judge)
    }
}

#[wasm_bindgen]
impl Chosen {
    /// Whether it is the graphics processor.
    #[wasm_bindgen(getter, js_name = isGpu)]
    pub fn is_gpu(&self) -> bool {
        engine::is_fast(self.0.engine())
    }

    /// Rows of a pass from which on it is busy.
    #[wasm_bindgen(getter, js_name = busyRows)]
    pub fn busy_rows(&self) -> usize {
        self.0.busy_rows()
    }

    /// The most rows of a sequence.
    #[wasm_bindgen(getter, js_name = maxLength)]
    pub fn max_length(&self) -> usize {
        self.0.max_length()
    }
}

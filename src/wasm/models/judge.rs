//! What reads the passes of a model, whatever its task, and the engine that it lies on.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::engine::{self, Engine};
use crate::backend::Backend;
use crate::error::Result;
use crate::tasks::classify::Classifier;
use crate::tasks::ner::Tagger;
use crate::tasks::nli::Nli;
use crate::tasks::pass::Pass;
use crate::tasks::relation::Extractor;
use crate::tasks::sequences::SequenceClassifier;
use crate::tasks::trial::Trial;

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

/// A task, and what reads its passes.
trait Task {
    type Reader: Trial<Engine>;
    fn reader(&self) -> &Self::Reader;
}

impl Task for Tagger<Engine> {
    type Reader = Self;

    fn reader(&self) -> &Self {
        self
    }
}

impl Task for Classifier<Engine> {
    type Reader = SequenceClassifier<Engine>;

    fn reader(&self) -> &Self::Reader {
        self.sequences()
    }
}

impl Task for Nli<Engine> {
    type Reader = SequenceClassifier<Engine>;

    fn reader(&self) -> &Self::Reader {
        self.sequences()
    }
}

impl Task for Extractor<Engine> {
    type Reader = SequenceClassifier<Engine>;

    fn reader(&self) -> &Self::Reader {
        self.sequences()
    }
}

impl<T: Task> Judge for T {
    fn engine(&self) -> &Engine {
        self.reader().engine()
    }

    fn max_length(&self) -> usize {
        self.reader().max_length()
    }

    fn trial(&self, sequences: usize) -> Pass {
        self.reader().trial(sequences)
    }

    fn judge<'a>(&'a self, pass: &'a Pass) -> Judging<'a> {
        Box::pin(self.reader().logits(pass))
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

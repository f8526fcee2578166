//! A question on its way through a model, whatever the task.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wasm_bindgen::prelude::*;

use super::judge::Judge;
use crate::error::{Error, ErrorKind, Result};
use crate::tasks::pass::Pass;

/// What a task does with one question.
pub(super) trait Question {
    /// Forward passes in all.
    fn passes(&self) -> usize;
    /// What is read in one step, and who reads it.
    fn pass(&self, step: usize) -> Result<(Rc<dyn Judge>, Pass)>;
    /// Takes the logits of the next pass over.
    fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<()>;
    /// The document of the answer as JSON.
    fn finish(self: Box<Self>) -> Result<String>;
}

/// A question on its way through a model.
#[wasm_bindgen]
pub struct Job(Box<dyn Question>);

impl Job {
    pub(super) fn new(question: impl Question + 'static) -> Self {
        Self(Box::new(question))
    }

    #[cfg(feature = "webgpu")]
    pub(super) fn question(&self) -> &dyn Question {
        &*self.0
    }
}

#[wasm_bindgen]
impl Job {
    /// Forward passes in all: windows of a text, or several pairs of entities each.
    #[wasm_bindgen(getter)]
    pub fn windows(&self) -> usize {
        self.0.passes()
    }

    /// What the model says of one pass: its logits, a `Float32Array`. Any pass, in any order: several workers may hold
    /// the same question and judge some passes each.
    ///
    /// # Errors
    /// When there is no such pass; a failure of the engine.
    pub fn judge(&self, pass: usize) -> Result<Vec<f32>, JsValue> {
        let (judge, pass) = self.0.pass(pass)?;
        Ok(ready(judge.judge(&pass))?.concat())
    }

    /// Takes over what an instance with the same model and the same question said of the next pass.
    ///
    /// # Errors
    /// When it is another than the next, or of another length.
    pub fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<(), JsValue> {
        Ok(self.0.accept(pass, logits)?)
    }

    /// The result document as JSON, with offsets in UTF-16 units. The job is over.
    ///
    /// # Errors
    /// When passes are still to be done, and for options that the task refuses.
    pub fn finish(self) -> Result<String, JsValue> {
        Ok(self.0.finish()?)
    }
}

/// The outcome of a future that never waits. The CPU engine answers at once, and a call that stays synchronous throws
/// its trap at the caller, where a promise would never settle.
pub(super) fn ready<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Error::new(ErrorKind::Backend, "the engine made a synchronous caller wait")),
    }
}

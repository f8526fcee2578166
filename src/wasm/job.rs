//! A question on its way through a model, whatever the task.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasm_bindgen::prelude::*;

use crate::error::{Error, ErrorKind, Result};

/// What a task does with one question.
pub(super) trait Question {
    /// Forward passes done and in all.
    fn progress(&self) -> (usize, usize);
    /// Does the next pass.
    fn step(&mut self) -> Result<()>;
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
}

#[wasm_bindgen]
impl Job {
    /// Forward passes done so far: windows of a text, or several pairs of entities each.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> usize {
        self.0.progress().0
    }

    /// Forward passes in all.
    #[wasm_bindgen(getter)]
    pub fn windows(&self) -> usize {
        self.0.progress().1
    }

    /// Does the next pass.
    ///
    /// # Errors
    /// A failure of the engine.
    pub fn step(&mut self) -> Result<(), JsValue> {
        Ok(self.0.step()?)
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

//! The JavaScript border: thin wrappers, one a class, and nothing else.
//!
//! A note enters as a JavaScript string, in which a lone surrogate becomes U+FFFD: one UTF-16 unit for another, so that
//! offsets stay those of the caller. Results leave as the JSON of [`crate::export::json`] with UTF-16 offsets. Every
//! failure is a JavaScript `Error` with a `code`; a panic aborts the instance and is the worker's business.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wasm_bindgen::prelude::*;

use crate::backend::simd::SimdBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::export::json;
use crate::tasks::ner;
use crate::text::decode::Aggregation;
use crate::text::offsets::OffsetUnit;
use crate::weights::folder::Folder;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = Error)]
    type JsError;
    #[wasm_bindgen(constructor, js_class = "Error")]
    fn new(message: &str) -> JsError;
    #[wasm_bindgen(method, setter)]
    fn set_code(this: &JsError, code: &str);
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let thrown = JsError::new(&error.to_string());
        thrown.set_code(error.kind().code());
        thrown.into()
    }
}

/// The files of a model folder on their way in.
#[wasm_bindgen]
#[derive(Default)]
pub struct Files(Vec<(String, Vec<u8>)>);

#[wasm_bindgen]
impl Files {
    /// No files yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a file over; the bytes are copied into the memory of the module.
    pub fn add(&mut self, name: String, bytes: Vec<u8>) {
        self.0.push((name, bytes));
    }
}

/// A loaded model on the `simd` engine.
#[wasm_bindgen]
pub struct Tagger(Rc<ner::Tagger<SimdBackend>>);

#[wasm_bindgen]
impl Tagger {
    /// Verifies the files against their manifest and loads the model.
    ///
    /// # Errors
    /// As [`ner::Tagger::load`].
    pub fn load(files: Files) -> Result<Tagger, JsValue> {
        let folder = Folder::from_files(files.0)?;
        Ok(Self(Rc::new(ner::Tagger::load(SimdBackend::new(), &folder)?)))
    }

    /// Cuts a note into windows. `aggregation` is `none`, `simple`, `first`, `average` or `max`; without it, the default.
    ///
    /// # Errors
    /// An aggregation of another name.
    pub fn start(&self, note: String, aggregation: Option<String>) -> Result<Job, JsValue> {
        let mut options = ner::TagOptions::default();
        if let Some(name) = aggregation {
            options.aggregation = aggregation_of(&name)?;
        }
        let job = self.0.start(&note, options)?;
        Ok(Job { tagger: Rc::clone(&self.0), note, job: Some(job) })
    }
}

/// A note on its way through the model.
#[wasm_bindgen]
pub struct Job {
    tagger: Rc<ner::Tagger<SimdBackend>>,
    note: String,
    job: Option<ner::Job>,
}

#[wasm_bindgen]
impl Job {
    /// Windows judged so far.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> usize {
        self.job.as_ref().map_or(0, |job| job.progress().0)
    }

    /// Windows in all.
    #[wasm_bindgen(getter)]
    pub fn windows(&self) -> usize {
        self.job.as_ref().map_or(0, |job| job.progress().1)
    }

    /// Judges the next window.
    ///
    /// # Errors
    /// A failure of the engine.
    pub fn step(&mut self) -> Result<(), JsValue> {
        let job = self.job.as_mut().ok_or_else(finished)?;
        Ok(ready(self.tagger.step(job))?)
    }

    /// The result document as JSON; offsets in UTF-16 units.
    ///
    /// # Errors
    /// When windows are still to be judged.
    pub fn finish(&mut self) -> Result<String, JsValue> {
        let job = self.job.take().ok_or_else(finished)?;
        let tagging = self.tagger.finish(job)?;
        let document = json::document(&tagging, &self.note, OffsetUnit::Utf16)?;
        let text = serde_json::to_string(&document);
        Ok(text.map_err(|error| Error::new(ErrorKind::Backend, error.to_string()))?)
    }
}

fn aggregation_of(name: &str) -> Result<Aggregation> {
    Aggregation::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| {
        let names = Aggregation::ALL.map(Aggregation::name).join(", ");
        Error::new(ErrorKind::Input, format!("aggregation: expected one of {names}, found {name:?}"))
    })
}

fn finished() -> Error {
    Error::new(ErrorKind::Input, "the job is finished")
}

/// The outcome of a future that never waits. The CPU engine answers at once, and a call that stays synchronous throws
/// its trap at the caller, where a promise would never settle.
fn ready<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Error::new(ErrorKind::Backend, "the engine made a synchronous caller wait")),
    }
}

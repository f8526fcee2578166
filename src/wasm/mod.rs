//! The JavaScript border: thin wrappers, one a class, and nothing else.
//!
//! A model is a class of its task; what it is asked becomes a [`job::Job`], whatever the task. A text enters as a
//! JavaScript string, in which a lone surrogate becomes U+FFFD: one UTF-16 unit for another, so that offsets stay those
//! of the caller. Results leave as the JSON of [`crate::export`] with UTF-16 offsets. Every failure is a JavaScript
//! `Error` with a `code`; a panic aborts the instance and is the worker's business.

mod classify;
#[cfg_attr(feature = "webgpu", path = "engine/gpu.rs")]
#[cfg_attr(not(feature = "webgpu"), path = "engine/cpu.rs")]
mod engine;
mod export;
mod job;
mod judge;
mod kernels;
mod knowledge;
mod ner;
mod nli;
mod relation;

use serde::Serialize;
use serde::de::value::{Error as Unknown, StringDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use wasm_bindgen::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::export::{About, Engine};
use crate::tasks::Computed;
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

impl Files {
    /// Verifies the files against their manifest.
    fn folder(self) -> Result<Folder> {
        Folder::from_files(self.0)
    }
}

/// Who answers, as JSON.
fn about<M: Serialize>(engine: &Computed, model: M) -> Result<String> {
    json(&About { engine: Engine::new(engine), model })
}

fn json(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document).map_err(|error| Error::new(ErrorKind::Backend, error.to_string()))
}

/// A choice by the name that results and configs have for it.
fn choice<T: DeserializeOwned>(of: &str, name: Option<String>) -> Result<Option<T>> {
    let read = |name: String| {
        let name: StringDeserializer<Unknown> = name.into_deserializer();
        T::deserialize(name).map_err(|error| Error::new(ErrorKind::Input, format!("{of}: {error}")))
    };
    name.map(read).transpose()
}

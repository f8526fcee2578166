//! Models: a class a task. What one is asked becomes a [`job::Job`], whatever the task.

mod classify;
#[cfg_attr(feature = "webgpu", path = "engine/gpu.rs")]
#[cfg_attr(not(feature = "webgpu"), path = "engine/cpu.rs")]
mod engine;
mod job;
mod judge;
mod kernels;
mod knowledge;
mod ner;
mod nli;
mod relation;

use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::export::{About, Engine};
use crate::tasks::Computed;
use crate::weights::folder::Folder;

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
fn choice<T: Copy>(of: &str, name: Option<String>, all: &[T], named: fn(T) -> &'static str) -> Result<Option<T>> {
    let Some(name) = name else { return Ok(None) };
    let found = all.iter().copied().find(|&choice| named(choice) == name);
    let names = || all.iter().map(|&choice| named(choice)).collect::<Vec<_>>().join(", ");
    let unknown = || Error::new(ErrorKind::Input, format!("{of}: expected one of {}, found {name:?}", names()));
    found.map(Some).ok_or_else(unknown)
}

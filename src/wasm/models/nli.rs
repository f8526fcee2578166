//! What a premise says of a hypothesis.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::engine::{Engine, Gpu, engine};
use super::job::{Job, Question};
use super::judge::{Chosen, Judge};
use super::{Files, about, json};
use crate::error::Result;
use crate::export::{self, Model};
use crate::tasks::pass::Pass;
use crate::tasks::{nli, sequences};

/// A model of inference.
#[wasm_bindgen]
pub struct Nli(Rc<nli::Nli<Engine>>);

#[wasm_bindgen]
impl Nli {
    /// Verifies the files against their manifest and loads the model.
    ///
    /// # Errors
    /// As [`nli::Nli::load`].
    pub fn load(files: Files, gpu: Option<Gpu>, reason: Option<String>) -> Result<Nli, JsValue> {
        Ok(Self(Rc::new(nli::Nli::load(engine(gpu, reason), &files.folder()?)?)))
    }

    /// What it computes on.
    #[wasm_bindgen(getter)]
    pub fn chosen(&self) -> Chosen {
        Chosen::new(Rc::clone(&self.0) as Rc<dyn Judge>)
    }

    /// Engine and model as JSON.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn about(&self) -> Result<String, JsValue> {
        let sequences = self.0.sequences();
        Ok(about(&sequences.engine(), Model::new(sequences.model()))?)
    }

    /// Cuts a premise into windows beside its hypothesis.
    ///
    /// # Errors
    /// As [`nli::Nli::start`].
    pub fn start(&self, premise: String, hypothesis: String) -> Result<Job, JsValue> {
        let job = self.0.start(&premise, &hypothesis)?;
        Ok(Job::new(Pair { nli: Rc::clone(&self.0), premise, hypothesis, job }))
    }
}

struct Pair {
    nli: Rc<nli::Nli<Engine>>,
    premise: String,
    hypothesis: String,
    job: sequences::Job,
}

impl Question for Pair {
    fn passes(&self) -> usize {
        self.job.progress().1
    }

    fn pass(&self, step: usize) -> Result<(Rc<dyn Judge>, Pass)> {
        let pass = self.nli.sequences().pass(&self.job, step)?;
        Ok((Rc::clone(&self.nli) as Rc<dyn Judge>, pass))
    }

    fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<()> {
        self.job.accept(self.nli.sequences().judged(&self.job, pass, logits)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let answer = self.nli.finish(self.job)?;
        json(&export::nli::document(&answer, &self.premise, &self.hypothesis))
    }
}

//! What a premise says of a hypothesis.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::job::{Job, Judging, Question};
use super::{Files, about, json, kernels};
use crate::backend::simd::SimdBackend;
use crate::error::Result;
use crate::export::{self, Model};
use crate::tasks::pass::Pass;
use crate::tasks::{nli, sequences};

/// A model of inference on the `simd` engine.
#[wasm_bindgen]
pub struct Nli(Rc<nli::Nli<SimdBackend>>);

#[wasm_bindgen]
impl Nli {
    /// Verifies the files against their manifest and loads the model.
    ///
    /// # Errors
    /// As [`nli::Nli::load`].
    pub fn load(files: Files) -> Result<Nli, JsValue> {
        Ok(Self(Rc::new(nli::Nli::load(kernels::engine(), &files.folder()?)?)))
    }

    /// Engine and model as JSON.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn about(&self) -> Result<String, JsValue> {
        let sequences = self.0.sequences();
        Ok(about(sequences.engine(), Model::new(sequences.model()))?)
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
    nli: Rc<nli::Nli<SimdBackend>>,
    premise: String,
    hypothesis: String,
    job: sequences::Job,
}

impl Question for Pair {
    fn passes(&self) -> usize {
        self.job.progress().1
    }

    fn pass(&self, step: usize) -> Result<Pass> {
        self.nli.sequences().pass(&self.job, step)
    }

    fn judge(&self, pass: Pass) -> Judging {
        let nli = Rc::clone(&self.nli);
        Box::pin(async move {
            let judged = nli.sequences().judge(&pass).await?;
            Ok(judged.into_iter().map(sequences::Judged::into_logits).collect())
        })
    }

    fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<()> {
        self.job.accept(self.nli.sequences().judged(&self.job, pass, logits)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let answer = self.nli.finish(self.job)?;
        json(&export::nli::document(&answer, &self.premise, &self.hypothesis))
    }
}

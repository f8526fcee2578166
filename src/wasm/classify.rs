//! Labels of a text.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::job::{Job, Judging, Question};
use super::{Files, about, choice, json, kernels};
use crate::backend::simd::SimdBackend;
use crate::error::Result;
use crate::export::{Model, classification};
use crate::tasks::classify::{self, ClassifyOptions};
use crate::tasks::pass::Pass;
use crate::tasks::sequences;

/// A classifier of texts on the `simd` engine.
#[wasm_bindgen]
pub struct Classifier(Rc<classify::Classifier<SimdBackend>>);

#[wasm_bindgen]
impl Classifier {
    /// Verifies the files against their manifest and loads the model.
    ///
    /// # Errors
    /// As [`classify::Classifier::load`].
    pub fn load(files: Files) -> Result<Classifier, JsValue> {
        Ok(Self(Rc::new(classify::Classifier::load(kernels::engine(), &files.folder()?)?)))
    }

    /// Engine and model as JSON.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn about(&self) -> Result<String, JsValue> {
        let sequences = self.0.sequences();
        Ok(about(sequences.engine(), Model::new(sequences.model()))?)
    }

    /// Cuts a text into windows. `pooling` is `mean` or `max`; without it, as the model was taught. `threshold` is the
    /// least score of a label of a multi-label model that holds.
    ///
    /// # Errors
    /// As [`classify::Classifier::start`]; a pooling of another name.
    pub fn start(&self, text: String, pooling: Option<String>, threshold: Option<f32>) -> Result<Job, JsValue> {
        let mut options = ClassifyOptions { pooling: choice("pooling", pooling)?, ..ClassifyOptions::default() };
        if let Some(threshold) = threshold {
            options.threshold = threshold;
        }
        let job = self.0.start(&text)?;
        Ok(Job::new(Text { classifier: Rc::clone(&self.0), text, job, options }))
    }
}

struct Text {
    classifier: Rc<classify::Classifier<SimdBackend>>,
    text: String,
    job: sequences::Job,
    options: ClassifyOptions,
}

impl Question for Text {
    fn passes(&self) -> usize {
        self.job.progress().1
    }

    fn pass(&self, step: usize) -> Result<Pass> {
        self.classifier.sequences().pass(&self.job, step)
    }

    fn judge(&self, pass: Pass) -> Judging {
        let classifier = Rc::clone(&self.classifier);
        Box::pin(async move {
            let judged = classifier.sequences().judge(&pass).await?;
            Ok(judged.into_iter().map(sequences::Judged::into_logits).collect())
        })
    }

    fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<()> {
        self.job.accept(self.classifier.sequences().judged(&self.job, pass, logits)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let answer = self.classifier.finish(self.job, self.options)?;
        json(&classification::document(&answer, &self.text))
    }
}

//! Labels of a text.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::engine::{Engine, Gpu, engine};
use super::job::{Job, Question};
use super::judge::{Chosen, Judge};
use super::{Files, about, choice, json};
use crate::error::Result;
use crate::export::{Model, classification};
use crate::tasks::classify::{self, ClassifyOptions};
use crate::tasks::pass::Pass;
use crate::tasks::sequences;
use crate::tasks::settings::Pooling;

/// A classifier of texts.
#[wasm_bindgen]
pub struct Classifier(Rc<classify::Classifier<Engine>>);

#[wasm_bindgen]
impl Classifier {
    /// Verifies the files against their manifest and loads the model.
    ///
    /// # Errors
    /// As [`classify::Classifier::load`].
    pub fn load(files: Files, gpu: Option<Gpu>, reason: Option<String>) -> Result<Classifier, JsValue> {
        Ok(Self(Rc::new(classify::Classifier::load(engine(gpu, reason), &files.folder()?)?)))
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

    /// Cuts a text into windows. `pooling` is `mean` or `max`; without it, as the model was taught. `threshold` is the
    /// least score of a label of a multi-label model that holds.
    ///
    /// # Errors
    /// As [`classify::Classifier::start`]; a pooling of another name.
    pub fn start(&self, text: String, pooling: Option<String>, threshold: Option<f32>) -> Result<Job, JsValue> {
        let mut options = ClassifyOptions {
            pooling: choice("pooling", pooling, &Pooling::ALL, Pooling::name)?,
            ..ClassifyOptions::default()
        };
        if let Some(threshold) = threshold {
            options.threshold = threshold;
        }
        let job = self.0.start(&text)?;
        Ok(Job::new(Text { classifier: Rc::clone(&self.0), text, job, options }))
    }
}

struct Text {
    classifier: Rc<classify::Classifier<Engine>>,
    text: String,
    job: sequences::Job,
    options: ClassifyOptions,
}

impl Question for Text {
    fn passes(&self) -> usize {
        self.job.progress().1
    }

    fn pass(&self, step: usize) -> Result<(Rc<dyn Judge>, Pass)> {
        let pass = self.classifier.sequences().pass(&self.job, step)?;
        Ok((Rc::clone(&self.classifier) as Rc<dyn Judge>, pass))
    }

    fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<()> {
        self.job.accept(self.classifier.sequences().judged(&self.job, pass, logits)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let answer = self.classifier.finish(self.job, self.options)?;
        json(&classification::document(&answer, &self.text))
    }
}

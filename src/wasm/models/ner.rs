//! Entities of a note.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::engine::{Engine, Gpu, engine};
use super::job::{Job, Question};
use super::judge::{Chosen, Judge};
use super::knowledge::Knowledge;
use super::{Files, about, choice, json};
use crate::error::Result;
use crate::export;
use crate::tasks::ner;
use crate::tasks::pass::Pass;
use crate::text::decode::Aggregation;
use crate::text::offsets::OffsetUnit;

/// A tagger.
#[wasm_bindgen]
pub struct Tagger(Rc<ner::Tagger<Engine>>);

#[wasm_bindgen]
impl Tagger {
    /// Verifies the files against their manifest and loads the model. `knowledge`: rules besides those that ship.
    ///
    /// # Errors
    /// As [`ner::Tagger::load`].
    pub fn load(
        files: Files,
        gpu: Option<Gpu>,
        reason: Option<String>,
        knowledge: Option<Knowledge>,
    ) -> Result<Tagger, JsValue> {
        let tagger = ner::Tagger::load(engine(gpu, reason), &files.folder()?)?;
        Ok(Self(Rc::new(match knowledge {
            Some(knowledge) => tagger.with_knowledge(knowledge.into_rules()),
            None => tagger,
        })))
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
        Ok(about(&self.0.engine(), export::json::Model::new(self.0.model()))?)
    }

    /// Cuts a note into windows. `aggregation` is `none`, `simple`, `first`, `average` or `max`; without it, the default.
    ///
    /// # Errors
    /// An aggregation of another name.
    pub fn start(&self, note: String, aggregation: Option<String>) -> Result<Job, JsValue> {
        let mut options = ner::TagOptions::default();
        if let Some(aggregation) = choice("aggregation", aggregation, &Aggregation::ALL, Aggregation::name)? {
            options.aggregation = aggregation;
        }
        let job = self.0.start(&note, options)?;
        Ok(Job::new(Note { tagger: Rc::clone(&self.0), note, job }))
    }
}

struct Note {
    tagger: Rc<ner::Tagger<Engine>>,
    note: String,
    job: ner::Job,
}

impl Question for Note {
    fn passes(&self) -> usize {
        self.job.progress().1
    }

    fn pass(&self, step: usize) -> Result<(Rc<dyn Judge>, Pass)> {
        let pass = self.tagger.pass(&self.job, step)?;
        Ok((Rc::clone(&self.tagger) as Rc<dyn Judge>, pass))
    }

    fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<()> {
        self.job.accept(self.tagger.judged(&self.job, pass, logits)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let tagging = self.tagger.finish(self.job)?;
        json(&export::json::document(&tagging, &self.note, OffsetUnit::Utf16)?)
    }
}

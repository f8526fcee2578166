//! Relations between the entities of a note.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::engine::{Engine, Gpu, engine};
use super::job::{Job, Question};
use super::judge::{Chosen, Judge};
use super::{Files, about, choice, json};
use crate::error::Result;
use crate::export::{Model, relations};
use crate::tasks::pass::Pass;
use crate::tasks::relation::given::{self, in_bytes};
use crate::tasks::relation::{self, RelationOptions};
use crate::text::markers::Markers;
use crate::text::offsets::OffsetUnit;

/// A relation model.
#[wasm_bindgen]
pub struct Extractor(Rc<relation::Extractor<Engine>>);

#[wasm_bindgen]
impl Extractor {
    /// Verifies the files against their manifest and loads the model. `markers` is `typed` or `replaced`, for a folder
    /// that does not say it.
    ///
    /// # Errors
    /// As [`relation::Extractor::load`]; markers of another name.
    pub fn load(
        files: Files,
        gpu: Option<Gpu>,
        reason: Option<String>,
        markers: Option<String>,
    ) -> Result<Extractor, JsValue> {
        let markers = choice("markers", markers, &Markers::ALL, Markers::name)?;
        Ok(Self(Rc::new(relation::Extractor::load(engine(gpu, reason), &files.folder()?, markers)?)))
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

    /// Marks the pairs of `entities`, which are JSON: objects of `start`, `end` (UTF-16 units) and `label`.
    ///
    /// # Errors
    /// Entities of another form, or that do not lie in the note.
    pub fn start(
        &self,
        note: String,
        entities: &str,
        none: bool,
        max_pieces: Option<usize>,
        max_lines: Option<usize>,
    ) -> Result<Job, JsValue> {
        let entities = in_bytes(&note, &given::read(entities)?, OffsetUnit::Utf16)?;
        let job = self.0.start(&note, entities, RelationOptions { none, max_pieces, max_lines })?;
        Ok(Job::new(Pairs { extractor: Rc::clone(&self.0), note, job }))
    }
}

struct Pairs {
    extractor: Rc<relation::Extractor<Engine>>,
    note: String,
    job: relation::Job,
}

impl Question for Pairs {
    fn passes(&self) -> usize {
        self.job.progress().1
    }

    fn pass(&self, step: usize) -> Result<(Rc<dyn Judge>, Pass)> {
        let pass = self.extractor.sequences().pass(self.job.sequences(), step)?;
        Ok((Rc::clone(&self.extractor) as Rc<dyn Judge>, pass))
    }

    fn accept(&mut self, pass: usize, logits: Vec<f32>) -> Result<()> {
        self.job.accept(self.extractor.sequences().judged(self.job.sequences(), pass, logits)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let extraction = self.extractor.finish(self.job)?;
        json(&relations::document(&extraction, &self.note, OffsetUnit::Utf16)?)
    }
}

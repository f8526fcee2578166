//! A result in another form.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::job::{Job, Question};
use super::judge::Judge;
use crate::error::{Error, ErrorKind, Result};
use crate::export::json::Document;
use crate::export::{Format, Named, Options, write};
use crate::tasks::pass::Pass;

/// Results of a tagger in other forms.
#[wasm_bindgen]
pub struct Export;

#[wasm_bindgen]
impl Export {
    /// Writes a result, or a corrected copy, in another form. `document` and `options` are JSON. A question of no passes:
    /// [`Job::finish`] gives the text.
    ///
    /// # Errors
    /// A format of another name; options of another form.
    pub fn start(note: String, document: String, format: &str, options: &str) -> Result<Job, JsValue> {
        let format = Format::of(format).ok_or_else(|| {
            let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
            input(&format!("format: expected one of {}", names.join(", ")))
        })?;
        Ok(Job::new(Asked { note, document, format, options: Options::read(options)? }))
    }
}

struct Asked {
    note: String,
    document: String,
    format: Format,
    options: Options,
}

impl Question for Asked {
    fn passes(&self) -> usize {
        0
    }

    fn pass(&self, _step: usize) -> Result<(Rc<dyn Judge>, Pass)> {
        Err(input("an export has no passes"))
    }

    fn accept(&mut self, _pass: usize, _logits: Vec<f32>) -> Result<()> {
        Err(input("an export has no passes"))
    }

    fn finish(self: Box<Self>) -> Result<String> {
        let document = Document::read(&self.document, &self.note)?;
        write(self.format, &document, &self.note, &self.options)
    }
}

fn input(message: &str) -> Error {
    Error::new(ErrorKind::Input, message)
}

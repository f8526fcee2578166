//! What a caller adds to the rules that ship.

use wasm_bindgen::prelude::*;

use crate::clinical::abbreviations::List;
use crate::clinical::{self, Terms};
use crate::error::{Error, ErrorKind, Result};

/// The rules of a tagger on their way in.
#[wasm_bindgen]
#[derive(Default)]
pub struct Knowledge(clinical::Knowledge);

#[wasm_bindgen]
impl Knowledge {
    /// The rules that ship.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `rules`, `sections`, `abbreviations` or `terms`, each in its own form; `system` is that of terms whose table
    /// names none.
    ///
    /// # Errors
    /// A line of another form, by its number.
    pub fn add(self, kind: &str, bytes: Vec<u8>, system: Option<String>) -> Result<Knowledge, JsValue> {
        Ok(Self(added(self.0, kind, bytes, system).map_err(|error| error.at(kind))?))
    }
}

impl Knowledge {
    pub(super) fn into_rules(self) -> clinical::Knowledge {
        self.0
    }
}

fn added(
    knowledge: clinical::Knowledge,
    kind: &str,
    bytes: Vec<u8>,
    system: Option<String>,
) -> Result<clinical::Knowledge> {
    let input = |message: &str| Error::new(ErrorKind::Input, message);
    let text = |bytes| String::from_utf8(bytes).map_err(|_| input("expected UTF-8"));
    match kind {
        "rules" => knowledge.with_rules(&text(bytes)?),
        "sections" => knowledge.with_sections(&text(bytes)?),
        "abbreviations" => Ok(knowledge.with_abbreviations(List::from_tsv(bytes)?)),
        "terms" => Ok(knowledge.with_terms(Terms::from_tsv(bytes, system.as_deref())?)),
        _ => Err(input("expected rules, sections, abbreviations or terms")),
    }
}

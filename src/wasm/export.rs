//! A result in another form.

use wasm_bindgen::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::export::json::Document;
use crate::export::{Format, Named, Options, write};

/// Writes the result of a tagger, or a corrected copy, in another form. `document` and `options` are JSON.
///
/// # Errors
/// A format of another name; options of another form; a document that is not about the note.
#[wasm_bindgen(js_name = write)]
#[expect(unreachable_pub, reason = "JavaScript reaches it")]
pub fn write_form(note: &str, document: &str, format: &str, options: &str) -> Result<String, JsValue> {
    let format = Format::of(format).ok_or_else(unknown)?;
    let options = Options::read(options)?;
    Ok(write(format, &Document::read(document, note)?, note, &options)?)
}

fn unknown() -> Error {
    let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
    Error::new(ErrorKind::Input, format!("format: expected one of {}", names.join(", ")))
}

//! The forms by their names, and the one door to all of them.

use super::assertion::Named;
use super::json::Document;
use super::node::input;
use super::{csv, doccano};
use crate::error::Result;

/// A form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The document, indented.
    Json,
    /// The document in one line.
    Jsonl,
    /// What doccano imports, one line.
    Doccano,
    /// A table, one row an entity.
    Csv,
}

/// What is said besides document and note.
#[derive(Clone, Default)]
pub struct Options {
    /// What the note is called, where the form has a place for it. May be empty.
    pub name: String,
}

impl Options {
    /// Nothing but a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

impl Named for Format {
    const ALL: &'static [Self] = &[Self::Json, Self::Jsonl, Self::Doccano, Self::Csv];

    fn name(self) -> &'static str {
        ["json", "jsonl", "doccano", "csv"][self as usize]
    }
}

impl Format {
    /// How names of files of this form end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Jsonl | Self::Doccano => "jsonl",
        }
    }

    /// Whether what is written of several notes may stand in one file, one [`body`] after the other.
    pub fn holds_several(self) -> bool {
        true
    }

    /// What stands once at the top of a file, before the first [`body`].
    pub fn header(self) -> &'static str {
        if self == Self::Csv { csv::HEADER } else { "" }
    }
}

/// A file of one note, in UTF-8.
///
/// # Errors
/// As [`Document::check`].
pub fn write(format: Format, document: &Document, note: &str, options: &Options) -> Result<String> {
    Ok([format.header(), &body(format, document, note, options)?].concat())
}

/// What [`write()`] writes without its header: what a further note adds to a file.
///
/// # Errors
/// As [`Document::check`].
pub fn body(format: Format, document: &Document, note: &str, options: &Options) -> Result<String> {
    let checked = document.check(note)?;
    match format {
        Format::Json => json(serde_json::to_string_pretty(document)),
        Format::Jsonl => json(serde_json::to_string(document)),
        Format::Doccano => doccano::write(&checked, options),
        Format::Csv => Ok(csv::write(&checked, options)),
    }
}

/// JSON with the line break at its end.
pub(super) fn json(written: serde_json::Result<String>) -> Result<String> {
    written.map(|text| text + "\n").map_err(|_| input("the document cannot be written as JSON".into()))
}

//! The forms by their names, and the one door to all of them.

use super::assertion::Named;
use super::check::Checked;
use super::input;
use super::json::Document;
use super::options::Options;
use super::tree::{Tree, object};
use super::{brat, conll, csv, displacy, doccano, fhir, html, prodigy};
use crate::error::Result;

/// A form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The document, indented.
    Json,
    /// The document in one line.
    Jsonl,
    /// A FHIR R4 Bundle in one line.
    Fhir,
    /// The `.ann` file of brat, which stands beside the note as `.txt`.
    Brat,
    /// A token a line with its IOB2 tag.
    Conll,
    /// What doccano imports, one line.
    Doccano,
    /// What prodigy imports, one line.
    Prodigy,
    /// What displaCy draws, one line.
    Displacy,
    /// A table, one row an entity.
    Csv,
    /// A page of its own.
    Html,
}

impl Named for Format {
    const ALL: &'static [Self] = &[
        Self::Json,
        Self::Jsonl,
        Self::Fhir,
        Self::Brat,
        Self::Conll,
        Self::Doccano,
        Self::Prodigy,
        Self::Displacy,
        Self::Csv,
        Self::Html,
    ];

    fn name(self) -> &'static str {
        ["json", "jsonl", "fhir", "brat", "conll", "doccano", "prodigy", "displacy", "csv", "html"][self as usize]
    }
}

impl Format {
    /// How names of files of this form end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Fhir => "fhir.json",
            Self::Brat => "ann",
            Self::Jsonl | Self::Doccano | Self::Prodigy | Self::Displacy => "jsonl",
            Self::Conll | Self::Csv | Self::Html => self.name(),
        }
    }

    /// Whether what is written of several notes may stand in one file, one [`body`] after the other.
    pub fn holds_several(self) -> bool {
        !matches!(self, Self::Brat | Self::Html)
    }

    /// What stands once at the top of a file, before the first [`body`].
    pub fn header(self) -> &'static str {
        if self == Self::Csv { csv::HEADER } else { "" }
    }
}

/// A file of one note, in UTF-8.
///
/// # Errors
/// As [`Document::check`]; options of FHIR that FHIR does not allow.
pub fn write(format: Format, document: &Document, note: &str, options: &Options) -> Result<String> {
    Ok([format.header(), &body(format, document, note, options)?].concat())
}

/// What [`write()`] writes without its header: what a further note adds to a file.
///
/// # Errors
/// As [`write()`].
pub fn body(format: Format, document: &Document, note: &str, options: &Options) -> Result<String> {
    let checked = document.check(note)?;
    Ok(match format {
        Format::Json => indented(&line(document)?),
        Format::Jsonl => line(document)?,
        Format::Fhir => fhir::write(&checked, options)?,
        Format::Brat => brat::write(&checked),
        Format::Conll => conll::write(&checked, options),
        Format::Doccano => doccano::write(&checked, options),
        Format::Prodigy => prodigy::write(&checked, options),
        Format::Displacy => displacy::write(&checked, options),
        Format::Csv => csv::write(&checked, options),
        Format::Html => html::write(&checked, options),
    })
}

fn line(document: &Document) -> Result<String> {
    let written = serde_json::to_string(document);
    written.map(|line| line + "\n").map_err(|_| input("the document cannot be written as JSON".into()))
}

/// JSON in one line as JSON in many. A second serializer would be 15 kB of WebAssembly.
fn indented(line: &str) -> String {
    let mut out = String::with_capacity(2 * line.len());
    let (mut depth, mut is_text, mut is_escaped) = (0, false, false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let opens = !is_text && matches!(c, '{' | '[');
        if !is_text && matches!(c, '}' | ']') && !out.ends_with(['{', '[']) {
            depth -= 1;
            new_line(&mut out, depth);
        }
        out.push(c);
        match c {
            ',' if !is_text => new_line(&mut out, depth),
            ':' if !is_text => out.push(' '),
            _ if opens && !matches!(rest.peek(), Some('}' | ']')) => {
                depth += 1;
                new_line(&mut out, depth);
            }
            _ => (),
        }
        is_text ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// What an annotation tool shows beside a text.
pub(super) fn meta(checked: &Checked<'_>, options: &Options) -> Tree {
    let document = checked.document;
    object([
        ("name", options.name.as_str().into()),
        ("text_sha256", document.text_sha256.as_str().into()),
        ("model", document.model.id.as_str().into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn lines_are_those_of_serde_json() {
        let json = r#"{"a":[],"b":{},"c":[1,{"d":"x: {\"y\", [\\"},[[]]],"e":"\\","f":null,"g":{"h":[{"i":-1.5}]}}"#;
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(indented(json), serde_json::to_string_pretty(&value).unwrap());
    }
}

//! In which form a tagged note is written.

use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clinlite::export::fhir::{FhirOptions, Resource};
use clinlite::export::json::Document;
use clinlite::export::options::mapping;
use clinlite::export::{self, Named, Options};

use crate::inputs::Origin;
use crate::output::{Format, Output, with_origin};

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// for a reader at a terminal
    #[default]
    Text,
    /// one indented document a note
    Json,
    /// one line a note
    Jsonl,
    /// a FHIR R4 Bundle in one line
    Fhir,
    /// the .ann file of brat, beside the note as .txt
    Brat,
    /// a token a line with its IOB2 tag
    Conll,
    /// one line a note, for doccano
    Doccano,
    /// one line a note, for prodigy
    Prodigy,
    /// one line a note, for displaCy
    Displacy,
    /// a table, one row an entity
    Csv,
    /// a page that prints
    Html,
    /// a table, one row a note; with --out
    Parquet,
}

/// What a FHIR bundle says besides document and note.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "With --format fhir")]
pub(crate) struct Fhir {
    /// The reference of the patient, such as Patient/12
    #[arg(long, value_name = "REFERENCE")]
    subject: Option<String>,
    /// Leave the note out of the DocumentReference, which then holds its hash alone
    #[arg(long)]
    without_note: bool,
    /// When this was made, such as 2026-01-31T12:00:00Z; without it the Provenance says that it is not known
    #[arg(long, value_name = "INSTANT")]
    recorded: Option<String>,
    /// What entities of a label become: Condition, MedicationStatement, Procedure, Observation or None
    #[arg(long = "resource", value_name = "LABEL=RESOURCE", value_parser = mapping)]
    resources: Vec<(String, Resource)>,
}

impl From<Fhir> for FhirOptions {
    fn from(Fhir { subject, without_note, recorded, resources }: Fhir) -> Self {
        Self { subject, without_note, recorded, resources }
    }
}

/// How documents are written.
#[derive(Clone, Default)]
pub(crate) struct Written {
    pub(super) form: Form,
    pub(super) fhir: FhirOptions,
}

impl Form {
    /// What `--format` or the kind of input asks for.
    pub(super) fn of(asked: Option<Self>, lines: bool) -> Self {
        asked.unwrap_or(if lines { Self::Jsonl } else { Self::Text })
    }

    /// The same for [`Output`], which writes those that every task has.
    pub(super) fn output(self) -> Format {
        match self {
            Self::Text => Format::Text,
            Self::Json => Format::Json,
            _ => Format::Jsonl,
        }
    }

    /// The form as the library has it; nothing for those that [`Output`] writes.
    fn export(self) -> Option<export::Format> {
        let of_output = matches!(self, Self::Text | Self::Json | Self::Jsonl);
        self.to_possible_value().filter(|_| !of_output).and_then(|value| export::Format::of(value.get_name()))
    }

    /// As it is typed.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// How names of files of this form end.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "json",
            Self::Parquet => "parquet",
            _ => self.export().map_or("jsonl", export::Format::extension),
        }
    }

    /// Whether a file of this form may hold several notes.
    pub(super) fn holds_several(self) -> bool {
        self.export().is_none_or(export::Format::holds_several)
    }

    /// What stands once at the top of a file.
    pub(super) fn header(self) -> &'static str {
        self.export().map_or("", export::Format::header)
    }

    /// What a note adds to a file. A table of Parquet is written from lines of JSON at the end.
    pub(super) fn body(self, fhir: &FhirOptions, origin: &Origin, note: &str, document: &Document) -> Result<String> {
        let Some(format) = self.export() else { return with_origin(self.output(), origin, document) };
        let options = Options { name: origin.name(), fhir: fhir.clone() };
        export::body(format, document, note, &options).with_context(|| origin.shown())
    }

    /// Refuses, for standard output, a form that does not hold several notes, and a table of Parquet.
    pub(super) fn check(self, several: bool) -> Result<()> {
        if self == Self::Parquet {
            bail!("--format parquet is a file: name a file or folder with --out");
        }
        if let Some(format) = self.export().filter(|format| several && !format.holds_several()) {
            bail!("--format {} is one file a note: name one note", format.name());
        }
        Ok(())
    }
}

impl Written {
    /// Writes a document to standard output, with what stands once at the top before the first.
    pub(super) fn write(&self, out: &mut Output, origin: &Origin, note: &str, document: &Document) -> Result<()> {
        let body = self.form.body(&self.fhir, origin, note, document)?;
        if !out.begun {
            out.out.write_all(self.form.header().as_bytes())?;
            out.begun = true;
        }
        out.out.write_all(body.as_bytes())?;
        Ok(out.out.flush()?)
    }
}

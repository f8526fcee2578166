//! Data sets as documents with labelled spans.
//!
//! A [`DataSet`] is one `[data.…]` or `[dev.…]` table of a recipe. It names a format, a place below the data root and
//! a split, and maps the labels of the source to ours. [`DataSet::read`] gives [`Document`]s whose spans are sorted, trimmed and do
//! not overlap, in an order that depends on nothing but the files:
//!
//! * offsets become bytes of the UTF-8 text; the text is the file's, line ends and all, so a span may cross lines;
//! * of spans that overlap the longer one stays, then the earlier line (counted after mapping: a label that the map
//!   leaves out competes with nobody);
//! * a span in several fragments becomes one: from the first to the last, unless more than three words lie in a gap;
//!   then its longest fragment;
//! * a line that cannot be read is an error with file and line, and never with the text.

mod bio_json;
mod brat;
mod conll;
mod csv;
mod pubtator;
mod spans;
mod split;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use spans::RawSpan;
pub use texts::read_texts;

/// A text and what is known about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Unique in its data set.
    pub id: String,
    /// As in the file.
    pub text: String,
    /// Sorted, not overlapping, never empty, without white space at the ends.
    pub spans: Vec<Gold>,
}

/// An entity that a person marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gold {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// One label, or several when the source does not tell which of them it is.
    pub labels: Vec<String>,
}

/// Prints lengths: neither the text nor the id is for logs.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes, {} spans)", self.text.len(), self.spans.len())
    }
}

/// How a data set is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A folder of `ID.txt` with `ID.ann`, brat standoff, offsets in code points.
    Brat,
    /// `token<TAB>tag` lines with a blank line between sentences; a document is a sentence.
    Conll,
    /// An array of records with `text` and `entities` of `start`, `end`, `text`, `type`, in code points.
    BioJson,
    /// `id|t|title`, `id|a|abstract` and mention rows, in code points; a document is title, space, abstract.
    Pubtator,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Brat, Self::Conll, Self::BioJson, Self::Pubtator];

    /// As recipes and the command line write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brat => "brat",
            Self::Conll => "conll",
            Self::BioJson => "bio-json",
            Self::Pubtator => "pubtator",
        }
    }
}

/// One `[data.…]` or `[dev.…]` table of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// How it is written.
    pub format: Format,
    /// A folder or a file below the data root.
    pub path: PathBuf,
    /// Which part: for brat a name of `split.tsv`, for the other formats a file of the folder (`train` finds
    /// `train.tsv`), for any `hash:train`, `hash:dev` or `hash:test`: 80, 10 and 10 of 100 by the hash of the id.
    /// Absent means everything.
    #[serde(default)]
    pub split: Option<String>,
    /// Source label to ours, or to several of ours when the source does not tell. Labels left out are not read. An
    /// empty map keeps every label under its own name.
    #[serde(default)]
    pub map: BTreeMap<String, Target>,
    /// The types of ours that the set marks wherever they occur. Elsewhere its silence says nothing, and the trainer
    /// masks the type where nothing is marked. Absent means all types.
    #[serde(default)]
    pub annotates: Option<Vec<String>>,
    /// Lines that are known to be broken, as `file:line` (`file:record` for JSON); they are passed over.
    #[serde(default)]
    pub skip: BTreeSet<String>,
}

/// What a source label becomes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// One of our labels.
    One(String),
    /// One of these, the source does not tell which.
    Any(Vec<String>),
}

impl Target {
    /// The labels, in the order of the recipe.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::One(label) => std::slice::from_ref(label),
            Self::Any(labels) => labels,
        }
    }
}

impl DataSet {
    /// The whole of a path in a format, every label under its own name.
    pub fn whole(format: Format, path: impl Into<PathBuf>) -> Self {
        let (map, skip) = (BTreeMap::new(), BTreeSet::new());
        Self { format, path: path.into(), split: None, map, annotates: None, skip }
    }

    /// The same set with another split; one by hash stays one by hash.
    #[must_use]
    pub fn with_split(mut self, name: &str) -> Self {
        let by_hash = self.split.as_deref().is_some_and(|split| split.starts_with("hash:"));
        self.split = Some(if by_hash && !name.contains(':') { format!("hash:{name}") } else { name.to_owned() });
        self
    }

    /// Whether the set marks a type of ours wherever it occurs.
    pub fn marks(&self, label: &str) -> bool {
        self.annotates.as_ref().is_none_or(|labels| labels.iter().any(|known| known == label))
    }

    /// The documents of the split.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] for a file that cannot be read; [`ErrorKind::Data`] with file and line for one that is broken,
    /// for a split that is not there or empty, and for a label of the map that the source never uses.
    pub fn read(&self, root: &Path) -> Result<Vec<Document>> {
        let place = root.join(&self.path);
        let raw = match self.format {
            Format::Brat => brat::read(&brat_folder(&place), &self.skip)?,
            Format::Conll => conll::read(&self.file(&place)?, &self.skip)?,
            Format::BioJson => bio_json::read(&self.file(&place)?, &self.skip)?,
            Format::Pubtator => pubtator::read(&self.file(&place)?, &self.skip)?,
        };
        self.check_map(&raw).map_err(|e| e.at(place.display()))?;
        let kept = match self.split.as_deref() {
            Some(name) if name.starts_with("hash:") || self.format == Format::Brat => split::select(raw, name, &place)?,
            _ => raw,
        };
        if kept.is_empty() {
            return Err(broken("holds no documents").at(place.display()));
        }
        Ok(kept.into_iter().map(|raw| raw.finish(self)).collect())
    }

    /// The one file that a split of a file format names.
    fn file(&self, place: &Path) -> Result<PathBuf> {
        match self.split.as_deref().filter(|name| !name.starts_with("hash:")) {
            Some(name) => split::file(place, name),
            None => Ok(place.to_owned()),
        }
    }

    /// A misspelt label would silently train nothing.
    fn check_map(&self, raw: &[Raw]) -> Result<()> {
        let used: BTreeSet<&str> =
            raw.iter().flat_map(|raw| &raw.spans).map(|span: &RawSpan| span.label.as_str()).collect();
        match self.map.keys().find(|label| !used.contains(label.as_str())) {
            Some(label) => Err(broken(format!("map names the label {label:?}, which does not occur there"))),
            None => Ok(()),
        }
    }

    /// What a source label becomes; nothing if the map leaves it out.
    fn labels(&self, source: &str) -> Option<Vec<String>> {
        if self.map.is_empty() {
            return Some(vec![source.to_owned()]);
        }
        self.map.get(source).map(|target| target.labels().to_vec())
    }
}

/// `FORMAT:PATH` or `FORMAT:PATH:SPLIT`, every label under its own name.
impl FromStr for DataSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, ':');
        let format = parts.next().and_then(|name| Format::ALL.into_iter().find(|format| format.name() == name));
        let (Some(format), Some(path)) = (format, parts.next().filter(|path| !path.is_empty())) else {
            let names = Format::ALL.map(Format::name).join(", ");
            return Err(Error::new(ErrorKind::Input, format!("expected FORMAT:PATH[:SPLIT] with a format of {names}")));
        };
        Ok(Self { split: parts.next().map(str::to_owned), ..Self::whole(format, path) })
    }
}

/// A document as the source has it: labels unmapped, spans overlapping.
struct Raw {
    id: String,
    text: String,
    spans: Vec<RawSpan>,
}

impl Raw {
    fn finish(self, set: &DataSet) -> Document {
        let mapped = self.spans.into_iter().filter_map(|span| Some((span.fragments, set.labels(&span.label)?)));
        let spans = spans::flatten(&self.text, mapped);
        Document { id: self.id, text: self.text, spans }
    }
}

/// The set's folder has its files in `brat/`, or is that folder.
fn brat_folder(place: &Path) -> PathBuf {
    let inner = place.join("brat");
    if inner.is_dir() { inner } else { place.to_owned() }
}

fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, message)
}

/// Reads UTF-8; the error names the file, and the line of the first byte that is not UTF-8.
fn read_utf8(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::new(ErrorKind::Io, format!("{}: {e}", path.display())))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        broken("is not UTF-8").at(format!("{}:{line}", path.display()))
    })
}

/// Where in a file something stands, counted from 1.
#[derive(Clone, Copy)]
enum Place {
    Line(usize),
    Record(usize),
}

/// Reads what stands at a place: `None` if the recipe passes it over, an error with the place if it is broken.
fn read_at<T>(
    path: &Path,
    place: Place,
    skip: &BTreeSet<String>,
    parse: impl FnOnce() -> Result<T>,
) -> Result<Option<T>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (number, named) = match place {
        Place::Line(number) => (number, format!("{}:{number}", path.display())),
        Place::Record(number) => (number, format!("{}: record {number}", path.display())),
    };
    if skip.contains(&format!("{name}:{number}")) {
        return Ok(None);
    }
    parse().map(Some).map_err(|e| e.at(named))
}

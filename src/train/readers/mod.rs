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

mod archive;
mod bio_json;
mod brat;
mod conll;
pub(super) mod csv;
mod documents;
mod format;
mod i2b2_2010;
mod i2b2_xml;
mod isaric;
mod json;
mod nli4ct;
mod phee;
mod places;
mod pubmedqa;
mod pubtator;
mod raw;
mod records;
mod sheet;
mod spans;
mod split;
mod table;
mod texts;
mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
pub use documents::{Document, Entity, Gold, Relation, RelationDocument, Sequence};
pub use format::{Format, Holds};
use places::{Place, broken, read_at, read_bytes, read_table, read_utf8};
use raw::{Raw, RawSequence};
use split::Part;
pub use texts::read_texts;

/// One `[data.…]` or `[dev.…]` table of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// How it is written.
    pub format: Format,
    /// A folder or a file below the data root.
    pub path: PathBuf,
    /// Which part: where documents are files a folder of that name or a name of `split.tsv`, for the other formats a
    /// file of the folder (`train` finds `train.tsv`, and `mli_train_v1.jsonl` if no other has `train` in its name), for
    /// any `hash:train`, `hash:dev` or `hash:test`: 80, 10 and 10 of 100 by the hash of the id. Absent means everything.
    #[serde(default)]
    pub split: Option<String>,
    /// Source label to ours, or to several of ours when the source does not tell. Labels left out are not read, unless
    /// `"*"` says what the rest becomes. An empty map keeps every label under its own name. In a set of relations these
    /// are the types of entities.
    #[serde(default)]
    pub map: BTreeMap<String, Target>,
    /// The same for the labels of relations.
    #[serde(default)]
    pub relations: BTreeMap<String, String>,
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
        let (map, relations, skip) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { format, path: path.into(), split: None, map, relations, annotates: None, skip }
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

    /// The documents of the split, for named entity recognition.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] for a file that cannot be read; [`ErrorKind::Data`] with file and line for one that is broken,
    /// for a split that is not there or empty, and for a label of the map that the source never uses;
    /// [`ErrorKind::Input`] for a format that holds no entities.
    pub fn read(&self, root: &Path) -> Result<Vec<Document>> {
        let raw = self.raw(root, Holds::Spans)?;
        Ok(raw.into_iter().map(|raw| raw.document(self)).collect())
    }

    /// The documents of the split with the relations among their entities.
    ///
    /// # Errors
    /// As [`DataSet::read`], and for a map that gives an entity several labels.
    pub fn read_relations(&self, root: &Path) -> Result<Vec<RelationDocument>> {
        let raw = self.raw(root, Holds::Relations)?;
        raw.into_iter().map(|raw| raw.relation_document(self)).collect::<Result<_>>().map_err(|e| self.at(e, root))
    }

    /// The labelled texts of the split.
    ///
    /// # Errors
    /// As [`DataSet::read`], and for a map that gives a label several labels.
    pub fn read_sequences(&self, root: &Path) -> Result<Vec<Sequence>> {
        self.require(Holds::Sequences)?;
        let part = Part::of(self, root)?;
        let raw = self.sequences(&part.place)?;
        let used = raw.iter().flat_map(|raw| &raw.sequence.labels).map(String::as_str).collect();
        check_map(&self.map, &used, "map").map_err(|e| self.at(e, root))?;
        let kept = part.select(raw, |raw| &raw.group)?;
        let mapped = kept.into_iter().filter_map(|raw| raw.finish(self).transpose()).collect::<Result<Vec<_>>>();
        mapped.and_then(not_empty).map_err(|e| self.at(e, root))
    }

    fn sequences(&self, place: &Path) -> Result<Vec<RawSequence>> {
        match self.format {
            Format::Nli4ct => nli4ct::read(place, nli4ct::Premise::Evidence, &self.skip),
            Format::Nli4ctSection => nli4ct::read(place, nli4ct::Premise::Section, &self.skip),
            Format::Pubmedqa => pubmedqa::read(place, &self.skip),
            Format::MtsDialog => table::read_csv(place, &table::MTS_DIALOG, &self.skip),
            Format::IsaricIcn => isaric::read(place, &self.skip),
            Format::Mednli => records::mednli(place, &self.skip),
            Format::I2b2Assertions2010 => i2b2_2010::assertions(place, &self.skip),
            Format::Jsonl => records::read(place, &self.skip),
            Format::Csv => table::read_csv(place, &table::GENERIC, &self.skip),
            Format::Tsv => table::read_tsv(place, &table::GENERIC, &self.skip),
            _ => Ok(Vec::new()), // `require` came first
        }
    }

    fn raw(&self, root: &Path, what: Holds) -> Result<Vec<Raw>> {
        self.require(what)?;
        let part = Part::of(self, root)?;
        let raw = self.documents(&part.place, what == Holds::Relations)?;
        let spans = raw.iter().flat_map(|raw| &raw.spans);
        let used = spans.flat_map(|span| [Some(span.label.as_str()), span.coarse.as_deref()]).flatten().collect();
        check_map(&self.map, &used, "map").map_err(|e| self.at(e, root))?;
        if what == Holds::Relations {
            let used = raw.iter().flat_map(|raw| &raw.relations).map(|relation| relation.label.as_str()).collect();
            check_map(&self.relations, &used, "relations").map_err(|e| self.at(e, root))?;
        }
        not_empty(part.select(raw, Raw::group)?).map_err(|e| self.at(e, root))
    }

    fn documents(&self, place: &Path, relations: bool) -> Result<Vec<Raw>> {
        match self.format {
            Format::Brat | Format::N2c2Drugs2018 => brat::read(&brat_folder(place), relations, &self.skip),
            Format::Conll => conll::read(place, &self.skip),
            Format::BioJson => bio_json::read(place, &self.skip),
            Format::Pubtator => pubtator::read(place, relations, &self.skip),
            Format::Phee => phee::read(place, &self.skip),
            Format::I2b2Relations2010 => i2b2_2010::read(place, relations, &self.skip),
            Format::I2b2Temporal2012 => i2b2_xml::temporal(place, relations, &self.skip),
            Format::I2b2Deidentification2014 => i2b2_xml::deidentification(place, &self.skip),
            _ => Ok(Vec::new()),
        }
    }

    fn require(&self, what: Holds) -> Result<()> {
        if self.format.holds(what) {
            return Ok(());
        }
        let (name, fit) = (self.format.name(), Format::holding(what));
        Err(Error::new(ErrorKind::Input, format!("format {name:?} holds no {what}, expected one of {fit}")))
    }

    fn at(&self, error: Error, root: &Path) -> Error {
        error.at(root.join(&self.path).display())
    }

    /// What a source label becomes; nothing if the map leaves it out. A source may name a class beside the label, which
    /// counts where the map does not name the label.
    fn labels(&self, source: &str, class: Option<&str>) -> Option<Vec<String>> {
        if self.map.is_empty() {
            return Some(vec![source.to_owned()]);
        }
        let class = || class.and_then(|class| self.map.get(class));
        self.map.get(source).or_else(class).or_else(|| self.map.get(REST)).map(|target| target.labels().to_vec())
    }

    fn relation_label(&self, source: &str) -> Option<String> {
        if self.relations.is_empty() {
            return Some(source.to_owned());
        }
        self.relations.get(source).or_else(|| self.relations.get(REST)).cloned()
    }
}

/// What a map calls the labels that it does not name.
const REST: &str = "*";

/// A misspelt label would silently train nothing.
fn check_map<T>(map: &BTreeMap<String, T>, used: &BTreeSet<&str>, key: &str) -> Result<()> {
    match map.keys().find(|label| *label != REST && !used.contains(label.as_str())) {
        Some(label) => Err(broken(format!("{key} names the label {label:?}, which does not occur there"))),
        None => Ok(()),
    }
}

fn not_empty<T>(items: Vec<T>) -> Result<Vec<T>> {
    if items.is_empty() { Err(broken("holds no documents")) } else { Ok(items) }
}

/// `FORMAT:PATH` or `FORMAT:PATH:SPLIT`, every label under its own name.
impl FromStr for DataSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, ':');
        let format = parts.next().and_then(|name| Format::all().find(|format| format.name() == name));
        let (Some(format), Some(path)) = (format, parts.next().filter(|path| !path.is_empty())) else {
            let names = Format::all().map(Format::name).collect::<Vec<_>>().join(", ");
            return Err(Error::new(ErrorKind::Input, format!("expected FORMAT:PATH[:SPLIT] with a format of {names}")));
        };
        Ok(Self { split: parts.next().map(str::to_owned), ..Self::whole(format, path) })
    }
}

/// The set's folder has its files in `brat/`, or is that folder.
fn brat_folder(place: &Path) -> PathBuf {
    let inner = place.join("brat");
    if inner.is_dir() { inner } else { place.to_owned() }
}

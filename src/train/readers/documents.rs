//! What data sets are read into. All of it holds text, so nothing of it prints more than lengths.

use std::fmt;
use std::ops::Range;

/// A text and its entities, flat: what named entity recognition learns from.
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

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes, {} spans)", self.text.len(), self.spans.len())
    }
}

/// A text, or a pair of texts, with its labels: what natural language inference and classification learn from.
#[derive(Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Unique in its data set.
    pub id: String,
    /// The text, or the premise.
    pub text: String,
    /// The hypothesis.
    pub pair: Option<String>,
    /// One, except where the source gives a list: then any number, in the order of the source, none twice.
    pub labels: Vec<String>,
}

impl Sequence {
    /// A text of which nothing is known.
    pub fn unlabelled(document: &Document) -> Self {
        Self { id: document.id.clone(), text: document.text.clone(), pair: None, labels: Vec::new() }
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = self.pair.as_ref().map_or(0, String::len);
        write!(f, "Sequence({} bytes, {pair} bytes, {} labels)", self.text.len(), self.labels.len())
    }
}

/// A text with entities and the relations among them. What is not related is not said: candidates are the pairs of
/// entities.
#[derive(Clone, PartialEq, Eq)]
pub struct RelationDocument {
    /// Unique in its data set.
    pub id: String,
    /// As in the file.
    pub text: String,
    /// In the order of the text. They may overlap.
    pub entities: Vec<Entity>,
    /// In the order of head, tail and label, none twice.
    pub relations: Vec<Relation>,
}

/// An entity that relations may name.
#[derive(Clone, PartialEq, Eq)]
pub struct Entity {
    /// As the source names it, unique in the document.
    pub id: String,
    /// Bytes of the text; never empty, without white space at the ends.
    pub range: Range<usize>,
    /// Its type.
    pub label: String,
    /// What it means in a vocabulary, where the source says so: `D001` of MeSH, or several with `|` between them for a
    /// mention of several things.
    pub concept: Option<String>,
}

/// A relation of two entities.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// The index of the first argument among the entities.
    pub head: usize,
    /// The index of the second argument.
    pub tail: usize,
    /// Its type.
    pub label: String,
    /// The two concepts that the source relates, where it relates concepts and not mentions. What is scored by pairs of
    /// concepts is the set of these; the concepts of the mentions say more where a mention has several.
    pub concepts: Option<(String, String)>,
}

impl Entity {
    /// The concepts of [`Entity::concept`].
    pub fn concepts(&self) -> impl Iterator<Item = &str> {
        self.concept.iter().flat_map(|concept| concept.split('|')).filter(|concept| !concept.is_empty())
    }
}

impl fmt::Debug for RelationDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, entities, relations) = (self.text.len(), self.entities.len(), self.relations.len());
        write!(f, "RelationDocument({bytes} bytes, {entities} entities, {relations} relations)")
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entity({} bytes, {:?})", self.range.len(), self.label)
    }
}

impl fmt::Debug for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relation({} to {}, {:?})", self.head, self.tail, self.label)
    }
}

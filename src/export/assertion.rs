//! What a note says of an entity: that it is there, that it is not, that it is somebody else's.

use std::fmt;

use serde::{Serialize, Serializer};

pub use crate::clinical::{Certainty, Experiencer, Polarity, Temporality};
use crate::error::Result;
use crate::json::{Node, choice};

/// A choice of few, by the name that documents have for it.
pub trait Named: Copy + PartialEq + 'static {
    /// All choices.
    const ALL: &'static [Self];

    /// As documents write it.
    fn name(self) -> &'static str;

    /// The choice of a name.
    fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|choice| choice.name() == name)
    }
}

impl Named for Polarity {
    const ALL: &'static [Self] = &[Self::Affirmed, Self::Negated];

    fn name(self) -> &'static str {
        ["affirmed", "negated"][self as usize]
    }
}

impl Named for Certainty {
    const ALL: &'static [Self] = &[Self::Certain, Self::Possible];

    fn name(self) -> &'static str {
        ["certain", "possible"][self as usize]
    }
}

impl Named for Temporality {
    const ALL: &'static [Self] = &[Self::Current, Self::Historical, Self::Hypothetical];

    fn name(self) -> &'static str {
        ["current", "historical", "hypothetical"][self as usize]
    }
}

impl Named for Experiencer {
    const ALL: &'static [Self] = &[Self::Patient, Self::Family, Self::Other];

    fn name(self) -> &'static str {
        ["patient", "family", "other"][self as usize]
    }
}

/// What a note says of an entity, and the words that say it. Its `Debug` shows no word.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Assertion {
    /// Whether it is so.
    #[serde(serialize_with = "by_name")]
    pub polarity: Polarity,
    /// How sure the writer is.
    #[serde(serialize_with = "by_name")]
    pub certainty: Certainty,
    /// When it is so.
    #[serde(serialize_with = "by_name")]
    pub temporality: Temporality,
    /// Who has it.
    #[serde(serialize_with = "by_name")]
    pub experiencer: Experiencer,
    /// Whether it is so under a condition only: "on exertion".
    pub conditional: bool,
    /// The words that say so.
    pub cues: Vec<Cue>,
}

/// Words of a note that say something of an entity.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Cue {
    /// In the unit of the document.
    pub start: usize,
    /// Exclusive.
    pub end: usize,
    /// The note from `start` to `end`.
    pub text: String,
    /// The rule that knows them.
    pub rule: String,
}

/// Of an entity of which the note says nothing in particular.
impl Default for Assertion {
    fn default() -> Self {
        Self {
            polarity: Polarity::Affirmed,
            certainty: Certainty::Certain,
            temporality: Temporality::Current,
            experiencer: Experiencer::Patient,
            conditional: false,
            cues: Vec::new(),
        }
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assertion({} by {} cues)", self.remarks().join(", "), self.cues.len())
    }
}

impl Assertion {
    /// Whether the note says that it is not so.
    pub fn is_negated(&self) -> bool {
        self.polarity == Polarity::Negated
    }

    /// What differs from a plain statement about the patient now, by its names in documents; for readers and tables.
    pub fn remarks(&self) -> Vec<&'static str> {
        let plain = Self::default();
        let mut remarks = Vec::new();
        let mut add = |differs, remark| {
            if differs {
                remarks.push(remark);
            }
        };
        add(self.polarity != plain.polarity, self.polarity.name());
        add(self.certainty != plain.certainty, self.certainty.name());
        add(self.temporality != plain.temporality, self.temporality.name());
        add(self.experiencer != plain.experiencer, self.experiencer.name());
        add(self.conditional, "conditional");
        remarks
    }
}

pub(super) fn named<T: Named>(node: Node<'_>) -> Result<T> {
    choice(node, T::ALL, T::name)
}

fn by_name<S: Serializer>(choice: &impl Named, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(choice.name())
}

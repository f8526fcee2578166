//! Whether, when and of whom a mention is said: ConText by rules.
//!
//! Harkema, Dowling, Thornblade, Chapman: "ConText: an algorithm for determining negation, experiencer, and temporal
//! status from clinical reports", 2009; the rules are our own. A cue reaches from its words to the end of the sentence, to
//! a word that ends it, or as far as its rule allows; what a section says of everything in it comes from its heading.

pub(super) mod rules;
mod scope;

use std::ops::Range;

#[cfg(test)]
mod tests;

pub(super) use self::scope::judge;

/// What the words around a mention make of it. Without a cue: affirmed, certain, current, of the patient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assertion {
    /// Whether it is denied.
    pub polarity: Polarity,
    /// Whether it is only possible.
    pub certainty: Certainty,
    /// When it holds.
    pub temporality: Temporality,
    /// Of whom it is said.
    pub experiencer: Experiencer,
    /// Whether it holds only under some circumstance: on exertion, when exposed.
    pub conditional: bool,
    /// What caused all this, in order of place.
    pub cues: Vec<Cue>,
}

/// Whether a mention is denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Polarity {
    /// It is not.
    #[default]
    Affirmed,
    /// It is.
    Negated,
}

/// How sure the writer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certainty {
    /// Nothing says otherwise.
    #[default]
    Certain,
    /// Suspected, to be ruled out, one of several.
    Possible,
}

/// When a mention holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// At the time of the note.
    #[default]
    Current,
    /// Before.
    Historical,
    /// Perhaps later: to be watched for, prevented, planned.
    Hypothetical,
}

/// Of whom a mention is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Experiencer {
    /// The patient.
    #[default]
    Patient,
    /// A relative by blood.
    Family,
    /// Somebody else.
    Other,
}

/// The words, or the heading, that changed a mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Where, in bytes of the note.
    pub range: Range<usize>,
    /// The id of the rule, such as `NEG-001`.
    pub rule: String,
    /// What it says.
    pub kind: CueKind,
}

/// What a cue says of a mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CueKind {
    /// [`Polarity::Negated`].
    Negated,
    /// [`Certainty::Possible`].
    Possible,
    /// [`Temporality::Hypothetical`], which counts more than historical.
    Hypothetical,
    /// [`Assertion::conditional`].
    Conditional,
    /// [`Temporality::Historical`].
    Historical,
    /// [`Experiencer::Family`], which counts more than other.
    Family,
    /// [`Experiencer::Other`].
    Other,
}

impl CueKind {
    /// All, in the order of their names in the documentation.
    pub const ALL: [Self; 7] = [
        Self::Negated,
        Self::Possible,
        Self::Hypothetical,
        Self::Conditional,
        Self::Historical,
        Self::Family,
        Self::Other,
    ];

    /// As files of rules write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Negated => "negated",
            Self::Possible => "possible",
            Self::Hypothetical => "hypothetical",
            Self::Conditional => "conditional",
            Self::Historical => "historical",
            Self::Family => "family",
            Self::Other => "other",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl Assertion {
    fn add(&mut self, cue: Cue) {
        match cue.kind {
            CueKind::Negated => self.polarity = Polarity::Negated,
            CueKind::Possible => self.certainty = Certainty::Possible,
            CueKind::Hypothetical => self.temporality = Temporality::Hypothetical,
            CueKind::Historical if self.temporality == Temporality::Current => {
                self.temporality = Temporality::Historical;
            }
            CueKind::Conditional => self.conditional = true,
            CueKind::Family => self.experiencer = Experiencer::Family,
            CueKind::Other if self.experiencer == Experiencer::Patient => self.experiencer = Experiencer::Other,
            CueKind::Historical | CueKind::Other => {}
        }
        self.cues.push(cue);
    }
}

macro_rules! names {
    ($($kind:ident: $($variant:ident $name:literal),+;)+) => {
        $(impl $kind {
            /// As results write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        })+
    };
}

names! {
    Polarity: Affirmed "affirmed", Negated "negated";
    Certainty: Certain "certain", Possible "possible";
    Temporality: Current "current", Historical "historical", Hypothetical "hypothetical";
    Experiencer: Patient "patient", Family "family", Other "other";
}

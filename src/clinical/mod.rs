//! What is special about notes, by rules: placeholders, sentences, sections, and whether what is said is denied, only
//! possible, long past or true of somebody else.
//!
//! [`Knowledge`] holds the rules. [`Knowledge::read`] reads a note before any model does; [`Knowledge::judge`] says of
//! each mention in it what the words around it make of it, and which words those are. Rules are data: `sections.rules` and
//! `assertion/context.rules` ship, and a caller may add to both (docs/clinical.md).
//!
//! Everything counts in bytes of the note. Nothing here knows a model or a tensor; time is linear in the note.

pub mod abbreviations;
pub mod assertion;
pub mod attributes;
#[cfg(test)]
mod hostile;
pub mod identifiers;
pub mod laboratory;
pub mod medication;
mod phrases;
pub mod placeholders;
mod rows;
pub mod sections;
mod sentences;
mod structure;
mod table;
pub mod terms;
mod tokens;
mod words;

use std::ops::Range;
use std::sync::{Arc, LazyLock};

pub use self::abbreviations::Abbreviation;
pub use self::assertion::{Assertion, Certainty, Cue, CueKind, Experiencer, Polarity, Temporality};
pub use self::attributes::Attribute;
pub use self::identifiers::IdentifierKind;
pub use self::sections::Section;
pub use self::terms::{Link, Terms};

use self::assertion::rules::ContextRules;
use self::sections::SectionRules;
use crate::error::Result;

/// The rules, compiled once and shared by all notes.
pub struct Knowledge {
    context: ContextRules,
    sections: SectionRules,
    abbreviations: abbreviations::List,
    terms: Option<Terms>,
}

/// What the rules read in a note, before and without any model. Every list is in order of place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What de-identification left: [`placeholders`].
    pub placeholders: Vec<Range<usize>>,
    /// Apart from each other; together they hold everything but white space.
    pub sentences: Vec<Range<usize>>,
    /// From each heading to the next.
    pub sections: Vec<Section>,
    /// What stands for more: by a definition in the note, or by the caller's list.
    pub abbreviations: Vec<Abbreviation>,
    /// What looks like a real identifier: [`identifiers`].
    pub warnings: Vec<Warning>,
}

/// Something in a note that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// [`Warning::POSSIBLE_PHI`].
    pub code: &'static str,
    /// What it looks like.
    pub kind: IdentifierKind,
    /// Where, in bytes.
    pub range: Range<usize>,
}

impl Warning {
    /// The code of what looks like protected health information.
    pub const POSSIBLE_PHI: &'static str = "POSSIBLE_PHI";
}

/// An entity as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention<'a> {
    /// Where, in bytes.
    pub range: Range<usize>,
    /// Its type, as the model names it.
    pub label: &'a str,
}

/// What the rules say of one mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Whether, when and of whom it is said.
    pub assertion: Assertion,
    /// The section that it begins in, as an index into [`Reading::sections`].
    pub section: Option<usize>,
    /// The sentence that it begins in, as an index into [`Reading::sentences`].
    pub sentence: Option<usize>,
    /// What it is in the caller's code systems.
    pub links: Vec<Link>,
    /// What its sentence says of a drug or a test: dose, value.
    pub attributes: Vec<Attribute>,
}

/// The rules that ship.
impl Default for Knowledge {
    fn default() -> Self {
        let abbreviations = abbreviations::List::default();
        Self { context: ContextRules::default(), sections: SectionRules::default(), abbreviations, terms: None }
    }
}

impl Knowledge {
    /// The rules that ship, compiled when they are first asked for and shared from then on.
    pub fn shipped() -> Arc<Self> {
        static SHIPPED: LazyLock<Arc<Knowledge>> = LazyLock::new(Arc::default);
        Arc::clone(&SHIPPED)
    }

    /// The same knowledge with more rules of context, in the form of `context.rules`. A rule replaces that of the same id,
    /// and that of the same phrase.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] that names the line when it is no rule.
    pub fn with_rules(mut self, rules: &str) -> Result<Self> {
        self.context = self.context.with(rules)?;
        Ok(self)
    }

    /// The same knowledge with more section titles, in the form of `sections.rules`. A title replaces an equal one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] that names the line when it is no rule.
    pub fn with_sections(mut self, sections: &str) -> Result<Self> {
        self.sections = self.sections.with(sections)?;
        Ok(self)
    }

    /// The same knowledge with a list of abbreviations, for those that a note does not define.
    #[must_use]
    pub fn with_abbreviations(mut self, list: abbreviations::List) -> Self {
        self.abbreviations = list;
        self
    }

    /// The same knowledge with a table of terms and their codes.
    #[must_use]
    pub fn with_terms(mut self, terms: Terms) -> Self {
        self.terms = Some(terms);
        self
    }

    /// Reads a note.
    pub fn read(&self, note: &str) -> Reading {
        let placeholders = placeholders::find(note);
        let (sections, borders) = self.sections.find(note, &placeholders);
        let sentences = sentences::find(note, &borders);
        let warnings = identifiers::find(note, &placeholders);
        let abbreviations = abbreviations::find(note, &self.abbreviations);
        Reading { placeholders, sentences, sections, abbreviations, warnings }
    }

    /// What is said of each mention, in the order of the mentions. `reading` must be that of the note.
    pub fn judge(&self, note: &str, reading: &Reading, mentions: &[Mention<'_>]) -> Vec<Finding> {
        let mut findings = assertion::judge(&self.context, note, reading, mentions);
        structure::add(note, reading, mentions, &mut findings);
        if let Some(terms) = &self.terms {
            for (finding, mention) in findings.iter_mut().zip(mentions) {
                finding.links = terms.find_mention(note, mention.range.clone(), &reading.abbreviations);
            }
        }
        findings
    }
}

//! How a text tells a relation classifier which two entities it is asked about.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::json::{Node, choice};

/// A way of marking. Both are plain text to the tokenizer: no piece has to be added to a vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Markers {
    /// The entities stay, between markers that name their roles and types: `<S:DRUG> aspirin </S:DRUG> … <O:EFFECT> rash
    /// </O:EFFECT>` (Zhong and Chen, "A Frustratingly Easy Approach for Entity and Relation Extraction", NAACL 2021). `S`
    /// is the head of the relation, `O` its tail.
    #[default]
    Typed,
    /// The entities give way to their types, `@DRUG$ … @EFFECT$`, as the preprocessing of i2b2-2010 for BioBERT and
    /// ClinicalBERT has it: the model cannot learn names by heart.
    Replaced,
}

impl Markers {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Typed, Self::Replaced];

    /// From a config.
    pub(crate) fn read(json: Node<'_>) -> Result<Self> {
        choice(json, &Self::ALL, Self::name)
    }

    /// As recipes and configs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Replaced => "replaced",
        }
    }
}

/// An entity that a relation may join.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// Bytes of the text.
    pub start: usize,
    /// Bytes of the text.
    pub end: usize,
    /// The type of the entity.
    pub label: &'a str,
}

/// A marked text.
#[derive(Clone, PartialEq, Eq)]
pub struct Marked {
    /// The text with its markers.
    pub text: String,
    /// From the first marker to the last, bytes of `text`.
    pub focus: Range<usize>,
}

/// Holds note text.
impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Marked({} bytes)", self.text.len())
    }
}

/// Marks head and tail; nothing when they overlap, are empty, or do not lie in the text between characters.
pub fn mark(text: &str, head: Argument<'_>, tail: Argument<'_>, markers: Markers) -> Option<Marked> {
    let (first, second, roles) =
        if head.start <= tail.start { (head, tail, ["S", "O"]) } else { (tail, head, ["O", "S"]) };
    let (before, one) = (text.get(..first.start)?, text.get(first.start..first.end)?);
    let (between, two) = (text.get(first.end..second.start)?, text.get(second.start..second.end)?);
    let after = text.get(second.end..)?;
    if one.is_empty() || two.is_empty() {
        return None;
    }
    let shown = |role: &str, label: &str, entity: &str| match markers {
        Markers::Typed => format!("<{role}:{label}> {entity} </{role}:{label}>"),
        Markers::Replaced => format!("@{label}$"),
    };
    let (one, two) = (shown(roles[0], first.label, one), shown(roles[1], second.label, two));
    let focus = before.len()..before.len() + one.len() + between.len() + two.len();
    Some(Marked { text: [before, &one, between, &two, after].concat(), focus })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(start: usize, end: usize, label: &str) -> Argument<'_> {
        Argument { start, end, label }
    }

    #[test]
    fn both_ways_and_both_directions() {
        let text = "Rash after aspirin.";
        let (drug, effect) = (argument(11, 18, "DRUG"), argument(0, 4, "EFFECT"));
        let marked = mark(text, drug, effect, Markers::Typed).unwrap();
        assert_eq!(marked.text, "<O:EFFECT> Rash </O:EFFECT> after <S:DRUG> aspirin </S:DRUG>.");
        assert_eq!(&marked.text[marked.focus], "<O:EFFECT> Rash </O:EFFECT> after <S:DRUG> aspirin </S:DRUG>");
        let marked = mark(text, drug, effect, Markers::Replaced).unwrap();
        assert_eq!(marked.text, "@EFFECT$ after @DRUG$.");
        assert_eq!(marked.focus, 0..21);
    }

    #[test]
    fn what_cannot_be_marked() {
        let text = "é and b";
        for (head, tail) in [((0, 2), (1, 3)), ((0, 1), (3, 4)), ((0, 0), (3, 4)), ((0, 2), (3, 40)), ((3, 5), (4, 6))]
        {
            let found = mark(text, argument(head.0, head.1, "A"), argument(tail.0, tail.1, "B"), Markers::Typed);
            assert_eq!(found, None, "{head:?} {tail:?}");
        }
    }
}

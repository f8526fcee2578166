//! The labels of a token classifier: what each column of its logits says about a word.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Far above any tagger; keeps a damaged config from asking for quadratic work.
const MOST_LABELS: usize = 4096;

/// How the parts of an entity are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `B-` begins an entity, `I-` continues it (IOB2).
    Bio,
    /// As `Bio`, and `E-` ends an entity, `S-` is one of a single word.
    Bioes,
}

impl Scheme {
    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bio => "BIO",
            Self::Bioes => "BIOES",
        }
    }
}

/// What one label says; the number is that of the type in [`Labels::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `O`.
    Outside,
    /// `B-`.
    Begin(usize),
    /// `I-`.
    Inside(usize),
    /// `E-`.
    End(usize),
    /// `S-`.
    Single(usize),
}

impl Tag {
    /// The type, unless outside.
    pub fn kind(self) -> Option<usize> {
        match self {
            Self::Outside => None,
            Self::Begin(kind) | Self::Inside(kind) | Self::End(kind) | Self::Single(kind) => Some(kind),
        }
    }
}

/// The labels of a model in the order of its logits.
#[derive(Clone, PartialEq)]
pub struct Labels {
    names: Vec<String>,
    tags: Vec<Tag>,
    types: Vec<String>,
    scheme: Scheme,
    /// `[L, L]`, a row for each label before; empty when nothing was measured.
    transitions: Vec<f32>,
}

impl Labels {
    /// Reads names such as `O`, `B-PROBLEM`, `I-PROBLEM`. Types are numbered in the order in which they appear.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for names of any other form, for a name given twice, and when there is no `O` or no
    /// type.
    pub fn new(names: Vec<String>) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Unsupported, format!("labels: {message}")));
        if names.len() > MOST_LABELS {
            return refuse(format!("expected at most {MOST_LABELS}, found {}", names.len()));
        }
        let mut types: Vec<String> = Vec::new();
        let mut tags = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return refuse(format!("{name:?} is given twice"));
            }
            if name.starts_with("LABEL_") {
                return refuse(format!("{name:?} says nothing: the config needs an id2label with real names"));
            }
            let Some(tag) = parse(name, &mut types) else {
                return refuse(format!("label {at}: expected O, or B-, I-, E- or S- and a type, found {name:?}"));
            };
            tags.push(tag);
        }
        if !tags.contains(&Tag::Outside) || types.is_empty() {
            return refuse(format!("expected O and at least one type, found {names:?}"));
        }
        let bioes = tags.iter().any(|tag| matches!(tag, Tag::End(_) | Tag::Single(_)));
        let scheme = if bioes { Scheme::Bioes } else { Scheme::Bio };
        Ok(Self { names, tags, types, scheme, transitions: Vec::new() })
    }

    /// The same labels with a score for each right after each other, `[L, L]`, a row for each label before: what
    /// [`Decoding::Viterbi`](super::decode::Decoding::Viterbi) adds to the logarithm of the probability.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for another number of scores, or one that is not finite.
    pub fn with_transitions(self, transitions: Vec<f32>) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Format, format!("label transitions: {message}")));
        let expected = self.len() * self.len();
        if transitions.len() != expected {
            return refuse(format!(
                "expected {expected} scores for {} labels, found {}",
                self.len(),
                transitions.len()
            ));
        }
        if let Some(at) = transitions.iter().position(|score| !score.is_finite()) {
            return refuse(format!("the score at {at} is not finite"));
        }
        Ok(Self { transitions, ..self })
    }

    /// The score of a label right after another, 0 when nothing was measured; `None` where it may not stand.
    pub fn transition(&self, before: usize, after: usize) -> Option<f32> {
        let score = self.transitions.get(before * self.len() + after).copied().unwrap_or(0.0);
        self.follows(Some(before), Some(after)).then_some(score)
    }

    /// Labels, which is columns of logits.
    #[expect(clippy::len_without_is_empty, reason = "there is always `O`")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The names as the model writes them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The entity types, without prefixes.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// What each label says, in the order of the logits.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The column of a label by its full name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// `Bioes` when any label ends an entity, else `Bio`.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether a label may stand right after another; `None` is the start and the end of the note.
    pub fn follows(&self, before: Option<usize>, after: Option<usize>) -> bool {
        let tag = |index: Option<usize>| index.map_or(Tag::Outside, |index| self.tags[index]);
        let open = match tag(before) {
            Tag::Begin(kind) | Tag::Inside(kind) => Some(kind),
            Tag::Outside | Tag::End(_) | Tag::Single(_) => None,
        };
        match tag(after) {
            Tag::Inside(kind) | Tag::End(kind) => open == Some(kind),
            Tag::Outside | Tag::Begin(_) | Tag::Single(_) => open.is_none() || self.scheme == Scheme::Bio,
        }
    }
}

fn parse(name: &str, types: &mut Vec<String>) -> Option<Tag> {
    if name == "O" {
        return Some(Tag::Outside);
    }
    let (prefix, kind) = name.split_once('-')?;
    let tag = match prefix {
        "B" => Tag::Begin,
        "I" => Tag::Inside,
        "E" => Tag::End,
        "S" => Tag::Single,
        _ => return None,
    };
    if kind.trim().is_empty() {
        return None;
    }
    let known = types.iter().position(|known| known == kind);
    Some(tag(known.unwrap_or_else(|| {
        types.push(kind.into());
        types.len() - 1
    })))
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Labels({}, {:?})", self.scheme.name(), self.types)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &str) -> Result<Labels> {
        Labels::new(names.split_whitespace().map(String::from).collect())
    }

    #[test]
    fn names_become_types_and_a_scheme() {
        let bio = labels("O B-PROBLEM I-PROBLEM B-LAB-VALUE I-LAB-VALUE").unwrap();
        assert_eq!((bio.types(), bio.scheme()), (&["PROBLEM".into(), "LAB-VALUE".into()][..], Scheme::Bio));
        assert_eq!(bio.tags()[3..], [Tag::Begin(1), Tag::Inside(1)]);
        assert_eq!((bio.index_of("I-PROBLEM"), bio.index_of("PROBLEM")), (Some(2), None));
        assert_eq!(labels("B-X S-X O").unwrap().scheme(), Scheme::Bioes);
    }

    #[test]
    fn names_that_say_too_little_are_refused() {
        let cases =
            ["", "O", "B-X I-X", "LABEL_0 LABEL_1", "O PROBLEM", "O B-", "O b-x", "O B_X", "O L-X", "O B-X B-X"];
        for names in cases {
            let error = labels(names).expect_err(names);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{names}");
        }
        assert!(labels("LABEL_0").unwrap_err().to_string().contains("id2label"));
    }

    #[test]
    fn order_of_labels() {
        struct Case(&'static str, &'static str, &'static str, bool);
        // Scheme, before, after; "" is the border of the note.
        let cases = [
            Case("BIO", "", "B-X", true),
            Case("BIO", "", "I-X", false),
            Case("BIO", "O", "I-X", false),
            Case("BIO", "B-X", "I-X", true),
            Case("BIO", "I-X", "I-X", true),
            Case("BIO", "B-X", "I-Y", false),
            Case("BIO", "B-X", "B-X", true),
            Case("BIO", "B-X", "O", true),
            Case("BIO", "I-X", "", true),
            Case("BIOES", "B-X", "O", false),
            Case("BIOES", "B-X", "E-X", true),
            Case("BIOES", "B-X", "E-Y", false),
            Case("BIOES", "I-X", "", false),
            Case("BIOES", "E-X", "I-X", false),
            Case("BIOES", "E-X", "S-X", true),
            Case("BIOES", "S-X", "", true),
            Case("BIOES", "B-X", "B-X", false),
            Case("BIOES", "O", "E-X", false),
        ];
        let bio = labels("O B-X I-X B-Y I-Y").unwrap();
        let bioes = labels("O B-X I-X E-X S-X B-Y I-Y E-Y S-Y").unwrap();
        let mut failed = Vec::new();
        for Case(scheme, before, after, expected) in cases {
            let labels = if scheme == "BIO" { &bio } else { &bioes };
            if labels.follows(labels.index_of(before), labels.index_of(after)) != expected {
                failed.push(format!("{scheme} {before:?} {after:?}"));
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn transitions_must_fit_the_labels() {
        let labels = || Labels::new(["O", "B-X", "I-X"].map(String::from).to_vec()).unwrap();
        for (name, scores) in
            [("too few", vec![0.0; 8]), ("too many", vec![0.0; 10]), ("not finite", vec![f32::NAN; 9])]
        {
            assert_eq!(labels().with_transitions(scores).err().map(|e| e.kind()), Some(ErrorKind::Format), "{name}");
        }
        let scored = labels().with_transitions((0..9).map(|i| i as f32).collect()).unwrap();
        assert_eq!(scored.transition(1, 2), Some(5.0));
        assert_eq!(scored.transition(0, 2), None, "I-X may not follow O");
    }
}

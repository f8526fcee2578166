//! Tags become entities, by each of seqeval's rules.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};

/// How tags become entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// seqeval's default, as conlleval: an `I-` without a beginning begins.
    Default,
    /// seqeval's `mode="strict"` with `scheme=IOB1`: `I-` begins, `B-` only after an entity of its label.
    StrictIob1,
    /// With `scheme=IOB2`: an entity is `B-` and the `I-` of its label that follow.
    StrictIob2,
    /// With `scheme=IOE1`: `I-` continues to the end, `E-` only before an entity of its label.
    StrictIoe1,
    /// With `scheme=IOE2`: an entity is any `I-` of a label and the `E-` that ends it.
    StrictIoe2,
    /// With `scheme=IOBES`: an entity is `S-`, or `B-`, any `I-`, and `E-` of one label.
    StrictIobes,
    /// With `scheme=BILOU`: the same with `U-` for `S-` and `L-` for `E-`.
    StrictBilou,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "seqeval default",
            Self::StrictIob1 => "seqeval strict IOB1",
            Self::StrictIob2 => "seqeval strict IOB2",
            Self::StrictIoe1 => "seqeval strict IOE1",
            Self::StrictIoe2 => "seqeval strict IOE2",
            Self::StrictIobes => "seqeval strict IOBES",
            Self::StrictBilou => "seqeval strict BILOU",
        })
    }
}

/// A label and the words that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The label.
    pub label: String,
    /// Indices of words.
    pub words: Range<usize>,
}

impl Entity {
    pub(super) fn key(&self) -> (&str, usize, usize) {
        (&self.label, self.words.start, self.words.end)
    }
}

/// A tag, taken apart. `O` is `('O', "")`.
type Tag<'a> = (char, &'a str);

/// Two tags in a row: prefixes that the first and the second may have, and whether their labels must agree.
type Pattern = (&'static str, &'static str, Labels);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    Same,
    Differ,
    Any,
}

use Labels::{Any, Differ, Same};

/// When a tag begins an entity, continues it, and when the tag before it may end one; the tables of
/// <https://github.com/chakki-works/seqeval/blob/v1.2.2/seqeval/scheme.py>.
struct Scheme {
    prefixes: &'static str,
    start: &'static [Pattern],
    inside: &'static [Pattern],
    end: &'static [Pattern],
}

const IOB1: Scheme = Scheme {
    prefixes: "IB",
    start: &[("OB", "I", Any), ("I", "I", Differ), ("IB", "B", Same)],
    inside: &[("BI", "I", Same)],
    end: &[("BI", "I", Differ), ("BI", "O", Any), ("I", "B", Any), ("B", "B", Same)],
};

const IOB2: Scheme = Scheme {
    prefixes: "BI",
    start: &[("OBI", "B", Any)],
    inside: &[("BI", "I", Same)],
    end: &[("BI", "O", Any), ("BI", "I", Differ), ("BI", "B", Any)],
};

const IOE1: Scheme = Scheme {
    prefixes: "IE",
    start: &[("OE", "I", Any), ("I", "I", Differ), ("E", "E", Same)],
    inside: &[("I", "IE", Same)],
    end: &[("I", "IE", Differ), ("I", "O", Any), ("E", "IE", Same)],
};

const IOE2: Scheme = Scheme {
    prefixes: "IE",
    start: &[("OE", "IE", Any), ("I", "IE", Differ)],
    inside: &[("I", "IE", Same)],
    end: &[("E", "OIE", Any)],
};

const IOBES: Scheme = Scheme {
    prefixes: "BIES",
    start: &[("OBIES", "BS", Any)],
    inside: &[("BI", "IE", Same)],
    end: &[("SE", "OBIES", Any)],
};

const BILOU: Scheme = Scheme {
    prefixes: "BILU",
    start: &[("OBILU", "BU", Any)],
    inside: &[("BI", "IL", Same)],
    end: &[("UL", "OBILU", Any)],
};

impl Mode {
    fn scheme(self) -> Option<&'static Scheme> {
        Some(match self {
            Self::Default => return None,
            Self::StrictIob1 => &IOB1,
            Self::StrictIob2 => &IOB2,
            Self::StrictIoe1 => &IOE1,
            Self::StrictIoe2 => &IOE2,
            Self::StrictIobes => &IOBES,
            Self::StrictBilou => &BILOU,
        })
    }
}

/// The entities of one tag sequence, in order.
///
/// # Errors
/// [`ErrorKind::Data`] for a tag that the mode does not know.
pub fn entities<S: AsRef<str>>(tags: &[S], mode: Mode) -> Result<Vec<Entity>> {
    let scheme = mode.scheme();
    let known = scheme.map_or("BIES", |scheme| scheme.prefixes);
    let tags = tags.iter().map(|tag| parse(tag.as_ref(), known)).collect::<Result<Vec<_>>>()?;
    Ok(match scheme {
        None => lenient(&tags),
        Some(scheme) => strict(&tags, scheme),
    })
}

fn parse<'a>(tag: &'a str, known: &str) -> Result<Tag<'a>> {
    match tag.split_once('-') {
        None if tag == "O" => Ok(('O', "")),
        Some((prefix, label)) if prefix.len() == 1 && known.contains(prefix) && !label.is_empty() => {
            Ok((prefix.chars().next().unwrap_or('O'), label))
        }
        _ => Err(Error::new(ErrorKind::Data, format!("tag {tag:?}: expected O, or one of {known} with a label"))),
    }
}

/// `get_entities` of <https://github.com/chakki-works/seqeval/blob/v1.2.2/seqeval/metrics/sequence_labeling.py>.
fn lenient(tags: &[Tag<'_>]) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    let mut previous = ('O', "");
    for (i, &(prefix, label)) in tags.iter().chain([&('O', "")]).enumerate() {
        let continues = matches!(previous.0, 'B' | 'I') && matches!(prefix, 'I' | 'E') && previous.1 == label;
        if !continues {
            found.extend(open.take().map(|start| Entity { label: previous.1.to_owned(), words: start..i }));
            open = (prefix != 'O').then_some(i);
        }
        previous = (prefix, label);
    }
    found
}

/// `Tokens.entities` of seqeval's scheme.py: a beginning, all that continues it, and then an end.
fn strict(tags: &[Tag<'_>], scheme: &Scheme) -> Vec<Entity> {
    let at = |i: usize| tags.get(i).copied().unwrap_or(('O', ""));
    let before = |i: usize| if i == 0 { ('O', "") } else { at(i - 1) };
    let mut found = Vec::new();
    let mut i = 0;
    while i < tags.len() {
        let start = i;
        i += 1;
        if !fits(before(start), at(start), scheme.start) {
            continue;
        }
        while fits(before(i), at(i), scheme.inside) {
            i += 1;
        }
        if fits(before(i), at(i), scheme.end) {
            found.push(Entity { label: tags[start].1.to_owned(), words: start..i });
        }
    }
    found
}

fn fits(before: Tag<'_>, tag: Tag<'_>, patterns: &[Pattern]) -> bool {
    patterns.iter().any(|(first, second, labels)| {
        first.contains(before.0)
            && second.contains(tag.0)
            && (*labels == Any || (before.1 == tag.1) == (*labels == Same))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_outside_the_mode_are_refused() {
        for (tags, mode) in [
            (["E-P"], Mode::StrictIob2),
            (["B-P"], Mode::StrictIoe2),
            (["U-P"], Mode::StrictIobes),
            (["S-P"], Mode::StrictBilou),
            (["B"], Mode::Default),
            (["B-"], Mode::Default),
            (["é-P"], Mode::Default),
        ] {
            assert!(entities(&tags, mode).is_err(), "{tags:?}");
        }
    }
}

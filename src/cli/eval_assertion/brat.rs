//! What a brat folder says about the assertion of its entities.
//!
//! Denied is an entity with the attribute `POLARITY NEG` (MACCROBAT2020; of its event, where it has one) or `Negation`, or
//! at the head of a relation `Has_negation` (Chia), together with what `OR` joins to it behind the words of the denial. What
//! only an exception denies ("other than", "except", "unless", words of "exclude") is not scored. Only possible is one whose
//! `POLARITY` is `UNCERTAIN` or a `MAYBE_`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use clinlite::text::OffsetUnit;
use clinlite::text::offsets::to_bytes;
use clinlite::{Error, ErrorKind, Result};

/// An entity and what its annotators say of it.
pub(crate) struct Gold {
    /// From the first byte of its first fragment to the last of its last.
    pub(crate) range: Range<usize>,
    pub(crate) label: String,
    pub(crate) negated: bool,
    pub(crate) possible: bool,
}

/// The entities of a document. Of events and of what relations name only entities count.
///
/// # Errors
/// A line that is not of brat's form, or offsets outside the text; named by its number.
pub(crate) fn read(text: &str, annotations: &str) -> Result<Vec<Gold>> {
    let mut document = Document::default();
    for (number, line) in annotations.lines().enumerate() {
        document.line(line).map_err(|message| refuse(format!("line {}: {message}", number + 1)))?;
    }
    document.gold(text)
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::Data, message)
}

struct Entity<'a> {
    id: &'a str,
    label: &'a str,
    /// First and last code point.
    borders: [usize; 2],
    text: &'a str,
}

/// Words that begin an exception, and are no denial of what they except.
const EXCEPTIONS: [&str; 9] =
    ["other", "except", "exception", "exclu", "unless", "with the ex", "the ex", "besides", "in addition"];

#[derive(Default)]
struct Document<'a> {
    entities: Vec<Entity<'a>>,
    /// Events and the entities that they stand for.
    triggers: BTreeMap<&'a str, &'a str>,
    negated: BTreeSet<&'a str>,
    possible: BTreeSet<&'a str>,
    /// Entities and the words that deny them.
    denials: Vec<[&'a str; 2]>,
    /// Ids that `OR` joins.
    groups: Vec<Vec<&'a str>>,
}

impl<'a> Document<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), &'static str> {
        let mut fields = line.split('\t');
        let (id, mark) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let mut parts = mark.split_whitespace();
        let argument = |part: Option<&'a str>| part.and_then(|part| part.split_once(':')).map(|(_, id)| id);
        match id.bytes().next() {
            Some(b'T') => {
                let (label, offsets) = mark.split_once(' ').ok_or("no offsets after the label")?;
                let numbers: Vec<usize> = offsets
                    .split([' ', ';'])
                    .map(|number| number.parse().map_err(|_| "an offset is not a number"))
                    .collect::<Result<_, _>>()?;
                let (first, last) = (numbers.iter().min(), numbers.iter().max());
                let (&first, &last) = first.zip(last).ok_or("no offsets after the label")?;
                let text = fields.next().unwrap_or_default();
                self.entities.push(Entity { id, label, borders: [first, last], text });
            }
            Some(b'E') => {
                self.triggers.insert(id, argument(parts.next()).ok_or("expected Label:T1 after the event")?);
            }
            Some(b'A' | b'M') => {
                let (name, target) = (parts.next(), parts.next().ok_or("expected a name and an id")?);
                match (name, parts.next()) {
                    (Some("POLARITY"), Some("NEG")) | (Some("Negation"), _) => self.negated.insert(target),
                    (Some("POLARITY"), Some("UNCERTAIN" | "MAYBE_POS" | "MAYBE_NEG")) => self.possible.insert(target),
                    _ => false,
                };
            }
            Some(b'R') if parts.next() == Some("Has_negation") => {
                let [denied, words] = [argument(parts.next()), argument(parts.next())];
                let (denied, words) = denied.zip(words).ok_or("expected two arguments")?;
                self.denials.push([denied, words]);
            }
            Some(b'*') if parts.next() == Some("OR") => self.groups.push(parts.collect()),
            _ => {}
        }
        Ok(())
    }

    fn gold(mut self, text: &str) -> Result<Vec<Gold>> {
        for set in [&mut self.negated, &mut self.possible] {
            let triggers: Vec<_> = set.iter().filter_map(|id| self.triggers.get(id).copied()).collect();
            set.extend(triggers);
        }
        let excepted = self.read_denials();
        let borders: Vec<usize> = self.entities.iter().flat_map(|entity| entity.borders).collect();
        let sorted = BTreeSet::from_iter(borders);
        let sorted = Vec::from_iter(sorted);
        let bytes = to_bytes(text, &sorted, OffsetUnit::CodePoint)?;
        let byte = |point: usize| sorted.binary_search(&point).map_or(0, |at| bytes[at]);
        let scored = self.entities.iter().filter(|entity| !excepted.contains(entity.id));
        let gold = |entity: &Entity<'_>| Gold {
            range: byte(entity.borders[0])..byte(entity.borders[1]),
            label: entity.label.to_owned(),
            negated: self.negated.contains(entity.id),
            possible: self.possible.contains(entity.id),
        };
        Ok(scored.map(gold).collect())
    }

    /// Fills `negated` from relations, and returns what is only excepted.
    fn read_denials(&mut self) -> BTreeSet<&'a str> {
        let entities: BTreeMap<&str, &Entity<'_>> = self.entities.iter().map(|entity| (entity.id, entity)).collect();
        let mut excepted = BTreeSet::new();
        for [denied, words] in &self.denials {
            let Some(words) = entities.get(words) else { continue };
            let text = words.text.to_lowercase();
            let exception = EXCEPTIONS.iter().any(|start| text.starts_with(start));
            let set = if exception { &mut excepted } else { &mut self.negated };
            set.insert(*denied);
            let behind = |id: &&&str| entities.get(**id).is_some_and(|entity| entity.borders[0] >= words.borders[1]);
            for group in self.groups.iter().filter(|group| group.contains(denied)) {
                set.extend(group.iter().filter(behind));
            }
        }
        excepted.retain(|id| !self.negated.contains(id));
        excepted
    }
}

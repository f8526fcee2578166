//! A document beside its note: whether the one is about the other, place by place.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use super::input;
use super::json::{Document, Entity, Place};
use super::read::known;
use super::{Length, sha256};
use crate::error::Result;
use crate::sort;
use crate::text::offsets::{self, OffsetUnit};

/// A document that is about a note.
pub struct Checked<'a> {
    /// The note.
    pub note: &'a str,
    /// What is said of it.
    pub document: &'a Document,
    /// The entities of the document in their order.
    pub entities: Vec<Placed<'a>>,
    borders: Borders,
}

/// An entity and its place.
#[derive(Clone)]
pub struct Placed<'a> {
    /// In bytes of the note.
    pub bytes: Range<usize>,
    /// In code points of the note.
    pub points: Range<usize>,
    /// What is said of it.
    pub entity: &'a Entity,
}

/// A place that a document states.
struct Stated<'a> {
    at: At,
    start: usize,
    end: usize,
    /// What stands there, where the document says it.
    text: Option<&'a str>,
}

/// Which part of a document states a place: `entities[3].assertion.cues[0]`.
#[derive(Clone, Copy)]
struct At {
    list: &'static str,
    item: usize,
    inside: Option<(&'static str, Option<usize>)>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.list, self.item)?;
        match self.inside {
            None => Ok(()),
            Some((name, None)) => write!(f, ".{name}"),
            Some((name, Some(i))) => write!(f, ".{name}[{i}]"),
        }
    }
}

/// The offsets of a document, ascending, and where each lies in the note.
struct Borders {
    offsets: Vec<usize>,
    bytes: Vec<Option<usize>>,
}

impl Borders {
    fn new(places: &[Stated<'_>], note: &str, unit: OffsetUnit) -> Self {
        let mut offsets: Vec<usize> = places.iter().flat_map(|place| [place.start, place.end]).collect();
        sort::by(&mut offsets, usize::cmp);
        offsets.dedup();
        let bytes = offsets::find_bytes(note, &offsets, unit);
        Self { offsets, bytes }
    }

    fn byte(&self, offset: usize) -> Option<usize> {
        self.bytes[self.offsets.binary_search(&offset).ok()?]
    }
}

impl Document {
    /// The document beside its note, with every entity at its bytes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] with the path of the field when the document is of another schema or about another
    /// note (hash, lengths), when a place is empty or is not between characters of the note, when a text is not what
    /// stands there, when a list is not sorted, and for an id that is empty or used twice or a label that is empty.
    pub fn check<'a>(&'a self, note: &'a str) -> Result<Checked<'a>> {
        known(&self.schema)?;
        if self.text_sha256 != sha256(note) {
            let message = "text_sha256: the document is about another note than the one given";
            return Err(input(format!("{message}, of {} bytes", note.len())));
        }
        if self.length != Length::of(note) {
            return Err(input("length: expected the lengths of the note".into()));
        }
        let places = self.places();
        let borders = Borders::new(&places, note, self.offset_unit);
        let mut before = ("", 0);
        for place in &places {
            self.check_place(place, note, &borders)?;
            let Stated { at: At { list, inside: None, .. }, start, .. } = *place else { continue };
            if before.0 == list && before.1 > start {
                return Err(input(format!("{}.start: expected {list} sorted by start", place.at)));
            }
            before = (list, start);
        }
        self.check_names()?;
        let entities = self.placed(note, &borders)?;
        Ok(Checked { note, document: self, entities, borders })
    }

    fn check_place(&self, place: &Stated<'_>, note: &str, borders: &Borders) -> Result<()> {
        let &Stated { at, start, end, text } = place;
        let border = |name, offset| {
            let (length, unit) = (self.length.of_unit(self.offset_unit), self.offset_unit.name());
            let message = format!("expected the border of a character from 0 to {length} ({unit})");
            borders.byte(offset).ok_or_else(|| input(format!("{at}.{name}: {message}, found {offset}")))
        };
        let bytes = border("start", start)?..border("end", end)?;
        if bytes.is_empty() {
            return Err(input(format!("{at}.end: expected more than start, {start}, found {end}")));
        }
        if text.is_some_and(|text| text != &note[bytes]) {
            let name = if at.list == "abbreviations" { "short" } else { "text" };
            return Err(input(format!("{at}.{name}: expected what stands in the note from {start} to {end}")));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<()> {
        let mut ids = BTreeSet::new();
        for (i, entity) in self.entities.iter().enumerate() {
            if entity.id.is_empty() || !ids.insert(&entity.id) {
                return Err(input(format!("entities[{i}].id: expected one that no other entity has")));
            }
            if entity.label.trim().is_empty() {
                return Err(input(format!("entities[{i}].label: expected the type of the entity, found nothing")));
            }
        }
        Ok(())
    }

    fn placed(&self, note: &str, borders: &Borders) -> Result<Vec<Placed<'_>>> {
        let bytes = |entity: &Entity| Some([borders.byte(entity.start)?, borders.byte(entity.end)?]);
        let places: Vec<usize> = self.entities.iter().filter_map(bytes).flatten().collect();
        let points = offsets::unordered(&places, |bytes| offsets::from_bytes(note, bytes, OffsetUnit::CodePoint))?;
        let placed = |((entity, bytes), points): ((_, &[usize]), &[usize])| Placed {
            bytes: bytes[0]..bytes[1],
            points: points[0]..points[1],
            entity,
        };
        Ok(self.entities.iter().zip(places.chunks_exact(2)).zip(points.chunks_exact(2)).map(placed).collect())
    }

    /// Every place that the document states: each list in its order, and an item before what is inside it.
    fn places(&self) -> Vec<Stated<'_>> {
        let mut places = Vec::new();
        for (i, section) in self.sections.iter().enumerate() {
            places.push(stated("sections", i, [section.start, section.end], None));
        }
        for (list, all) in [("sentences", &self.sentences), ("placeholders", &self.placeholders)] {
            places.extend(all.iter().enumerate().map(|(i, place)| stated(list, i, [place.start, place.end], None)));
        }
        for (i, short) in self.abbreviations.iter().enumerate() {
            let whole = stated("abbreviations", i, [short.start, short.end], Some(&short.short));
            let at = At { inside: Some(("defined", None)), ..whole.at };
            places.push(whole);
            places.extend(short.defined.map(|Place { start, end }| Stated { at, start, end, text: None }));
        }
        for (i, entity) in self.entities.iter().enumerate() {
            places.extend(entity_places(i, entity));
        }
        for (i, warning) in self.warnings.iter().enumerate() {
            places.push(stated("warnings", i, [warning.start, warning.end], None));
        }
        places
    }
}

fn entity_places(item: usize, entity: &Entity) -> impl Iterator<Item = Stated<'_>> {
    let whole = stated("entities", item, [entity.start, entity.end], Some(&entity.text));
    let at = move |name, i| At { inside: Some((name, Some(i))), ..whole.at };
    let cues = entity.assertion.iter().flat_map(|assertion| &assertion.cues).enumerate().map(move |(i, cue)| Stated {
        at: at("assertion.cues", i),
        start: cue.start,
        end: cue.end,
        text: Some(&cue.text),
    });
    let attributes = entity.attributes.iter().enumerate().map(move |(i, of)| Stated {
        at: at("attributes", i),
        start: of.start,
        end: of.end,
        text: Some(&of.text),
    });
    [whole].into_iter().chain(cues).chain(attributes)
}

fn stated<'a>(list: &'static str, item: usize, [start, end]: [usize; 2], text: Option<&'a str>) -> Stated<'a> {
    Stated { at: At { list, item, inside: None }, start, end, text }
}

impl<'a> Checked<'a> {
    /// Where an offset of the document lies, in bytes of the note; the end of the note for one that it does not state.
    pub fn byte(&self, offset: usize) -> usize {
        self.borders.byte(offset).unwrap_or(self.note.len())
    }

    /// Entities that do not overlap, for forms that hold no others: of two that do, the one that begins first, and of
    /// those the longer one.
    pub fn flat(&self) -> Vec<&Placed<'a>> {
        let order = by_place(self.entities.iter().map(|placed| &placed.bytes));
        let mut end = 0;
        let entities = order.into_iter().map(|i| &self.entities[i]);
        entities
            .filter(|placed| {
                let is_free = placed.bytes.start >= end;
                end = if is_free { placed.bytes.end } else { end };
                is_free
            })
            .collect()
    }
}

/// The numbers of places in the order of the note, the longer first.
pub(super) fn by_place<'p>(places: impl Iterator<Item = &'p Range<usize>>) -> Vec<usize> {
    let mut order: Vec<(usize, &Range<usize>)> = places.enumerate().collect();
    sort::by(&mut order, |(_, a), (_, b)| (a.start, b.end).cmp(&(b.start, a.end)));
    order.into_iter().map(|(i, _)| i).collect()
}

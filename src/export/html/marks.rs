//! The note with its marks, which may lie in each other and across each other.

use std::ops::Range;

use super::{Kinds, escape, said};
use crate::export::check::{Checked, by_place};

/// Something that is marked.
struct Mark {
    bytes: Range<usize>,
    /// The number of an entity; nothing for a cue.
    entity: Option<usize>,
}

/// The note as text with marks. Of two that cross each other the later one is closed where the earlier one ends, and
/// opened again.
pub(super) fn marked(checked: &Checked<'_>, kinds: &Kinds<'_>) -> String {
    let marks = marks(checked);
    let mut writer = Writer { checked, kinds, open: Vec::new(), at: 0, out: String::new() };
    for mark in &marks {
        writer.close(mark.bytes.start);
        writer.text(mark.bytes.start);
        writer.open(mark, false);
    }
    writer.close(checked.note.len());
    writer.text(checked.note.len());
    writer.out
}

/// Entities and their cues by place, the longer first.
fn marks(checked: &Checked<'_>) -> Vec<Mark> {
    let entities = checked.entities.iter().enumerate();
    let mut marks: Vec<Mark> =
        entities.map(|(i, placed)| Mark { bytes: placed.bytes.clone(), entity: Some(i) }).collect();
    let cues = checked.entities.iter().flat_map(|placed| &placed.entity.assertion).flat_map(|said| &said.cues);
    marks.extend(cues.map(|cue| Mark { bytes: checked.byte(cue.start)..checked.byte(cue.end), entity: None }));
    let order = by_place(marks.iter().map(|mark| &mark.bytes)).into_iter();
    let mut marks: Vec<Mark> = order.map(|i| Mark { bytes: marks[i].bytes.clone(), ..marks[i] }).collect();
    // One cue may be that of several entities.
    marks.dedup_by(|a, b| a.entity.is_none() && b.entity.is_none() && a.bytes == b.bytes);
    marks
}

struct Writer<'m> {
    checked: &'m Checked<'m>,
    kinds: &'m Kinds<'m>,
    /// The outermost first.
    open: Vec<&'m Mark>,
    /// How far the note is written.
    at: usize,
    out: String,
}

impl<'m> Writer<'m> {
    fn text(&mut self, end: usize) {
        self.out += &escape(&self.checked.note[self.at..end]);
        self.at = end;
    }

    fn open(&mut self, mark: &'m Mark, again: bool) {
        self.out += &match mark.entity {
            None => "<span class=\"cue\">".into(),
            Some(i) => {
                let id = if again { String::new() } else { format!(" id=\"e{i}\"") };
                format!("<mark{id} class=\"{}\">", self.kinds.class(self.checked.entities[i].entity))
            }
        };
        self.open.push(mark);
    }

    /// Closes what ends up to `until`, in the order of the ends.
    fn close(&mut self, until: usize) {
        while let Some(end) = self.open.iter().map(|mark| mark.bytes.end).min()
            && end <= until
        {
            self.text(end);
            let first = self.open.iter().position(|mark| mark.bytes.end == end).unwrap_or(0);
            let inside = self.open.split_off(first);
            for mark in inside.iter().rev() {
                self.end(mark, mark.bytes.end == end);
            }
            for mark in inside.into_iter().filter(|mark| mark.bytes.end > end) {
                self.open(mark, true);
            }
        }
    }

    /// The type stands in the mark, where it ends.
    fn end(&mut self, mark: &Mark, ends: bool) {
        self.out += &match mark.entity.filter(|_| ends) {
            None if mark.entity.is_some() => "</mark>".into(),
            None => "</span>".into(),
            Some(i) => {
                let entity = self.checked.entities[i].entity;
                let (glyph, label) = (self.kinds.glyph(&entity.label), escape(&entity.label));
                format!("<span class=\"tag\"> {glyph} {label}{}</span></mark>", said(entity))
            }
        };
    }
}

//! Which pairs of entities fit a sequence, and how each is marked in it.

use std::ops::Range;

use super::{Entity, RelationOptions};
use crate::text::frames::{Frame, frame_around};
use crate::text::markers::{Argument, Markers, mark};
use crate::text::{Encoding, Tokenizer};

/// What becomes of a pair.
pub(super) enum Pair {
    Fits(Frame),
    TooFar,
    Overlaps,
    Beyond,
}

/// A text and where its entities lie in it.
pub(super) struct Note<'a> {
    tokenizer: &'a Tokenizer,
    text: &'a str,
    entities: &'a [Entity],
    encoding: Encoding,
    max_length: usize,
    places: Vec<Place>,
}

/// Where an entity lies.
struct Place {
    /// The pieces that it touches.
    pieces: Range<usize>,
    /// The words that it touches.
    words: Range<usize>,
    /// Line breaks before its start and before its end.
    lines: Range<usize>,
}

impl<'a> Note<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, text: &'a str, entities: &'a [Entity], max_length: usize) -> Self {
        let encoding = tokenizer.encode(text);
        let breaks: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        let line = |at: usize| breaks.partition_point(|&line_break| line_break < at);
        let touched = |entity: &Entity| {
            let first = encoding.offsets.partition_point(|piece| piece.end <= entity.start);
            let end = encoding.offsets.partition_point(|piece| piece.start < entity.end);
            first..end.max(first)
        };
        let place = |entity: &Entity| {
            let pieces = touched(entity);
            let first = encoding.words.partition_point(|word| word.end <= pieces.start);
            let end = encoding.words.partition_point(|word| word.start < pieces.end);
            Place { words: first..end.max(first), lines: line(entity.start)..line(entity.end), pieces }
        };
        let places = entities.iter().map(place).collect();
        Self { tokenizer, text, entities, encoding, max_length, places }
    }

    /// Pieces of the text without markers.
    pub(super) fn tokens(&self) -> usize {
        self.encoding.len()
    }

    /// The sequence in which a pair is marked.
    pub(super) fn frame(&self, head: usize, tail: usize, markers: Markers, options: &RelationOptions) -> Pair {
        let in_order = self.entities[head].start <= self.entities[tail].start;
        let (first, second) = if in_order { (head, tail) } else { (tail, head) };
        if self.entities[second].start < self.entities[first].end {
            return Pair::Overlaps;
        }
        let (before, after) = (&self.places[first], &self.places[second]);
        let pieces = after.pieces.start.saturating_sub(before.pieces.end);
        let lines = after.lines.start.saturating_sub(before.lines.end);
        if options.max_pieces.is_some_and(|most| pieces > most) || options.max_lines.is_some_and(|most| lines > most) {
            return Pair::Beyond;
        }
        // Whole words between the two stay what they are when the two are marked, and each is a piece at least.
        if after.words.start.saturating_sub(before.words.end) > self.max_length {
            return Pair::TooFar;
        }
        let near = self.around(before, after);
        let argument = |entity: &'a Entity| Argument {
            start: entity.start - near.start,
            end: entity.end - near.start,
            label: &entity.label,
        };
        let (head, tail) = (argument(&self.entities[head]), argument(&self.entities[tail]));
        let Some(marked) = mark(&self.text[near.clone()], head, tail, markers) else { return Pair::Overlaps };
        let frame = frame_around(self.tokenizer, &marked.text, &marked.focus, self.max_length);
        frame.map_or(Pair::TooFar, Pair::Fits)
    }

    /// The bytes around two entities that hold more words on either side than a sequence has rows: what lies beyond
    /// cannot change the sequence, and reading a long note again for each pair would take a time quadratic in it.
    fn around(&self, before: &Place, after: &Place) -> Range<usize> {
        let first = before.words.start.checked_sub(self.max_length).and_then(|word| self.encoding.words.get(word));
        let last = self.encoding.words.get(after.words.end + self.max_length);
        let start = first.map_or(0, |word| self.encoding.offsets[word.start].start);
        let end = last.map_or(self.text.len(), |word| self.encoding.offsets[word.start].start);
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Normalization;

    const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##x\n@\n$\n<\n>\n/\ns\no\n:\n-\n";

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_vocab(VOCAB.as_bytes(), Normalization::uncased()).unwrap()
    }

    fn entity(start: usize, end: usize) -> Entity {
        Entity { start, end, label: "A".into() }
    }

    #[test]
    fn what_lies_far_away_does_not_change_the_sequence() {
        let tokenizer = tokenizer();
        let text = "a b-cx é b. ".repeat(40);
        let starts: Vec<usize> = (0..40).map(|i| i * 13).collect();
        let entities: Vec<Entity> = starts.iter().map(|&start| entity(start, start + 1)).collect();
        for max_length in [16, 24, 25, 31] {
            let note = Note::new(&tokenizer, &text, &entities, max_length);
            for (head, tail) in [(0, 1), (1, 0), (20, 21), (21, 20), (38, 39), (19, 20)] {
                let argument = |i: usize| Argument { start: starts[i], end: starts[i] + 1, label: "A" };
                for markers in [Markers::Typed, Markers::Replaced] {
                    let marked = mark(&text, argument(head), argument(tail), markers).unwrap();
                    let expected = frame_around(&tokenizer, &marked.text, &marked.focus, max_length);
                    let found = match note.frame(head, tail, markers, &RelationOptions::default()) {
                        Pair::Fits(frame) => Some(frame),
                        _ => None,
                    };
                    assert!(expected == found, "{head} {tail} {max_length} {markers:?}: {expected:?} {found:?}");
                }
            }
        }
    }

    #[test]
    fn why_pairs_are_left_out() {
        let tokenizer = tokenizer();
        let text = "a b\nc a b a b a b a b a b a b a b";
        let entities = [entity(0, 1), entity(2, 3), entity(4, 5), entity(0, 3), entity(32, 33)];
        let note = Note::new(&tokenizer, text, &entities, 12);
        let why = |head, tail, options: RelationOptions| match note.frame(head, tail, Markers::Replaced, &options) {
            Pair::Fits(_) => "fits",
            Pair::TooFar => "too far",
            Pair::Overlaps => "overlaps",
            Pair::Beyond => "beyond",
        };
        let all = RelationOptions::default();
        assert_eq!(why(0, 1, all), "fits");
        assert_eq!(why(0, 3, all), "overlaps");
        assert_eq!(why(3, 1, all), "overlaps");
        assert_eq!(why(0, 4, all), "too far");
        assert_eq!(why(2, 1, RelationOptions { max_lines: Some(0), ..all }), "beyond");
        assert_eq!(why(1, 0, RelationOptions { max_lines: Some(0), ..all }), "fits");
        assert_eq!(why(0, 2, RelationOptions { max_pieces: Some(0), ..all }), "beyond");
        assert_eq!(why(0, 2, RelationOptions { max_pieces: Some(1), ..all }), "fits");
    }
}

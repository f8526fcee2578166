//! The words of a note as rules see them: in lower case, with one form of apostrophe and dash, and without the
//! placeholders, which rules look through.
//!
//! A word is a run of letters and digits, with apostrophes and decimal points inside; every other character that is not
//! white space is a word of its own. So a phrase of a rule and the note are cut alike, whatever white space or line
//! break stands between.

use std::ops::Range;

use super::phrases::Phrases;
use crate::unicode;

/// A word that no phrase has.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The words of a text with their numbers in a set of phrases.
#[derive(Default)]
pub(super) struct Words {
    /// Bytes of the note.
    pub(super) ranges: Vec<Range<usize>>,
    /// By [`Phrases::id`], or [`UNKNOWN`].
    pub(super) ids: Vec<u32>,
}

impl Words {
    /// Of a note without its placeholders, which must be in order.
    pub(super) fn of(note: &str, placeholders: &[Range<usize>], phrases: &Phrases) -> Self {
        let mut words = Self::default();
        let mut hidden = placeholders.iter().peekable();
        each(note, &mut |word, range| {
            while hidden.next_if(|placeholder| placeholder.end <= range.start).is_some() {}
            if hidden.peek().is_none_or(|placeholder| range.end <= placeholder.start) {
                words.ranges.push(range);
                words.ids.push(phrases.id(word).unwrap_or(UNKNOWN));
            }
            true
        });
        words
    }

    /// The words that lie in a range of bytes, those that lie only partly in it too.
    pub(super) fn within(&self, bytes: &Range<usize>) -> Range<usize> {
        let start = self.ranges.partition_point(|word| word.end <= bytes.start);
        let end = self.ranges.partition_point(|word| word.start < bytes.end);
        start..end.max(start)
    }
}

/// What takes words, and says whether it wants more. One copy of the code serves all: it is downloaded with a page.
type Sink<'a> = &'a mut dyn FnMut(&str, Range<usize>) -> bool;

/// Calls `sink` with each word in its normal form and the bytes it came from, until it says no.
pub(super) fn each(text: &str, sink: Sink<'_>) {
    let bytes = text.as_bytes();
    let mut word = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let next = bytes.get(at + run);
        let (end, more) = if run > 0 && next.is_none_or(|next| next.is_ascii() && !matches!(next, b'\'' | b'.')) {
            // Nearly all words: nothing to join, nothing that lower case makes longer.
            word.push_str(&text[at..at + run]);
            word.make_ascii_lowercase();
            (at + run, sink(&word, at..at + run))
        } else {
            joined(text, at, &mut word, sink)
        };
        if !more {
            return;
        }
        word.clear();
        at = end;
    }
}

/// The word or the other character at a place, with whatever joins its parts; where it ends, and whether `sink` wants
/// more.
fn joined(text: &str, start: usize, word: &mut String, sink: Sink<'_>) -> (usize, bool) {
    let mut chars = text[start..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let (at, end) = (start + at, start + at + c.len_utf8());
        let next = chars.peek().map(|&(_, next)| next);
        if c.is_alphanumeric() {
            lower(c, word);
            if !next.is_some_and(|next| next.is_alphanumeric() || joins(next)) {
                return (end, sink(word, start..end));
            }
        } else if word.is_empty() {
            return (end, alone(c, at..end, sink));
        } else if next.is_some_and(|next| fits(word, c, next)) {
            word.push(plain(c)); // a joint: the word goes on
        } else {
            return (at, sink(word, start..at));
        }
    }
    (text.len(), true)
}

fn alone(c: char, range: Range<usize>, sink: Sink<'_>) -> bool {
    c.is_whitespace() || is_invisible(c) || sink(plain(c).encode_utf8(&mut [0; 4]), range)
}

fn joins(c: char) -> bool {
    matches!(c, '\'' | '’' | '.')
}

fn fits(word: &str, joint: char, next: char) -> bool {
    match joint {
        '.' => next.is_ascii_digit() && word.ends_with(|c: char| c.is_ascii_digit()),
        _ => joins(joint) && next.is_alphanumeric(),
    }
}

fn plain(c: char) -> char {
    match c {
        '’' | '‘' => '\'',
        '‐' | '‑' | '‒' | '–' | '—' | '−' => '-',
        _ => c,
    }
}

fn lower(c: char, word: &mut String) {
    word.extend(unicode::lowercase(c));
}

/// Soft hyphen, zero-width characters, byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let cases = [
            ("", ""),
            ("No  evidence\nof", "no|evidence|of"),
            ("r/o PE.", "r|/|o|pe|."),
            ("Doesn’t can't 'quoted'", "doesn't|can't|'|quoted|'"),
            ("3.5 mg. 1.2.", "3.5|mg|.|1.2|."),
            ("e.g. b.i.d.", "e|.|g|.|b|.|i|.|d|."),
            ("non–smoker (-)", "non|-|smoker|(|-|)"),
            ("a\u{200B}b \u{AD}c", "a|b|c"),
            ("ÄNDERUNG 5µg ½ İ", "änderung|5µg|½|i\u{307}"),
        ];
        for (text, expected) in cases {
            let mut found = Vec::new();
            each(text, &mut |word, range| {
                assert!(text.get(range).is_some_and(|part| !part.is_empty()));
                found.push(word.to_owned());
                true
            });
            assert_eq!(found.join("|"), expected, "{text:?}");
        }
    }

    /// Character by character, without the short way for ASCII.
    fn slowly(text: &str) -> Vec<(String, Range<usize>)> {
        let (mut words, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let mut sink = |word: &str, range: Range<usize>| {
                words.push((word.to_owned(), range));
                true
            };
            at = joined(text, at, &mut String::new(), &mut sink).0;
        }
        words
    }

    #[test]
    fn the_short_way_cuts_the_same() {
        for (text, _) in crate::clinical::hostile::texts(5000) {
            let mut found = Vec::new();
            each(&text, &mut |word, range| {
                found.push((word.to_owned(), range));
                true
            });
            assert_eq!(found, slowly(&text), "{text:?}");
        }
    }

    #[test]
    fn placeholders_are_looked_through() {
        let phrases = Phrases::default();
        let note = "no [**Name**] or ___ fever";
        let words = Words::of(note, &super::super::placeholders::find(note), &phrases);
        let found: Vec<_> = words.ranges.iter().map(|range| &note[range.clone()]).collect();
        assert_eq!(found, ["no", "or", "fever"]);
        assert_eq!(words.within(&(4..22)), 1..3);
        assert_eq!(words.within(&(3..4)), 1..1);
        assert_eq!(words.within(&(900..1000)), 3..3);
    }
}

//! Which line breaks end a sentence.
//!
//! Old systems break lines at a fixed width, wherever a sentence stands then; people break them where something ends. A
//! break is taken for one of width when the first word of the next line would not have fitted into the line before, in
//! a note that shows such lines, or when the words around it belong together.

use std::ops::Range;

/// Lines shorter than this are not broken at a width.
const LEAST_WIDTH: usize = 40;
/// Nor are longer ones: they are paragraphs.
const MOST_WIDTH: usize = 140;
/// Lines that must look broken at a width before a capital on the next line is believed to go on.
const EVIDENCE: usize = 2;

/// Words that no sentence ends with, sorted.
const OPEN_ENDS: &[&str] = &[
    "a", "an", "and", "any", "as", "at", "by", "denied", "denies", "dr.", "drs.", "for", "from", "had", "has", "have",
    "her", "his", "in", "is", "mr.", "mrs.", "ms.", "no", "not", "of", "on", "or", "that", "the", "their", "to", "vs.",
    "was", "were", "which", "with", "without",
];
/// Words that no sentence of a note begins with in lower case, sorted.
const OPEN_STARTS: &[&str] =
    &["and", "but", "by", "for", "in", "of", "on", "or", "than", "that", "to", "which", "who", "with", "without"];

/// Places between two lines, in bytes, at which a sentence ends.
pub(super) fn ends(note: &str) -> Vec<usize> {
    let lines = lines(note);
    let width = width(&lines);
    let mut ends = Vec::new();
    for pair in lines.windows(2) {
        if !goes_on(&pair[0], &pair[1], width) {
            ends.push(pair[0].end);
        }
    }
    ends
}

struct Line<'a> {
    /// Without white space at the edges.
    text: &'a str,
    /// One past its last byte, line break included.
    end: usize,
}

fn lines(note: &str) -> Vec<Line<'_>> {
    let mut end = 0;
    let line = |text: &'_ str| -> Range<usize> {
        let start = end;
        end += text.len();
        start..end
    };
    let ranges: Vec<_> = note.split_inclusive(['\n', '\r']).map(line).collect();
    ranges.into_iter().map(|range| Line { text: note[range.clone()].trim(), end: range.end }).collect()
}

/// The width at which a note is broken, if it shows one.
fn width(lines: &[Line<'_>]) -> Option<usize> {
    let broken = lines.windows(2).filter(|pair| {
        let (line, next) = (pair[0].text, pair[1].text);
        (LEAST_WIDTH..=MOST_WIDTH).contains(&line.len())
            && next.starts_with(char::is_lowercase)
            && !line.ends_with(['.', '?', '!', ':', ';'])
    });
    let lengths: Vec<usize> = broken.map(|pair| pair[0].text.len()).collect();
    lengths.iter().max().copied().filter(|_| lengths.len() >= EVIDENCE)
}

fn goes_on(line: &Line<'_>, next: &Line<'_>, width: Option<usize>) -> bool {
    let (line, next) = (line.text, next.text);
    if line.is_empty() || next.is_empty() || is_item(next) || is_entry(next) || line.ends_with([':', '|']) {
        return false;
    }
    let last = line.rsplit(char::is_whitespace).next().unwrap_or_default();
    let first = next.split(char::is_whitespace).next().unwrap_or_default();
    let listed = |list: &[&str], word: &str| list.binary_search(&word).is_ok();
    if line.ends_with(',') || listed(OPEN_ENDS, &last.to_ascii_lowercase()) || listed(OPEN_STARTS, first) {
        return true;
    }
    let full = |width: usize| line.len() + 1 + first.len() > width && line.len() <= MOST_WIDTH;
    width.is_some_and(full) || next.starts_with(char::is_lowercase) && (LEAST_WIDTH..=MOST_WIDTH).contains(&line.len())
}

/// `- `, `• `, `1. `, `2) `, `(3) `, `a. `, `[ ]`, `#`.
fn is_item(line: &str) -> bool {
    let mark = line.split(char::is_whitespace).next().unwrap_or_default();
    let inner = mark.trim_start_matches('(').trim_end_matches(['.', ')']);
    let counted = inner.len() < mark.len()
        && (1..=2).contains(&inner.len())
        && (inner.bytes().all(|byte| byte.is_ascii_digit())
            || inner.len() == 1 && inner.as_bytes()[0].is_ascii_alphabetic());
    let bullet = !mark.is_empty()
        && mark.chars().all(|c| matches!(c, '-' | '*' | '+' | '•' | '·' | '–' | '—' | '>' | '#' | 'o'));
    counted || bullet || line.starts_with(['•', '·', '#', '|', '[', '▪', '●'])
}

/// `Fever: none`: a key of at most four words and its value.
fn is_entry(line: &str) -> bool {
    let Some((key, value)) = line.split_once(':') else { return false };
    let spaced = value.is_empty() || value.starts_with(char::is_whitespace);
    spaced && key.split_whitespace().take(5).count() <= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(OPEN_ENDS.is_sorted() && OPEN_STARTS.is_sorted());
    }

    #[test]
    fn a_width_needs_evidence() {
        let prose = "The patient was seen in the clinic today and then he\nwas sent home with some pills for the pain in his left\n                     arm and a letter to Doctor Carter, who will see him at\nBoston on Friday.\nStable.";
        assert_eq!(ends(prose), [prose.len() - "Stable.".len()]);
        let list = "Patient denies any chest pain or shortness of breath\nHas fever\nHas cough";
        assert_eq!(ends(list).len(), 2);
    }
}

//! CoNLL: a token a line with its place in code points and its IOB2 tag, a blank line between sentences.
//!
//! Divided by tabs, shown as spaces here:
//!
//! ```text
//! # document = note 1
//! # columns = token start end tag
//! denies  10  16  O
//! chest  17  22  B-PROBLEM
//! pain  23  27  I-PROBLEM
//! ```
//!
//! Lines that begin with `# ` say which document follows. Tokens are runs of letters, digits and marks, and every other
//! character by itself; an entity never shares one. Control characters are written as U+FFFD. IOB2 holds no overlaps: of
//! two entities the first, or the longer one, is written. White space in a label becomes `_`. Nothing else of the document
//! is written. Where the document has no sentences, each line of the note is one.

use std::ops::Range;

use super::annotation::{Annotation, Marked, placed};
use super::check::{Checked, Placed};
use super::input;
use super::options::Options;
use crate::error::Result;

/// One document.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> String {
    let (note, entities) = (checked.note, checked.flat());
    let (name, sha256) = (shown(&options.name), &checked.document.text_sha256);
    let mut out = format!("# document = {name}\n# text_sha256 = {sha256}\n# columns = token start end tag\n");
    let mut breaks = sentence_ends(checked).into_iter().peekable();
    let mut rest = entities.iter().peekable();
    let (mut byte, mut point) = (0, 0);
    for (i, token) in tokens(note, &entities).into_iter().enumerate() {
        while rest.next_if(|entity| entity.bytes.end <= token.start).is_some() {}
        let entity = rest.peek().filter(|entity| entity.bytes.start <= token.start);
        let is_inside = entity.is_some_and(|entity| entity.bytes.start < token.start);
        let mut is_new = false;
        while breaks.next_if(|&end| end <= token.start).is_some() {
            is_new = i > 0;
        }
        if is_new && !is_inside {
            out.push('\n');
        }
        let text = &note[token.clone()];
        let start = point + note[byte..token.start].chars().count();
        (byte, point) = (token.end, start + text.chars().count());
        let tag = entity.map_or_else(|| "O".into(), |entity| tag(entity, is_inside));
        out += &format!("{}\t{start}\t{point}\t{tag}\n", shown(text));
    }
    out.push('\n');
    out
}

fn tag(entity: &Placed<'_>, is_inside: bool) -> String {
    let label = entity.entity.label.replace(|c: char| c.is_whitespace() || c.is_control(), "_");
    [if is_inside { "I-" } else { "B-" }, &label].concat()
}

/// Without what breaks a line for any reader of lines.
fn shown(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), "\u{FFFD}")
}

/// Where sentences end, in bytes, ascending.
fn sentence_ends(checked: &Checked<'_>) -> Vec<usize> {
    let sentences = &checked.document.sentences;
    if sentences.is_empty() {
        return checked.note.match_indices('\n').map(|(at, _)| at + 1).collect();
    }
    sentences.iter().map(|sentence| checked.byte(sentence.end)).collect()
}

/// Tokens in bytes: runs of letters and digits with their marks, and each other character that is no white space; none
/// reaches over the border of an entity. White space at such a border is a token too: the border would be lost.
fn tokens(note: &str, entities: &[&Placed<'_>]) -> Vec<Range<usize>> {
    let starts: Vec<usize> = entities.iter().map(|placed| placed.bytes.start).collect();
    let ends: Vec<usize> = entities.iter().map(|placed| placed.bytes.end).collect();
    let is = |borders: &[usize], at: usize| borders.binary_search(&at).is_ok();
    let mut tokens: Vec<Range<usize>> = Vec::new();
    let mut is_word = false;
    for (at, c) in note.char_indices() {
        let end = at + c.len_utf8();
        let joins = is_mark(c) || (is_word && c.is_alphanumeric());
        let is_cut = is(&starts, at) || is(&ends, at);
        match tokens.last_mut() {
            Some(token) if joins && token.end == at && !is_cut => token.end = end,
            _ if c.is_whitespace() && !is(&starts, at) && !is(&ends, end) => (),
            _ => tokens.push(at..end),
        }
        is_word = c.is_alphanumeric() || (is_mark(c) && is_word);
    }
    tokens
}

/// Marks that belong to the letter before them, and the joiners of emoji.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{200C}' | '\u{200D}')
}

/// What one document of a file marks in its text; tags are read as conlleval does, `I-` without a beginning begins.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a line of another form, by its number, and for a place that does not lie in the text.
pub fn read(conll: &str, text: &str) -> Result<Vec<Annotation>> {
    let mut marks: Vec<Marked> = Vec::new();
    let mut open = false;
    for (line, number) in conll.split('\n').zip(1..) {
        let at = format!("line {number}");
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.starts_with("# ") {
            open &= !line.is_empty();
            continue;
        }
        let wrong = || input(format!("{at}: expected a token, its start, its end and its tag, divided by tabs"));
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, start, end, tag] = fields[..] else { return Err(wrong()) };
        let points = start.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?;
        let label = match tag.split_once('-') {
            None if tag == "O" => None,
            Some(("B" | "I", label)) if !label.is_empty() => Some(label),
            _ => return Err(input(format!("{at}: expected O, or B- or I- and a label"))),
        };
        match (label, marks.last_mut().filter(|_| open)) {
            (None, _) => open = false,
            (Some(label), Some(mark)) if tag.starts_with('I') && mark.label == label => mark.points.end = points.end,
            (Some(label), _) => {
                marks.push(Marked { at, points, label: label.into(), assertion: None });
                open = true;
            }
        }
    }
    placed(text, marks)
}

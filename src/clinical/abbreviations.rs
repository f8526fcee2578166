//! Short forms and what they stand for: as a note itself defines them, else as a caller's list says.
//!
//! Definitions are found as Schwartz and Hearst do: A. S. Schwartz and M. A. Hearst, "A simple algorithm for identifying
//! abbreviation definitions in biomedical text", PSB 2003. Either `long form (SF)` or `SF (long form)`; the letters of the
//! short form are looked for in the long form from right to left, and its first one must begin a word.

use std::fmt;
use std::ops::Range;

use super::table::{broken, decode, lines};
use crate::error::Result;
use crate::sort;
use crate::unicode;

/// Characters of a short form. The paper has 2 to 10.
const SHORT: std::ops::RangeInclusive<usize> = 2..=10;
/// Characters of a short form of a caller's list.
const LISTED: usize = 40;
/// Bytes that are looked at on either side of a parenthesis: more than twenty words.
const REACH: usize = 400;

/// A short form and its long form, side by side in a note. Byte ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The short form.
    pub short: Range<usize>,
    /// The long form.
    pub long: Range<usize>,
}

/// A short form in a note, and what it stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Abbreviation {
    /// The short form, in bytes of the note; without a plural s.
    pub range: Range<usize>,
    /// What it stands for.
    pub long: String,
    /// Where the note says so, in bytes; `None` when the caller's list does.
    pub defined: Option<Range<usize>>,
}

/// The long form may be a part of a note.
impl fmt::Debug for Abbreviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { range, long, defined } = self;
        write!(f, "Abbreviation({range:?}, {} bytes, {defined:?})", long.len())
    }
}

/// A caller's list of short forms, for those that a note does not define.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Short and long, sorted by the short form.
    pairs: Vec<(String, String)>,
    /// Characters of the longest short form.
    longest: usize,
}

impl List {
    /// Reads lines of `short<TAB>long`; a first line `short<TAB>long` is a heading, blank lines are skipped.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Data`], with the line: not UTF-8, not two columns, one of them empty, a short form that has no
    /// letter or digit at its start, or one that stands in the list already.
    pub fn from_tsv(bytes: Vec<u8>) -> Result<Self> {
        let text = decode(bytes)?;
        let mut pairs: Vec<(String, String, usize)> = Vec::new();
        for (number, _, line) in lines(&text) {
            let Some((short, long)) = line.split_once('\t') else {
                return Err(broken(number, "no tab; write the short form, a tab and the long form"));
            };
            let (short, long) = (short.trim(), long.trim());
            if pairs.is_empty() && short.eq_ignore_ascii_case("short") && long.eq_ignore_ascii_case("long") {
                continue;
            }
            if long.is_empty() || long.contains('\t') {
                return Err(broken(number, "expected two columns, the short form and the long form"));
            }
            if !short.starts_with(char::is_alphanumeric) {
                return Err(broken(number, "the short form does not start with a letter or digit"));
            }
            if short.chars().count() > LISTED {
                return Err(broken(number, "the short form is longer than the 40 characters that are looked up"));
            }
            pairs.push((short.to_owned(), long.to_owned(), number));
        }
        sort::by(&mut pairs, Ord::cmp);
        if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let (one, other) = (twice[0].2.min(twice[1].2), twice[0].2.max(twice[1].2));
            let message = format!("the short form of line {one} again; keep the meaning that your notes have");
            return Err(broken(other, &message));
        }
        let longest = pairs.iter().map(|(short, ..)| short.chars().count()).max().unwrap_or(0);
        Ok(Self { pairs: pairs.into_iter().map(|(short, long, _)| (short, long)).collect(), longest })
    }

    /// How many short forms it has.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// All short forms of a note whose long form is known, by place.
///
/// A definition of the note holds from where it stands to the next one of the same short form, and comes before the list.
/// Case counts ("OR" is not "or"), and so do the borders of words; a plural s may follow.
pub fn find(note: &str, list: &List) -> Vec<Abbreviation> {
    let mut defined = definitions(note);
    let key = |definition: &Definition| (&note[definition.short.clone()], definition.short.start);
    sort::by(&mut defined, |a, b| key(a).cmp(&key(b)));
    let initials = initials(note, &defined, list);
    let mut found: Vec<Abbreviation> = Vec::new();
    if initials.is_empty() {
        return found;
    }
    let mut rest = 0;
    for word in words(note) {
        if word.start < rest || !note[word.start..].starts_with(|c| initials.contains(&c)) {
            continue;
        }
        let local = ends(note, word.start, *SHORT.end()).rev().find_map(|end| {
            let short = &note[word.start..end];
            let before = |known: &Definition| key(known) <= (short, word.start);
            let nearest = &defined[..defined.partition_point(before)].last()?.clone();
            let long = nearest.long.clone();
            (note[nearest.short.clone()] == *short).then(|| (end, note[long.clone()].to_owned(), Some(long)))
        });
        let listed = || {
            ends(note, word.start, list.longest).rev().find_map(|end| {
                let at = list.pairs.binary_search_by(|(short, _)| short.as_str().cmp(&note[word.start..end])).ok()?;
                Some((end, list.pairs[at].1.clone(), None))
            })
        };
        if let Some((end, long, defined)) = local.or_else(listed) {
            found.push(Abbreviation { range: word.start..end, long, defined });
            rest = end;
        }
    }
    found
}

/// The letters that short forms begin with: what begins with another is none.
fn initials(note: &str, defined: &[Definition], list: &List) -> Vec<char> {
    let defined = defined.iter().map(|definition| &note[definition.short.clone()]);
    let mut initials = Vec::new();
    for short in defined.chain(list.pairs.iter().map(|(short, _)| short.as_str())) {
        initials.extend(short.chars().next().filter(|initial| !initials.contains(initial)));
    }
    initials
}

/// Where a short form of at most so many characters that starts here may end: at the border of a word, or at capitals that
/// the s of a plural follows.
fn ends(note: &str, start: usize, longest: usize) -> impl DoubleEndedIterator<Item = usize> {
    let border = |text: &str| !text.starts_with(char::is_alphanumeric);
    let mut ends = Vec::new();
    for (at, c) in note[start..].char_indices().take(longest) {
        let end = start + at + c.len_utf8();
        let after = &note[end..];
        let plural = c.is_uppercase() && after.strip_prefix('s').is_some_and(border);
        if !c.is_whitespace() && (border(after) || plural) {
            ends.push(end);
        }
    }
    ends.into_iter()
}

/// Runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(char::is_alphanumeric)?;
        at = text[start..].find(|c: char| !c.is_alphanumeric()).map_or(text.len(), |length| start + length);
        Some(start..at)
    })
}

/// The definitions of a note, by place.
pub fn definitions(note: &str) -> Vec<Definition> {
    note.match_indices('(').filter_map(|(open, _)| definition(note, open)).collect()
}

fn definition(note: &str, open: usize) -> Option<Definition> {
    let inside = trimmed(note, inside(note, open)?, &['\'', '"', '“', '”', '‘', '’']);
    let before = before(note, open);
    if note[inside.clone()].split_whitespace().count() <= 2
        && let Some(long) = long_form(note, &inside, before.clone())
    {
        return Some(Definition { short: inside, long });
    }
    // The other way round: the word before the parenthesis is the short form.
    let last = note[before.clone()].rfind(char::is_whitespace).map_or(before.start, |at| before.start + at);
    let short = trimmed(note, last..before.end, &['\'', '"', '“', '”', '‘', '’']);
    let capital = note[short.clone()].contains(char::is_uppercase);
    let long = long_form(note, &short, inside).filter(|_| capital)?;
    Some(Definition { short, long })
}

/// What a parenthesis holds, up to a comma or semicolon.
fn inside(note: &str, open: usize) -> Option<Range<usize>> {
    let rest = &note[open + 1..floor(note, open + 1 + REACH)];
    let close = rest.find([')', '('])?;
    let held = rest[..close].find([';', ',']).unwrap_or(close);
    (rest[close..].starts_with(')') && !is_broken(&rest[..close])).then_some(open + 1..open + 1 + held)
}

/// The text before a parenthesis that may belong to it: back to the end of a sentence, a blank line or a parenthesis.
fn before(note: &str, open: usize) -> Range<usize> {
    let from = ceil(note, open.saturating_sub(REACH));
    let text = &note[from..open];
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let next = || text[at + c.len_utf8()..].chars();
        let ends = match c {
            '.' | '!' | '?' => next().next().is_some_and(char::is_whitespace) && next().nth(1).is_some_and(capital),
            ';' | '(' => true,
            '\n' => next().find(|c| *c == '\n' || !c.is_whitespace()).is_some_and(|c| c == '\n'),
            _ => false,
        };
        if ends {
            start = at + c.len_utf8();
        }
    }
    trimmed(note, from + start..open, &[])
}

fn capital(c: char) -> bool {
    c.is_uppercase() || c.is_whitespace()
}

fn is_broken(text: &str) -> bool {
    text.lines().skip(1).any(|line| line.trim().is_empty())
}

/// The shortest end of `text` that a short form abbreviates, and that begins with a word.
fn long_form(note: &str, short: &Range<usize>, text: Range<usize>) -> Option<Range<usize>> {
    let short = &note[short.clone()];
    let letters: Vec<char> = short.chars().filter(|c| c.is_alphanumeric()).map(lower).collect();
    let valid = SHORT.contains(&short.chars().count())
        && short.starts_with(char::is_alphanumeric)
        && short.contains(char::is_alphabetic);
    let start = if valid { match_backwards(&letters, &note[text.clone()])? } else { return None };
    let long = &note[text.start + start..text.end];
    let count = long.split(|c: char| c.is_whitespace() || c == '-').filter(|word| !word.is_empty()).count();
    let most = (letters.len() + 5).min(letters.len() * 2);
    let repeats = long.split_whitespace().any(|word| word == short) || long.ends_with(short);
    (count <= most && long.len() >= short.len() && !repeats).then_some(text.start + start..text.end)
}

/// Finds the letters from right to left; the first one at the start of a word. The place where its word starts.
fn match_backwards(letters: &[char], text: &str) -> Option<usize> {
    let mut left = text.char_indices().rev().peekable();
    let mut at = text.len();
    for (i, &letter) in letters.iter().enumerate().rev() {
        loop {
            let (place, c) = left.next()?;
            let inner = i == 0 && left.peek().is_some_and(|(_, before)| before.is_alphanumeric());
            if lower(c) == letter && !inner {
                at = place;
                break;
            }
        }
    }
    Some(text[..at].rfind(char::is_whitespace).map_or(0, |space| next(text, space)))
}

fn lower(c: char) -> char {
    unicode::lowercase(c).next().unwrap_or(c)
}

/// The place after the character at `at`.
fn next(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(0, char::len_utf8)
}

/// A range without white space, and without these characters, at its ends.
fn trimmed(note: &str, range: Range<usize>, marks: &[char]) -> Range<usize> {
    let drop = |c: char| c.is_whitespace() || marks.contains(&c);
    let text = &note[range.clone()];
    let start = range.start + (text.len() - text.trim_start_matches(drop).len());
    start..start + text.trim_matches(drop).len()
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests;

//! Where headings stand.
//!
//! A heading begins a line, or follows the end of a sentence or column: only there words are cut and looked up, so that most of a
//! note is read as bytes.

use std::ops::Range;

use crate::clinical::phrases::Phrases;
use crate::clinical::words;

/// The longest heading that is not known by its title, in bytes.
const MOST_BYTES: usize = 60;

pub(super) struct Heading {
    pub(super) title: Range<usize>,
    /// One past the colon, or past the title where there is none.
    pub(super) end: usize,
    /// Of a known title.
    pub(super) row: Option<u32>,
}

pub(super) struct Headings<'a> {
    pub(super) note: &'a str,
    pub(super) placeholders: &'a [Range<usize>],
    pub(super) phrases: &'a Phrases,
}

impl Headings<'_> {
    /// All, in order.
    pub(super) fn all(&self) -> Vec<Heading> {
        let mut headings: Vec<Heading> = Vec::new();
        let (mut line, mut begun) = (0, false);
        while line < self.note.len() {
            let length = self.note.as_bytes()[line..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let end = length.map_or(self.note.len(), |length| line + length);
            let mut look = |start: usize, first: bool| {
                if headings.last().is_some_and(|last| start < last.end) {
                    return;
                }
                let unknown = || if first { self.unknown(start, line) } else { None };
                headings.extend(self.known(start, first).or_else(unknown));
            };
            let inner = self.first_words(line..end, &mut begun, |start| look(start, true));
            self.later_words(inner..end, |start| look(start, false));
            line = end + 1;
        }
        headings
    }

    /// Calls `sink` with the words at the start of a line that nothing but marks stands before, and with the first word of the
    /// note, whatever stands before it; where the others begin.
    fn first_words(&self, line: Range<usize>, begun: &mut bool, mut sink: impl FnMut(usize)) -> usize {
        let mut inner = line.start; // up to here there are marks only
        let mut hidden = self.hidden(line.start);
        words::each(&self.note[line.clone()], &mut |_, word| {
            let word = line.start + word.start..line.start + word.end;
            let marked = self.note[inner..word.start].chars().all(is_mark);
            let hidden = hidden(&word);
            let first = !hidden && (marked || !*begun);
            if first {
                sink(word.start);
            }
            *begun |= !hidden;
            inner = if marked || first { word.start } else { inner };
            marked || !*begun
        });
        inner
    }

    /// Calls `sink` with each capital behind the end of a sentence or column.
    fn later_words(&self, line: Range<usize>, mut sink: impl FnMut(usize)) {
        let mut at = line.start;
        while let Some(blank) = self.note.as_bytes()[at..line.end].iter().position(|byte| matches!(byte, b' ' | b'\t'))
        {
            at += blank + 1;
            if self.note[at..].starts_with(char::is_uppercase) && self.follows_an_end(at) {
                sink(at);
            }
        }
    }

    /// Says of words in order, from a place on, whether a placeholder hides them.
    fn hidden(&self, from: usize) -> impl FnMut(&Range<usize>) -> bool {
        let first = self.placeholders.partition_point(|placeholder| placeholder.end <= from);
        let mut rest = self.placeholders[first..].iter().peekable();
        move |word| {
            while rest.next_if(|placeholder| placeholder.end <= word.start).is_some() {}
            rest.peek().is_some_and(|placeholder| word.end > placeholder.start)
        }
    }

    /// The longest title whose words begin here, how many they are, and its row.
    fn title(&self, start: usize) -> Option<(Range<usize>, usize, u32)> {
        let mut walk = self.phrases.walk();
        let mut ends = Vec::new();
        let mut hidden = self.hidden(start);
        words::each(&self.note[start..], &mut |word, range| {
            let range = start + range.start..start + range.end;
            if hidden(&range) {
                return !ends.is_empty(); // rules look through placeholders
            }
            ends.push(range.end);
            self.phrases.id(word).is_some_and(|id| walk.step(id))
        });
        let (length, row) = walk.best()?;
        Some((start..ends[length - 1], length, row))
    }

    /// A title of the rules that begins at this word.
    fn known(&self, start: usize, first: bool) -> Option<Heading> {
        let (title, length, row) = self.title(start)?;
        let text = &self.note[title.clone()];
        let capital = text.starts_with(char::is_uppercase);
        if text.contains(['\n', '\r']) {
            return None;
        }
        let colon = self.colon(title.end);
        let alone =
            first && capital && self.note[title.end..].trim_start_matches(is_closing_mark).starts_with(['\n', '\r']);
        let dash =
            first && length > 1 && !text.contains(char::is_lowercase) && self.note[title.end..].starts_with(" - ");
        match colon {
            Some(end) => Some(Heading { title, end, row: Some(row) }),
            None if alone || dash => Some(Heading { end: title.end, title, row: Some(row) }),
            None => None,
        }
    }

    /// One past the colon behind a title, closing marks and a remark in brackets between.
    fn colon(&self, end: usize) -> Option<usize> {
        let mut rest = self.note[end..].trim_start_matches([' ', '\t', '*', '_']);
        if rest.starts_with('(') {
            let reach = rest.char_indices().nth(MOST_BYTES).map_or(rest.len(), |(at, _)| at);
            let close = rest[..reach].find([')', '\n'])?;
            rest = rest[close..].strip_prefix(')')?.trim_start_matches([' ', '\t', '*', '_']);
        }
        let after = rest.strip_prefix(':')?;
        Some(self.note.len() - after.trim_start_matches('*').len())
    }

    fn byte(&self, at: usize) -> u8 {
        self.note.as_bytes().get(at).copied().unwrap_or(b'\n')
    }

    /// Whether a sentence or a column ends before this byte.
    fn follows_an_end(&self, start: usize) -> bool {
        let before = &self.note[..start];
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        blanks >= 2 || blanks == 1 && before.trim_end_matches(' ').ends_with(['.', ';', ',', '?', '!', ')', '|'])
    }

    /// At least two words in capitals with a colon behind, at the start of a line, with a text or nothing after them: in
    /// `CHEST PAIN: NONE` the second is a value.
    fn unknown(&self, start: usize, line: usize) -> Option<Heading> {
        let reach = (start + MOST_BYTES).min(self.note.len());
        let line_end =
            self.note.as_bytes()[start..reach].iter().position(|byte| matches!(byte, b'\n' | b'\r' | b':'))?;
        let end = start + line_end;
        let title = &self.note[start..end];
        if !title.starts_with(char::is_alphanumeric) {
            return None;
        }
        let words = title.split_whitespace().count();
        let markdown = self.note[line..start].starts_with('#');
        let capitals = title.chars().filter(|c| c.is_uppercase()).count() >= 4 && !title.contains(char::is_lowercase);
        if markdown && self.byte(end) != b':' {
            return Some(Heading { title: start..end, end, row: None });
        }
        if self.byte(end) != b':' || words < 2 || !capitals {
            return None;
        }
        let rest = self.note[end + 1..].split(['\n', '\r']).next().unwrap_or_default();
        let few = (1..4).contains(&rest.split_whitespace().take(4).count());
        (!few).then(|| Heading { title: start..start + title.trim_end().len(), end: end + 1, row: None })
    }
}

/// What may stand before a heading on its line.
fn is_mark(c: char) -> bool {
    c.is_whitespace() || matches!(c, '#' | '*' | '_' | '-' | '•' | '>' | '=' | '|' | '.' | ')') || c.is_ascii_digit()
}

fn is_closing_mark(c: char) -> bool {
    matches!(c, ' ' | '\t' | '*' | '_' | '#' | '=' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clinical::placeholders;
    use crate::clinical::words::Words;

    /// Every word is cut and looked at.
    fn slowly(headings: &Headings<'_>) -> Vec<(Range<usize>, usize, Option<u32>)> {
        let note = headings.note;
        let words = Words::of(note, headings.placeholders, headings.phrases);
        let mut found: Vec<(Range<usize>, usize, Option<u32>)> = Vec::new();
        for (i, &Range { start, .. }) in words.ranges.iter().enumerate() {
            let line = note[..start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
            let first = i == 0 || note[line..start].chars().all(is_mark);
            let capital = note[start..].starts_with(char::is_uppercase);
            let longest = headings.phrases.longest(&words.ids[i..]);
            let title = longest.map(|(length, row)| (start..words.ranges[i + length - 1].end, length, row));
            assert_eq!(headings.title(start), title, "{note:?}");
            if found.last().is_some_and(|last| start < last.1) || !(first || capital && headings.follows_an_end(start))
            {
                continue;
            }
            let unknown = || if first { headings.unknown(start, line) } else { None };
            let heading = headings.known(start, first).or_else(unknown);
            found.extend(heading.map(|heading| (heading.title, heading.end, heading.row)));
        }
        found
    }

    #[test]
    fn fast_and_slow_find_the_same() {
        let parts = [
            "PMH",
            "past",
            " medical",
            " history",
            ": ",
            ":",
            "\n",
            "\r\n",
            " ",
            "  ",
            "\t",
            ". ",
            "# ",
            "1. ",
            "* ",
            "- ",
            "___",
            "___ ",
            "[**x**]",
            "[**A\nB**]",
            "Plan",
            "PLAN",
            "É",
            "fever",
            "é",
            "\u{FEFF}",
            "(x)",
            ")",
            "SPECIAL CARE:",
            "3.5",
            "don't",
            "; ",
            "a.b",
        ];
        let phrases =
            Phrases::new(&[("pmh", 0), ("past medical history", 1), ("plan", 2), ("past", 3), ("history history", 4)]);
        let mut state = 11_u64;
        for _ in 0..20_000 {
            let mut note = String::new();
            for _ in 0..1 + state % 13 {
                state = state * 48_271 % 2_147_483_647; // Lehmer
                note += parts[state as usize % parts.len()];
            }
            let placeholders = placeholders::find(&note);
            let headings = Headings { note: &note, placeholders: &placeholders, phrases: &phrases };
            let found: Vec<_> = headings.all().into_iter().map(|h| (h.title, h.end, h.row)).collect();
            assert_eq!(found, slowly(&headings), "{note:?}");
        }
    }

    #[test]
    fn time_is_linear_in_the_note() {
        for unit in ["___ ", "* ", "past medical ", "A. A ", "Plan", "#", "[**x**] ", "\n", ". Past medical "] {
            let note = unit.repeat(1_000_000 / unit.len());
            let start = std::time::Instant::now();
            let phrases = Phrases::new(&[("past medical history", 1), ("plan", 2)]);
            let placeholders = placeholders::find(&note);
            Headings { note: &note, placeholders: &placeholders, phrases: &phrases }.all();
            assert!(start.elapsed().as_secs() < 10, "{unit:?} took {:?}", start.elapsed());
        }
    }
}

//! Numbers, words and marks of a line, for the scanners of drugs and tests.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits with points and commas inside: `1,000`, `0.5`, `.5`.
    Number,
    /// Letters; also single letters with points, `b.i.d.`
    Word,
    /// One other character.
    Mark,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Bytes of the note.
    pub(super) range: Range<usize>,
    /// Whether nothing stands between it and the token before.
    pub(super) glued: bool,
}

impl Token<'_> {
    /// Whether it is this word of ASCII in lower case, whatever its case and without points.
    pub(super) fn is(&self, word: &str) -> bool {
        let mut bytes = self.text.bytes().filter(|&byte| byte != b'.' || self.kind != Kind::Word);
        word.bytes().all(|expected| bytes.next().is_some_and(|byte| byte.to_ascii_lowercase() == expected))
            && bytes.next().is_none()
    }

    pub(super) fn among(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    pub(super) fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }

    /// A hyphen, minus or dash.
    pub(super) fn is_dash(&self) -> bool {
        matches!(self.text, "-" | "‐" | "‑" | "–" | "—" | "−")
    }
}

/// Whether there is a token and it is one of these words.
pub(super) fn any(token: Option<&Token<'_>>, words: &[&str]) -> bool {
    token.is_some_and(|token| token.among(words))
}

/// The tokens of a range; none when it does not lie in the note.
pub(super) fn tokens(note: &str, range: Range<usize>) -> Vec<Token<'_>> {
    let Some(text) = note.get(range.clone()) else { return Vec::new() };
    let mut found: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let rest = &text[at..];
        let after_digit = text[..at].ends_with(|c: char| c.is_ascii_digit());
        let (kind, length) = if c.is_ascii_digit() || c == '.' && !after_digit && digit(rest, 1) {
            (Kind::Number, number(rest))
        } else if c.is_alphabetic() {
            (Kind::Word, word(rest))
        } else {
            (Kind::Mark, c.len_utf8())
        };
        let range = range.start + at..range.start + at + length;
        let glued = found.last().is_some_and(|last| last.range.end == range.start);
        found.push(Token { kind, text: &rest[..length], range, glued });
        at += length;
    }
    found
}

fn digit(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
}

fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let inner = |at: usize| digit(text, at) || matches!(bytes.get(at), Some(b'.' | b',')) && digit(text, at + 1);
    (0..bytes.len()).find(|&at| !inner(at)).unwrap_or(bytes.len())
}

/// A run of letters, or letters that points follow each.
fn word(text: &str) -> usize {
    let run = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let bytes = text.as_bytes();
    let pair = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic) && bytes.get(at + 1) == Some(&b'.');
    if run != 1 || !pair(0) {
        return run;
    }
    let mut end = 2;
    while pair(end) {
        end += 2;
    }
    // `b.i.d` without the last point; a single letter at the end of a sentence keeps its own.
    let last = text[end..].find(|c: char| !c.is_alphabetic()).unwrap_or(text.len() - end);
    match (end, last) {
        (2, 1) => 3,
        (2, _) => 1,
        (_, 1) => end + 1,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_by_hand() {
        let cut = |text| tokens(text, 0..text.len()).iter().map(|token| token.text.to_owned()).collect::<Vec<_>>();
        assert_eq!(cut("ASA 81mg p.o. q4-6h."), ["ASA", "81", "mg", "p.o.", "q", "4", "-", "6", "h", "."]);
        assert_eq!(
            cut("1,000.5 .5 2. b.i.d, vit. B."),
            ["1,000.5", ".5", "2", ".", "b.i.d", ",", "vit", ".", "B", "."]
        );
        assert_eq!(cut("40\u{2005}µg/m²"), ["40", "µg", "/", "m", "²"]);
        assert!(tokens("é", 1..2).is_empty() && tokens("é", 5..9).is_empty());
    }

    #[test]
    fn words_are_compared_without_case_and_points() {
        let text = "B.I.D. tabs";
        let found = tokens(text, 0..text.len());
        assert!(found[0].is("bid") && found[1].among(&["tab", "tabs"]) && !found[1].is("tab"));
    }
}

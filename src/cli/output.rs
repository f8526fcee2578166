//! Where results go, and in which form.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use clap::ValueEnum;
use clinlite::text::OffsetUnit;
use serde::Serialize;

use crate::inputs::Origin;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// for a reader at a terminal
    Text,
    /// one indented document a text
    Json,
    /// one line a text
    Jsonl,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Unit {
    /// Unicode code points, as Python counts
    Codepoint,
    /// UTF-16 units, as JavaScript counts
    Utf16,
    /// bytes, as Rust counts
    Utf8,
}

impl From<Unit> for OffsetUnit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Codepoint => Self::CodePoint,
            Unit::Utf16 => Self::Utf16,
            Unit::Utf8 => Self::Utf8,
        }
    }
}

/// Standard output.
pub(crate) struct Output {
    pub(crate) out: io::StdoutLock<'static>,
    pub(crate) format: Format,
    pub(crate) colour: bool,
    /// Whether more than one text is answered, so that each must be named.
    pub(crate) several: bool,
    /// Whether questions are lines of a file.
    pub(crate) lines: bool,
    /// Whether what stands once at the top is written.
    pub(crate) begun: bool,
}

/// A document with the place of its question.
#[derive(Serialize)]
struct Line<'a, D: Serialize> {
    #[serde(flatten)]
    origin: &'a Origin,
    #[serde(flatten)]
    document: &'a D,
}

impl Output {
    /// `texts`: how many files are named. `lines`: whether questions are lines of one.
    pub(crate) fn new(format: Option<Format>, texts: usize, lines: bool) -> Self {
        let out = io::stdout().lock();
        // https://no-color.org: set and not empty.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = out.is_terminal() && !no_colour;
        let format = format.unwrap_or(if lines { Format::Jsonl } else { Format::Text });
        Self { out, format, colour, several: texts > 1 || lines, lines, begun: false }
    }

    /// Writes a document in one of the forms for machines.
    pub(crate) fn document(&mut self, origin: &Origin, document: &impl Serialize) -> Result<()> {
        self.out.write_all(with_origin(self.format, origin, document)?.as_bytes())?;
        Ok(self.out.flush()?)
    }
}

/// A document with the place of its question, indented or in one line, with a line break.
pub(crate) fn with_origin(format: Format, origin: &Origin, document: &impl Serialize) -> Result<String> {
    let line = Line { origin, document };
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&line)?,
        _ => serde_json::to_string(&line)?,
    };
    Ok(text + "\n")
}

/// A note is data: its control characters must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => Some(c),
        '\r' => None, // of CRLF
        c if c.is_control() => Some('\u{fffd}'),
        c => Some(c),
    };
    text.chars().filter_map(shown).collect()
}

/// Characters of a text that a table shows.
const WIDTH: usize = 60;

/// One line of at most [`WIDTH`] characters.
pub(crate) fn short(text: &str) -> String {
    let line = printable(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\r\nb\tc\u{1b}[31m\u{9b}d\u{7f}é😀"), "a\nb\tc\u{fffd}[31m\u{fffd}d\u{fffd}é😀");
    }

    #[test]
    fn the_table_shows_one_line() {
        assert_eq!(short("chest \r\n  pain"), "chest pain");
        assert_eq!(short(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}

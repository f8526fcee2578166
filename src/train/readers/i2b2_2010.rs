//! The i2b2/VA challenge of 2010: concepts, assertions and relations in discharge summaries.
//!
//! A note is `ID.txt`, one sentence a line, tokens between spaces; `ID.con`, `ID.rel` and `ID.ast` name places in it as
//! `line:token`, lines from 1 and tokens from 0. The files lie side by side, or in `txt`, `concept`, `rel` and `ast`, or
//! deeper: they are found by their names anywhere below the folder of the set.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::spans::RawSpan;
use super::split::by_stem;
use super::{Place, Raw, RawSequence, broken, read_at, read_utf8};
use crate::error::Result;

/// One document a note for entities; for relations one a line that has a concept, because relations are among the
/// concepts of a line: its pairs are the candidates.
pub(super) fn read(folder: &Path, relations: bool, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let (concepts, links) = (by_stem(folder, "con")?, by_stem(folder, "rel")?);
    let mut documents = Vec::new();
    for (id, path) in by_stem(folder, "txt")? {
        let note = Note::read(&path)?;
        let found = note.concepts(beside(&concepts, &id, &path, "con")?, skip)?;
        if relations {
            let found = note.by_line(&id, found, beside(&links, &id, &path, "rel")?, skip)?;
            documents.extend(found);
        } else {
            let spans = found.into_iter().map(|concept| concept.span).collect();
            documents.push(Raw::new(id, note.text, spans));
        }
    }
    Ok(documents)
}

/// One text an assertion: the line of the concept, which stands in it as `<PROBLEM> … </PROBLEM>`.
pub(super) fn assertions(folder: &Path, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    let asserted = by_stem(folder, "ast")?;
    let mut found = Vec::new();
    for (id, path) in by_stem(folder, "txt")? {
        let note = Note::read(&path)?;
        let path = beside(&asserted, &id, &path, "ast")?;
        for (number, line) in lines(&read_utf8(path)?) {
            let sequence =
                read_at(path, Place::Line(number), skip, || note.assertion(&format!("{id}:{number}"), line))?;
            found.extend(sequence.map(|sequence| RawSequence { group: id.clone(), ..sequence }));
        }
    }
    Ok(found)
}

fn beside<'a>(files: &'a BTreeMap<String, PathBuf>, id: &str, text: &Path, extension: &str) -> Result<&'a PathBuf> {
    files.get(id).ok_or_else(|| broken(format!("has no .{extension} of its name below the folder")).at(text.display()))
}

/// The lines of a file that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())).filter(|(_, line)| !line.is_empty())
}

/// A line and a token.
type Position = (usize, usize);

struct Note {
    text: String,
    /// Each without its end.
    lines: Vec<Range<usize>>,
    /// The tokens of each line: what stands between white space.
    tokens: Vec<Vec<Range<usize>>>,
}

struct Concept {
    span: RawSpan,
    first: Position,
    last: Position,
}

impl Note {
    fn read(path: &Path) -> Result<Self> {
        let text = read_utf8(path)?;
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split('\n') {
            lines.push(start..start + line.strip_suffix('\r').unwrap_or(line).len());
            start += line.len() + 1;
        }
        let tokens = lines.iter().map(|line| tokens(&text, line, char::is_whitespace, true)).collect();
        Ok(Self { text, lines, tokens })
    }

    fn concepts(&self, path: &Path, skip: &BTreeSet<String>) -> Result<Vec<Concept>> {
        let mut found = Vec::new();
        for (number, line) in lines(&read_utf8(path)?) {
            found.extend(read_at(path, Place::Line(number), skip, || self.concept(number, line))?);
        }
        Ok(found)
    }

    /// `c="chest pain" 12:3 12:4||t="problem"`.
    fn concept(&self, number: usize, line: &str) -> Result<Concept> {
        let expected = || broken("expected c=\"text\" line:token line:token||t=\"label\"");
        let (place, label) = line.rsplit_once("||t=").ok_or_else(expected)?;
        let label = unquoted(label).ok_or_else(expected)?;
        let (stated, first, last) = place.strip_prefix("c=").and_then(mention).ok_or_else(expected)?;
        let range = self.range(stated, first, last)?;
        let span = RawSpan::new(vec![range], label).with_id(&format!("C{number}"));
        Ok(Concept { span, first, last })
    }

    /// Bytes of the tokens from the first to the last. Some lines count the spaces between tokens, not the tokens.
    fn range(&self, stated: &str, first: Position, last: Position) -> Result<Range<usize>> {
        let by_tokens = self.between(first, last, |line| self.tokens.get(line).cloned());
        let by_spaces =
            || self.between(first, last, |line| Some(tokens(&self.text, self.lines.get(line)?, |c| c == ' ', false)));
        let outside = || broken("the note has no such line or token");
        match by_tokens.clone().filter(|range| self.says(range, stated)) {
            Some(range) => Ok(range),
            None => match by_spaces() {
                Some(range) if self.says(&range, stated) => Ok(range),
                None if by_tokens.is_none() => Err(outside()),
                _ => Err(broken(format!("the stated text of {} bytes is not what stands there", stated.len()))),
            },
        }
    }

    fn between(
        &self,
        first: Position,
        last: Position,
        tokens: impl Fn(usize) -> Option<Vec<Range<usize>>>,
    ) -> Option<Range<usize>> {
        let start = tokens(first.0.checked_sub(1)?)?.get(first.1)?.start;
        let end = tokens(last.0.checked_sub(1)?)?.get(last.1)?.end;
        (start < end).then_some(start..end)
    }

    /// Without regard to case and white space: the files state texts in lower case.
    fn says(&self, range: &Range<usize>, stated: &str) -> bool {
        let plain = |text: &str| -> String {
            text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
        };
        // a range over many lines is not worth folding: no concept is so long
        range.len() <= stated.len().saturating_mul(4) + 64 && plain(&self.text[range.clone()]) == plain(stated)
    }

    /// The lines with a concept, each with its relations. Concepts over several lines are in no line.
    fn by_line(&self, id: &str, concepts: Vec<Concept>, path: &Path, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
        let mut documents = BTreeMap::<usize, Raw>::new();
        let mut places = BTreeMap::<(Position, Position), usize>::new();
        for Concept { mut span, first, last } in concepts.into_iter().filter(|c| c.first.0 == c.last.0) {
            let line = self.lines.get(first.0 - 1).cloned().unwrap_or_default();
            let new = || Raw {
                group: Some(id.to_owned()),
                ..Raw::new(format!("{id}:{}", first.0), self.text[line.clone()].to_owned(), Vec::new())
            };
            let raw = documents.entry(first.0).or_insert_with(new);
            span.fragments.iter_mut().for_each(|range| *range = range.start - line.start..range.end - line.start);
            places.entry((first, last)).or_insert(raw.spans.len());
            raw.spans.push(span);
        }
        for (number, line) in lines(&read_utf8(path)?) {
            read_at(path, Place::Line(number), skip, || self.relation(line, &places, &mut documents))?;
        }
        Ok(documents.into_values().collect())
    }

    /// `c="text" l:t l:t||r="TrAP"||c="text" l:t l:t`.
    fn relation(
        &self,
        line: &str,
        places: &BTreeMap<(Position, Position), usize>,
        documents: &mut BTreeMap<usize, Raw>,
    ) -> Result<()> {
        let expected =
            || broken("expected c=\"text\" line:token line:token||r=\"label\"||c=\"text\" line:token line:token");
        let (head, rest) = line.split_once("||r=").ok_or_else(expected)?;
        let (label, tail) = rest.split_once("||c=").ok_or_else(expected)?;
        let label = unquoted(label).ok_or_else(expected)?;
        let head = head.strip_prefix("c=").and_then(mention).ok_or_else(expected)?;
        let tail = mention(tail).ok_or_else(expected)?;
        let find = |(_, first, last): (&str, Position, Position)| {
            let found = places.get(&(first, last)).copied();
            found.ok_or_else(|| broken("the .con names no concept on one line at this place"))
        };
        let (from, to) = (find(head)?, find(tail)?);
        match documents.get_mut(&head.1.0) {
            Some(raw) if head.1.0 == tail.1.0 => raw.relate(from, to, label),
            _ => Err(broken("a relation between two lines")),
        }
    }

    /// `c="text" l:t l:t||t="problem"||a="present"`.
    fn assertion(&self, id: &str, line: &str) -> Result<RawSequence> {
        let expected = || broken("expected c=\"text\" line:token line:token||t=\"label\"||a=\"assertion\"");
        let (concept, assertion) = line.rsplit_once("||a=").ok_or_else(expected)?;
        let assertion = unquoted(assertion).ok_or_else(expected)?;
        let Concept { span, first, last } = self.concept(0, concept)?;
        let (range, label) = (&span.fragments[0], span.label.to_uppercase());
        let line = |number: usize| self.lines.get(number - 1).cloned().unwrap_or_default();
        let (before, after) = (&self.text[line(first.0).start..range.start], &self.text[range.end..line(last.0).end]);
        let text = format!("{before}<{label}> {} </{label}>{after}", &self.text[range.clone()]);
        Ok(RawSequence::new(id.to_owned(), text, None, assertion.to_owned()))
    }
}

/// The parts of a line between characters that part them; with `joined` none is empty.
fn tokens(text: &str, line: &Range<usize>, parts: impl Fn(char) -> bool, joined: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = line.start;
    for (at, c) in text[line.clone()].char_indices().map(|(at, c)| (line.start + at, c)).filter(|(_, c)| parts(*c)) {
        found.push(start..at);
        start = at + c.len_utf8();
    }
    found.push(start..line.end);
    found.retain(|token| !joined || !token.is_empty());
    found
}

/// `"text" 12:3 12:4`. The text may hold quotes and spaces.
fn mention(text: &str) -> Option<(&str, Position, Position)> {
    let mut parts = text.rsplitn(3, ' ');
    let (last, first) = (position(parts.next()?)?, position(parts.next()?)?);
    Some((unquoted(parts.next()?)?, first, last))
}

fn position(text: &str) -> Option<Position> {
    let (line, token) = text.split_once(':')?;
    Some((line.parse().ok().filter(|&line: &usize| line > 0)?, token.parse().ok()?))
}

fn unquoted(text: &str) -> Option<&str> {
    text.trim().strip_prefix('"')?.strip_suffix('"')
}

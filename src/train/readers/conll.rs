//! `token<TAB>tag` lines, a blank line between sentences: the CoNLL form of most NER sets.

use std::collections::BTreeSet;
use std::path::Path;

use super::spans::RawSpan;
use super::{Place, Raw, broken, read_at, read_utf8};
use crate::error::Result;

/// One document a sentence, its tokens joined by single spaces; the id is the file's stem and the sentence's number.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut documents = Vec::new();
    let mut sentence = Sentence::default();
    for (number, line) in read_utf8(path)?.lines().enumerate() {
        if line.trim().is_empty() {
            sentence.close(&stem, &mut documents);
        } else if let Some((token, tag)) = read_at(path, Place::Line(number + 1), skip, || parse(line))? {
            sentence.push(token, tag);
        }
    }
    sentence.close(&stem, &mut documents);
    Ok(documents)
}

/// A tag of BIO or BIOES, read as conlleval does: `I-` or `E-` without a beginning begins.
enum Tag<'a> {
    Outside,
    Begin(&'a str),
    Inside(&'a str),
}

/// The first and the last column.
fn parse(line: &str) -> Result<(&str, Tag<'_>)> {
    let (token, rest) = line.split_once('\t').ok_or_else(|| broken("no tab, expected a token, a tab and a tag"))?;
    if token.trim().is_empty() {
        return Err(broken("the token is empty"));
    }
    let tag = rest.rsplit('\t').next().unwrap_or(rest);
    let tag = match tag.split_once('-') {
        None if tag == "O" => Tag::Outside,
        Some(("B" | "S", label)) if !label.is_empty() => Tag::Begin(label),
        Some(("I" | "E", label)) if !label.is_empty() => Tag::Inside(label),
        _ => return Err(broken("unknown tag, expected O, or B-, I-, E- or S- and a label")),
    };
    Ok((token, tag))
}

#[derive(Default)]
struct Sentence {
    text: String,
    spans: Vec<RawSpan>,
    /// Whether the last token belongs to the last span.
    open: bool,
}

impl Sentence {
    fn push(&mut self, token: &str, tag: Tag<'_>) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let range = self.text.len()..self.text.len() + token.len();
        self.text.push_str(token);
        match (tag, self.spans.last_mut().filter(|_| self.open)) {
            (Tag::Outside, _) => self.open = false,
            (Tag::Inside(label), Some(span)) if span.label == label => span.fragments[0].end = range.end,
            (Tag::Begin(label) | Tag::Inside(label), _) => {
                self.spans.push(RawSpan::new(vec![range], label));
                self.open = true;
            }
        }
    }

    fn close(&mut self, stem: &str, documents: &mut Vec<Raw>) {
        let Self { text, spans, .. } = std::mem::take(self);
        if !text.is_empty() {
            documents.push(Raw::new(format!("{stem}:{}", documents.len() + 1), text, spans));
        }
    }
}

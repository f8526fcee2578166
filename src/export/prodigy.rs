//! prodigy: `{"text": …, "spans": [{"start", "end", "label"}, …], "meta": {…}}` in one line, places in code points.
//!
//! `tokens` are left out: a recipe adds those of its own tokenizer (`add_tokens`). What a note says of an entity stands
//! in its span as `remarks`; cues, links and attributes are not written. The form is that of
//! <https://prodi.gy/docs/api-interfaces#ner>.

use serde::Deserialize;

use super::annotation::{Annotation, Marked, placed};
use super::assertion::Assertion;
use super::check::{Checked, Placed};
use super::format::meta;
use super::input;
use super::options::Options;
use super::tree::{Tree, list, object};
use crate::error::Result;

/// One line.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> String {
    let spans = Tree::List(checked.entities.iter().map(span).collect());
    object([("text", checked.note.into()), ("spans", spans), ("meta", meta(checked, options))]).line()
}

fn span(Placed { points, entity, .. }: &Placed<'_>) -> Tree {
    let remarks = entity.assertion.iter().flat_map(Assertion::remarks);
    object([
        ("start", points.start.into()),
        ("end", points.end.into()),
        ("label", entity.label.as_str().into()),
        ("score", entity.score.map(|score| Tree::Raw(score.to_string())).into()),
        ("remarks", list(remarks.map(Tree::from))),
    ])
}

/// A text and what is marked in it, from one line that prodigy exported. A line that a person rejected or skipped marks
/// nothing.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a line of another form, and for a span that does not lie in the text.
pub fn read(line: &str) -> Result<(String, Vec<Annotation>)> {
    #[derive(Deserialize)]
    struct Span {
        start: usize,
        end: usize,
        label: String,
    }
    #[derive(Deserialize)]
    struct Line {
        text: String,
        #[serde(default)]
        spans: Vec<Span>,
        answer: Option<String>,
    }
    // What the parser says may quote what it read.
    let Line { text, spans, answer } = serde_json::from_str(line)
        .map_err(|_| input(r#"expected {"text": …, "spans": [{"start", "end", "label"}, …]}"#.into()))?;
    let is_kept = answer.is_none_or(|answer| answer == "accept");
    let mark = |(i, Span { start, end, label }): (usize, Span)| Marked {
        at: format!("spans[{i}]"),
        points: start..end,
        label,
        assertion: None,
    };
    let annotations = placed(&text, spans.into_iter().enumerate().filter(|_| is_kept).map(mark).collect())?;
    Ok((text, annotations))
}

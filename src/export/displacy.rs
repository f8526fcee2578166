//! displaCy: `{"text": …, "ents": [{"start", "end", "label"}, …], "title": …}` in one line, for
//! `displacy.render(…, style="ent", manual=True)`; places in code points.
//!
//! displaCy draws no overlaps: of two entities the first, or the longer one, is written. It puts label and title into its
//! page as they are, so they are escaped here. A label ends in `· negated` and the like where the note says so. The first
//! link of an entity is its `kb_id`. The form is that of <https://spacy.io/usage/visualizers#manual-usage>.

use serde::Deserialize;

use super::annotation::{Annotation, Marked, placed};
use super::assertion::Assertion;
use super::check::{Checked, Placed};
use super::html::escape;
use super::input;
use super::options::Options;
use super::tree::{Tree, object};
use crate::error::Result;

/// Between a type and what the note says of the entity.
const REMARK: &str = " · ";

/// One line.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> String {
    let title = (!options.name.is_empty()).then(|| escape(&options.name));
    let ents = Tree::List(checked.flat().into_iter().map(ent).collect());
    let settings = object([]);
    object([("text", checked.note.into()), ("ents", ents), ("title", title.into()), ("settings", settings)]).line()
}

fn ent(Placed { points, entity, .. }: &Placed<'_>) -> Tree {
    let remarks = entity.assertion.iter().flat_map(Assertion::remarks);
    let label = [escape(&entity.label)].into_iter().chain(remarks.map(String::from)).collect::<Vec<_>>().join(REMARK);
    object([
        ("start", points.start.into()),
        ("end", points.end.into()),
        ("label", label.into()),
        ("kb_id", entity.links.first().map(|link| escape(&link.code)).into()),
    ])
}

/// A text and what is marked in it, from one line. What the note says of an entity is left out.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a line of another form, and for an entity that does not lie in the text.
pub fn read(line: &str) -> Result<(String, Vec<Annotation>)> {
    #[derive(Deserialize)]
    struct Ent {
        start: usize,
        end: usize,
        label: String,
    }
    #[derive(Deserialize)]
    struct Line {
        text: String,
        ents: Vec<Ent>,
    }
    // What the parser says may quote what it read.
    let Line { text, ents } = serde_json::from_str(line)
        .map_err(|_| input(r#"expected {"text": …, "ents": [{"start", "end", "label"}, …]}"#.into()))?;
    let mark = |(i, Ent { start, end, label }): (usize, Ent)| Marked {
        at: format!("ents[{i}]"),
        points: start..end,
        label: plain(&label),
        assertion: None,
    };
    let annotations = placed(&text, ents.into_iter().enumerate().map(mark).collect())?;
    Ok((text, annotations))
}

/// A label without its remarks and not escaped.
fn plain(label: &str) -> String {
    let label = label.split(REMARK).next().unwrap_or_default();
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(label.to_owned(), |label, (escaped, character)| label.replace(escaped, character))
}

//! doccano: `{"text": …, "label": [[start, end, label], …]}` in one line of ASCII, places in code points.
//!
//! ASCII, because doccano guesses at the encoding of a file unless a person chooses one, and takes emoji in UTF-8 for Windows
//! 1252. What else the object holds is shown as metadata. Assertions, links and attributes are not written. A project must
//! allow overlapping spans where a document has them. The form is that of doccano's importer of sequence labels:
//! <https://doccano.github.io/doccano/>.

use serde::Deserialize;

use super::annotation::{Annotation, Marked, placed};
use super::check::{Checked, Placed};
use super::format::meta;
use super::input;
use super::options::Options;
use super::tree::{Tree, object};
use crate::error::Result;

/// One line.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> String {
    let label = |Placed { points, entity, .. }: &Placed<'_>| {
        Tree::List(vec![points.start.into(), points.end.into(), entity.label.as_str().into()])
    };
    let label = Tree::List(checked.entities.iter().map(label).collect());
    object([("text", checked.note.into()), ("label", label), ("meta", meta(checked, options))]).ascii_line()
}

/// A text and what is marked in it, from one line that doccano exported: the marks are called `label` or `labels`.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a line of another form, and for a mark that does not lie in the text.
pub fn read(line: &str) -> Result<(String, Vec<Annotation>)> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
        #[serde(alias = "labels")]
        label: Vec<(usize, usize, String)>,
    }
    // What the parser says may quote what it read.
    let Line { text, label } = serde_json::from_str(line)
        .map_err(|_| input(r#"expected {"text": …, "label": [[start, end, label], …]}"#.into()))?;
    let mark = |(i, (start, end, label)): (usize, (usize, usize, String))| Marked {
        at: format!("label[{i}]"),
        points: start..end,
        label,
        assertion: None,
    };
    let annotations = placed(&text, label.into_iter().enumerate().map(mark).collect())?;
    Ok((text, annotations))
}

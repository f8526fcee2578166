//! doccano: `{"text": …, "label": [[start, end, label], …]}` in one line, places in code points.
//!
//! What else the object holds is shown as metadata. Assertions, links and attributes are not written. A project must
//! allow overlapping spans where a document has them. The form is that of doccano's importer of sequence labels:
//! <https://doccano.github.io/doccano/>.

use serde::{Deserialize, Serialize};

use super::annotation::{Annotation, Marked, placed};
use super::check::Checked;
use super::format::{Options, json};
use super::node::input;
use crate::error::Result;

#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    label: Vec<(usize, usize, &'a str)>,
    name: &'a str,
    text_sha256: &'a str,
    model: &'a str,
}

/// One line.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> Result<String> {
    let label = checked.entities.iter().map(|placed| (placed.points.start, placed.points.end, &*placed.entity.label));
    let line = Line {
        text: checked.note,
        label: label.collect(),
        name: &options.name,
        text_sha256: &checked.document.text_sha256,
        model: &checked.document.model.id,
    };
    json(serde_json::to_string(&line))
}

/// A text and what is marked in it, from one line that doccano exported: the marks are called `label` or `labels`.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a line of another form, and for a mark that does not lie in the text.
pub fn read(line: &str) -> Result<(String, Vec<Annotation>)> {
    #[derive(Deserialize)]
    struct Given {
        text: String,
        #[serde(alias = "labels")]
        label: Vec<(usize, usize, String)>,
    }
    // What the parser says may quote what it read.
    let Given { text, label } = serde_json::from_str(line)
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

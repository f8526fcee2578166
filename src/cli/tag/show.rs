//! A tagged note for a reader at a terminal.

use std::io::{Result, Write};

use clinlite::clinical::Finding;
use clinlite::export::json::Document;
use clinlite::tasks::ner::Tagging;

use crate::output::{printable, short};

/// Background colours that stay readable under black text; a label is always written out as well.
const COLOURS: [u8; 6] = [217, 153, 157, 222, 183, 194];

/// Writes the note with its entities in brackets, then a table of them.
pub(super) fn write(
    out: &mut impl Write,
    title: Option<&str>,
    note: &str,
    tagging: &Tagging,
    document: &Document,
    colour: bool,
) -> Result<()> {
    if let Some(title) = title {
        writeln!(out, "== {} ==", printable(title))?;
    }
    marked(out, note, tagging, colour)?;
    table(out, note, tagging, document)?;
    let (found, coverage) = (document.entities.len(), &tagging.coverage);
    let version = [" ", &tagging.model.version].concat();
    writeln!(
        out,
        "\n{found} {}; {} pieces in {} {}, nothing cut off; {}{} on {}\n",
        if found == 1 { "entity" } else { "entities" },
        coverage.tokens,
        coverage.windows,
        if coverage.windows == 1 { "window" } else { "windows" },
        tagging.model.id,
        version.trim_end(),
        tagging.engine.backend,
    )?;
    let (placeholders, warnings) = (coverage.placeholders, tagging.reading.warnings.len());
    if placeholders > 0 {
        writeln!(out, "{placeholders} placeholders of de-identification, not tagged")?;
    }
    if warnings > 0 {
        writeln!(out, "{warnings} places look like real identifiers: is the note de-identified?")?;
    }
    Ok(())
}

fn marked(out: &mut impl Write, note: &str, tagging: &Tagging, colour: bool) -> Result<()> {
    let types = tagging.model.labels.types();
    let mut at = 0;
    for span in &tagging.entities {
        // With `none` and `simple` parts may touch, but never overlap.
        write!(out, "{}", printable(&note[at..span.start]))?;
        let (text, label) = (printable(&note[span.start..span.end]), &types[span.label]);
        if colour {
            let background = COLOURS[span.label % COLOURS.len()];
            let (on, off) = (format!("\x1b[30;48;5;{background}m"), "\x1b[0m");
            // Line by line, or a terminal paints the rest of each line too.
            let text = text.replace('\n', &format!("{off}\n{on}"));
            write!(out, "{on}{text} \x1b[1m{label}{off}")?;
        } else {
            write!(out, "[{text} {label}]")?;
        }
        at = span.end;
    }
    let rest = printable(&note[at..]);
    writeln!(out, "{}", rest.trim_end_matches('\n'))
}

fn table(out: &mut impl Write, note: &str, tagging: &Tagging, document: &Document) -> Result<()> {
    if document.entities.is_empty() {
        return Ok(());
    }
    let place = |start: usize, end: usize| format!("{start}-{end}");
    let rows: Vec<_> = document.entities.iter().map(|e| (place(e.start, e.end), e)).collect();
    let places = rows.iter().map(|(place, _)| place.len()).max().unwrap_or(0).max("place".len());
    let labels = rows.iter().map(|(_, entity)| entity.label.len()).max().unwrap_or(0).max("label".len());
    writeln!(out, "\n{:places$}  {:labels$}  score  text", "place", "label")?;
    for ((place, entity), finding) in rows.iter().zip(&tagging.findings) {
        writeln!(
            out,
            "{place:places$}  {:labels$}  {:5.3}  {}{}",
            entity.label,
            entity.score.unwrap_or_default(),
            short(&entity.text),
            said(note, finding)
        )?;
    }
    Ok(())
}

/// What is not plain about an entity, and the words that say so: ` (negated: Denies)`.
fn said(note: &str, finding: &Finding) -> String {
    let cues = finding.assertion.cues.iter();
    let cues: Vec<_> = cues.map(|cue| format!("{}: {}", cue.kind.name(), short(&note[cue.range.clone()]))).collect();
    if cues.is_empty() { String::new() } else { format!("  ({})", cues.join("; ")) }
}

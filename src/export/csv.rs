//! CSV after RFC 4180: one row an entity, places in code points, lines end in CRLF.
//!
//! Spreadsheets compute fields that begin with `=`, `+`, `-`, `@`, a tab or a carriage return. Such a field, and one
//! that begins with an apostrophe, gets an apostrophe in front, which [`read`] takes away.

use super::annotation::{Annotation, Marked, placed};
use super::assertion::{Assertion, Named};
use super::check::{Checked, Placed};
use super::input;
use super::options::Options;
use crate::error::Result;

/// The first row.
pub(super) const HEADER: &str = "note,id,start,end,text,label,score,polarity,certainty,temporality,experiencer,\
conditional,cues,section,links,attributes\r\n";

/// The rows of a note.
pub(super) fn write(checked: &Checked<'_>, options: &Options) -> String {
    checked.entities.iter().map(|placed| row(placed, &options.name)).collect()
}

fn row(placed: &Placed<'_>, name: &str) -> String {
    let entity = placed.entity;
    let said = |of: fn(&Assertion) -> &'static str| entity.assertion.as_ref().map_or("", of);
    let cues = entity.assertion.iter().flat_map(|assertion| &assertion.cues);
    let links = entity.links.iter();
    let attributes = entity.attributes.iter().map(|of| [&of.name, "=", of.value.as_ref().unwrap_or(&of.text)].concat());
    [
        field(name),
        field(&entity.id),
        placed.points.start.to_string(),
        placed.points.end.to_string(),
        field(&entity.text),
        field(&entity.label),
        entity.score.map_or_else(String::new, |score| score.to_string()),
        said(|assertion| assertion.polarity.name()).into(),
        said(|assertion| assertion.certainty.name()).into(),
        said(|assertion| assertion.temporality.name()).into(),
        said(|assertion| assertion.experiencer.name()).into(),
        said(|assertion| if assertion.conditional { "true" } else { "false" }).into(),
        field(&joined(cues.map(|cue| [&cue.text, " (", &cue.rule, ")"].concat()))),
        field(entity.section.as_deref().unwrap_or_default()),
        field(&joined(links.map(|link| [&link.system, "|", &link.code].concat()))),
        field(&joined(attributes)),
    ]
    .join(",")
        + "\r\n"
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("; ")
}

/// A field that no spreadsheet computes, quoted where it must be.
fn field(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠']) {
        "'"
    } else {
        ""
    };
    if text.contains(['"', ',', ';', '\t', '\r', '\n', '\'']) || guard == "'" {
        return ["\"", guard, &text.replace('"', "\"\""), "\""].concat();
    }
    text.into()
}

/// What the rows of a file say of one text: those whose first column is `name`.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for another header, a quote that is not closed, a row of another length, and a place that
/// does not lie in the text, by its row.
pub fn read(csv: &str, name: &str, text: &str) -> Result<Vec<Annotation>> {
    let mut rows = rows(csv)?.into_iter();
    let header = HEADER.trim_end().split(',');
    if !rows.next().is_some_and(|row| row.iter().map(String::as_str).eq(header.clone())) {
        return Err(input(format!("row 1: expected {}", HEADER.trim_end())));
    }
    let columns = header.count();
    let mut marks = Vec::new();
    for (row, number) in rows.zip(2..) {
        let at = format!("row {number}");
        if row.len() != columns {
            return Err(input(format!("{at}: expected {columns} columns, found {}", row.len())));
        }
        let count = |i: usize, name| {
            row[i].parse().map_err(|_| input(format!("{at}: {name}: expected a whole number that is not negative")))
        };
        if plain(&row[0]) == name {
            let points = count(2, "start")?..count(3, "end")?;
            marks.push(Marked { points, label: plain(&row[5]).into(), assertion: assertion(&row[7..12], &at)?, at });
        }
    }
    placed(text, marks)
}

/// A field without its guard.
fn plain(field: &str) -> &str {
    field.strip_prefix('\'').unwrap_or(field)
}

fn assertion(row: &[String], at: &str) -> Result<Option<Assertion>> {
    fn choice<T: Named>(name: &str, at: &str) -> Result<T> {
        T::of(name).ok_or_else(|| input(format!("{at}: unknown assertion")))
    }
    let [polarity, certainty, temporality, experiencer, conditional] = row else { return Ok(None) };
    if row.iter().all(String::is_empty) {
        return Ok(None);
    }
    Ok(Some(Assertion {
        polarity: choice(polarity, at)?,
        certainty: choice(certainty, at)?,
        temporality: choice(temporality, at)?,
        experiencer: choice(experiencer, at)?,
        conditional: conditional == "true",
        cues: Vec::new(),
    }))
}

/// The fields of each row; line breaks and doubled quotes between quotes belong to the field.
fn rows(csv: &str) -> Result<Vec<Vec<String>>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    let mut rest = csv.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if is_quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => is_quoted = !is_quoted,
            c if is_quoted => field.push(c),
            ',' => row.push(std::mem::take(&mut field)),
            '\r' if rest.peek() == Some(&'\n') => (),
            '\n' => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    if is_quoted {
        return Err(input(format!("row {}: a quote is not closed", rows.len() + 1)));
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}

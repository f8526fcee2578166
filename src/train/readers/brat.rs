//! brat standoff: <https://brat.nlplab.org/standoff.html>.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::spans::{CodePoints, RawSpan, check_text};
use super::split::files;
use super::{Place, Raw, broken, read_at, read_utf8};
use crate::error::Result;

/// The first letters of lines that are not text-bound: event, relation, attribute (two letters), group, note,
/// normalisation.
const OTHERS: &[char] = &['E', 'R', 'A', 'M', '*', '#', 'N'];

/// All documents of a folder, by id.
pub(super) fn read(folder: &Path, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let paths = files(folder)?;
    let with = |extension: &str| -> Vec<&PathBuf> {
        paths.iter().filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
    };
    let (texts, annotations) = (with("txt"), with("ann"));
    if let Some(path) = annotations.iter().find(|path| !path.with_extension("txt").is_file()) {
        return Err(broken("has no .txt beside it").at(path.display()));
    }
    texts.into_iter().map(|path| document(path, skip)).collect()
}

fn document(path: &Path, skip: &BTreeSet<String>) -> Result<Raw> {
    let annotation = path.with_extension("ann");
    if !annotation.is_file() {
        return Err(broken("has no .ann beside it").at(path.display()));
    }
    let text = read_utf8(path)?;
    let points = CodePoints::new(&text);
    let mut spans = Vec::new();
    for (number, line) in read_utf8(&annotation)?.lines().enumerate() {
        let span = read_at(&annotation, Place::Line(number + 1), skip, || span(line, &text, &points))?;
        spans.extend(span.flatten());
    }
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Raw { id, text, spans })
}

/// `T1<TAB>Label 0 5;8 12<TAB>text`; other kinds of line give nothing.
fn span(line: &str, text: &str, points: &CodePoints) -> Result<Option<RawSpan>> {
    if line.is_empty() || line.starts_with(OTHERS) {
        return Ok(None);
    }
    if !line.starts_with('T') {
        return Err(broken("the line starts with none of T E R A M * # N"));
    }
    let fields: Vec<&str> = line.split('\t').collect();
    let [_, mark, stated, rest @ ..] = fields.as_slice() else {
        return Err(broken(format!("{} fields between tabs, expected id, label with offsets, text", fields.len())));
    };
    if rest.iter().any(|field| !field.trim().is_empty()) {
        return Err(broken(format!("{} fields between tabs, expected 3", fields.len())));
    }
    let (label, offsets) = mark.split_once(' ').ok_or_else(|| broken("no offsets after the label"))?;
    let mut fragments = offsets.split(';').map(|pair| fragment(pair, points)).collect::<Result<Vec<_>>>()?;
    check_text(text, &fragments, stated)?;
    fragments.sort_by_key(|range| (range.start, range.end)); // some files list them as they were clicked
    Ok(Some(RawSpan { fragments, label: label.to_owned() }))
}

fn fragment(pair: &str, points: &CodePoints) -> Result<std::ops::Range<usize>> {
    let number = |digits: &str| digits.parse::<usize>().map_err(|_| broken("an offset is not a number"));
    let (start, end) = pair.split_once(' ').ok_or_else(|| broken("a fragment has one offset, expected two"))?;
    points.bytes(number(start)?, number(end)?)
}

//! brat standoff: <https://brat.nlplab.org/standoff.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::spans::{CodePoints, RawSpan, check_text};
use super::split::files;
use super::{Place, Raw, broken, read_at, read_utf8};
use crate::error::Result;

/// The first letters of lines that are not text-bound: event, relation, attribute (two letters), group, note,
/// normalisation.
const OTHERS: &[char] = &['E', 'R', 'A', 'M', '*', '#', 'N'];

/// All documents of a folder, by id; with relations where they are asked for.
pub(super) fn read(folder: &Path, relations: bool, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let paths = files(folder)?;
    let with = |extension: &str| -> Vec<&PathBuf> {
        paths.iter().filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
    };
    let (texts, annotations) = (with("txt"), with("ann"));
    if let Some(path) = annotations.iter().find(|path| !path.with_extension("txt").is_file()) {
        return Err(broken("has no .txt beside it").at(path.display()));
    }
    texts.into_iter().map(|path| document(path, relations, skip)).collect()
}

fn document(path: &Path, relations: bool, skip: &BTreeSet<String>) -> Result<Raw> {
    let annotation = path.with_extension("ann");
    if !annotation.is_file() {
        return Err(broken("has no .ann beside it").at(path.display()));
    }
    let text = read_utf8(path)?;
    let lines = read_utf8(&annotation)?;
    let points = CodePoints::new(&text);
    let mut spans = Vec::new();
    for (number, line) in lines.lines().enumerate() {
        let span = read_at(&annotation, Place::Line(number + 1), skip, || span(line, &text, &points))?;
        spans.extend(span.flatten());
    }
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut raw = Raw::new(id, text, spans);
    if relations {
        let names = Names::new(&raw, &lines);
        for (number, line) in lines.lines().enumerate().filter(|(_, line)| line.starts_with('R')) {
            read_at(&annotation, Place::Line(number + 1), skip, || relation(line, &names, &mut raw))?;
        }
    }
    Ok(raw)
}

/// What relations may name, and the index of the span that it is.
struct Names(BTreeMap<String, usize>);

impl Names {
    /// Spans by their ids, and events, `E1<TAB>Label:T1 …`, by the span that triggers them.
    fn new(raw: &Raw, lines: &str) -> Self {
        let mut names: BTreeMap<_, _> = raw.spans.iter().enumerate().map(|(i, span)| (span.id.clone(), i)).collect();
        for line in lines.lines().filter(|line| line.starts_with('E')) {
            let trigger = line.split_once('\t').and_then(|(event, rest)| {
                let (_, trigger) = rest.split_whitespace().next()?.split_once(':')?;
                Some((event, *names.get(trigger)?))
            });
            names.extend(trigger.map(|(event, span)| (event.to_owned(), span)));
        }
        Self(names)
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.0.get(name).copied().ok_or_else(|| broken("the relation names an entity that the file does not have"))
    }
}

/// `R1<TAB>Label Arg1:T1 Arg2:T2`; the names of the arguments are not looked at, their order is.
fn relation(line: &str, names: &Names, raw: &mut Raw) -> Result<()> {
    let wrong = || broken("expected R, a number, a tab, a label and two arguments");
    let mut parts = line.split_once('\t').ok_or_else(wrong)?.1.split_whitespace();
    let (Some(label), Some(head), Some(tail), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let name = |argument: &str| -> Result<usize> { names.find(argument.split_once(':').ok_or_else(wrong)?.1) };
    raw.relate(name(head)?, name(tail)?, label)
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
    let [id, mark, stated, rest @ ..] = fields.as_slice() else {
        return Err(broken(format!("{} fields between tabs, expected id, label with offsets, text", fields.len())));
    };
    if rest.iter().any(|field| !field.trim().is_empty()) {
        return Err(broken(format!("{} fields between tabs, expected 3", fields.len())));
    }
    let (label, offsets) = mark.split_once(' ').ok_or_else(|| broken("no offsets after the label"))?;
    let mut fragments = offsets.split(';').map(|pair| fragment(pair, points)).collect::<Result<Vec<_>>>()?;
    check_text(text, &fragments, stated)?;
    fragments.sort_by_key(|range| (range.start, range.end)); // some files list them as they were clicked
    Ok(Some(RawSpan::new(fragments, label).with_id(id)))
}

fn fragment(pair: &str, points: &CodePoints) -> Result<std::ops::Range<usize>> {
    let number = |digits: &str| digits.parse::<usize>().map_err(|_| broken("an offset is not a number"));
    let (start, end) = pair.split_once(' ').ok_or_else(|| broken("a fragment has one offset, expected two"))?;
    points.bytes(number(start)?, number(end)?)
}

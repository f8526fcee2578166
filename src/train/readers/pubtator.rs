//! PubTator: abstracts with mentions, as BC5CDR and NCBI Disease come.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::spans::{CodePoints, RawSpan, check_text};
use super::{Place, Raw, broken, read_at, read_utf8};
use crate::error::Result;

/// One document an abstract: title, one space, abstract. An id that returns gets `#2`, `#3`.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let mut open: Option<Open> = None;
    let mut documents = Vec::new();
    for (number, line) in read_utf8(path)?.lines().enumerate() {
        if line.trim().is_empty() {
            close(open.take(), &mut documents);
            continue;
        }
        read_at(path, Place::Line(number + 1), skip, || row(line, &mut open, &mut documents))?;
    }
    close(open, &mut documents);
    number_twins(&mut documents);
    Ok(documents)
}

struct Open {
    raw: Raw,
    /// Set once the abstract is there.
    points: Option<CodePoints>,
}

fn close(open: Option<Open>, documents: &mut Vec<Raw>) {
    documents.extend(open.map(|open| open.raw));
}

fn row(line: &str, open: &mut Option<Open>, documents: &mut Vec<Raw>) -> Result<()> {
    let mut parts = line.splitn(3, '|');
    if let (Some(id), Some(kind @ ("t" | "a")), Some(text)) = (parts.next(), parts.next(), parts.next()) {
        if kind == "t" {
            close(open.take(), documents);
            let raw = Raw { id: id.to_owned(), text: text.to_owned(), spans: Vec::new() };
            *open = Some(Open { raw, points: None });
            return Ok(());
        }
        let open = of(open, id)?;
        open.raw.text.push(' ');
        open.raw.text.push_str(text);
        open.points = Some(CodePoints::new(&open.raw.text));
        return Ok(());
    }
    mention(line, open)
}

fn of<'a>(open: &'a mut Option<Open>, id: &str) -> Result<&'a mut Open> {
    open.as_mut().filter(|open| open.raw.id == id).ok_or_else(|| broken("the row belongs to no title above it"))
}

/// `pmid<TAB>start<TAB>end<TAB>text<TAB>type…`; a row of four fields is a relation.
fn mention(line: &str, open: &mut Option<Open>) -> Result<()> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [id, start, end, stated, label, ..] = fields.as_slice() else {
        return if fields.len() == 4 { Ok(()) } else { Err(broken("neither title, abstract, mention nor relation")) };
    };
    let open = of(open, id)?;
    let points = open.points.as_ref().ok_or_else(|| broken("a mention before the abstract"))?;
    let number = |digits: &str| digits.parse::<usize>().map_err(|_| broken("an offset is not a number"));
    let fragments = vec![points.bytes(number(start)?, number(end)?)?];
    check_text(&open.raw.text, &fragments, stated)?;
    open.raw.spans.push(RawSpan { fragments, label: (*label).to_owned() });
    Ok(())
}

fn number_twins(documents: &mut [Raw]) {
    let mut seen = BTreeMap::<String, usize>::new();
    for raw in documents {
        let count = seen.entry(raw.id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            raw.id = format!("{}#{count}", raw.id);
        }
    }
}

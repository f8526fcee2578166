//! The XML of i2b2: temporal relations of 2012, de-identification of 2014.
//!
//! Offsets are code points into the note, from 0 in some releases and from 1 in others, with a line end counted as one
//! character or as two. Every tag states its text, so each file tells how it counts: the way that fits most of its tags is
//! taken, and one that does not fit is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::spans::{CodePoints, RawSpan, check_text};
use super::split::by_stem;
use super::xml::{self, Tag};
use super::{Place, Raw, broken, read_at};
use crate::error::{Error, Result};

/// i2b2 2012. Entities are `EVENT` and `TIMEX3`, labelled by their `type` (by the name of the element where it is empty),
/// whose class is the name of the element. Where relations are asked for, `SECTIME` is an entity, too: a `TLINK` may name
/// it. A `TLINK` with an empty `type` says nothing and is left out.
pub(super) fn temporal(folder: &Path, relations: bool, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let label = |tag: &Tag| {
        Ok(match tag.name.as_str() {
            "EVENT" | "TIMEX3" => {
                Some(Some(tag.attribute("type")?).filter(|t| !t.is_empty()).unwrap_or(&tag.name).to_owned())
            }
            "SECTIME" if relations => Some("SECTIME".to_owned()),
            _ => None,
        })
    };
    documents(folder, relations, skip, label)
}

/// i2b2 2014. Every tag is an entity, labelled by its `TYPE` (`PATIENT`), whose class is the name of the element (`NAME`).
pub(super) fn deidentification(folder: &Path, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    documents(folder, false, skip, |tag| Ok(Some(tag.attribute("TYPE")?.to_owned())))
}

fn documents(
    folder: &Path,
    relations: bool,
    skip: &BTreeSet<String>,
    label: impl Fn(&Tag) -> Result<Option<String>>,
) -> Result<Vec<Raw>> {
    let mut found = Vec::new();
    for (id, path) in by_stem(folder, "xml")? {
        let xml::Annotated { text, tags } = xml::read(&path)?;
        let mut marks = Vec::new();
        for tag in &tags {
            let read = || Ok(label(tag)?.map(|label| (label, Mark::of(tag))));
            if let Some((label, mark)) = read_at(&path, Place::Line(tag.line), skip, read)?.flatten() {
                let mark = mark.map_err(|e| e.at(format!("{}:{}", path.display(), tag.line)))?;
                marks.extend(mark.map(|mark| (label, mark)));
            }
        }
        let (text, ranges) = placed(text, &marks).map_err(|(line, e)| e.at(format!("{}:{line}", path.display())))?;
        let spans = marks.into_iter().zip(ranges).map(|((label, mark), range)| {
            let span = RawSpan::new(vec![range], label).with_id(mark.id);
            RawSpan { coarse: Some(mark.class.to_owned()), ..span }
        });
        let mut raw = Raw::new(id, text, spans.collect());
        if relations {
            relate(&mut raw, &tags, &path, skip)?;
        }
        found.push(raw);
    }
    Ok(found)
}

/// Where a tag says that it stands.
struct Mark<'a> {
    line: usize,
    id: &'a str,
    class: &'a str,
    start: usize,
    end: usize,
    stated: &'a str,
}

impl<'a> Mark<'a> {
    /// Nothing for a tag of no text.
    fn of(tag: &'a Tag) -> Result<Option<Self>> {
        let number = |name: &str| -> Result<usize> {
            tag.attribute(name)?.trim().parse().map_err(|_| broken("an offset is not a number"))
        };
        let (start, end, stated) = (number("start")?, number("end")?, tag.attribute("text")?);
        let mark = Self { line: tag.line, id: tag.attribute("id")?, class: &tag.name, start, end, stated };
        Ok((start != end || !stated.is_empty()).then_some(mark))
    }

    fn range(&self, text: &str, points: &CodePoints, first: usize) -> Result<Range<usize>> {
        let before = || broken(format!("offset {} where the first is {first}", self.start.min(self.end)));
        let from = |offset: usize| offset.checked_sub(first).ok_or_else(before);
        let range = points.bytes(from(self.start)?, from(self.end)?)?;
        check_text(text, std::slice::from_ref(&range), self.stated)?;
        Ok(range)
    }
}

/// A line, and what does not fit there.
type Misfit = (usize, Error);

/// The text with its line ends as the offsets count them, and the bytes of each mark.
fn placed(text: String, marks: &[(String, Mark<'_>)]) -> Result<(String, Vec<Range<usize>>), Misfit> {
    let plain = text.replace("\r\n", "\n"); // what an XML parser hands over
    let mut texts = vec![plain];
    if texts[0] != text {
        texts.push(text);
    }
    let mut best: Option<(usize, usize, usize)> = None; // misfits, text, first offset
    for (index, text) in texts.iter().enumerate() {
        let points = CodePoints::new(text);
        for first in [0, 1] {
            let misfits = marks.iter().filter(|(_, mark)| mark.range(text, &points, first).is_err()).count();
            if best.is_none_or(|(least, ..)| misfits < least) {
                best = Some((misfits, index, first));
            }
        }
    }
    let (_, index, first) = best.unwrap_or_default();
    let text = texts.swap_remove(index);
    let points = CodePoints::new(&text);
    let range = |(_, mark): &(String, Mark<'_>)| mark.range(&text, &points, first).map_err(|e| (mark.line, e));
    let ranges = marks.iter().map(range).collect::<Result<Vec<_>, _>>()?;
    Ok((text, ranges))
}

fn relate(raw: &mut Raw, tags: &[Tag], path: &Path, skip: &BTreeSet<String>) -> Result<()> {
    let mut names = BTreeMap::new();
    for (index, span) in raw.spans.iter().enumerate() {
        names.entry(span.id.clone()).or_insert(index);
    }
    let find = |name: &str| {
        let found = names.get(name).copied();
        found.ok_or_else(|| broken("the relation names an entity that the file does not have"))
    };
    for tag in tags.iter().filter(|tag| tag.name == "TLINK") {
        read_at(path, Place::Line(tag.line), skip, || match tag.attribute("type")? {
            "" => Ok(()),
            label => raw.relate(find(tag.attribute("fromID")?)?, find(tag.attribute("toID")?)?, label),
        })?;
    }
    Ok(())
}

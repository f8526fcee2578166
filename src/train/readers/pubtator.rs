//! PubTator: abstracts with mentions, as BC5CDR and NCBI Disease come.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::spans::{CodePoints, RawSpan, check_text};
use super::{Place, Raw, Relation, broken, read_at, read_utf8};
use crate::error::Result;

/// One document an abstract: title, one space, abstract. An id that returns gets `#2`, `#3`. Relations, where they are
/// asked for, are between all mentions of the two concepts.
pub(super) fn read(path: &Path, relations: bool, skip: &BTreeSet<String>) -> Result<Vec<Raw>> {
    let mut reader = Reader { relations, open: None, documents: Vec::new() };
    for (number, line) in read_utf8(path)?.lines().enumerate() {
        if line.trim().is_empty() {
            reader.close();
            continue;
        }
        read_at(path, Place::Line(number + 1), skip, || reader.row(line))?;
    }
    reader.close();
    number_twins(&mut reader.documents);
    Ok(reader.documents)
}

struct Reader {
    relations: bool,
    open: Option<Open>,
    documents: Vec<Raw>,
}

struct Open {
    raw: Raw,
    /// Set once the abstract is there.
    points: Option<CodePoints>,
}

impl Reader {
    fn close(&mut self) {
        self.documents.extend(self.open.take().map(|open| open.raw));
    }

    fn row(&mut self, line: &str) -> Result<()> {
        let mut parts = line.splitn(3, '|');
        if let (Some(id), Some(kind @ ("t" | "a")), Some(text)) = (parts.next(), parts.next(), parts.next()) {
            if kind == "t" {
                self.close();
                self.open = Some(Open { raw: Raw::new(id.to_owned(), text.to_owned(), Vec::new()), points: None });
                return Ok(());
            }
            let open = self.of(id)?;
            if open.points.is_some() {
                return Err(broken("a second abstract"));
            }
            open.raw.text.push(' ');
            open.raw.text.push_str(text);
            open.points = Some(CodePoints::new(&open.raw.text));
            return Ok(());
        }
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            [id, label, head, tail] if self.relations => self.of(id)?.relate(label, head, tail),
            [_, _, _, _] => Ok(()),
            [id, start, end, stated, label, rest @ ..] => {
                self.of(id)?.mention([start, end], stated, label, rest.first())
            }
            _ => Err(broken("neither title, abstract, mention nor relation")),
        }
    }

    fn of(&mut self, id: &str) -> Result<&mut Open> {
        let open = self.open.as_mut().filter(|open| open.raw.id == id);
        open.ok_or_else(|| broken("the row belongs to no title above it"))
    }
}

impl Open {
    /// `pmid<TAB>start<TAB>end<TAB>text<TAB>type<TAB>concept…`; `-1` and nothing are no concept.
    fn mention(&mut self, [start, end]: [&str; 2], stated: &str, label: &str, concept: Option<&&str>) -> Result<()> {
        let points = self.points.as_ref().ok_or_else(|| broken("a mention before the abstract"))?;
        let number = |digits: &str| digits.parse::<usize>().map_err(|_| broken("an offset is not a number"));
        let fragments = vec![points.bytes(number(start)?, number(end)?)?];
        check_text(&self.raw.text, &fragments, stated)?;
        let concept = concept.filter(|concept| !concept.is_empty() && **concept != "-1").map(|c| (*c).to_owned());
        self.raw.spans.push(RawSpan { concept, ..RawSpan::new(fragments, label) });
        Ok(())
    }

    /// `pmid<TAB>label<TAB>concept<TAB>concept`, below the mentions.
    fn relate(&mut self, label: &str, from: &str, to: &str) -> Result<()> {
        let [heads, tails] = [from, to].map(|concept| self.mentions(concept));
        if heads.is_empty() || tails.is_empty() {
            return Err(broken("the relation names a concept that no mention above it has"));
        }
        for &head in &heads {
            for &tail in tails.iter().filter(|&&tail| tail != head) {
                let concepts = Some((from.to_owned(), to.to_owned()));
                self.raw.push(Relation { head, tail, label: label.to_owned(), concepts })?;
            }
        }
        Ok(())
    }

    fn mentions(&self, concept: &str) -> Vec<usize> {
        let has = |span: &RawSpan| span.concept.iter().any(|all| all.split('|').any(|one| one == concept));
        (0..self.raw.spans.len()).filter(|&i| has(&self.raw.spans[i])).collect()
    }
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

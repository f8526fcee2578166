//! ISARIC ICN: terms as clinicians typed them, and the controlled terms that stand for them.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Place, RawSequence, broken, read_at, sheet};
use crate::error::Result;

const TERM: &str = "FREE-TEXT TERM";
const CONTROLLED: &str = "CONTROLLED TERMS";

/// One text a row that has a controlled term. A term that returns in other letters or spaces is on the same side of a
/// split by hash. Ids are the numbers of the rows, the header's being 1.
pub(super) fn read(path: &Path, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    let mut rows = sheet::rows(path)?.into_iter();
    let header = rows.next().ok_or_else(|| broken("the sheet is empty").at(path.display()))?;
    let column = |name: &str| {
        let found = header.column(name);
        found.ok_or_else(|| broken(format!("the first row has no cell {name:?}")).at(path.display()))
    };
    let (term, controlled) = (column(TERM)?, column(CONTROLLED)?);
    let mut found = Vec::new();
    for row in rows {
        let read = || sequence(row.number, row.cell(term).trim(), row.cell(controlled).trim());
        found.extend(read_at(path, Place::Row(row.number as usize), skip, read)?.flatten());
    }
    Ok(found)
}

fn sequence(number: u32, term: &str, label: &str) -> Result<Option<RawSequence>> {
    if label.is_empty() {
        return Ok(None);
    }
    if term.is_empty() {
        return Err(broken("a controlled term without a free-text term"));
    }
    let group = term.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let sequence = RawSequence::new(number.to_string(), term.to_owned(), None, label.to_owned());
    Ok(Some(RawSequence { group, ..sequence }))
}

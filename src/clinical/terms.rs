//! Linking: what a mention is called in a caller's list of terms and codes.
//!
//! No terminology ships. A table of RxNorm, SNOMED CT, ICD-10-CM, HPO or of the house is compiled to an index: the table as
//! it came, and for each line one 64-bit number, the hash of its key (`key.rs`) with the place of the line. Half a million terms are
//! four megabytes beside the table. A key is compared again before a line is believed, so hashes that agree by accident
//! cost time and nothing else.

mod key;

use std::fmt;
use std::ops::Range;

use self::key::{hash, key};
use super::abbreviations::Abbreviation;
use super::table::{broken, decode, lines};
use crate::error::{Error, ErrorKind, Result};
use crate::sort;

/// Terms and codes, compiled. Shared by all notes.
#[derive(Clone)]
pub struct Terms {
    table: String,
    /// Hash of the key in the upper half, where the line starts in the lower; sorted, so lines of one key keep their order.
    index: Vec<u64>,
    columns: Columns,
    system: Option<String>,
}

/// A code of a mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose code it is: the URI where the name is known, else as the table has it.
    pub system: Option<String>,
    /// The code.
    pub code: String,
    /// The preferred term of the line, else its term.
    pub term: String,
    /// How the mention was found.
    pub matched: Match,
}

/// How a mention and a term agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Letter by letter.
    Exact,
    /// But for case, accents, hyphens and other marks, plural s, the order of words, or with an abbreviation written out.
    Normalised,
}

impl Match {
    /// `exact` or `normalised`, as results have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Normalised => "normalised",
        }
    }
}

/// Which column is what.
#[derive(Clone, Copy)]
struct Columns {
    term: usize,
    code: usize,
    system: Option<usize>,
    preferred: Option<usize>,
}

/// Names of terminologies, without case and marks, and the URIs that FHIR gives them.
const SYSTEMS: &[(&[&str], &str)] = &[
    (&["snomedct", "snomed", "sct"], "http://snomed.info/sct"),
    (&["rxnorm"], "http://www.nlm.nih.gov/research/umls/rxnorm"),
    (&["icd10cm"], "http://hl7.org/fhir/sid/icd-10-cm"),
    (&["hpo", "hp"], "http://human-phenotype-ontology.org"),
    (&["loinc", "ln"], "http://loinc.org"),
];

impl Terms {
    /// Compiles a table: lines of `term`, `code` and perhaps `system` and `preferred`, between tabs.
    ///
    /// A first line that names the columns `term` and `code` says their order, and may name others, which are not read.
    /// `system` is that of lines that name none.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] with the line and what to do: not UTF-8, a column missing, too many without a heading, or a term
    /// that holds no letter and no digit; [`ErrorKind::Input`] when the table is 4 GB or more.
    pub fn from_tsv(bytes: Vec<u8>, system: Option<&str>) -> Result<Self> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Error::new(ErrorKind::Input, "the table has 4 GB or more; split it"));
        }
        let table = decode(bytes)?;
        let mut rows = lines(&table).peekable();
        let heading = rows.peek().map(|(number, _, line)| heading(*number, line)).transpose()?.flatten();
        if heading.is_some() {
            rows.next();
        }
        let columns = heading.unwrap_or(Columns { term: 0, code: 1, system: Some(2), preferred: Some(3) });
        let mut index = Vec::new();
        for (number, start, line) in rows {
            let count = line.split('\t').count();
            if heading.is_none() && count > 4 {
                let message = format!("{count} columns; name them in a first line, term and code among them");
                return Err(broken(number, &message));
            }
            let hash = hash_of(&columns.read(line), number)?;
            index.push(u64::from(hash) << 32 | start as u64);
        }
        sort::numbers(&mut index);
        index.shrink_to_fit();
        Ok(Self { table, index, columns, system: system.map(uri) })
    }

    /// How many lines are indexed.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.table.len() + size_of_val(self.index.as_slice())
    }

    /// All codes of a text: first of the lines that agree letter by letter, then of the others, each in the order of the
    /// table.
    pub fn find(&self, text: &str) -> Vec<Link> {
        let text = text.trim();
        let wanted = key(text);
        let hash = u64::from(hash(&wanted));
        let from = self.index.partition_point(|entry| entry >> 32 < hash);
        let (mut exact, mut others) = (Vec::new(), Vec::new());
        for entry in self.index[from..].iter().take_while(|entry| **entry >> 32 == hash) {
            let row = self.row(*entry);
            if row.term == text {
                exact.push(self.link(&row, Match::Exact));
            } else if key(row.term) == wanted {
                others.push(self.link(&row, Match::Normalised));
            }
        }
        exact.extend(others);
        exact
    }

    /// All codes of a mention in a note; where it has none as it stands, those of its text with its abbreviations written
    /// out. `abbreviations` are sorted by place, as [`super::abbreviations::find`] gives them.
    pub fn find_mention(&self, note: &str, mention: Range<usize>, abbreviations: &[Abbreviation]) -> Vec<Link> {
        let Some(text) = note.get(mention.clone()) else { return Vec::new() };
        let found = self.find(text);
        if !found.is_empty() {
            return found;
        }
        let (mut written, mut at) = (String::new(), mention.start);
        let from = abbreviations.partition_point(|short| short.range.start < mention.start);
        for short in abbreviations[from..].iter().take_while(|short| short.range.end <= mention.end) {
            written.push_str(note.get(at..short.range.start).unwrap_or_default());
            written.push_str(&short.long);
            at = short.range.end;
        }
        if at == mention.start {
            return Vec::new();
        }
        written.push_str(note.get(at..mention.end).unwrap_or_default());
        self.find(&written).into_iter().map(|link| Link { matched: Match::Normalised, ..link }).collect()
    }

    /// The line of an entry.
    fn row(&self, entry: u64) -> Row<'_> {
        let line = &self.table[entry as u32 as usize..];
        self.columns.read(line.split('\n').next().unwrap_or(line).trim_end_matches('\r'))
    }

    fn link(&self, row: &Row<'_>, matched: Match) -> Link {
        let system = if row.system.is_empty() { self.system.clone() } else { Some(uri(row.system)) };
        let term = if row.preferred.is_empty() { row.term } else { row.preferred };
        Link { system, code: row.code.to_owned(), term: term.to_owned(), matched }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Terms({} lines, {} bytes)", self.len(), self.bytes())
    }
}

/// What a line says; what it does not say is empty.
struct Row<'a> {
    term: &'a str,
    code: &'a str,
    system: &'a str,
    preferred: &'a str,
}

impl Columns {
    fn read<'a>(&self, line: &'a str) -> Row<'a> {
        let column = |at: usize| line.split('\t').nth(at).unwrap_or_default().trim();
        Row {
            term: column(self.term),
            code: column(self.code),
            system: self.system.map(column).unwrap_or_default(),
            preferred: self.preferred.map(column).unwrap_or_default(),
        }
    }
}

/// The columns that a first line names, if it does.
fn heading(number: usize, line: &str) -> Result<Option<Columns>> {
    let names: Vec<String> = line.split('\t').map(|name| name.trim().to_ascii_lowercase()).collect();
    let place = |name: &str| names.iter().position(|found| found == name);
    match (place("term"), place("code")) {
        (Some(term), Some(code)) => {
            Ok(Some(Columns { term, code, system: place("system"), preferred: place("preferred") }))
        }
        (None, None) => Ok(None),
        _ => Err(broken(
            number,
            "a heading names term and code, perhaps system and preferred; one of the two is missing",
        )),
    }
}

fn hash_of(row: &Row<'_>, number: usize) -> Result<u32> {
    if row.term.is_empty() || row.code.is_empty() {
        return Err(broken(number, "expected a term, a tab and a code; one of them is missing"));
    }
    let key = key(row.term);
    if key.is_empty() {
        return Err(broken(number, "the term has no letter and no digit; remove the line"));
    }
    Ok(hash(&key))
}

/// The URI of a terminology that is known by a name; any other name as it is.
fn uri(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let known = SYSTEMS.iter().find(|(names, _)| names.contains(&plain.as_str()));
    known.map_or(name, |(_, uri)| uri).to_owned()
}

#[cfg(test)]
mod tests;

//! NLI4CT: statements about reports of clinical trials, <https://sites.google.com/view/nli4ct>.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Place, RawSequence, broken, json, read_at};
use crate::error::Result;

/// What the statement is judged by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Premise {
    /// The lines that the annotators named.
    Evidence,
    /// The section that the statement is about.
    Section,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    #[serde(rename = "Type")]
    kind: Kind,
    #[serde(rename = "Section_id")]
    section: String,
    #[serde(rename = "Primary_id")]
    primary: String,
    #[serde(rename = "Secondary_id")]
    secondary: Option<String>,
    statement: String,
    label: String,
    #[serde(rename = "Primary_evidence_index", default)]
    primary_evidence: Vec<usize>,
    #[serde(rename = "Secondary_evidence_index", default)]
    secondary_evidence: Vec<usize>,
}

#[derive(Deserialize, PartialEq, Eq)]
enum Kind {
    Single,
    Comparison,
}

/// One pair a statement. The premise is the lines joined by spaces; where two trials are compared, "Primary trial:" and
/// "Secondary trial:" stand before theirs, as the statements call them. Statements about one trial stay together when
/// the set is split by hash.
pub(super) fn read(path: &Path, premise: Premise, skip: &BTreeSet<String>) -> Result<Vec<RawSequence>> {
    let folder = path.parent().unwrap_or(Path::new("")).join("ct_json");
    let mut trials = Trials { folder, known: BTreeMap::new() };
    let mut found = Vec::new();
    for (index, (id, record)) in json::entries(path)?.into_iter().enumerate() {
        let read = || pair(id, record, premise, &mut trials);
        found.extend(read_at(path, Place::Record(index + 1), skip, read)?);
    }
    Ok(found)
}

fn pair(id: String, record: Value, premise: Premise, trials: &mut Trials) -> Result<RawSequence> {
    let record: Statement = serde_json::from_value(record)
        .map_err(|_| broken("expected Type, Section_id, Primary_id, Statement, Label and evidence"))?;
    let evidence = |lines: &Vec<usize>| (premise == Premise::Evidence).then(|| lines.clone());
    let first = trials.lines(&record.primary, &record.section, evidence(&record.primary_evidence))?;
    let text = match (&record.kind, &record.secondary) {
        (Kind::Single, _) => first,
        (Kind::Comparison, Some(secondary)) => {
            let second = trials.lines(secondary, &record.section, evidence(&record.secondary_evidence))?;
            format!("Primary trial: {first} Secondary trial: {second}")
        }
        (Kind::Comparison, None) => return Err(broken("a comparison without Secondary_id")),
    };
    let sequence = RawSequence::new(id, text, Some(record.statement), record.label);
    Ok(RawSequence { group: record.primary, ..sequence })
}

/// The trials that were read.
struct Trials {
    folder: PathBuf,
    known: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Trials {
    /// The lines of a section, or those of them that are named, joined.
    fn lines(&mut self, trial: &str, section: &str, named: Option<Vec<usize>>) -> Result<String> {
        let lines = self.section(trial, section)?;
        let line = |value: &Value| -> Result<String> {
            let text = value.as_str().ok_or_else(|| broken("a line of the trial is not a text"))?;
            Ok(text.trim().to_owned())
        };
        let chosen = match named {
            None => lines.iter().map(line).collect::<Result<Vec<_>>>()?,
            Some(named) => {
                let at = |&index: &usize| {
                    let count = lines.len();
                    line(lines.get(index).ok_or_else(|| broken(format!("evidence line {index} of {count} lines")))?)
                };
                named.iter().map(at).collect::<Result<Vec<_>>>()?
            }
        };
        Ok(chosen.join(" "))
    }

    fn section(&mut self, trial: &str, section: &str) -> Result<&[Value]> {
        // an id becomes a file name
        if trial.is_empty() || !trial.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(broken("the id of a trial is not letters and digits"));
        }
        if !self.known.contains_key(trial) {
            let path = self.folder.join(format!("{trial}.json"));
            let read = json::whole(&path, "a JSON object of sections")?;
            self.known.insert(trial.to_owned(), read);
        }
        let lines = self.known.get(trial).and_then(|sections| sections.get(section)).and_then(Value::as_array);
        Ok(lines.ok_or_else(|| broken("the trial has no such section"))?)
    }
}

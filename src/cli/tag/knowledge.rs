//! What the rules are told besides what ships: `--rules`, `--sections`, `--abbreviations`, `--terms`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use clinlite::clinical::abbreviations::List;
use clinlite::clinical::{Knowledge, Terms};
use sha2::{Digest, Sha256};

#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Rules besides those that ship (docs/clinical.md)")]
pub(crate) struct Given {
    /// More cues of negation, uncertainty and others
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// More titles of sections
    #[arg(long, value_name = "FILE")]
    sections: Option<PathBuf>,
    /// Abbreviations that notes do not define: short, tab, long
    #[arg(long, value_name = "TSV")]
    abbreviations: Option<PathBuf>,
    /// Terms and their codes: term, tab, code, perhaps system and preferred term; entities that match get links
    #[arg(long, value_name = "TSV")]
    terms: Option<PathBuf>,
    /// The code system of terms whose table names none
    #[arg(long, value_name = "URI", requires = "terms")]
    system: Option<String>,
}

/// The rules of a run, and a hash of the files that add to them.
pub(crate) struct Known {
    /// Those that ship where no file is given, as the tagger has them.
    pub(crate) knowledge: Arc<Knowledge>,
    pub(crate) hash: String,
}

impl Given {
    /// The rules that ship with what the files add.
    pub(crate) fn read(&self) -> Result<Known> {
        let (mut added, mut hash) = (None, Sha256::new());
        let system = self.system.as_deref();
        let files: [(&Option<PathBuf>, Adding); 4] = [
            (&self.rules, |knowledge, bytes, _| Ok(knowledge.with_rules(&text(bytes)?)?)),
            (&self.sections, |knowledge, bytes, _| Ok(knowledge.with_sections(&text(bytes)?)?)),
            (&self.abbreviations, |knowledge, bytes, _| Ok(knowledge.with_abbreviations(List::from_tsv(bytes)?))),
            (&self.terms, |knowledge, bytes, system| Ok(knowledge.with_terms(Terms::from_tsv(bytes, system)?))),
        ];
        for (number, (path, add)) in files.iter().enumerate() {
            let Some(path) = path else { continue };
            let context = || path.display().to_string();
            let bytes = std::fs::read(path).with_context(context)?;
            hash.update(format!("{number} {} {system:?}\n", bytes.len()));
            hash.update(&bytes);
            added = Some(add(added.unwrap_or_default(), bytes, system).with_context(context)?);
        }
        let knowledge = added.map_or_else(Knowledge::shipped, Arc::new);
        Ok(Known { knowledge, hash: short(hash) })
    }
}

/// The first sixteen digits of a hash: enough to tell runs apart.
pub(super) fn short(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

type Adding = fn(Knowledge, Vec<u8>, Option<&str>) -> Result<Knowledge>;

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| anyhow!("expected UTF-8"))
}

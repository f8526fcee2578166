//! A folder beside its manifest.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::weights::manifest::{self, FileEntry, Manifest, Window};

/// Every file was hashed already: what is wrong is found by comparing, in the order of the names.
pub(super) fn verify(manifest: &Manifest, found: &BTreeMap<&str, FileEntry>, decisive: &[&str]) -> Result<()> {
    let refuse = |name: &str, message: String| Err(Error::new(ErrorKind::Hash, message).at(name));
    for (name, expected) in &manifest.files {
        match found.get(name.as_str()) {
            None => return refuse(name, "listed in manifest.json but missing".into()),
            Some(found) => compare(name, expected, found)?,
        }
    }
    for (name, expected) in &manifest.card {
        found.get(name.as_str()).map_or(Ok(()), |found| compare(name, expected, found))?;
    }
    for &name in decisive {
        if found.contains_key(name) && !manifest.files.contains_key(name) {
            return refuse(name, "not listed in manifest.json".into());
        }
    }
    Ok(())
}

fn compare(name: &str, expected: &FileEntry, found: &FileEntry) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let message = format!(
        "expected sha256 {} ({} bytes), found {} ({} bytes)",
        expected.sha256, expected.bytes, found.sha256, found.bytes
    );
    Err(Error::new(ErrorKind::Hash, message).at(name))
}

/// One hash for the files that decide what a model answers, and for its window.
pub(super) fn model_hash(manifest: Option<&Manifest>, found: &BTreeMap<&str, FileEntry>, decisive: &[&str]) -> String {
    let mut lines = String::new();
    for name in decisive {
        if let Some(entry) = found.get(name) {
            lines.push_str(&format!("{}  {name}\n", entry.sha256));
        }
    }
    if let Some(Window { max_length, stride }) = manifest.and_then(|manifest| manifest.window) {
        lines.push_str(&format!("window {max_length} {stride}\n"));
    }
    manifest::sha256(lines.as_bytes())
}

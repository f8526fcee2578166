//! A folder beside its manifest.

use crate::error::{Error, ErrorKind, Result};
use crate::weights::manifest::{self, FileEntry, Manifest, Window};
use crate::weights::named;

/// Files by their names.
pub(super) type Found<'f> = [(&'f str, FileEntry)];

/// Every file was hashed already: what is wrong is found by comparing, in the order of the names.
pub(super) fn verify(manifest: &Manifest, found: &Found<'_>, decisive: &[&str]) -> Result<()> {
    let refuse = |name: &str, message: String| Err(Error::new(ErrorKind::Hash, message).at(name));
    for (name, expected) in &manifest.files {
        match named(found, name) {
            None => return refuse(name, "listed in manifest.json but missing".into()),
            Some(found) => compare(name, expected, found)?,
        }
    }
    for (name, expected) in &manifest.card {
        named(found, name).map_or(Ok(()), |found| compare(name, expected, found))?;
    }
    for &name in decisive {
        if named(found, name).is_some() && named(&manifest.files, name).is_none() {
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
pub(super) fn model_hash(manifest: Option<&Manifest>, found: &Found<'_>, decisive: &[&str]) -> String {
    let mut lines = String::new();
    for name in decisive {
        if let Some(entry) = named(found, name) {
            lines.push_str(&format!("{}  {name}\n", entry.sha256));
        }
    }
    if let Some(Window { max_length, stride }) = manifest.and_then(|manifest| manifest.window) {
        lines.push_str(&format!("window {max_length} {stride}\n"));
    }
    manifest::sha256(lines.as_bytes())
}

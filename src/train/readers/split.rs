//! Which documents belong to a split.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Raw, broken, read_utf8};
use crate::error::{Error, ErrorKind, Result};

/// The documents of `hash:NAME`, or of a name in `split.tsv` of the set's folder.
pub(super) fn select(raw: Vec<Raw>, name: &str, place: &Path) -> Result<Vec<Raw>> {
    if let Some(name) = name.strip_prefix("hash:") {
        if !["train", "dev", "test"].contains(&name) {
            return Err(broken(format!("split \"hash:{name}\", expected hash:train, hash:dev or hash:test")));
        }
        return Ok(raw.into_iter().filter(|raw| by_hash(&raw.id) == name).collect());
    }
    let path = place.join("split.tsv");
    if !path.is_file() {
        return Err(broken(format!("split {name:?} without a split.tsv, expected hash:{name}")).at(place.display()));
    }
    let splits = table(&path)?;
    if !splits.values().any(|split| split == name) {
        return Err(broken(format!("has no split {name:?}")).at(path.display()));
    }
    let mut kept = Vec::new();
    let documents = raw.len();
    for raw in raw {
        match splits.get(&raw.id) {
            Some(split) if split == name => kept.push(raw),
            Some(_) => {}
            None => return Err(broken(format!("does not name the document {:?}", raw.id)).at(path.display())),
        }
    }
    if documents != splits.len() {
        let message = format!("names {} documents, the folder holds {documents}", splits.len());
        return Err(broken(message).at(path.display()));
    }
    Ok(kept)
}

/// `id<TAB>split` lines.
fn table(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = read_utf8(path)?;
    let mut splits = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let refuse = |message: &str| Err(broken(message).at(format!("{}:{}", path.display(), number + 1)));
        let Some((id, split)) = line.split_once('\t') else {
            return refuse("expected an id, a tab and a split");
        };
        if splits.insert(id.to_owned(), split.trim_end().to_owned()).is_some() {
            return refuse("the id occurs twice");
        }
    }
    Ok(splits)
}

/// `train`, `dev` or `test` by 80, 10 and 10 of 100. Documents whose ids differ only in `_inc` and `_exc` are two
/// halves of one text and fall on one side.
fn by_hash(id: &str) -> &'static str {
    let group = id.strip_suffix("_inc").or_else(|| id.strip_suffix("_exc")).unwrap_or(id);
    let digest = Sha256::digest(group.as_bytes());
    let number = digest.iter().take(8).fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
    match number % 100 {
        0..80 => "train",
        80..90 => "dev",
        _ => "test",
    }
}

/// The file of a folder that a split names: `train.tsv`, or `train` if only one file has that stem.
pub(super) fn file(place: &Path, name: &str) -> Result<PathBuf> {
    let exact = place.join(name);
    if exact.is_file() {
        return Ok(exact);
    }
    let matches: Vec<_> =
        files(place)?.into_iter().filter(|path| path.file_stem().is_some_and(|s| s == name)).collect();
    match <[PathBuf; 1]>::try_from(matches) {
        Ok([path]) => Ok(path),
        Err(matches) => {
            let message = format!("{} files have the name of the split {name:?}, expected one", matches.len());
            Err(broken(message).at(place.display()))
        }
    }
}

/// The files of a folder, by name.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e: std::io::Error| Error::new(ErrorKind::Io, format!("{}: {e}", folder.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::by_hash;

    /// Computed with Python: `int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big") % 100`.
    #[test]
    fn halves_stay_together_and_the_rule_is_fixed() {
        for (id, split) in [("a", "train"), ("NCT7", "dev"), ("NCT13", "test")] {
            assert_eq!(by_hash(&format!("{id}_inc")), by_hash(&format!("{id}_exc")));
            assert_eq!(by_hash(id), split, "{id}");
        }
        let dev = (0..10_000).filter(|i| by_hash(&format!("NCT{i}_inc")) == "dev").count();
        let test = (0..10_000).filter(|i| by_hash(&format!("NCT{i}_inc")) == "test").count();
        assert!((900..1100).contains(&dev) && (900..1100).contains(&test), "{dev} dev, {test} test");
    }
}

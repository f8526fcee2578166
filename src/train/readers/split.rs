//! Which documents belong to a split.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{DataSet, broken, read_utf8};
use crate::error::{Error, ErrorKind, Result};

/// Where the files of a split are, and what is still to be chosen from them.
pub(super) struct Part<'a> {
    /// A folder or a file.
    pub place: PathBuf,
    /// Where `split.tsv` would be.
    root: PathBuf,
    name: Option<&'a str>,
}

impl<'a> Part<'a> {
    pub(super) fn of(set: &'a DataSet, root: &Path) -> Result<Self> {
        let root = root.join(&set.path);
        let whole = |name| Self { place: root.clone(), root: root.clone(), name };
        let found = match set.split.as_deref() {
            None => return Ok(whole(None)),
            Some(name) if name.starts_with("hash:") => return Ok(whole(Some(name))),
            Some(name) if !set.format.is_folder() => file(&root, name)?,
            Some(name) if root.join(name).is_dir() => root.join(name),
            Some(name) => return Ok(whole(Some(name))),
        };
        Ok(Self { place: found, root, name: None })
    }

    /// The items of `hash:NAME`, or of a name in `split.tsv` of the set's folder.
    pub(super) fn select<T>(&self, items: Vec<T>, key: impl Fn(&T) -> &str) -> Result<Vec<T>> {
        let Some(name) = self.name else { return Ok(items) };
        if let Some(name) = name.strip_prefix("hash:") {
            if !["train", "dev", "test"].contains(&name) {
                return Err(broken(format!("split \"hash:{name}\", expected hash:train, hash:dev or hash:test")));
            }
            return Ok(items.into_iter().filter(|item| by_hash(key(item)) == name).collect());
        }
        let path = self.root.join("split.tsv");
        if !path.is_file() {
            let message = format!("split {name:?} without a split.tsv, expected hash:{name}");
            return Err(broken(message).at(self.root.display()));
        }
        by_table(items, name, &path, key)
    }
}

fn by_table<T>(items: Vec<T>, name: &str, path: &Path, key: impl Fn(&T) -> &str) -> Result<Vec<T>> {
    let splits = table(path)?;
    if !splits.values().any(|split| split == name) {
        return Err(broken(format!("has no split {name:?}")).at(path.display()));
    }
    let documents = items.iter().map(&key).collect::<BTreeSet<_>>().len();
    let mut kept = Vec::new();
    for item in items {
        match splits.get(key(&item)) {
            Some(split) if split == name => kept.push(item),
            Some(_) => {}
            None => return Err(broken(format!("does not name the document {:?}", key(&item))).at(path.display())),
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

/// The file of a folder that a split names: `train.tsv`, or `train` if only one file has that stem, or if only one has
/// it as a word of its name: `set_train_v1.tsv`.
fn file(place: &Path, name: &str) -> Result<PathBuf> {
    let exact = place.join(name);
    if exact.is_file() {
        return Ok(exact);
    }
    let files = files(place)?;
    let named = |fits: &dyn Fn(&str, &Path) -> bool| -> Vec<PathBuf> {
        let fits = |path: &&PathBuf| path.file_name().is_some_and(|own| fits(&own.to_string_lossy(), path));
        files.iter().filter(fits).cloned().collect()
    };
    let mut matches = named(&|_, path| path.file_stem().is_some_and(|stem| stem == name));
    if matches.is_empty() {
        matches = named(&|own, _| is_word_of(name, own));
    }
    match <[PathBuf; 1]>::try_from(matches) {
        Ok([path]) => Ok(path),
        Err(matches) => {
            let message = format!("{} files have the name of the split {name:?}, expected one", matches.len());
            Err(broken(message).at(place.display()))
        }
    }
}

/// Whether a name stands in another between its ends and characters that are neither letters nor digits.
fn is_word_of(name: &str, other: &str) -> bool {
    let free = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    !name.is_empty()
        && other
            .match_indices(name)
            .any(|(at, _)| free(other[..at].chars().next_back()) && free(other[at + name.len()..].chars().next()))
}

/// Folders in folders; distributions have two or three levels.
const MAX_DEPTH: usize = 4;

/// The files of an extension in a folder and in those below it, by their stems, which must differ.
pub(super) fn by_stem(folder: &Path, extension: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for path in entries(&folder)? {
            if path.is_dir() && depth < MAX_DEPTH {
                open.push((path, depth + 1));
            } else if path.extension().is_some_and(|own| own == extension) && path.is_file() {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if found.insert(stem, path.clone()).is_some() {
                    return Err(broken("a second file of this name below the folder").at(path.display()));
                }
            }
        }
    }
    Ok(found)
}

/// The files of a folder, by name.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_file()).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e: std::io::Error| Error::new(ErrorKind::Io, format!("{}: {e}", folder.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        paths.push(entry.map_err(fail)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::{by_hash, is_word_of};

    #[test]
    fn a_split_is_a_word_of_a_file_name() {
        for (name, other, expected) in [
            ("TrainingSet", "MTS-Dialog-TrainingSet.csv", true),
            ("TestSet-1", "MTS-Dialog-TestSet-1-MEDIQA.csv", true),
            ("train", "mli_train_v1.jsonl", true),
            ("train", "training.tsv", false),
            ("in", "training.tsv", false),
            ("", "training.tsv", false),
        ] {
            assert_eq!(is_word_of(name, other), expected, "{name} in {other}");
        }
    }

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

//! The set of files that make a model: a Hugging Face folder or a packed one, as bytes.
//!
//! A folder is a border post. With a `manifest.json`, every file that it lists must be there with its length and its
//! sha256, and a file that the engine would read but that is not listed is refused. Without one, the files are taken as
//! they are, and hashed so that results can name them.

mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::file;
use super::manifest::{self, FileEntry, Manifest};
use super::shards::{self, Shards};
use super::{Names, Weights};
use crate::error::{Error, ErrorKind, Result};

/// The files beside the weights that decide what a model answers. In a folder with a manifest each of them must be
/// listed, and so must each file that the weights are read from.
const SETTINGS: [&str; 4] = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"];

/// More than any `config.json` needs: a longer one is refused before it is parsed.
const MAX_CONFIG: usize = 4 << 20;

/// The files of one model, verified.
pub struct Folder {
    files: BTreeMap<String, Vec<u8>>,
    config: Value,
    manifest: Option<Manifest>,
    shards: Shards,
    sha256: String,
    /// Whether the names of the weights are those of MiniALBERT, once somebody needed to know.
    adapters: OnceLock<bool>,
}

/// What a folder's tokenizer is made of.
#[derive(Clone, Copy)]
pub enum TokenizerFiles<'a> {
    /// `tokenizer.json`.
    Json(&'a [u8]),
    /// `vocab.txt`, and `tokenizer_config.json` where there is one.
    Vocab {
        /// One piece a line.
        vocab: &'a [u8],
        /// The settings of the normaliser.
        config: Option<&'a [u8]>,
    },
}

impl Folder {
    /// Reads a folder wherever it lies: `read` gives the bytes of a file by its name, or nothing where there is none.
    /// It is asked for the manifest first, then for what the manifest lists, or without one for the settings, the
    /// tokenizer and the weights: `model.safetensors`, else its shards, else `pytorch_model.bin`, else its shards.
    ///
    /// # Errors
    /// As `read`, and as [`Folder::from_files`].
    pub fn read<E: From<Error>>(mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>) -> Result<Self, E> {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut take = |name: &str, files: &mut BTreeMap<String, Vec<u8>>| -> Result<bool, E> {
            let bytes = read(name)?;
            let found = bytes.is_some();
            files.extend(bytes.map(|bytes| (name.to_owned(), bytes)));
            Ok(found)
        };
        let listed = match take(manifest::NAME, &mut files)? {
            true => Manifest::from_json(&files[manifest::NAME])?,
            false => Manifest::default(),
        };
        for name in listed.files.keys().chain(listed.card.keys()) {
            take(name, &mut files)?;
        }
        for name in SETTINGS {
            if !files.contains_key(name) {
                take(name, &mut files)?;
            }
        }
        for place in shards::PLACES {
            if files.contains_key(place) || take(place, &mut files)? {
                break;
            }
        }
        for name in Shards::of(|name| files.get(name).map(Vec::as_slice))?.files {
            if !files.contains_key(&name) {
                take(&name, &mut files)?;
            }
        }
        Ok(Self::from_files(files)?)
    }

    /// Takes the files of a model over and verifies them.
    ///
    /// # Errors
    /// - [`ErrorKind::Hash`]: a file is missing, not listed, or differs from the manifest; named with both hashes.
    /// - [`ErrorKind::Format`]: no `config.json`, JSON that cannot be read, two files of one name, an index of shards that
    ///   names anything but plain files.
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self> {
        let mut named = BTreeMap::new();
        for (name, bytes) in files {
            if named.contains_key(&name) {
                return Err(Error::new(ErrorKind::Format, format!("two files are named {name:?}")));
            }
            named.insert(name, bytes);
        }
        let manifest = named.get(manifest::NAME).map(|json| Manifest::from_json(json)).transpose()?;
        let found: BTreeMap<&str, FileEntry> =
            named.iter().map(|(name, bytes)| (name.as_str(), FileEntry::of(bytes))).collect();
        let shards = Shards::of(|name| named.get(name).map(Vec::as_slice))?;
        let mut decisive: Vec<&str> = SETTINGS.into_iter().chain(shards.names()).collect();
        decisive.sort_unstable();
        if let Some(manifest) = &manifest {
            verify::verify(manifest, &found, &decisive)?;
        }
        let sha256 = verify::model_hash(manifest.as_ref(), &found, &decisive);
        let config = read_config(named.get("config.json"))?;
        Ok(Self { files: named, config, manifest, shards, sha256, adapters: OnceLock::new() })
    }

    /// A file by its name.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the folder has no such file.
    pub fn file(&self, name: &str) -> Result<&[u8]> {
        self.get(name).ok_or_else(|| Error::new(ErrorKind::Format, format!("the model folder has no {name}")))
    }

    /// A file by its name, if the folder has it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// `config.json`.
    pub fn config_json(&self) -> &Value {
        &self.config
    }

    /// The name of the architecture: `model_type` of `config.json`, corrected where it is known to say something else.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the config names none.
    pub fn architecture(&self) -> Result<&str> {
        let has = |key: &str| self.config.get(key).is_some_and(|value| !value.is_null());
        let named = self.config.get("model_type").map(Value::as_str);
        // MiniALBERT's configs say "bert".
        let fields = has("embedding_size") && (has("use_adapter") || has("reduction_factor"));
        match named {
            None | Some(Some("bert")) if fields || self.has_adapters() => Ok("minialbert"),
            Some(Some(name)) => Ok(name),
            Some(None) => Err(unsupported("model_type is not a string")),
            None => Err(unsupported("model_type is missing, expected \"bert\"")),
        }
    }

    /// Whether the names of the weights are those of MiniALBERT. Weights that cannot be read have none: what is wrong
    /// with them is said when they are loaded.
    fn has_adapters(&self) -> bool {
        let adapters = |name: &str| name.contains("att_adapters.") || name.contains("albert_layer_groups.");
        *self.adapters.get_or_init(|| {
            let read = |name: &String| file::read(name, self.get(name)?).ok();
            let names = self.shards.files.iter().filter_map(read).flatten().map(|(name, _)| name);
            names.into_iter().any(|name| adapters(&name))
        })
    }

    /// The settings of a BERT, as the type that `models` reads them into. Unknown fields are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another architecture, [`ErrorKind::Format`] for a field that is missing or of
    /// another type.
    pub fn bert_config<T: DeserializeOwned>(&self) -> Result<T> {
        let architecture = self.architecture()?;
        if architecture != "bert" {
            return Err(unsupported(&format!("the architecture {architecture:?} is not implemented, only \"bert\"")));
        }
        T::deserialize(&self.config).map_err(|e| malformed(e.to_string()))
    }

    /// `id2label`: the tags in the order of the logits.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when there are none, or when their ids are not 0, 1, 2, ….
    pub fn label_names(&self) -> Result<Vec<String>> {
        let map = match self.config.get("id2label") {
            Some(Value::Object(map)) if !map.is_empty() => map,
            None | Some(Value::Null | Value::Object(_)) => {
                return Err(malformed("id2label is missing: the model has no labels"));
            }
            Some(_) => return Err(malformed("id2label: expected an object of id and label")),
        };
        let name = |id: usize| match map.get(&id.to_string()) {
            Some(Value::String(name)) => Ok(name.clone()),
            Some(_) => Err(malformed(format!("id2label: label {id} is not a string"))),
            None => Err(malformed(format!("id2label: {} labels, but none has the id {id}", map.len()))),
        };
        (0..map.len()).map(name).collect()
    }

    /// The files that the tokenizer is made of.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when there are none.
    pub fn tokenizer_files(&self) -> Result<TokenizerFiles<'_>> {
        match (self.get("tokenizer.json"), self.get("vocab.txt")) {
            (Some(json), _) => Ok(TokenizerFiles::Json(json)),
            (None, Some(vocab)) => Ok(TokenizerFiles::Vocab { vocab, config: self.get("tokenizer_config.json") }),
            (None, None) => {
                Err(Error::new(ErrorKind::Format, "the model folder has neither tokenizer.json nor vocab.txt"))
            }
        }
    }

    /// The tensors of `model.safetensors`, of its shards, of `pytorch_model.bin` or of its shards: the first of these
    /// that the folder has, by the names of its [`architecture`](Folder::architecture).
    ///
    /// # Errors
    /// As [`Weights::from_files`]; [`ErrorKind::Format`] when there are no weights, or when a shard is missing or lacks a
    /// tensor that the index places there; [`ErrorKind::Unsupported`] for an architecture that is not implemented.
    pub fn weights(&self) -> Result<Weights<'_>> {
        let Shards { index, files, places } = &self.shards;
        if files.is_empty() {
            return Err(Error::new(
                ErrorKind::Format,
                "the model folder has neither model.safetensors nor pytorch_model.bin",
            ));
        }
        let architecture = self.architecture()?;
        let names = Names::of(architecture)
            .ok_or_else(|| unsupported(&format!("the architecture {architecture:?} is not implemented")))?;
        let bytes = |name: &String| {
            let missing = || Error::new(ErrorKind::Format, format!("names {name:?}, which is not in the folder"));
            self.get(name).ok_or_else(|| index.map_or_else(missing, |index| missing().at(index)))
        };
        let files = files.iter().map(|name| Ok((name.as_str(), bytes(name)?))).collect::<Result<Vec<_>>>()?;
        Weights::from_shards(files, places, names)
    }

    /// The manifest, if the folder has one: then every file was found as it states.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// One hash for all that decides what the model answers: the sha256 of the lines `{sha256}  {name}` of
    /// the config, the files of the tokenizer and those that the weights are read from, by name, and of the line `window {max_length} {stride}` where
    /// the manifest has one.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The names of all files with their lengths.
    pub fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.len()))
    }
}

/// Names, not contents.
impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({} files, sha256 {})", self.files.len(), self.sha256)
    }
}

fn read_config(bytes: Option<&Vec<u8>>) -> Result<Value> {
    let Some(bytes) = bytes else {
        return Err(Error::new(ErrorKind::Format, "the model folder has no config.json"));
    };
    if bytes.len() > MAX_CONFIG {
        return Err(malformed(format!("expected at most {MAX_CONFIG} bytes, found {}", bytes.len())));
    }
    let config: Value = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    if !config.is_object() {
        return Err(malformed("expected an object"));
    }
    Ok(config)
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, message).at("config.json")
}

fn unsupported(message: &str) -> Error {
    Error::new(ErrorKind::Unsupported, message).at("config.json")
}

#[cfg(test)]
mod tests;

//! The set of files that make a model: a Hugging Face folder or a packed one, as bytes.
//!
//! A folder is a border post. With a `manifest.json`, every file that it lists must be there with its length and its
//! sha256, and a file that the engine would read but that is not listed is refused. Without one, the files are taken as
//! they are, and hashed so that results can name them.

mod verify;

use std::fmt;
use std::sync::OnceLock;

use serde_json::Value;

use super::file;
use super::manifest::{self, FileEntry, Manifest};
use super::shards::{self, Shards};
use super::{Names, Weights};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Json, Node, string};
use crate::sort;

/// The files beside the weights that decide what a model answers. In a folder with a manifest each of them must be
/// listed, and so must each file that the weights are read from.
const SETTINGS: [&str; 4] = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"];

/// More than any `config.json` needs: a longer one is refused before it is parsed.
const MAX_CONFIG: usize = 4 << 20;

type Files = Vec<(String, Vec<u8>)>;

/// The files of one model, verified.
pub struct Folder {
    files: Files,
    config: Json,
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
        let mut files = Files::new();
        let mut take = |name: &str, files: &mut Files| -> Result<bool, E> {
            if named(files, name).is_none() {
                files.extend(read(name)?.map(|bytes| (name.to_owned(), bytes)));
            }
            Ok(named(files, name).is_some())
        };
        take(manifest::NAME, &mut files)?;
        let listed = named(&files, manifest::NAME).map_or(Ok(Manifest::default()), Manifest::from_json)?;
        for (name, _) in listed.files.iter().chain(&listed.card) {
            take(name, &mut files)?;
        }
        for name in SETTINGS {
            take(name, &mut files)?;
        }
        for place in shards::PLACES {
            if take(place, &mut files)? {
                break;
            }
        }
        for name in Shards::of(|name| named(&files, name))?.files {
            take(&name, &mut files)?;
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
        let files: Files = files.into_iter().collect();
        for (i, (name, _)) in files.iter().enumerate() {
            if named(&files[..i], name).is_some() {
                return Err(Error::new(ErrorKind::Format, format!("two files are named {name:?}")));
            }
        }
        let manifest = named(&files, manifest::NAME).map(Manifest::from_json).transpose()?;
        let found: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), FileEntry::of(bytes))).collect();
        let shards = Shards::of(|name| named(&files, name))?;
        let mut decisive: Vec<&str> = SETTINGS.into_iter().chain(shards.names()).collect();
        sort::by(&mut decisive, Ord::cmp);
        if let Some(manifest) = &manifest {
            verify::verify(manifest, &found, &decisive)?;
        }
        let sha256 = verify::model_hash(manifest.as_ref(), &found, &decisive);
        let config = read_config(named(&files, "config.json"))?;
        Ok(Self { files, config, manifest, shards, sha256, adapters: OnceLock::new() })
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
        named(&self.files, name)
    }

    /// `config.json`.
    pub fn config(&self) -> Node<'_> {
        self.config.root()
    }

    /// `config.json`, to be changed.
    pub fn config_json(&self) -> Value {
        serde_json::to_value(&self.config).expect("what was parsed can be written")
    }

    /// The name of the architecture: `model_type` of `config.json`, corrected where it is known to say something else.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the config names none.
    pub fn architecture(&self) -> Result<String> {
        let config = self.config();
        let has = |key: &str| config.field(key, |value| Ok(!value.is_null())).is_ok_and(|has| has);
        let named =
            config.optional("model_type", string).map_err(|e| e.at("config.json").of_kind(ErrorKind::Unsupported))?;
        // MiniALBERT's configs say "bert".
        let fields = has("embedding_size") && (has("use_adapter") || has("reduction_factor"));
        match named.as_deref() {
            None | Some("bert") if fields || self.has_adapters() => Ok("minialbert".into()),
            None => Err(unsupported("model_type is missing, expected \"bert\"")),
            Some(_) => Ok(named.unwrap_or_default()),
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

    /// `id2label`: the tags in the order of the logits.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when there are none, or when their ids are not 0, 1, 2, ….
    pub fn label_names(&self) -> Result<Vec<String>> {
        let label = |id: &str, name: Node<'_>| Ok((id.parse::<usize>().ok(), string(name)?));
        let named = self.config().field_or("id2label", Vec::new(), |map| map.fields(label));
        let named = named.map_err(|e| e.at("config.json"))?;
        if named.is_empty() {
            return Err(malformed("id2label is missing: the model has no labels"));
        }
        let mut labels = vec![None; named.len()];
        for (id, name) in named {
            if let Some(place) = id.and_then(|id| labels.get_mut(id)) {
                *place = Some(name);
            }
        }
        let count = labels.len();
        let missing = |id: usize| malformed(format!("id2label: {count} labels, but none has the id {id}"));
        labels.into_iter().enumerate().map(|(id, name)| name.ok_or_else(|| missing(id))).collect()
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
        let names = Names::of(&architecture)
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

    /// The names of all files with their lengths, in the order of the names.
    pub fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        let mut files: Vec<_> = self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect();
        files.sort_unstable();
        files.into_iter()
    }
}

/// Names, not contents.
impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({} files, sha256 {})", self.files.len(), self.sha256)
    }
}

fn named<'f>(files: &'f [(String, Vec<u8>)], name: &str) -> Option<&'f [u8]> {
    super::named(files, name).map(Vec::as_slice)
}

fn read_config(bytes: Option<&[u8]>) -> Result<Json> {
    let Some(bytes) = bytes else {
        return Err(Error::new(ErrorKind::Format, "the model folder has no config.json"));
    };
    if bytes.len() > MAX_CONFIG {
        return Err(malformed(format!("expected at most {MAX_CONFIG} bytes, found {}", bytes.len())));
    }
    let config = Json::parse(bytes).map_err(|e| e.at("config.json"))?;
    config.root().fields(|_, _| Ok(())).map_err(|e| e.at("config.json"))?;
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

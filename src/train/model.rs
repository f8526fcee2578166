//! A Hugging Face folder in, a Hugging Face folder out.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::recipe::Recipe;
use super::result;
use crate::backend::Backend;
use crate::backend::candle::kernels::random::Stream;
use crate::backend::training::Training;
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Config, Head, Model, SequenceClassification, TokenClassification};
use crate::tasks::settings::Task;
use crate::weights::folder::Folder;
use crate::weights::{Scope, Weights};

/// What a run starts from.
pub struct Start {
    /// `config.json` as it stands.
    pub config: Value,
    /// What the encoder reads of it.
    pub model: Config,
    /// What is to stand on the encoder.
    pub head: Head,
    /// Whether the head was found in the folder rather than made.
    pub head_kept: bool,
    /// The layers of the folder that are taken; nothing: all.
    layers: Option<Vec<usize>>,
    /// The tokenizer's files, and those that go along with it unchanged.
    along: Vec<(String, Vec<u8>)>,
}

/// The files of a tokenizer.
const TOKENIZER: [&str; 5] =
    ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/// What a task learns.
pub(super) fn head(task: Task) -> Head {
    match task {
        Task::Ner => Head::TokenClassification,
        Task::Relation | Task::Nli | Task::Classify => Head::SequenceClassification,
    }
}

/// The model in a folder of the disk.
///
/// # Errors
/// A file that is missing or damaged, by name.
pub fn open(place: &Path) -> Result<Folder> {
    Folder::read(|name| optional(&place.join(name)))
}

/// The files of the tokenizer in a folder of the disk, which go into a result as they are.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn tokenizer_files(place: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for name in TOKENIZER {
        files.extend(optional(&place.join(name))?.map(|bytes| (name.to_owned(), bytes)));
    }
    Ok(files)
}

impl Start {
    /// What a folder, opened from `place`, gives to a run for these labels.
    ///
    /// # Errors
    /// An architecture or a setting that is not implemented, a file that cannot be read.
    pub fn new(base: &Folder, place: &Path, head: Head, labels: &[String]) -> Result<Self> {
        let along = tokenizer_files(place)?;
        let same_labels = base.label_names().is_ok_and(|found| found == labels);
        let same_head = Head::of(base).is_ok_and(|found| found == head);
        let head_kept = same_labels && same_head && base.weights()?.shape("classifier.weight").is_some();
        Ok(Self { config: base.config_json(), model: Config::of(base)?, head, head_kept, layers: None, along })
    }

    /// Takes these layers of the folder, in this order, in place of all.
    ///
    /// # Errors
    /// A layer that the folder does not have; an architecture whose layers share their weights.
    pub fn take_layers(&mut self, layers: &[usize]) -> Result<()> {
        let key = match self.model {
            Config::Bert(_) | Config::MobileBert(_) => "num_hidden_layers",
            Config::DistilBert(_) => "n_layers",
            Config::MiniAlbert(_) => {
                return Err(Error::new(
                    ErrorKind::Input,
                    "model.layers: the layers of a MiniALBERT share their weights",
                ));
            }
        };
        let have = self.model.shape().num_hidden_layers;
        if let Some(beyond) = layers.iter().find(|layer| **layer >= have) {
            let message =
                format!("model.layers: expected numbers below {have}, the layers of the base, found {beyond}");
            return Err(Error::new(ErrorKind::Input, message));
        }
        self.config[key] = json!(layers.len());
        self.model = self.model.clone().with_layers(layers.len());
        self.layers = Some(layers.to_vec());
        Ok(())
    }

    /// The weights to start from: the encoder of the folder, and its head if it has one for the same labels in the same
    /// order; else one drawn from `N(0, 0.02)` by the seed. A pooler is kept where there is one.
    ///
    /// # Errors
    /// As [`Folder::weights`].
    pub fn weights<'a>(&self, base: &'a Folder, labels: usize, seed: u64) -> Result<Weights<'a>> {
        const SITE: u64 = 0x6865_6164;
        let mut weights = base.weights()?;
        if let Some(layers) = &self.layers {
            weights.take_layers(layers);
        }
        let hidden = self.model.shape().hidden_size;
        let draw = |weights: &mut Weights<'_>, place: &str, outputs: usize, site: u64| {
            let stream = Stream::new(seed, 0, site);
            let drawn = (0..(outputs * hidden) as u32).map(|i| 0.02 * stream.normal(i)).collect();
            weights.supply(format!("{place}.weight"), &[outputs, hidden], drawn)?;
            weights.supply(format!("{place}.bias"), &[outputs], vec![0.0; outputs])
        };
        if !self.head_kept {
            draw(&mut weights, "classifier", labels, SITE)?;
        }
        let pooler = self.model.pooler().filter(|_| self.head == Head::SequenceClassification);
        if let Some(place) = pooler.filter(|place| weights.shape(&format!("{place}.weight")).is_none()) {
            draw(&mut weights, place, hidden, SITE + 1)?;
        }
        Ok(weights)
    }

    /// The model that these weights make.
    ///
    /// # Errors
    /// As [`crate::models::Encoder::load`].
    pub fn load<B: Backend>(&self, backend: &B, root: &Scope<'_>, labels: usize) -> Result<Model<B>> {
        match self.head {
            Head::SequenceClassification => {
                SequenceClassification::load(backend, root, &self.model, labels).map(Model::SequenceClassification)
            }
            _ => TokenClassification::load(backend, root, &self.model, labels).map(Model::TokenClassification),
        }
    }

    /// States in the config what the recipe makes: the labels, how well they follow each other (`[N, N]`), and how the
    /// model is to be asked.
    pub fn state(&mut self, recipe: &Recipe, transitions: Option<&[f32]>) {
        let labels = recipe.labels();
        let by_id = labels.iter().enumerate().map(|(i, label)| (i.to_string(), json!(label)));
        let by_label = labels.iter().enumerate().map(|(i, label)| (label.clone(), json!(i)));
        self.config["architectures"] = json!([self.head.class_of(&self.model)]);
        self.config["id2label"] = Value::Object(by_id.collect());
        self.config["label2id"] = Value::Object(by_label.collect());
        self.config["clinlite"] = json!(recipe.settings());
        let transitions = transitions.map(|rows| json!(rows.chunks_exact(labels.len()).collect::<Vec<_>>()));
        let problem = match recipe.model.multi_label {
            true => "multi_label_classification",
            false => "single_label_classification",
        };
        let problem = (self.head == Head::SequenceClassification).then(|| json!(problem));
        // What a base of another task states would be wrong now.
        for (key, value) in [("label_transitions", transitions), ("problem_type", problem)] {
            match (value, self.config.as_object_mut()) {
                (Some(value), _) => self.config[key] = value,
                (None, Some(config)) => drop(config.remove(key)),
                (None, None) => (),
            }
        }
    }

    /// Writes a folder that Hugging Face and this crate load.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, backend: &impl Training) -> Result<()> {
        result::write(folder, &self.config, &self.along, backend, |_| true)
    }
}

/// Little-endian bytes.
pub(super) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io(&e, path)),
    }
}

fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

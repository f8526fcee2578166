//! A Hugging Face folder in, a Hugging Face folder out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

use crate::backend::candle::kernels::random::Stream;
use crate::backend::candle::{Kind, Parameter};
use crate::error::{Error, ErrorKind, Result};
use crate::models::Config;

/// What a run starts from.
pub struct Start {
    /// `config.json` as it stands.
    pub config: Value,
    /// What the encoder reads of it.
    pub model: Config,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// A safetensors file with all names that a token classifier wants.
    pub weights: Vec<u8>,
    /// Whether the head was found in the folder rather than made.
    pub head_kept: bool,
    /// The tokenizer's other files.
    extra: Vec<(String, Vec<u8>)>,
}

/// Files that go along with a model unchanged.
const ALONG: [&str; 4] = ["vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

impl Start {
    /// Reads a folder with a BERT encoder. The head is kept if the folder has one for the same labels in the same
    /// order; else it is drawn from `N(0, initializer_range)` by the seed.
    ///
    /// # Errors
    /// A file that is missing or damaged, by name.
    pub fn read(folder: &Path, labels: &[String], seed: u64) -> Result<Self> {
        let config: Value =
            serde_json::from_slice(&read(folder, "config.json")?).map_err(|e| format_error(&e, "config.json"))?;
        let architecture = Config::new("bert", &config)?;
        let model = read(folder, "model.safetensors")?;
        let head_kept = label_names(&config).is_some_and(|found| found == labels);
        let weights = complete(&model, &architecture, labels.len(), head_kept, seed)?;
        let extra = ALONG.iter().filter_map(|name| Some((name.to_string(), fs::read(folder.join(name)).ok()?)));
        let (tokenizer, extra) = (read(folder, "tokenizer.json")?, extra.collect());
        Ok(Self { config, model: architecture, tokenizer, weights, head_kept, extra })
    }

    /// States the labels in the config, and how well they follow each other: `[N, N]`.
    pub fn set_labels(&mut self, labels: &[String], transitions: &[f32]) {
        let by_id = labels.iter().enumerate().map(|(i, label)| (i.to_string(), json!(label)));
        let by_label = labels.iter().enumerate().map(|(i, label)| (label.clone(), json!(i)));
        self.config["architectures"] = json!(["BertForTokenClassification"]);
        self.config["id2label"] = Value::Object(by_id.collect());
        self.config["label2id"] = Value::Object(by_label.collect());
        let rows: Vec<&[f32]> = transitions.chunks_exact(labels.len()).collect();
        self.config["label_transitions"] = json!(rows);
    }

    /// Writes a folder that Hugging Face and this crate load as a token classifier.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, parameters: &BTreeMap<String, Arc<Parameter>>) -> Result<()> {
        fs::create_dir_all(folder).map_err(|e| io(&e, folder))?;
        let text = serde_json::to_vec_pretty(&self.config).map_err(|e| format_error(&e, "config.json"))?;
        write(&folder.join("config.json"), &text)?;
        write(&folder.join("tokenizer.json"), &self.tokenizer)?;
        for (name, bytes) in &self.extra {
            write(&folder.join(name), bytes)?;
        }
        write(&folder.join("model.safetensors"), &serialise(parameters)?)
    }
}

/// The labels of a config in the order of their ids.
fn label_names(config: &Value) -> Option<Vec<String>> {
    let by_id = config.get("id2label")?.as_object()?;
    (0..by_id.len()).map(|i| Some(by_id.get(&i.to_string())?.as_str()?.to_owned())).collect()
}

/// The tensors of a base under the names that a token classifier wants.
fn complete(model: &[u8], config: &Config, labels: usize, head_kept: bool, seed: u64) -> Result<Vec<u8>> {
    let damaged = |e| Error::new(ErrorKind::Format, format!("model.safetensors is damaged or truncated: {e:?}"));
    let tensors = SafeTensors::deserialize(model).map_err(damaged)?;
    let prefixed = tensors.names().iter().any(|name| name.starts_with("bert."));
    let mut all: Vec<(String, TensorView<'_>)> = Vec::new();
    for (name, view) in tensors.iter() {
        let encoder = !name.contains("pooler") && !name.starts_with("cls.") && !name.ends_with("position_ids");
        if name.starts_with("classifier.") {
            if head_kept {
                all.push((name.to_owned(), view));
            }
        } else if encoder {
            all.push((if prefixed { name.to_owned() } else { format!("bert.{name}") }, view));
        }
    }
    let (weight, bias) = head(labels, config.shape().hidden_size, seed);
    if !all.iter().any(|(name, _)| name == "classifier.weight") {
        let view = |shape, data| TensorView::new(Dtype::F32, shape, data).map_err(damaged);
        all.push(("classifier.weight".into(), view(vec![labels, config.shape().hidden_size], &weight)?));
        all.push(("classifier.bias".into(), view(vec![labels], &bias)?));
    }
    safetensors::serialize(all, None).map_err(damaged)
}

/// A fresh head, as bytes: deviation 0.02, no bias.
fn head(labels: usize, hidden: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    const SITE: u64 = 0x6865_6164;
    let stream = Stream::new(seed, 0, SITE);
    let weight = (0..(labels * hidden) as u32).flat_map(|i| (0.02 * stream.normal(i)).to_le_bytes()).collect();
    (weight, vec![0; labels * 4])
}

/// The weights under their Hugging Face names.
fn serialise(parameters: &BTreeMap<String, Arc<Parameter>>) -> Result<Vec<u8>> {
    let mut parts: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for parameter in parameters.values() {
        let columns = parameter.columns();
        parameter.read(|values| {
            for part in parameter.parts() {
                let shape = if parameter.kind() == Kind::Vector {
                    vec![part.rows.len()]
                } else {
                    vec![part.rows.len(), columns]
                };
                let values = &values[part.rows.start * columns..part.rows.end * columns];
                parts.push((part.name.clone(), shape, bytes_of(values)));
            }
        })?;
    }
    let views = parts.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>();
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    views
        .and_then(|views| safetensors::serialize(views, metadata))
        .map_err(|e| Error::new(ErrorKind::Format, format!("model.safetensors cannot be made: {e:?}")))
}

/// Little-endian bytes.
pub(super) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Writes a file whole or not at all: beside its place first, then moved there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("part");
    let result = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    result.map_err(|e| io(&e, path))
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    fs::read(&path).map_err(|e| io(&e, &path))
}

fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

fn format_error(e: &serde_json::Error, place: &str) -> Error {
    Error::new(ErrorKind::Format, e.to_string()).at(place)
}

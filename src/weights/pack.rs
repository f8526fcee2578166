//! From a Hugging Face folder to the packed int8 folder that ships.
//!
//! Matrices and tables become symmetric int8 with one scale a row; vectors, short tables and the classifier stay `F32`;
//! what the model does not ask for is left out. The same input gives the same bytes. A folder that is packed already keeps its
//! integers, so that a card or figures can be added without the original weights.

mod hugging_face;
mod quantize;
mod recorder;
mod write;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::hugging_face::{Exported, to_hugging_face};
pub use self::recorder::{Recorder, Role};
use super::Scope;
use super::folder::{Folder, TokenizerFiles};
use super::manifest::{self, FileEntry, Manifest, Quantization, SCHEMA, Source, Window};
use crate::backend::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};
use crate::json::Json;

/// The file name of the model card.
pub const CARD: &str = "README.md";

/// Few numbers, and the last word on every label: stays `F32`.
const CLASSIFIER: &str = "classifier.";

/// A table of fewer rows stays `F32`: the two rows of the token types are added to every token, and int8 costs them 3 %.
const SHORT_TABLE: usize = 16;

/// What a manifest states that cannot be read off the input folder. What is `None` is taken from the manifest of the
/// input, if it has one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// The id of the model.
    pub name: Option<String>,
    /// The version of the model.
    pub version: Option<String>,
    /// The licence of the weights.
    pub licence: Option<String>,
    /// The model that training started from.
    pub base: Option<Source>,
    /// The data sets that training read.
    pub data: Option<Vec<Source>>,
    /// Figures.
    pub metrics: Option<Json>,
    /// How long notes are cut.
    pub window: Option<Window>,
}

/// What a model says.
#[derive(Clone, Debug, Default)]
pub struct Says {
    /// `token-classification`, `text-classification` or `fill-mask`.
    pub task: String,
    /// The types of entities, or the labels of texts.
    pub labels: Vec<String>,
    /// `BIO` or `BIOES`, where tags mark borders.
    pub scheme: Option<String>,
}

/// A packed folder and what packing did.
pub struct Packed {
    /// Names and bytes, in the order of the names.
    pub files: BTreeMap<String, Vec<u8>>,
    /// One entry a tensor, in the order in which the model asks for them.
    pub tensors: Vec<Report>,
    /// The tensors of the input that the model does not ask for.
    pub unused: Vec<String>,
}

/// What packing did to a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// `[rows, columns]`; a vector has one row.
    pub shape: [usize; 2],
    /// Whether it is int8 now.
    pub int8: bool,
    /// The largest difference between a value and what the file now says.
    pub largest_error: f64,
    /// The root of the mean squared difference, as a part of the root of the mean square.
    pub relative_error: f64,
}

/// Packs a folder. `load` loads the model below the given names onto the recorder: what it asks for is what is kept.
/// The result was verified by reading it back.
///
/// # Errors
/// As `load`; labels or tokenizer missing; [`ErrorKind::Weights`] when the result does not read back.
pub fn pack(
    folder: &Folder,
    about: About,
    says: Says,
    card: Option<Vec<u8>>,
    load: impl Fn(&Recorder, &Scope<'_>) -> Result<()>,
) -> Result<Packed> {
    let weights = folder.weights()?;
    let recorder = Recorder::default();
    load(&recorder, &weights.root())?;
    let unused = weights.unused().into_iter().filter(|name| !name.ends_with(".scale")).map(str::to_owned).collect();
    let recorded = recorder.into_weights();
    let (mut kept, mut tensors) = (Vec::<(Role, Stored)>::new(), Vec::new());
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (role, stored) in recorded {
        // A weight with two uses is stored once, as its first use wants it.
        if let Some(&at) = first.get(&stored.name) {
            kept.push((role, kept[at].1.clone()));
            continue;
        }
        let packed = shrink(role, &stored);
        tensors.push(report(&stored, &packed));
        first.insert(stored.name, kept.len());
        kept.push((role, packed));
    }
    let mut files: BTreeMap<String, Vec<u8>> = tokenizer(folder)?;
    files.insert("config.json".into(), config(folder)?);
    files.insert("model.safetensors".into(), write::safetensors(&kept)?);
    let manifest = manifest(folder, about, says, &tensors, &files, card.as_deref())?;
    files.insert(manifest::NAME.into(), manifest.to_json()?);
    files.extend(card.map(|card| (CARD.to_owned(), card)));
    verify(&files, &kept, load)?;
    Ok(Packed { files, tensors, unused })
}

fn keeps_f32(role: Role, stored: &Stored) -> bool {
    match role {
        Role::Vector => true,
        Role::Table => stored.rows < SHORT_TABLE,
        // The scales of a matrix belong to its rows, which are columns in the file of one that is turned.
        Role::Matrix => stored.transposed || stored.name.starts_with(CLASSIFIER),
    }
}

fn shrink(role: Role, stored: &Stored) -> Stored {
    let values = match &stored.values {
        Values::F32(values) if !keeps_f32(role, stored) => {
            let quantized = quantize::quantize(values, stored.columns);
            Values::Int8 { data: quantized.data, scales: quantized.scales }
        }
        values => values.clone(),
    };
    Stored { values, ..stored.clone() }
}

fn report(before: &Stored, after: &Stored) -> Report {
    let (mut largest, mut errors, mut squares) = (0f64, 0f64, 0f64);
    for (before, after) in before.to_f32().into_iter().zip(after.to_f32()) {
        let error = f64::from(before) - f64::from(after);
        largest = largest.max(error.abs());
        errors += error * error;
        squares += f64::from(before) * f64::from(before);
    }
    Report {
        name: before.name.clone(),
        shape: [before.rows, before.columns],
        int8: matches!(after.values, Values::Int8 { .. }),
        largest_error: largest,
        relative_error: if errors == 0.0 { 0.0 } else { (errors / squares).sqrt() },
    }
}

fn tokenizer(folder: &Folder) -> Result<BTreeMap<String, Vec<u8>>> {
    let files = match folder.tokenizer_files()? {
        TokenizerFiles::Json(json) => vec![("tokenizer.json", Some(json))],
        TokenizerFiles::Vocab { vocab, config } => vec![("vocab.txt", Some(vocab)), ("tokenizer_config.json", config)],
    };
    let present = files.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), bytes?.to_vec())));
    Ok(present.collect())
}

/// `config.json` as it is, but without `_name_or_path`: it may name a folder of the machine that trained.
fn config(folder: &Folder) -> Result<Vec<u8>> {
    let mut config = folder.config_json();
    let Some(_) = config.as_object_mut().and_then(|fields| fields.remove("_name_or_path")) else {
        return folder.file("config.json").map(<[u8]>::to_vec);
    };
    let mut json = serde_json::to_vec_pretty(&config)
        .map_err(|e| Error::new(ErrorKind::Format, e.to_string()).at("config.json"))?;
    json.push(b'\n');
    Ok(json)
}

fn manifest(
    folder: &Folder,
    about: About,
    says: Says,
    tensors: &[Report],
    files: &BTreeMap<String, Vec<u8>>,
    card: Option<&[u8]>,
) -> Result<Manifest> {
    let old = folder.manifest().cloned().unwrap_or_default();
    let name = about.name.or(Some(old.name).filter(|name| !name.is_empty()));
    let missing = || Error::new(ErrorKind::Input, "the model has no name: give it one");
    let kept_f32 = tensors.iter().filter(|t| !t.int8 && t.shape[0] > 1).map(|t| t.name.clone()).collect();
    let entry = |(name, bytes): (&String, &Vec<u8>)| (name.clone(), FileEntry::of(bytes));
    Ok(Manifest {
        schema: SCHEMA.into(),
        name: name.ok_or_else(missing)?,
        version: about.version.unwrap_or(old.version),
        task: says.task,
        architecture: folder.architecture()?,
        labels: says.labels,
        scheme: says.scheme,
        licence: about.licence.or(old.licence),
        base: about.base.or(old.base),
        data: about.data.unwrap_or(old.data),
        metrics: about.metrics.or(old.metrics),
        quantization: Some(Quantization { scheme: "int8-symmetric-per-row".into(), kept_f32 }),
        window: about.window.or(old.window),
        files: files.iter().map(entry).collect(),
        card: card.map(|card| (CARD.to_owned(), FileEntry::of(card))).into_iter().collect(),
    })
}

/// Reads the result as a stranger would and compares every number.
fn verify(
    files: &BTreeMap<String, Vec<u8>>,
    kept: &[(Role, Stored)],
    load: impl Fn(&Recorder, &Scope<'_>) -> Result<()>,
) -> Result<()> {
    let folder = Folder::from_files(files.clone())?;
    let (weights, recorder) = (folder.weights()?, Recorder::default());
    load(&recorder, &weights.root())?;
    let read = recorder.into_weights();
    let same = |((_, a), (_, b)): (&(Role, Stored), &(Role, Stored))| a.name == b.name && a.values == b.values;
    if read.len() != kept.len() || !read.iter().zip(kept).all(same) {
        return Err(Error::new(ErrorKind::Weights, "the packed weights do not read back as they were written"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Everything that a run needs to go on, in one file that is written whole or not at all.
//!
//! A safetensors file: `weight/NAME`, `first/NAME`, `second/NAME` and, with a moving average, `average/NAME` for every
//! parameter that learns, under the name of its first part (the others are the base's); where the run stands is JSON in the file's metadata, and beside it the sha256
//! of that and of all names with their numbers, in order. What is random is a function of seed and step, so the step is all
//! that has to be kept of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hash::hex;
use super::model::bytes_of;
use super::whole;
use crate::backend::training::{Quantity, Training};
use crate::error::{Error, ErrorKind, Result};

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// sha256 of the recipe, the base and the data: a run goes on only as what it began as.
    pub run: String,
    /// The stage that is open.
    pub stage: usize,
    /// Steps done in it.
    pub stage_step: u64,
    /// Steps done in all.
    pub step: u64,
    /// The best score so far, of 1, or with patience the lowest held-out loss of a pre-training; and its step.
    pub best: Option<(f64, u64)>,
}

const KEY: &str = "clinlite";
const HASH: &str = "sha256";

/// What is kept of each weight, under which prefix.
const KEPT: [(&str, Quantity); 4] = [
    ("weight", Quantity::Value),
    ("first", Quantity::First),
    ("second", Quantity::Second),
    ("average", Quantity::Average),
];

/// Writes a checkpoint.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, position: &Position, backend: &impl Training) -> Result<()> {
    let mut tensors: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for layout in backend.layouts().into_iter().filter(|layout| layout.learns) {
        for (prefix, what) in KEPT {
            tensors.insert(format!("{prefix}/{}", layout.name()), bytes_of(&backend.read(layout.name(), what)?));
        }
    }
    let bad = |e: String| Error::new(ErrorKind::Format, format!("{}: {e}", path.display()));
    let position = serde_json::to_string(position).map_err(|e| bad(e.to_string()))?;
    let hash = hash(&position, tensors.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, bytes)| Ok((name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?)))
        .collect();
    let stated = [(KEY.to_owned(), position), (HASH.to_owned(), hash)].into();
    let bytes = views
        .and_then(|views| safetensors::serialize(views, Some(stated)))
        .map_err(|e: safetensors::SafeTensorError| bad(format!("{e:?}")))?;
    drop(tensors); // as large as the file
    whole::write(path, &bytes)
}

/// The sha256 of where a run stands and of names with their numbers.
fn hash<'a>(position: &str, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    hash.update(position);
    tensors.for_each(|(name, bytes)| {
        hash.update(name);
        hash.update(bytes);
    });
    hex(hash)
}

/// A checkpoint that was read.
pub struct Checkpoint {
    /// Where the run stood.
    pub position: Position,
    tensors: BTreeMap<String, Vec<f32>>,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// When the file is missing, damaged or not a checkpoint of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |message: String| Error::new(ErrorKind::Format, message).at(path.display());
        let bytes = fs::read(path).map_err(|e| Error::new(ErrorKind::Io, format!("{}: {e}", path.display())))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(format!("damaged: {e:?}")))?;
        let stated = |key| metadata.metadata().as_ref().and_then(|metadata| metadata.get(key));
        let (Some(position), Some(expected)) = (stated(KEY), stated(HASH)) else {
            return Err(bad("is not a checkpoint of this version".into()));
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("damaged: {e:?}")))?;
        let views: BTreeMap<_, _> = file.iter().collect();
        let found = hash(position, views.iter().map(|(name, view)| (*name, view.data())));
        if found != *expected {
            return Err(bad(format!("damaged: expected sha256 {expected}, found {found}")));
        }
        let position = serde_json::from_str(position).map_err(|e| bad(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in views {
            let prefix = name.split_once('/').map(|(prefix, _)| prefix);
            if !KEPT.iter().any(|(known, _)| prefix == Some(known)) || view.dtype() != Dtype::F32 {
                return Err(bad(format!("holds {name:?}, which no checkpoint has")));
            }
            let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            tensors.insert(name.to_owned(), data);
        }
        Ok(Self { position, tensors })
    }

    /// Puts weights and moments back into an engine whose optimizer was restarted.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn restore(&self, backend: &impl Training) -> Result<()> {
        for layout in backend.layouts().into_iter().filter(|layout| layout.learns) {
            for (prefix, what) in KEPT {
                let name = format!("{prefix}/{}", layout.name());
                let missing = || Error::new(ErrorKind::Format, format!("the checkpoint has no {name:?}"));
                let kept = self.tensors.get(&name).ok_or_else(missing)?;
                backend.write(layout.name(), what, kept).map_err(|e| e.at("the checkpoint"))?;
            }
        }
        Ok(())
    }
}

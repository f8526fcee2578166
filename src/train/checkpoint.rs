//! Everything that a run needs to go on, in one file that is written whole or not at all.
//!
//! A safetensors file: `weight/NAME`, `first/NAME`, `second/NAME` and, with a moving average, `average/NAME` for every
//! parameter under the name of its first part; where the run stands is JSON in the file's metadata. What is random is a
//! function of seed and step, so the step is all that has to be kept of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::model::{bytes_of, write};
use super::optimizer::{AdamW, State};
use crate::backend::candle::Parameter;
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
    /// The best score so far, of 1, and its step.
    pub best: Option<(f64, u64)>,
}

const KEY: &str = "clinlite";

/// Writes a checkpoint.
///
/// # Errors
/// When the file cannot be written.
pub fn save(
    path: &Path,
    position: &Position,
    parameters: &BTreeMap<String, Arc<Parameter>>,
    optimizer: &AdamW,
) -> Result<()> {
    let mut tensors: Vec<(String, Vec<u8>)> = Vec::new();
    let (_, states) = optimizer.state();
    for (name, parameter) in parameters {
        tensors.push((format!("weight/{name}"), parameter.read(bytes_of)?));
        if let Some(state) = states.get(name) {
            tensors.push((format!("first/{name}"), bytes_of(&state.first)));
            tensors.push((format!("second/{name}"), bytes_of(&state.second)));
            tensors.push((format!("average/{name}"), bytes_of(&state.average)));
        }
    }
    let bad = |e: String| Error::new(ErrorKind::Format, format!("{}: {e}", path.display()));
    let position = serde_json::to_string(position).map_err(|e| bad(e.to_string()))?;
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, bytes)| Ok((name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?)))
        .collect();
    let bytes = views
        .and_then(|views| safetensors::serialize(views, Some([(KEY.to_owned(), position)].into())))
        .map_err(|e: safetensors::SafeTensorError| bad(format!("{e:?}")))?;
    write(path, &bytes)
}

/// A checkpoint that was read.
pub struct Checkpoint {
    /// Where the run stood.
    pub position: Position,
    weights: BTreeMap<String, Vec<f32>>,
    states: BTreeMap<String, State>,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// When the file is missing, damaged or not a checkpoint.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |message: String| Error::new(ErrorKind::Format, message).at(path.display());
        let bytes = fs::read(path).map_err(|e| Error::new(ErrorKind::Io, format!("{}: {e}", path.display())))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(format!("damaged: {e:?}")))?;
        let position = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let position = position.ok_or_else(|| bad("is not a checkpoint of this crate".into()))?;
        let position = serde_json::from_str(position).map_err(|e| bad(e.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("damaged: {e:?}")))?;
        let (mut weights, mut states) = (BTreeMap::new(), BTreeMap::<String, State>::new());
        for (name, view) in tensors.iter() {
            let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            match name.split_once('/') {
                Some(("weight", name)) => drop(weights.insert(name.to_owned(), data)),
                Some(("first", name)) => states.entry(name.to_owned()).or_default().first = data,
                Some(("second", name)) => states.entry(name.to_owned()).or_default().second = data,
                Some(("average", name)) => states.entry(name.to_owned()).or_default().average = data,
                _ => return Err(bad(format!("holds {name:?}, which no checkpoint has"))),
            }
        }
        Ok(Self { position, weights, states })
    }

    /// Puts weights and moments back.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn restore(self, parameters: &BTreeMap<String, Arc<Parameter>>, optimizer: &mut AdamW) -> Result<()> {
        for (name, parameter) in parameters {
            let kept = self.weights.get(name).filter(|kept| kept.len() == parameter.len());
            let kept = kept.ok_or_else(|| {
                let message = format!("the checkpoint has no weight {name:?} of {} values", parameter.len());
                Error::new(ErrorKind::Format, message)
            })?;
            parameter.write(|values| values.copy_from_slice(kept))?;
        }
        optimizer.restore(self.position.stage_step, self.states)
    }
}

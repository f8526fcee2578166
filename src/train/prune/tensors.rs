//! The rows of tensors that belong to the vocabulary.

use std::collections::BTreeMap;

use safetensors::tensor::{SafeTensors, TensorView};

use super::Renumbering;
use crate::error::{Error, ErrorKind, Result};

/// Ends of the names of tensors with one row a piece, as Hugging Face writes them: the table, and the heads of masked
/// language models that are tied to it.
const ROWS: &[&str] = &[
    "embeddings.word_embeddings.weight",
    "predictions.decoder.weight",
    "predictions.decoder.bias",
    "predictions.bias",
    "vocab_projector.weight",
    "vocab_projector.bias",
    "lm_head.decoder.weight",
    "lm_head.decoder.bias",
    "lm_head.bias",
];

/// MobileBERT's head has one column a piece.
const COLUMNS: &str = "predictions.dense.weight";

/// The file with only the kept rows, in the order of their ids; other tensors pass through.
pub(super) fn rewrite(bytes: &[u8], rows: usize, renumbering: &Renumbering) -> Result<Vec<u8>> {
    let damaged = |e: &dyn std::fmt::Debug| Error::new(ErrorKind::Format, format!("model.safetensors: {e:?}"));
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let views = tensors.tensors();
    let mut selected = BTreeMap::new();
    for (name, view) in views.iter().filter(|(name, _)| ROWS.iter().any(|end| name.ends_with(end))) {
        selected.insert(name.as_str(), select(name, view, rows, renumbering)?);
    }
    if !selected.keys().any(|name| name.ends_with(ROWS[0])) {
        return Err(Error::new(ErrorKind::Weights, format!("no weight ends in {:?}", ROWS[0])));
    }
    let mut rewritten = Vec::new();
    for (name, view) in &views {
        if name.ends_with(COLUMNS) && view.shape().get(1) == Some(&rows) {
            let message = format!("weight {name:?}: the vocabulary is in the columns, which is not implemented");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let view = match selected.get(name.as_str()) {
            Some(data) => {
                let shape = std::iter::once(renumbering.kept.len()).chain(view.shape()[1..].iter().copied()).collect();
                TensorView::new(view.dtype(), shape, data).map_err(|e| damaged(&e))?
            }
            None => view.clone(),
        };
        rewritten.push((name.as_str(), view));
    }
    safetensors::serialize(rewritten, header.metadata().clone()).map_err(|e| damaged(&e))
}

fn select(name: &str, view: &TensorView<'_>, rows: usize, renumbering: &Renumbering) -> Result<Vec<u8>> {
    if view.shape().first() != Some(&rows) {
        let message = format!("weight {name:?}: expected {rows} rows as vocab_size states, found {:?}", view.shape());
        return Err(Error::new(ErrorKind::Weights, message));
    }
    let width = view.data().len() / rows.max(1);
    let mut data = Vec::with_capacity(renumbering.kept.len() * width);
    for &id in &renumbering.kept {
        let start = id as usize * width;
        let row = view.data().get(start..start + width).ok_or_else(|| {
            Error::new(ErrorKind::Format, format!("weight {name:?}: {rows} rows, the vocabulary has the id {id}"))
        })?;
        data.extend_from_slice(row);
    }
    Ok(data)
}

//! The model that a run makes, as a folder that Hugging Face and this crate load.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use super::model::bytes_of;
use super::whole;
use crate::backend::training::{Kind, Layout, Part, Quantity, Training};
use crate::backend::tuning::Beside;
use crate::backend::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// Writes config, the files that go along with it, and the weights whose names belong to the model.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(
    folder: &Path,
    config: &Value,
    along: &[(String, Vec<u8>)],
    engine: &impl Training,
    belongs: impl Fn(&str) -> bool,
) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::new(ErrorKind::Io, format!("{}: {e}", folder.display())))?;
    let config = serde_json::to_vec_pretty(config).map_err(|e| bad(&e.to_string()))?;
    whole::write(&folder.join("config.json"), &config)?;
    for (name, bytes) in along {
        whole::write(&folder.join(name), bytes)?;
    }
    whole::write(&folder.join("model.safetensors"), &weights(engine, belongs)?)
}

/// A weight as a file holds it: name, shape, bytes.
type Tensor = (String, Vec<usize>, Vec<u8>);

/// The weights under their Hugging Face names, as the file of their architecture holds them, with what stands beside them
/// added.
fn weights(engine: &impl Training, belongs: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    let layouts = engine.layouts();
    let added: BTreeSet<&str> = layouts.iter().flat_map(|layout| &layout.beside).flat_map(Beside::names).collect();
    for layout in layouts.iter().filter(|layout| !added.contains(layout.name())) {
        let mut values = engine.read(layout.name(), Quantity::Value)?;
        for beside in &layout.beside {
            add(engine, beside, &mut values, layout.columns)?;
        }
        let parts = layout.parts.iter().filter(|part| belongs(&part.name));
        tensors.extend(parts.map(|part| tensor(layout, part, &values, "")));
    }
    file(&tensors)
}

/// The weights that learn, each as it is, under their names after `prefix`.
///
/// # Errors
/// A failure of the engine.
pub(super) fn learnt(engine: &impl Training, prefix: &str) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for layout in engine.layouts().iter().filter(|layout| layout.learns) {
        let values = engine.read(layout.name(), Quantity::Value)?;
        tensors.extend(layout.parts.iter().map(|part| tensor(layout, part, &values, prefix)));
    }
    file(&tensors)
}

/// Adds `scale · B · A` to its rows of a weight.
fn add(engine: &impl Training, beside: &Beside, values: &mut [f32], columns: usize) -> Result<()> {
    let [a, b] = [&beside.a, &beside.b].map(|name| engine.read(name, Quantity::Value));
    let (a, b) = (a?, b?);
    let rank = a.len() / columns;
    for (row, b) in values[beside.rows.start * columns..].chunks_exact_mut(columns).zip(b.chunks_exact(rank)) {
        for (a, b) in a.chunks_exact(columns).zip(b) {
            row.iter_mut().zip(a).for_each(|(value, a)| *value += beside.scale * b * a);
        }
    }
    Ok(())
}

fn file(tensors: &[Tensor]) -> Result<Vec<u8>> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
    });
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    let views = views.collect::<Result<Vec<_>, _>>();
    views.and_then(|views| safetensors::serialize(views, metadata)).map_err(|e| bad(&format!("{e:?}")))
}

fn tensor(layout: &Layout, part: &Part, values: &[f32], prefix: &str) -> Tensor {
    let (shape, values) = in_file(layout, part, values);
    (format!("{prefix}{}", part.name), shape, bytes_of(&values))
}

/// A part of a weight as the file holds it.
fn in_file(layout: &Layout, part: &Part, values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let (rows, columns) = (part.rows.len(), layout.columns);
    let values = values[part.rows.start * columns..part.rows.end * columns].to_vec();
    if layout.kind == Kind::Vector {
        return (vec![rows], values);
    }
    if !part.transposed {
        return (vec![rows, columns], values);
    }
    let name = part.name.clone();
    let turned = Stored { name, rows, columns, values: Values::F32(values), transposed: true }.turned();
    (vec![columns, rows], turned.to_f32())
}

fn bad(message: &str) -> Error {
    Error::new(ErrorKind::Format, message).at("the model cannot be made")
}

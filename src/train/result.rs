//! The model that a run makes, as a folder that Hugging Face and this crate load.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use super::model::bytes_of;
use super::whole;
use crate::backend::training::{Kind, Layout, Part, Quantity, Training};
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

/// The weights under their Hugging Face names, as the file of their architecture holds them.
fn weights(engine: &impl Training, belongs: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
    let mut parts: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for layout in engine.layouts() {
        let values = engine.read(layout.name(), Quantity::Value)?;
        for part in layout.parts.iter().filter(|part| belongs(&part.name)) {
            let (shape, values) = in_file(&layout, part, &values);
            parts.push((part.name.clone(), shape, bytes_of(&values)));
        }
    }
    let views = parts.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|view| (name.as_str(), view))
    });
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    let views = views.collect::<Result<Vec<_>, _>>();
    views.and_then(|views| safetensors::serialize(views, metadata)).map_err(|e| bad(&format!("{e:?}")))
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

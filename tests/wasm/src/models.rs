//! Whole models in WebAssembly against what PyTorch said: the fixtures of `tests/fixtures/models`, as `run.mjs` hands
//! them over.

use std::collections::BTreeMap;

use clinlite::backend::simd::SimdBackend;
use clinlite::backend::{Backend, Lengths};
use clinlite::error::{Error, ErrorKind};
use clinlite::models::{Batch, Config, Encoder, Model};
use clinlite::weights::folder::Folder;
use clinlite::weights::pack::{About, Says, pack};
use safetensors::SafeTensors;

use crate::checks::host;

/// As in `tests/parity.rs`: the largest difference in `f32`, and the relative error of int8.
const HIDDEN: f32 = 1e-5;
const LOGITS: f32 = 1e-4;
const INT8: f64 = 0.03;

const EXPECTED: &str = "expected.safetensors";

type Files = BTreeMap<String, Vec<u8>>;

/// What differs, a line each.
pub(crate) fn failures(name: &str, mut files: Files) -> Vec<String> {
    let expected = files.remove(EXPECTED).unwrap_or_default();
    compare(&expected, files)
        .unwrap_or_else(|error| vec![error.to_string()])
        .iter()
        .map(|l| format!("{name}: {l}"))
        .collect()
}

fn compare(expected: &[u8], files: Files) -> clinlite::Result<Vec<String>> {
    let expected = SafeTensors::deserialize(expected).map_err(|e| Error::new(ErrorKind::Format, e.to_string()))?;
    let batch = Batch {
        input_ids: words(&expected, "input_ids")?,
        token_type_ids: words(&expected, "token_type_ids")?,
        lengths: Lengths::new(words(&expected, "lengths")?.into_iter().map(|length| length as usize).collect()),
    };
    let floats = |name: &str| Ok(words(&expected, name)?.into_iter().map(f32::from_bits).collect::<Vec<_>>());
    let (folder, logits) = (Folder::from_files(files)?, floats("logits")?);
    let layers = Config::of(&folder)?.shape().num_hidden_layers;
    let mut lines = Vec::new();
    for backend in [SimdBackend::new(), SimdBackend::scalar()] {
        let target = backend.target();
        for layer in 0..=layers {
            let difference =
                difference(&floats(&format!("hidden_states.{layer}"))?, &state(&backend, &folder, &batch, layer)?);
            if difference > HIDDEN {
                lines.push(format!("{target}: hidden_states[{layer}] differs by {difference}"));
            }
        }
        let difference = difference(&logits, &answer(&backend, &folder, &batch)?);
        if difference > LOGITS {
            lines.push(format!("{target}: logits differ by {difference}"));
        }
    }
    lines.extend(compare_int8(&folder, &batch, &logits)?);
    Ok(lines)
}

/// The packed model: near PyTorch, and the same bits on both vector units.
fn compare_int8(folder: &Folder, batch: &Batch, logits: &[f32]) -> clinlite::Result<Vec<String>> {
    let about = About { name: Some("packed".into()), ..About::default() };
    let packed =
        pack(folder, about, Says::default(), None, |recorder, root| Model::load(recorder, root, folder).map(drop))?;
    let (folder, mut lines) = (Folder::from_files(packed.files)?, Vec::new());
    let layers = Config::of(&folder)?.shape().num_hidden_layers;
    let (fast, plain) = (SimdBackend::new(), SimdBackend::scalar());
    if state(&fast, &folder, batch, layers)? != state(&plain, &folder, batch, layers)? {
        lines.push("int8: the bits of the last hidden state differ".into());
    }
    let found = answer(&fast, &folder, batch)?;
    let square = |value: f32| f64::from(value) * f64::from(value);
    let errors: f64 = logits.iter().zip(&found).map(|(a, b)| square(a - b)).sum();
    let error = (errors / logits.iter().map(|&a| square(a)).sum::<f64>()).sqrt();
    if error.is_nan() || error > INT8 {
        lines.push(format!("int8: a relative error of {error:.4}"));
    }
    Ok(lines)
}

fn answer(backend: &SimdBackend, folder: &Folder, batch: &Batch) -> clinlite::Result<Vec<f32>> {
    host(backend, &Model::of(backend, folder)?.forward(backend, batch)?)
}

fn state<B: Backend>(backend: &B, folder: &Folder, batch: &Batch, layers: usize) -> clinlite::Result<Vec<f32>> {
    let weights = folder.weights()?;
    let encoder = Encoder::load(backend, &weights.root(), &Config::of(folder)?.with_layers(layers))?;
    host(backend, &encoder.forward(backend, batch)?)
}

/// The four-byte numbers of a tensor.
fn words(file: &SafeTensors<'_>, name: &str) -> clinlite::Result<Vec<u32>> {
    let view = file.tensor(name).map_err(|e| Error::new(ErrorKind::Format, e.to_string()))?;
    Ok(view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn difference(expected: &[f32], found: &[f32]) -> f32 {
    if expected.len() != found.len() {
        return f32::INFINITY;
    }
    expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d <= most { most } else { d })
}

//! What PyTorch said, read from a fixture.

use std::path::Path;

use clinlite::backend::Lengths;
use clinlite::models::Batch;
use safetensors::{Dtype, SafeTensors};

use crate::support::fixture_path;

const LAST: &str = "last_hidden_state";

pub(super) struct Expected {
    pub(super) batch: Batch,
    pub(super) hidden_states: Vec<Vec<f32>>,
    pub(super) attentions: Vec<Vec<f32>>,
    pub(super) logits: Vec<f32>,
    /// The first rows, where the fixture has them.
    pub(super) last_hidden_state: Vec<f32>,
}

pub(super) fn expected(name: &str) -> Expected {
    read(&fixture_path(name).join("expected.safetensors"))
}

pub(super) fn read(path: &Path) -> Expected {
    let bytes = std::fs::read(path).expect("a fixture");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let integers = |name: &str| bits(&file, name, Dtype::I32);
    let floats = |name: &str| bits(&file, name, Dtype::F32).into_iter().map(f32::from_bits).collect::<Vec<_>>();
    let layers = |of: &str| {
        let count = file.names().iter().filter(|name| name.starts_with(of)).count();
        (0..count).map(|layer| floats(&format!("{of}{layer}"))).collect()
    };
    let lengths = integers("lengths").into_iter().map(|length| length as usize).collect();
    Expected {
        batch: Batch {
            input_ids: integers("input_ids"),
            token_type_ids: integers("token_type_ids"),
            lengths: Lengths::new(lengths),
        },
        hidden_states: layers("hidden_states."),
        attentions: layers("attentions."),
        logits: floats("logits"),
        last_hidden_state: if file.tensor(LAST).is_ok() { floats(LAST) } else { Vec::new() },
    }
}

/// The four-byte numbers of a tensor.
fn bits(file: &SafeTensors<'_>, name: &str, dtype: Dtype) -> Vec<u32> {
    let view = file.tensor(name).expect("a tensor of the fixture");
    assert_eq!(view.dtype(), dtype, "{name}");
    view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

pub(super) fn largest_difference(expected: &[f32], found: &[f32]) -> f32 {
    assert_eq!(expected.len(), found.len());
    // Not a maximum: that would pass over what is no number.
    expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d <= most { most } else { d })
}

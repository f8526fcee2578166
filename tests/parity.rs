//! The same numbers as PyTorch, on every engine, after every layer.
//!
//! The fixtures are tiny random models; `fixtures/models/make_fixtures.py` made them and names the versions.

use std::collections::BTreeMap;

use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::backend::{Backend, Lengths};
use clinlite::models::{Batch, Config, Encoder, TokenClassification};
use clinlite::weights::folder::Folder;
use clinlite::weights::pack::{About, Says, pack};
use safetensors::{Dtype, SafeTensors};

use crate::support::fixture;

const FIXTURES: [&str; 2] = ["bert-bio", "bert-head26"];

/// Largest difference that hidden states and logits may show in `f32`.
const HIDDEN: f32 = 1e-5;
const LOGITS: f32 = 1e-4;

/// What PyTorch says.
struct Expected {
    batch: Batch,
    hidden_states: Vec<Vec<f32>>,
    logits: Vec<f32>,
}

fn expected(name: &str) -> Expected {
    let path = crate::support::fixture_path(name).join("expected.safetensors");
    let bytes = std::fs::read(path).expect("a fixture");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let bits = |name: &str, dtype| {
        let view = file.tensor(name).expect("a tensor of the fixture");
        assert_eq!(view.dtype(), dtype, "{name}");
        view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<_>>()
    };
    let floats = |name: &str| bits(name, Dtype::F32).into_iter().map(f32::from_bits).collect::<Vec<_>>();
    let lengths = bits("lengths", Dtype::I32).into_iter().map(|length| length as usize).collect();
    let layers = file.names().iter().filter(|name| name.starts_with("hidden_states.")).count();
    Expected {
        batch: Batch {
            input_ids: bits("input_ids", Dtype::I32),
            token_type_ids: bits("token_type_ids", Dtype::I32),
            lengths: Lengths::new(lengths),
        },
        hidden_states: (0..layers).map(|layer| floats(&format!("hidden_states.{layer}"))).collect(),
        logits: floats("logits"),
    }
}

fn logits<B: Backend>(backend: &B, folder: &Folder, batch: &Batch) -> Vec<f32> {
    let config = Config::of(folder).expect("a config");
    let weights = folder.weights().expect("weights");
    let labels = folder.label_names().expect("labels").len();
    let model = TokenClassification::load(backend, &weights.root(), &config, labels).expect("loads");
    let logits = model.forward(backend, batch).expect("computes");
    pollster::block_on(backend.to_host(&logits)).expect("reads back")
}

/// A model of the first `layers` blocks ends in Hugging Face's `hidden_states[layers]`.
fn hidden_state<B: Backend>(backend: &B, folder: &Folder, batch: &Batch, layers: usize) -> Vec<f32> {
    let config = Config::of(folder).expect("a config");
    let config = config.with_layers(layers);
    let weights = folder.weights().expect("weights");
    let model = Encoder::load(backend, &weights.root(), &config).expect("loads");
    let state = model.forward(backend, batch).expect("computes");
    pollster::block_on(backend.to_host(&state)).expect("reads back")
}

fn largest_difference(expected: &[f32], found: &[f32]) -> f32 {
    assert_eq!(expected.len(), found.len());
    expected.iter().zip(found).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// An engine a model: one that trains keys its variables by the names of one model.
fn check<B: Backend>(engine: impl Fn() -> B) {
    let mut failed = Vec::new();
    for name in FIXTURES {
        let (folder, expected) = (fixture(name), expected(name));
        for (layer, state) in expected.hidden_states.iter().enumerate() {
            let difference = largest_difference(state, &hidden_state(&engine(), &folder, &expected.batch, layer));
            if difference > HIDDEN {
                failed.push(format!("{name}: hidden_states[{layer}] differs by {difference}"));
            }
        }
        let difference = largest_difference(&expected.logits, &logits(&engine(), &folder, &expected.batch));
        if difference > LOGITS {
            failed.push(format!("{name}: logits differ by {difference}"));
        }
    }
    assert!(failed.is_empty(), "{}: {failed:#?}", engine().name());
}

#[test]
fn candle_agrees_with_pytorch() {
    check(|| CandleBackend::inference(candle_core::Device::Cpu));
}

#[test]
fn candle_in_single_operations_agrees_with_pytorch() {
    check(|| CandleBackend::composed(candle_core::Device::Cpu, 0));
}

#[test]
fn simd_agrees_with_pytorch() {
    check(SimdBackend::new);
}

#[test]
fn plain_rust_agrees_with_pytorch() {
    check(SimdBackend::scalar);
}

#[test]
fn a_sequence_does_not_see_its_neighbours() {
    let (folder, expected) = (fixture("bert-bio"), expected("bert-bio"));
    let backend = SimdBackend::new();
    let labels = folder.label_names().expect("labels").len();
    for rows in expected.batch.lengths.ranges() {
        let batch = Batch {
            input_ids: expected.batch.input_ids[rows.clone()].to_vec(),
            token_type_ids: expected.batch.token_type_ids[rows.clone()].to_vec(),
            lengths: Lengths::new(vec![rows.len()]),
        };
        let alone = logits(&backend, &folder, &batch);
        let difference = largest_difference(&expected.logits[rows.start * labels..rows.end * labels], &alone);
        assert!(difference <= LOGITS, "rows {rows:?} differ by {difference}");
    }
}

/// The packed folder of a fixture.
pub(crate) fn packed(name: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = fixture(name);
    let config = Config::of(&folder).expect("a config");
    let labels = folder.label_names().expect("labels").len();
    let about = About { name: Some(name.into()), ..About::default() };
    let packed = pack(&folder, about, Says::default(), None, |backend, root| {
        TokenClassification::load(backend, root, &config, labels).map(drop)
    });
    packed.expect("packs").files
}

/// int8 weights and, on `simd`, int8 activations: the root of the mean squared difference of the logits stays below this
/// part of their root mean square. Found: 0.7 to 1.3 %.
const INT8: f64 = 0.02;

fn relative_error(expected: &[f32], found: &[f32]) -> f64 {
    let square = |value: f64| value * value;
    let errors: f64 = expected.iter().zip(found).map(|(a, b)| square(f64::from(a - b))).sum();
    let squares: f64 = expected.iter().map(|&a| square(f64::from(a))).sum();
    (errors / squares).sqrt()
}

#[test]
fn int8_stays_near_pytorch() {
    for name in FIXTURES {
        let expected = expected(name);
        let folder = Folder::from_files(packed(name)).expect("verifies");
        let candle = logits(&CandleBackend::inference(candle_core::Device::Cpu), &folder, &expected.batch);
        let simd = logits(&SimdBackend::new(), &folder, &expected.batch);
        for (engine, found) in [("candle", &candle), ("simd", &simd)] {
            let error = relative_error(&expected.logits, found);
            assert!(error < INT8, "{name} on {engine}: {error:.4}");
        }
    }
}

#[test]
fn int8_gives_the_same_bits_on_every_vector_unit() {
    for name in FIXTURES {
        let expected = expected(name);
        let folder = Folder::from_files(packed(name)).expect("verifies");
        let fast = logits(&SimdBackend::new(), &folder, &expected.batch);
        let plain = logits(&SimdBackend::scalar(), &folder, &expected.batch);
        // The classifier is f32, and only its product may round otherwise.
        let difference = largest_difference(&plain, &fast);
        assert!(difference <= 1e-5, "{name}: {difference}");
    }
}

//! The published sizes: the same numbers as PyTorch, and exactly as many parameters as they should have.
//!
//! The weights are computed from their names, here and in `fixtures/models/make_full_size.py`.

use candle_core::Device;
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::json::Json;
use clinlite::models::{Batch, Config, Encoder, TokenClassification};
use clinlite::weights::{Names, Weights};

use super::pytorch::{largest_difference, read};
use crate::support::fixture_path;

const NUM_LABELS: usize = 7;
const TOLERANCE: f32 = 1e-4;

/// Uniform in [-1, 1) with 24 bits: splitmix64 of the FNV-1a hash of the name and the index.
fn uniform(name: &str, size: usize) -> impl Iterator<Item = f64> {
    let step = |seed: u64, byte: u8| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (1..=size as u64).map(move |i| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// Norms near one, everything else round zero.
fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let is_norm = name.to_lowercase().contains("norm") && name.ends_with(".weight");
    let (base, scale) = match shape {
        [_] if is_norm => (1.0, 0.1),
        [_] => (0.0, 0.05),
        _ if name.contains("embeddings.") => (0.0, 0.5),
        _ => (0.0, 0.35 * (3.0 / shape[1] as f64).sqrt()),
    };
    uniform(name, shape.iter().product()).map(|u| (base + scale * u) as f32).collect()
}

/// The weights that the model asks for, and how many numbers they are.
fn weights(architecture: &str, config: &Config) -> (Weights<'static>, usize) {
    let names = Names::of(architecture).expect("a known architecture");
    let mut weights = Weights::from_files([], names).expect("no file");
    let wanted = weights
        .survey(|recorder, root| TokenClassification::load(recorder, root, config, NUM_LABELS).map(drop))
        .expect("a list");
    let mut count = 0;
    for wanted in wanted {
        count += wanted.shape.iter().product::<usize>();
        weights.supply(&wanted.name, &wanted.shape, values(&wanted.name, &wanted.shape)).expect("fits");
    }
    (weights, count)
}

/// Logits, and the last hidden state.
fn answers<B: Backend>(backend: &B, weights: &Weights<'_>, config: &Config, batch: &Batch) -> [Vec<f32>; 2] {
    let host = |x| pollster::block_on(backend.to_host(&x)).expect("reads back");
    let model = TokenClassification::load(backend, &weights.root(), config, NUM_LABELS).expect("loads");
    let logits = host(model.forward(backend, batch).expect("computes"));
    drop(model);
    let encoder = Encoder::load(backend, &weights.root(), config).expect("loads");
    [logits, host(encoder.forward(backend, batch).expect("computes"))]
}

#[test]
fn models_of_full_size_agree_with_pytorch() {
    let cases = [
        ("tiny-clinicalbert", "bert", 13_778_671),
        ("distil-clinicalbert", "bert", 65_197_831),
        ("distilbert", "distilbert", 65_196_295),
        ("mobilebert", "mobilebert", 24_585_479),
        ("minialbert", "minialbert", 17_454_343),
    ];
    let mut failed = Vec::new();
    for (name, architecture, parameters) in cases {
        let place = fixture_path("full-size");
        let json = std::fs::read(place.join(format!("{name}.json"))).expect("a config");
        let json = Json::parse(&json).expect("JSON");
        let config = Config::new(architecture, json.root()).expect("a config");
        let expected = read(&place.join(format!("{name}.safetensors")));
        let (weights, found) = weights(architecture, &config);
        if found != parameters {
            failed.push(format!("{name}: expected {parameters} parameters, found {found}"));
        }
        let candle = answers(&CandleBackend::inference(Device::Cpu), &weights, &config, &expected.batch);
        let simd = answers(&SimdBackend::new(), &weights, &config, &expected.batch);
        for (engine, [logits, state]) in [("candle", candle), ("simd", simd)] {
            let rows = &expected.last_hidden_state;
            let differences = [
                ("logits", largest_difference(&expected.logits, &logits)),
                ("last_hidden_state", largest_difference(rows, &state[..rows.len()])),
            ];
            for (what, difference) in differences {
                if difference > TOLERANCE {
                    failed.push(format!("{name} on {engine}: {what} differ by {difference}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

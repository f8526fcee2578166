//! The same numbers as PyTorch, on every engine, after every layer, for every architecture and head.
//!
//! The fixtures are tiny random models; `fixtures/models/make_fixtures.py` and `make_zoo.py` made them and name the
//! versions.

mod full_size;
mod int8;
mod models;
mod pytorch;

use candle_core::Device;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::backend::training::Training;
use clinlite::backend::{Backend, Lengths, Site};
use clinlite::models::{Batch, Config, Encoder, Head, Model};
use clinlite::weights::folder::Folder;

pub(crate) use self::models::{FIXTURES, packed};
use self::pytorch::{Expected, expected, largest_difference};
use crate::support::fixture;

/// Largest difference that hidden states, attention maps and logits may show in `f32`.
const HIDDEN: f32 = 1e-5;
const LOGITS: f32 = 1e-4;

fn logits<B: Backend>(backend: &B, folder: &Folder, batch: &Batch) -> Vec<f32> {
    let model = Model::of(backend, folder).expect("loads");
    let logits = model.forward(backend, batch).expect("computes");
    pollster::block_on(backend.to_host(&logits)).expect("reads back")
}

/// A model of the first `layers` blocks ends in Hugging Face's `hidden_states[layers]`.
fn hidden_state<B: Backend>(backend: &B, folder: &Folder, batch: &Batch, layers: usize) -> Vec<f32> {
    let config = Config::of(folder).expect("a config").with_layers(layers);
    let weights = folder.weights().expect("weights");
    let model = Encoder::load(backend, &weights.root(), &config).expect("loads");
    let state = model.forward(backend, batch).expect("computes");
    pollster::block_on(backend.to_host(&state)).expect("reads back")
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
    check(|| CandleBackend::inference(Device::Cpu));
}

#[test]
fn candle_in_single_operations_agrees_with_pytorch() {
    check(|| CandleBackend::composed(Device::Cpu, 0));
}

#[test]
fn simd_agrees_with_pytorch() {
    check(SimdBackend::new);
}

#[test]
fn plain_rust_agrees_with_pytorch() {
    check(SimdBackend::scalar);
}

/// What one pass shows, by place: distillation learns from it.
fn observed(engine: &CandleBackend, folder: &Folder, batch: &Batch, layers: usize) -> Vec<(Site, Vec<f32>)> {
    let maps = (0..layers).map(Site::AttentionMap);
    let sites: Vec<_> = (0..=layers).map(Site::HiddenState).chain(maps).collect();
    engine.watch(&sites);
    logits(engine, folder, batch);
    let seen = |site| engine.seen(site).map(|x| (site, pollster::block_on(engine.to_host(&x)).expect("reads back")));
    sites.into_iter().filter_map(seen).collect()
}

#[test]
fn an_observer_sees_pytorchs_hidden_states_and_attention_maps() {
    let mut failed = Vec::new();
    for name in FIXTURES {
        let (folder, expected) = (fixture(name), expected(name));
        let layers = expected.hidden_states.len() - 1;
        let engines = [CandleBackend::inference(Device::Cpu), CandleBackend::composed(Device::Cpu, 0)];
        for (engine, form) in engines.into_iter().zip(["fused", "composed"]) {
            let seen = observed(&engine, &folder, &expected.batch, layers);
            assert_eq!(seen.len(), 2 * layers + 1, "{name}");
            for (site, found) in seen {
                let expected = match site {
                    Site::HiddenState(i) => Some(&expected.hidden_states[i]),
                    // The two oldest fixtures have none.
                    Site::AttentionMap(i) => expected.attentions.get(i),
                };
                let difference = expected.map_or(0.0, |expected| largest_difference(expected, &found));
                if difference > HIDDEN {
                    failed.push(format!("{name}, {form}: {site:?} differs by {difference}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Logits of some sequences of a batch: rows of tokens, or one row a sequence.
fn rows_of<'a>(folder: &Folder, expected: &'a Expected, sequence: usize) -> &'a [f32] {
    let tokens: Vec<_> = expected.batch.lengths.ranges().collect();
    let by_sequence = Head::of(folder).expect("a head") == Head::SequenceClassification;
    let (rows, all) = match by_sequence {
        true => (sequence..sequence + 1, tokens.len()),
        false => (tokens[sequence].clone(), expected.batch.lengths.rows()),
    };
    let columns = expected.logits.len() / all;
    &expected.logits[rows.start * columns..rows.end * columns]
}

#[test]
fn a_sequence_does_not_see_its_neighbours() {
    let backend = SimdBackend::new();
    for name in FIXTURES {
        let (folder, expected) = (fixture(name), expected(name));
        let together = logits(&backend, &folder, &expected.batch);
        let together = Expected { logits: together, ..expected };
        for (i, rows) in together.batch.lengths.ranges().enumerate() {
            let batch = Batch {
                input_ids: together.batch.input_ids[rows.clone()].to_vec(),
                token_type_ids: together.batch.token_type_ids[rows.clone()].to_vec(),
                lengths: Lengths::new(vec![rows.len()]),
            };
            let alone = logits(&backend, &folder, &batch);
            let difference = largest_difference(rows_of(&folder, &together, i), &alone);
            assert!(difference <= 1e-6, "{name}, sequence {i}: differs by {difference}");
        }
    }
}

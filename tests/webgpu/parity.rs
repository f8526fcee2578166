//! Every architecture and head: the numbers of PyTorch and of the other engines.

use clinlite::backend::Backend;
use clinlite::backend::simd::SimdBackend;
use clinlite::backend::webgpu::{Options, Precision, WebGpuBackend};
use clinlite::models::{Batch, Config, Encoder, Model};
use clinlite::weights::folder::Folder;

use super::checks::{Int8, failures};
use super::models::{FIXTURES, packed};
use super::pytorch::{expected, largest_difference};
use super::support::{fixture, fixture_path};
use super::{opened, options, shared};

/// The largest difference that hidden states and logits may show in `f32`.
const HIDDEN: f32 = 1e-5;
const LOGITS: f32 = 1e-4;

/// With weights rounded to `f16`, a part of the largest logit.
const F16: f32 = 2e-3;

/// Between int8 here and int8 on `simd`, a part of the largest logit. Mesa's software driver stays under 1e-5; one that fuses a
/// multiplication with an addition may round a number the other way here and there.
const INT8: f32 = 1e-3;

pub(crate) fn logits<B: Backend>(backend: &B, folder: &Folder, batch: &Batch) -> Vec<f32> {
    let model = Model::of(backend, folder).expect("loads");
    let logits = model.forward(backend, batch).expect("computes");
    pollster::block_on(backend.to_host(&logits)).expect("reads back")
}

fn hidden_state<B: Backend>(backend: &B, folder: &Folder, batch: &Batch, layers: usize) -> Vec<f32> {
    let config = Config::of(folder).expect("a config").with_layers(layers);
    let weights = folder.weights().expect("weights");
    let model = Encoder::load(backend, &weights.root(), &config).expect("loads");
    let state = model.forward(backend, batch).expect("computes");
    pollster::block_on(backend.to_host(&state)).expect("reads back")
}

/// Those that this build reads: only one that trains reads pickles.
fn fixtures() -> impl Iterator<Item = &'static str> {
    let is_pickle = |name: &&str| fixture_path(name).join("pytorch_model.bin").exists();
    FIXTURES.into_iter().filter(move |name| cfg!(feature = "train") || !is_pickle(name))
}

fn agrees(backend: &WebGpuBackend, int8: Int8, tolerance: f32) {
    let failures = failures(backend, int8, tolerance);
    assert!(failures.is_empty(), "{}:\n{}", backend.adapter().name, failures.join("\n"));
}

#[test]
fn operations_in_f32_agree_with_the_reference() {
    shared(Precision::F32).into_iter().for_each(|backend| agrees(backend, Int8::AsFloats, 1e-5));
}

/// As a browser compiles them.
#[test]
fn operations_with_checked_indices_agree_with_the_reference() {
    let Some(backend) = opened(Options { checked: true, ..options(Precision::Int8) }) else { return };
    agrees(&backend, Int8::Rounded, 1e-5);
}

#[test]
fn operations_in_int8_agree_with_the_reference() {
    shared(Precision::Int8).into_iter().for_each(|backend| agrees(backend, Int8::Rounded, 1e-5));
}

#[test]
fn operations_with_f16_weights_agree_with_the_reference() {
    // Eleven bits of a weight.
    shared(Precision::F16).into_iter().for_each(|backend| agrees(backend, Int8::AsFloats, 2e-3));
}

#[test]
fn every_architecture_agrees_with_pytorch() {
    let Some(backend) = shared(Precision::F32) else { return };
    let mut failed = Vec::new();
    for name in fixtures() {
        let (folder, expected) = (fixture(name), expected(name));
        for (layer, state) in expected.hidden_states.iter().enumerate() {
            let difference = largest_difference(state, &hidden_state(backend, &folder, &expected.batch, layer));
            if difference > HIDDEN {
                failed.push(format!("{name}: hidden_states[{layer}] differs by {difference}"));
            }
        }
        let difference = largest_difference(&expected.logits, &logits(backend, &folder, &expected.batch));
        if difference > LOGITS {
            failed.push(format!("{name}: logits differ by {difference}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[cfg(feature = "candle")]
#[test]
fn every_architecture_agrees_with_candle() {
    use clinlite::backend::candle::CandleBackend;
    let Some(backend) = shared(Precision::F32) else { return };
    let candle = CandleBackend::inference(candle_core::Device::Cpu);
    for name in fixtures() {
        let (folder, batch) = (fixture(name), expected(name).batch);
        let difference = largest_difference(&logits(&candle, &folder, &batch), &logits(backend, &folder, &batch));
        assert!(difference <= LOGITS, "{name}: {difference}");
    }
}

/// The largest difference as a part of the largest logit.
fn relative(expected: &[f32], found: &[f32]) -> f32 {
    let largest = expected.iter().fold(0.0, |best: f32, x| best.max(x.abs()));
    largest_difference(expected, found) / largest
}

#[test]
fn f16_weights_stay_near_pytorch() {
    let Some(backend) = shared(Precision::F16) else { return };
    let mut failed = Vec::new();
    for name in fixtures() {
        let (folder, expected) = (fixture(name), expected(name));
        let error = relative(&expected.logits, &logits(backend, &folder, &expected.batch));
        if error.is_nan() || error > F16 {
            failed.push(format!("{name}: {error:.5}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn int8_models_give_the_answers_of_the_cpu() {
    let Some(backend) = shared(Precision::Int8) else { return };
    let simd = SimdBackend::new();
    let mut failed = Vec::new();
    for name in fixtures() {
        let folder = Folder::from_files(packed(name)).expect("verifies");
        let batch = expected(name).batch;
        let error = relative(&logits(&simd, &folder, &batch), &logits(backend, &folder, &batch));
        if error.is_nan() || error > INT8 {
            failed.push(format!("{name}: {error:.5}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

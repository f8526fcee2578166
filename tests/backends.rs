//! Every backend against the slow reference, with the same checks.

#[allow(dead_code, reason = "a shared file: the GPU rounds int8 in its own way")]
mod checks;

use candle_core::Device;
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::fallback::Fallback;
use clinlite::backend::simd::SimdBackend;

use self::checks::{Int8, failures, fingerprint};

/// The bits of an int8 layer on every machine and in every browser: `tests/wasm` compares with the same number.
const FINGERPRINT: u64 = include!("backends/fingerprint.txt");

fn agrees<B: Backend>(backend: &B, int8: Int8, tolerance: f32) {
    let failures = failures(backend, int8, tolerance);
    assert!(failures.is_empty(), "{}:\n{}", backend.name(), failures.join("\n"));
}

#[test]
fn simd_agrees_with_the_reference() {
    for backend in SimdBackend::all() {
        agrees(&backend, Int8::Exact, 1e-5);
    }
}

/// Each engine of a pair, through the pair.
#[test]
fn a_pair_of_engines_agrees_with_the_reference() {
    let pair = Fallback::new(SimdBackend::new(), SimdBackend::scalar(), "for a test");
    agrees(&pair, Int8::Exact, 1e-5);
    pair.prefer(false, "for a test");
    agrees(&pair, Int8::Exact, 1e-5);
}

#[test]
fn candle_agrees_with_the_reference() {
    agrees(&CandleBackend::inference(Device::Cpu), Int8::AsFloats, 1e-5);
}

#[test]
fn composed_candle_agrees_with_the_reference() {
    agrees(&CandleBackend::composed(Device::Cpu, 0), Int8::AsFloats, 1e-5);
}

#[test]
fn an_int8_layer_has_the_same_bits_on_every_target() {
    for backend in SimdBackend::all() {
        let found = fingerprint(&backend).expect("the layer runs");
        assert_eq!(found, FINGERPRINT, "{}: {found:#x}", backend.target());
    }
}

#[test]
fn buffers_do_not_grow_from_run_to_run() {
    let backend = SimdBackend::new();
    fingerprint(&backend).expect("the layer runs");
    let after_one = backend.allocated();
    for _ in 0..100 {
        fingerprint(&backend).expect("the layer runs");
    }
    assert!(after_one > 0 && backend.allocated() == after_one, "{after_one} became {}", backend.allocated());
}

//! The CPU alone: the smallest build.

use std::convert::Infallible;

use wasm_bindgen::prelude::*;

use super::kernels;
use crate::backend::simd::SimdBackend;

/// What every model of this build computes on.
pub(super) type Engine = SimdBackend;

/// A graphics processor, of which this build knows none.
#[wasm_bindgen]
pub struct Gpu(Infallible);

/// An engine for one model. There is no choice, so that the reason is that of the caller.
pub(super) fn engine(_: Option<Gpu>, _: Option<String>) -> Engine {
    kernels::engine()
}

/// There is one engine.
pub(super) fn is_fast(_: &Engine) -> bool {
    false
}

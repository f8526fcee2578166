//! Which kernels an instance computes with: chosen once, before a model is loaded, because weights are packed for them.
//!
//! A build holds one or two kinds. The first is right wherever the module compiles. The second, the
//! four-byte dot products of relaxed-simd, is up to twice as fast where the processor has them and up to twice as slow
//! where it has not, and an engine from before the instruction was settled computes it wrongly: it is taken only if it
//! gives the same bits as the first and is clearly faster on a product of the usual size.

use std::cell::Cell;

use wasm_bindgen::prelude::*;

use super::job::ready;
use crate::backend::simd::{SimdBackend, Tensor};
use crate::backend::{Activation, Backend, Linear, Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// Rows of the product that is timed: one block of the kernels.
const ROWS: usize = 48;
/// Its inputs and outputs: the hidden size of the default model.
const WIDTH: usize = 384;
/// V8 has compiled a kernel with its optimising compiler after so many calls.
const WARM_UP: usize = 10;
/// Calls of which the fastest counts.
const TIMED: usize = 8;
/// How many times as fast the second kind must be: less is noise of the clock, which may be coarse.
const CLEARLY: f64 = 1.2;

thread_local! {
    static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

#[wasm_bindgen]
extern "C" {
    /// Milliseconds.
    #[wasm_bindgen(js_namespace = performance)]
    pub(super) fn now() -> f64;
}

/// The kernels of this instance.
#[wasm_bindgen]
pub struct Kernels;

#[wasm_bindgen]
impl Kernels {
    /// Chooses the kernels of every model that is loaded from now on, and names them. `named` takes those of that name,
    /// as another instance on this machine has chosen them; without it both kinds are tried, for some milliseconds.
    ///
    /// # Errors
    /// `named` is not among the kernels of this build.
    pub fn choose(named: Option<String>) -> Result<String, JsValue> {
        let engines = SimdBackend::all();
        let names: Vec<_> = engines.iter().map(SimdBackend::target).collect();
        let chosen = match named {
            Some(name) => names.iter().copied().find(|&kernels| kernels == name).ok_or_else(|| {
                Error::new(ErrorKind::Input, format!("kernels: expected one of {}", names.join(", ")))
            })?,
            None => fastest(engines)?,
        };
        CHOSEN.set(Some(chosen));
        Ok(chosen.to_owned())
    }
}

/// An engine with the kernels that were chosen, or with the best guess.
pub(super) fn engine() -> SimdBackend {
    let chosen = CHOSEN.get();
    let named = SimdBackend::all().into_iter().find(|engine| Some(engine.target()) == chosen);
    named.unwrap_or_default()
}

/// The best guess, unless the build holds another kind that is right and clearly faster.
fn fastest(engines: Vec<SimdBackend>) -> Result<&'static str> {
    let guess = SimdBackend::new().target();
    let Ok([first, second]) = <[SimdBackend; 2]>::try_from(engines) else { return Ok(guess) };
    let trials = [Trial::new(first)?, Trial::new(second)?];
    if trials[0].bits()? != trials[1].bits()? {
        return Ok(guess);
    }
    for trial in &trials {
        for _ in 0..WARM_UP {
            trial.run()?;
        }
    }
    let mut times = [f64::INFINITY; 2];
    for _ in 0..TIMED {
        for (trial, time) in trials.iter().zip(&mut times) {
            *time = time.min(trial.time()?);
        }
    }
    let clearly_faster = times[1] * CLEARLY < times[0];
    Ok(if clearly_faster { trials[1].engine.target() } else { guess })
}

/// An int8 product on one engine: `[48, 384]` by `[384, 384]`.
struct Trial {
    engine: SimdBackend,
    input: Tensor,
    product: Linear<SimdBackend>,
}

impl Trial {
    fn new(engine: SimdBackend) -> Result<Self> {
        let stored = |rows, columns, values| Stored { name: "trial".into(), rows, columns, values, transposed: false };
        // Both ends of the range side by side: sums of pairs that saturate would differ.
        let weight = |i: usize| [127, -127, (i * 31 % 255) as i16 - 127][i % 3].clamp(-127, 127) as i8;
        let data = (0..WIDTH * WIDTH).map(weight).collect();
        let weight = engine.matrix(&[stored(WIDTH, WIDTH, Values::Int8 { data, scales: vec![0.5; WIDTH] })])?;
        let values = (0..ROWS * WIDTH).map(|i| [1.0, -1.0, (i * 17 % 101) as f32 / 101.0][i % 5 % 3]).collect();
        let table = engine.table(stored(ROWS, WIDTH, Values::F32(values)))?;
        let rows: Vec<u32> = (0..).take(ROWS).collect();
        let input = engine.embed(&[(&table, &rows)])?;
        Ok(Self { engine, input, product: Linear { weight, bias: None } })
    }

    fn run(&self) -> Result<Tensor> {
        self.engine.linear(&self.input, &self.product, Activation::None)
    }

    fn bits(&self) -> Result<Vec<u32>> {
        let product = self.run()?;
        Ok(ready(self.engine.to_host(&product))?.into_iter().map(f32::to_bits).collect())
    }

    fn time(&self) -> Result<f64> {
        let before = now();
        self.run()?;
        Ok(now() - before)
    }
}

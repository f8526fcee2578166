//! The CPU, and a graphics processor where there is one: which of them a model computes on.
//!
//! Chosen by a short trial after the model is loaded: windows of the usual length, one on the CPU and as many as keep it
//! busy on the graphics processor, which must give the same answers and be faster.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::choice;
use super::job::Job;
use super::judge::{Chosen, Judge};
use super::kernels::{self, now};
use crate::backend::fallback::Fallback;
use crate::backend::simd::SimdBackend;
use crate::backend::webgpu::{Options, WebGpuBackend};
use crate::error::Result;
use crate::tasks::pass::Pass;

/// What every model of this build computes on.
pub(super) type Engine = Fallback<WebGpuBackend, SimdBackend>;

/// Largest difference of two logits, relative to the largest logit, that is rounding and not another answer.
const SAME: f32 = 0.01;
/// Passes of each engine of which the faster counts; what is made at the first use is made in the first.
const TIMED: usize = 2;

/// A graphics processor that one model may be laid on.
#[wasm_bindgen]
pub struct Gpu(WebGpuBackend);

#[wasm_bindgen]
impl Gpu {
    /// Opens the graphics processor and compiles the kernels. `allow_software`: also one that is a program on the CPU.
    /// `precision`: `int8`, `f32` or `f16`, if not the form of the file.
    ///
    /// # Errors
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for another precision; as [`WebGpuBackend::open`].
    pub async fn open(allow_software: bool, precision: Option<String>) -> Result<Gpu, JsValue> {
        let precision = choice("precision", precision)?.unwrap_or_default();
        let options = Options { allow_software, precision, ..Options::default() };
        Ok(Self(WebGpuBackend::open(options).await?))
    }
}

/// An engine for one model; `reason` says why there is no graphics processor.
pub(super) fn engine(gpu: Option<Gpu>, reason: Option<String>) -> Engine {
    match gpu {
        Some(Gpu(gpu)) => Fallback::new(gpu, kernels::engine(), "not tried yet"),
        None => Fallback::without(kernels::engine(), reason.unwrap_or_default()),
    }
}

/// Whether the graphics processor computes.
pub(super) fn is_fast(engine: &Engine) -> bool {
    engine.choice().fast
}

/// Steps of one or several questions to one model, which are read in one pass.
#[wasm_bindgen]
pub struct Together {
    judge: Rc<dyn Judge>,
    pass: Pass,
}

#[wasm_bindgen]
impl Job {
    /// A step, to be read together with others.
    ///
    /// # Errors
    /// When there is no such step.
    pub fn together(&self, step: usize) -> Result<Together, JsValue> {
        let (judge, pass) = self.question().pass(step)?;
        Ok(Together { judge, pass })
    }
}

#[wasm_bindgen]
impl Together {
    /// Reads the steps of another one too, of the same model.
    pub fn append(&mut self, other: Together) {
        self.pass.append(other.pass);
    }

    /// Rows that the model will read.
    #[wasm_bindgen(getter)]
    pub fn rows(&self) -> usize {
        self.pass.rows()
    }

    /// The logits of each step, a `Float32Array` each. It holds nothing of the questions, which may end meanwhile.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn read(self) -> Result<Vec<JsValue>, JsValue> {
        Ok(self.judge.judge(&self.pass).await?.into_iter().map(JsValue::from).collect())
    }
}

#[wasm_bindgen]
impl Chosen {
    /// Takes the faster of the engines, or the graphics processor because it is `asked` for.
    ///
    /// # Errors
    /// A failure of the engine that is always there.
    pub async fn choose(self, asked: bool) -> Result<(), JsValue> {
        Ok(choose(&*self.0, asked).await?)
    }
}

async fn choose(judge: &dyn Judge, asked: bool) -> Result<()> {
    let engine = judge.engine();
    if !is_fast(engine) {
        return Ok(());
    }
    if asked {
        engine.prefer(true, "asked for");
        return Ok(());
    }
    let (one, many) = (judge.trial(1), judge.trial(judge.busy_rows().div_ceil(judge.max_length())));
    engine.prefer(false, "");
    let cpu = fastest(judge, &one).await? / one.rows() as f64;
    let expected = judge.judge(&one).await?.concat();
    engine.prefer(true, "");
    let found = judge.judge(&one).await?.concat();
    let gpu = fastest(judge, &many).await? / many.rows() as f64;
    match () {
        () if !is_fast(engine) => (), // it failed, and the engine says how
        () if !agree(&expected, &found) => engine.prefer(false, "webgpu gave other answers in a trial"),
        // Results name the reason and hold no time: the same question twice gives the same bytes.
        () if gpu < cpu => engine.prefer(true, "faster than simd in a trial"),
        () => engine.prefer(false, "faster than webgpu in a trial"),
    }
    Ok(())
}

/// Milliseconds of a pass.
async fn fastest(judge: &dyn Judge, pass: &Pass) -> Result<f64> {
    let mut fastest = f64::INFINITY;
    for _ in 0..TIMED {
        let before = now();
        judge.judge(pass).await?;
        fastest = fastest.min(now() - before);
    }
    Ok(fastest)
}

fn agree(expected: &[f32], found: &[f32]) -> bool {
    let largest = expected.iter().fold(0.0, |most: f32, logit| most.max(logit.abs()));
    expected.len() == found.len() && expected.iter().zip(found).all(|(x, y)| (x - y).abs() <= SAME * largest)
}

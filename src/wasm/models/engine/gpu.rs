//! The CPU, and a graphics processor where there is one: which of them a model computes on.
//! Chosen by a short [`trial`] after the model is loaded.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::choice;
use super::job::Job;
use super::judge::{Chosen, Judge};
use super::kernels::{self, now};
use crate::backend::fallback::Fallback;
use crate::backend::simd::SimdBackend;
use crate::backend::webgpu::{Options, Precision, WebGpuBackend};
use crate::error::Result;
use crate::tasks::pass::Pass;
use crate::tasks::trial::{self, Trial};

/// What every model of this build computes on.
pub(super) type Engine = Fallback<WebGpuBackend, SimdBackend>;

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
        let precision = choice("precision", precision, &Precision::ALL, Precision::name)?.unwrap_or_default();
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

impl Trial<Engine> for dyn Judge {
    fn engine(&self) -> &Engine {
        Judge::engine(self)
    }

    fn max_length(&self) -> usize {
        Judge::max_length(self)
    }

    fn trial(&self, sequences: usize) -> Pass {
        Judge::trial(self, sequences)
    }

    async fn logits(&self, pass: &Pass) -> Result<Vec<Vec<f32>>> {
        self.judge(pass).await
    }
}

#[wasm_bindgen]
impl Chosen {
    /// Takes the faster of the engines, or the graphics processor because it is `asked` for.
    ///
    /// # Errors
    /// A failure of the engine that is always there.
    pub async fn choose(self, asked: bool) -> Result<(), JsValue> {
        let (model, engine) = (&*self.0, Judge::engine(&*self.0));
        match asked && is_fast(engine) {
            true => engine.prefer(true, "asked for"),
            false => trial::choose(model, 1, now).await?,
        }
        Ok(())
    }
}

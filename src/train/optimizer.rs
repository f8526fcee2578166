//! AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, with bias correction as PyTorch.
//!
//! One pass over a parameter does everything: clipping, both moments, decay, the step and the moving average of the
//! weights. Rows of a table that no step has looked up yet have zero moments, so only decay changes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::backend::candle::kernels::vectorised;
use crate::backend::candle::{Kind, Parameter};
use crate::error::{Error, ErrorKind, Result};

/// What does not change during a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the squares.
    pub eps: f64,
    /// Of matrices and tables; norms and biases are spared.
    pub weight_decay: f64,
    /// The most that the norm of all gradients together may be.
    pub clip: f64,
    /// Decay of the moving average of the weights; 0 keeps none.
    pub ema: f64,
}

/// What a run remembers of one parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The mean of gradients.
    pub first: Vec<f32>,
    /// The mean of their squares.
    pub second: Vec<f32>,
    /// The moving average of the weights; empty without one.
    pub average: Vec<f32>,
}

/// The optimizer over all parameters of a backend, by name.
pub struct AdamW {
    settings: Settings,
    parameters: BTreeMap<String, Arc<Parameter>>,
    states: BTreeMap<String, State>,
    /// Of tables: the rows that a step has looked up.
    live: BTreeMap<String, Vec<bool>>,
    steps: u64,
}

/// The numbers of one pass, in `f32`.
#[derive(Clone, Copy)]
struct Pass {
    beta1: f32,
    beta2: f32,
    /// `√(1 − β₂ᵗ)`.
    root: f32,
    eps: f32,
    /// `lr / (1 − β₁ᵗ)`.
    rate: f32,
    /// `1 − lr · weight_decay`.
    keep: f32,
    /// On gradients.
    scale: f32,
    /// Of the moving average; 0 is none.
    ema: f32,
}

impl AdamW {
    /// Starts from the weights as they are.
    ///
    /// # Errors
    /// When they are not on the CPU.
    pub fn new(settings: Settings, parameters: BTreeMap<String, Arc<Parameter>>) -> Result<Self> {
        let state = |parameter: &Parameter| {
            let zeros = vec![0f32; parameter.len()];
            let average = if settings.ema > 0.0 { parameter.read(<[f32]>::to_vec)? } else { Vec::new() };
            Ok(State { first: zeros.clone(), second: zeros, average })
        };
        let states = parameters.iter().map(|(name, p)| Ok((name.clone(), state(p)?))).collect::<Result<_>>()?;
        let tables = parameters.iter().filter(|(_, p)| p.kind() == Kind::Table);
        let live = tables.map(|(name, p)| (name.clone(), vec![false; p.len() / p.columns()])).collect();
        Ok(Self { settings, parameters, states, live, steps: 0 })
    }

    /// Steps taken, and everything remembered, by name.
    pub fn state(&self) -> (u64, &BTreeMap<String, State>) {
        (self.steps, &self.states)
    }

    /// Goes on from what [`Self::state`] gave.
    ///
    /// # Errors
    /// When names or lengths differ from the parameters.
    pub fn restore(&mut self, steps: u64, states: BTreeMap<String, State>) -> Result<()> {
        for (name, parameter) in &self.parameters {
            let len = parameter.len();
            let average = if self.settings.ema > 0.0 { len } else { 0 };
            let fits = |s: &State| s.first.len() == len && s.second.len() == len && s.average.len() == average;
            if !states.get(name).is_some_and(fits) {
                let message = format!("the checkpoint has no optimizer state for {name:?} of {len} values");
                return Err(Error::new(ErrorKind::Format, message));
            }
        }
        for (name, live) in &mut self.live {
            let columns = self.parameters[name].columns();
            let rows = states[name].second.chunks_exact(columns);
            for (live, row) in live.iter_mut().zip(rows) {
                *live = row.iter().any(|v| *v != 0.0);
            }
        }
        (self.steps, self.states) = (steps, states);
        Ok(())
    }

    /// The norm of all gradients together.
    pub fn gradient_norm(&self) -> f64 {
        let squares = self.parameters.values().map(|p| p.gradient().squared_norm(p.columns()));
        squares.sum::<f64>().sqrt()
    }

    /// Moves all weights against their gradients, clears these and returns their norm before clipping. `rate` gives
    /// the learning rate of a parameter by its name.
    ///
    /// # Errors
    /// When a gradient is not finite.
    pub fn step(&mut self, rate: impl Fn(&str) -> f64) -> Result<f64> {
        let norm = self.gradient_norm();
        if !norm.is_finite() {
            let message = format!("the gradients of step {} are not finite: lower the learning rate", self.steps + 1);
            return Err(Error::new(ErrorKind::Backend, message));
        }
        self.steps += 1;
        let scale = (self.settings.clip / (norm + 1e-6)).min(1.0);
        for (name, parameter) in &self.parameters {
            let Some(state) = self.states.get_mut(name) else { continue };
            let pass = pass(&self.settings, self.steps, parameter.kind(), rate(name), scale);
            let mut gradient = parameter.gradient();
            match self.live.get_mut(name) {
                Some(live) => {
                    if gradient.is_whole() {
                        live.fill(true);
                    }
                    gradient.touched_rows().iter().for_each(|&row| live[row as usize] = true);
                    let gradient = gradient.get().unwrap_or_default();
                    parameter.write(|values| step_table(values, gradient, state, live, parameter.columns(), pass))?;
                }
                None => {
                    let gradient = gradient.get().unwrap_or_default();
                    parameter.write(|values| step_dense(values, gradient, state, pass))?;
                }
            }
            gradient.clear(parameter.columns());
        }
        Ok(norm)
    }

    /// Exchanges the weights with their moving average, if there is one; a second call undoes it.
    ///
    /// # Errors
    /// When they are not on the CPU.
    pub fn swap_average(&mut self) -> Result<()> {
        for (name, parameter) in &self.parameters {
            if let Some(state) = self.states.get_mut(name).filter(|state| !state.average.is_empty()) {
                parameter.write(|values| values.swap_with_slice(&mut state.average))?;
            }
        }
        Ok(())
    }
}

fn pass(settings: &Settings, steps: u64, kind: Kind, rate: f64, scale: f64) -> Pass {
    let steps = i32::try_from(steps).unwrap_or(i32::MAX);
    let decay = if kind == Kind::Vector { 0.0 } else { settings.weight_decay };
    // An average that begins at once would remember the start for long: let it follow closely at first.
    let ema = settings.ema.min(f64::from(steps) / (f64::from(steps) + 9.0));
    Pass {
        beta1: settings.beta1 as f32,
        beta2: settings.beta2 as f32,
        root: (1.0 - settings.beta2.powi(steps)).sqrt() as f32,
        eps: settings.eps as f32,
        rate: (rate / (1.0 - settings.beta1.powi(steps))) as f32,
        keep: (1.0 - rate * decay) as f32,
        scale: scale as f32,
        ema: if settings.ema > 0.0 { ema as f32 } else { 0.0 },
    }
}

const BLOCK: usize = 1 << 14;

fn step_dense(values: &mut [f32], gradient: &[f32], state: &mut State, pass: Pass) {
    let zeros;
    let gradient = if gradient.is_empty() {
        zeros = vec![0f32; values.len()];
        &zeros
    } else {
        gradient
    };
    let average = blocks(&mut state.average, values.len(), BLOCK);
    let (first, second) = (state.first.par_chunks_mut(BLOCK), state.second.par_chunks_mut(BLOCK));
    let all = values.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK)).zip(first).zip(second).zip(average);
    all.for_each(|((((values, gradient), first), second), average)| {
        adam(values, gradient, first, second, pass);
        follow(average, values, pass.ema);
    });
}

fn step_table(values: &mut [f32], gradient: &[f32], state: &mut State, live: &[bool], columns: usize, pass: Pass) {
    let block = 64 * columns;
    let average = blocks(&mut state.average, values.len(), block);
    let (first, second) = (state.first.par_chunks_mut(block), state.second.par_chunks_mut(block));
    let all = values.par_chunks_mut(block).zip(first).zip(second).zip(average).zip(live.par_chunks(64));
    all.enumerate().for_each(|(at, ((((values, first), second), average), live))| {
        for (row, _) in live.iter().enumerate().filter(|(_, live)| **live) {
            let here = row * columns..(row + 1) * columns;
            let gradient = &gradient[at * block..][here.clone()];
            adam(&mut values[here.clone()], gradient, &mut first[here.clone()], &mut second[here], pass);
        }
        for (row, _) in live.iter().enumerate().filter(|(_, live)| !**live) {
            values[row * columns..(row + 1) * columns].iter_mut().for_each(|w| *w *= pass.keep);
        }
        follow(average, values, pass.ema);
    });
}

/// Chunks of the moving average, or as many empty ones.
fn blocks(average: &mut [f32], len: usize, block: usize) -> Vec<&mut [f32]> {
    let count = len.div_ceil(block);
    let mut chunks: Vec<&mut [f32]> = average.chunks_mut(block).collect();
    chunks.resize_with(count, Default::default);
    chunks
}

vectorised! {
    /// One step on values that lie together.
    fn adam(values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], pass: Pass) {
        for (((w, g), m), v) in values.iter_mut().zip(gradient).zip(first).zip(second) {
            let g = g * pass.scale;
            *m = pass.beta1.mul_add(*m, (1.0 - pass.beta1) * g);
            *v = pass.beta2.mul_add(*v, (1.0 - pass.beta2) * g * g);
            *w = *w * pass.keep - pass.rate * *m / (v.sqrt() / pass.root + pass.eps);
        }
    }

    /// Moves the average towards the values.
    fn follow(average: &mut [f32], values: &[f32], ema: f32) {
        for (a, w) in average.iter_mut().zip(values) {
            *a = (1.0 - ema).mul_add(w - *a, *a);
        }
    }
}

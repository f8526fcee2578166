//! One step of [`crate::backend::adamw`] on the CPU: one pass over a parameter.
//!
//! Rows of a table that no step has looked up yet have zero moments, so only decay changes them.

use rayon::prelude::*;

use super::kernels::vectorised;
use super::parameter::{Gradient, Parameter};
use crate::backend::adamw::Pass;
use crate::backend::training::Kind;
use crate::error::Result;

/// What the optimizer remembers of one parameter.
#[derive(Default)]
pub(super) struct Moments {
    /// The mean of gradients.
    pub(super) first: Vec<f32>,
    /// The mean of their squares.
    pub(super) second: Vec<f32>,
    /// The moving average of the weights; empty without one.
    pub(super) average: Vec<f32>,
    /// Of a table: the rows that a step has looked up.
    live: Vec<bool>,
}

impl Moments {
    /// Of nothing seen yet.
    pub(super) fn new(parameter: &Parameter, average: bool) -> Result<Self> {
        let average = if average { parameter.read(<[f32]>::to_vec)? } else { Vec::new() };
        let zeros = vec![0f32; parameter.len()];
        let live = vec![false; if parameter.layout().kind == Kind::Table { parameter.layout().rows() } else { 0 }];
        Ok(Self { first: zeros.clone(), second: zeros, average, live })
    }

    /// Works out which rows of a table have been looked up, after `second` was replaced.
    pub(super) fn revive(&mut self, columns: usize) {
        for (live, row) in self.live.iter_mut().zip(self.second.chunks_exact(columns)) {
            *live = row.iter().any(|v| *v != 0.0);
        }
    }
}

/// Moves a parameter; its gradient counts `scale` times.
pub(super) fn step(parameter: &Parameter, gradient: &Gradient, pass: Pass, scale: f32) -> Result<()> {
    let state = &mut *parameter.moments();
    let values = gradient.get().unwrap_or_default();
    if state.live.is_empty() {
        return parameter.write(|weights| step_dense(weights, values, state, pass, scale));
    }
    if gradient.is_whole() {
        state.live.fill(true);
    }
    gradient.touched_rows().iter().for_each(|&row| state.live[row as usize] = true);
    parameter.write(|weights| step_table(weights, values, state, parameter.columns(), pass, scale))
}

const BLOCK: usize = 1 << 14;

fn step_dense(values: &mut [f32], gradient: &[f32], state: &mut Moments, pass: Pass, scale: f32) {
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
        adam(values, gradient, first, second, pass, scale);
        follow(average, values, pass.ema);
    });
}

fn step_table(values: &mut [f32], gradient: &[f32], state: &mut Moments, columns: usize, pass: Pass, scale: f32) {
    let block = 64 * columns;
    let average = blocks(&mut state.average, values.len(), block);
    let (first, second) = (state.first.par_chunks_mut(block), state.second.par_chunks_mut(block));
    let all = values.par_chunks_mut(block).zip(first).zip(second).zip(average).zip(state.live.par_chunks(64));
    all.enumerate().for_each(|(at, ((((values, first), second), average), live))| {
        for (row, _) in live.iter().enumerate().filter(|(_, live)| **live) {
            let here = row * columns..(row + 1) * columns;
            let gradient = &gradient[at * block..][here.clone()];
            adam(&mut values[here.clone()], gradient, &mut first[here.clone()], &mut second[here], pass, scale);
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
    fn adam(values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], pass: Pass, scale: f32) {
        for (((w, g), m), v) in values.iter_mut().zip(gradient).zip(first).zip(second) {
            let g = g * scale;
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

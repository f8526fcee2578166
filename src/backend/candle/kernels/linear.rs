//! `act(x · Wᵀ + b)`.

use rayon::prelude::*;

use super::matmul::{Into, Threads, View, ViewMut, product};
use super::{ROWS, add_partials, math, vectorised};
use crate::backend::Activation;

/// The result, and for an activation what went into it (the backward pass needs it).
pub struct Forward {
    /// `[R, N]`.
    pub y: Vec<f32>,
    /// `x · Wᵀ + b`, `[R, N]`; only with an activation.
    pub before: Option<Vec<f32>>,
}

/// `x` is `[R, K]`, `weight` `[N, K]`, `bias` `[N]`.
pub fn forward(x: &[f32], weight: &[f32], bias: Option<&[f32]>, n: usize, k: usize, act: Activation) -> Forward {
    activate(multiply(x, weight, n, k), bias, n, act)
}

/// `x · Wᵀ`, `[R, N]`.
pub fn multiply(x: &[f32], weight: &[f32], n: usize, k: usize) -> Vec<f32> {
    let rows = x.len() / k;
    let mut y = vec![0f32; rows * n];
    let (a, b) = (View::new(x, rows, k, k), View::new(weight, n, k, k));
    product(ViewMut::new(&mut y, rows, n, n), a, b.t(), 1.0, Into::Fresh, Threads::All);
    y
}

/// `act(y + b)`.
pub fn activate(mut y: Vec<f32>, bias: Option<&[f32]>, n: usize, act: Activation) -> Forward {
    if act == Activation::None {
        if let Some(bias) = bias {
            y.par_chunks_mut(ROWS * n).for_each(|y| bias_block(y, bias));
        }
        return Forward { y, before: None };
    }
    let mut before = y;
    let mut y = vec![0f32; before.len()];
    let blocks = y.par_chunks_mut(ROWS * n).zip(before.par_chunks_mut(ROWS * n));
    blocks.for_each(|(y, before)| match act {
        Activation::None => (),
        Activation::Gelu => gelu_block(y, before, bias),
        Activation::Relu => relu_block(y, before, bias),
        Activation::Tanh => tanh_block(y, before, bias),
    });
    Forward { y, before: Some(before) }
}

#[inline(always)]
fn add_bias(y: &mut [f32], bias: &[f32]) {
    for row in y.chunks_exact_mut(bias.len()) {
        for (y, b) in row.iter_mut().zip(bias) {
            *y += b;
        }
    }
}

vectorised! {
    fn bias_block(y: &mut [f32], bias: &[f32]) {
        add_bias(y, bias);
    }

    fn gelu_block(y: &mut [f32], before: &mut [f32], bias: Option<&[f32]>) {
        if let Some(bias) = bias {
            add_bias(before, bias);
        }
        for (y, z) in y.iter_mut().zip(before) {
            *y = math::gelu(*z);
        }
    }

    fn relu_block(y: &mut [f32], before: &mut [f32], bias: Option<&[f32]>) {
        if let Some(bias) = bias {
            add_bias(before, bias);
        }
        for (y, z) in y.iter_mut().zip(before) {
            *y = z.max(0.0);
        }
    }

    fn tanh_block(y: &mut [f32], before: &mut [f32], bias: Option<&[f32]>) {
        if let Some(bias) = bias {
            add_bias(before, bias);
        }
        for (y, z) in y.iter_mut().zip(before) {
            *y = math::tanh(*z);
        }
    }

    fn column_sums(grad: &[f32], n: usize) -> Vec<f32> {
        let mut sums = vec![0f32; n];
        for row in grad.chunks_exact(n) {
            for (sum, g) in sums.iter_mut().zip(row) {
                *sum += g;
            }
        }
        sums
    }

    fn gelu_slope_block(grad: &mut [f32], before: &[f32]) {
        for (g, z) in grad.iter_mut().zip(before) {
            *g *= math::gelu_slope(*z);
        }
    }

    fn relu_slope_block(grad: &mut [f32], before: &[f32]) {
        for (g, z) in grad.iter_mut().zip(before) {
            *g = if *z > 0.0 { *g } else { 0.0 };
        }
    }

    fn tanh_slope_block(grad: &mut [f32], before: &[f32]) {
        for (g, z) in grad.iter_mut().zip(before) {
            let y = math::tanh(*z);
            *g *= 1.0 - y * y;
        }
    }
}

/// Turns the gradient of the result into the gradient of `x · Wᵀ + b`, in place, and adds its column sums to
/// `bias_grad`.
pub fn backward_activation(
    grad: &mut [f32],
    before: Option<&[f32]>,
    act: Activation,
    n: usize,
    bias_grad: Option<&mut [f32]>,
) {
    let block = ROWS * n;
    if let Some(before) = before {
        grad.par_chunks_mut(block).zip(before.par_chunks(block)).for_each(|(grad, before)| match act {
            Activation::None => (),
            Activation::Gelu => gelu_slope_block(grad, before),
            Activation::Relu => relu_slope_block(grad, before),
            Activation::Tanh => tanh_slope_block(grad, before),
        });
    }
    if let Some(bias_grad) = bias_grad {
        let partials: Vec<Vec<f32>> = grad.par_chunks(block).map(|grad| column_sums(grad, n)).collect();
        add_partials(bias_grad, &partials);
    }
}

/// Adds `gradᵀ · x` to the weight's gradient `[N, K]`.
pub fn backward_weight(grad: &[f32], x: &[f32], weight_grad: &mut [f32], n: usize, k: usize) {
    let rows = x.len() / k;
    let (g, x) = (View::new(grad, rows, n, n), View::new(x, rows, k, k));
    product(ViewMut::new(weight_grad, n, k, k), g.t(), x, 1.0, Into::Sum, Threads::All);
}

/// Adds `grad · W` to the gradient of `x` `[R, K]`, or writes it there.
pub fn backward_input(grad: &[f32], weight: &[f32], x_grad: &mut [f32], n: usize, k: usize, into: Into) {
    let rows = grad.len() / n;
    let (g, w) = (View::new(grad, rows, n, n), View::new(weight, n, k, k));
    product(ViewMut::new(x_grad, rows, k, k), g, w, 1.0, into, Threads::All);
}

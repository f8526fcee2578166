//! Layer normalisation of `x + residual`, and `NoNorm`, which only scales and shifts.

use rayon::prelude::*;

use super::{ROWS, add_partials, dot, sum, vectorised};
use crate::backend::NormKind;

/// The result, and what the backward pass needs.
pub struct Forward {
    /// `[R, H]`.
    pub y: Vec<f32>,
    /// The rows before scale and shift, `[R, H]`.
    pub normalised: Vec<f32>,
    /// One over the standard deviation of each row, `[R]`; empty where nothing is normalised.
    pub rstd: Vec<f32>,
}

/// `x` and `residual` are `[R, H]`, `weight` and `bias` `[H]`.
pub fn forward(x: &[f32], residual: Option<&[f32]>, weight: &[f32], bias: &[f32], kind: NormKind) -> Forward {
    let h = weight.len();
    let rows = x.len() / h;
    let (mut y, mut normalised, mut rstd) = (vec![0f32; x.len()], vec![0f32; x.len()], vec![0f32; rows]);
    let blocks = y.par_chunks_mut(ROWS * h).zip(normalised.par_chunks_mut(ROWS * h)).zip(rstd.par_chunks_mut(ROWS));
    blocks.enumerate().for_each(|(block, ((y, normalised), rstd))| {
        let here = block * ROWS * h..block * ROWS * h + y.len();
        normalised.copy_from_slice(&x[here.clone()]);
        if let Some(residual) = residual {
            super::add_block(normalised, &residual[here]);
        }
        match kind {
            NormKind::LayerNorm { eps } => forward_block(y, normalised, rstd, weight, bias, eps),
            NormKind::NoNorm => affine_block(y, normalised, weight, bias),
        }
    });
    if kind == NormKind::NoNorm {
        rstd.clear();
    }
    Forward { y, normalised, rstd }
}

vectorised! {
    /// `normalised` holds the rows as they are and leaves them normalised.
    fn forward_block(
        y: &mut [f32],
        normalised: &mut [f32],
        rstd: &mut [f32],
        weight: &[f32],
        bias: &[f32],
        eps: f32,
    ) {
        let h = weight.len();
        for ((y, row), rstd) in y.chunks_exact_mut(h).zip(normalised.chunks_exact_mut(h)).zip(rstd) {
            let mean = sum(row) / h as f32;
            for value in row.iter_mut() {
                *value -= mean;
            }
            *rstd = 1.0 / (dot(row, row) / h as f32 + eps).sqrt();
            for (((y, value), w), b) in y.iter_mut().zip(row).zip(weight).zip(bias) {
                *value *= *rstd;
                *y = value.mul_add(*w, *b);
            }
        }
    }

    fn affine_block(y: &mut [f32], rows: &[f32], weight: &[f32], bias: &[f32]) {
        let h = weight.len();
        for (y, row) in y.chunks_exact_mut(h).zip(rows.chunks_exact(h)) {
            for (((y, value), w), b) in y.iter_mut().zip(row).zip(weight).zip(bias) {
                *y = value.mul_add(*w, *b);
            }
        }
    }

    /// [`backward_block`] of [`affine_block`].
    fn affine_backward_block(grad: &mut [f32], rows: &[f32], weight: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let h = weight.len();
        let (mut weight_grad, mut bias_grad) = (vec![0f32; h], vec![0f32; h]);
        for (grad, row) in grad.chunks_exact_mut(h).zip(rows.chunks_exact(h)) {
            for ((((w, b), g), x), scale) in
                weight_grad.iter_mut().zip(&mut bias_grad).zip(grad).zip(row).zip(weight)
            {
                *w = g.mul_add(*x, *w);
                *b += *g;
                *g *= scale;
            }
        }
        (weight_grad, bias_grad)
    }

    /// One block of rows; returns its part of the gradients of scale and shift.
    fn backward_block(grad: &mut [f32], normalised: &[f32], rstd: &[f32], weight: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let h = weight.len();
        let (mut weight_grad, mut bias_grad) = (vec![0f32; h], vec![0f32; h]);
        for ((grad, normalised), rstd) in grad.chunks_exact_mut(h).zip(normalised.chunks_exact(h)).zip(rstd) {
            for (((w, b), g), n) in weight_grad.iter_mut().zip(&mut bias_grad).zip(grad.iter()).zip(normalised) {
                *w = g.mul_add(*n, *w);
                *b += g;
            }
            for (g, w) in grad.iter_mut().zip(weight) {
                *g *= w;
            }
            let mean = sum(grad) / h as f32;
            let slope = dot(grad, normalised) / h as f32;
            for (g, n) in grad.iter_mut().zip(normalised) {
                *g = (*g - mean - n * slope) * rstd;
            }
        }
        (weight_grad, bias_grad)
    }
}

/// Turns the gradient of `y` into the gradient of `x + residual`, in place, and adds to the gradients of scale and
/// shift.
pub fn backward(
    grad: &mut [f32],
    normalised: &[f32],
    rstd: &[f32],
    weight: &[f32],
    weight_grad: Option<&mut [f32]>,
    bias_grad: Option<&mut [f32]>,
) {
    let h = weight.len();
    let blocks = grad.par_chunks_mut(ROWS * h).zip(normalised.par_chunks(ROWS * h));
    let (weights, biases): (Vec<_>, Vec<_>) = if rstd.is_empty() {
        blocks.map(|(grad, rows)| affine_backward_block(grad, rows, weight)).collect()
    } else {
        let blocks = blocks.zip(rstd.par_chunks(ROWS));
        blocks.map(|((grad, normalised), rstd)| backward_block(grad, normalised, rstd, weight)).collect()
    };
    for (grad, partials) in [(weight_grad, &weights), (bias_grad, &biases)] {
        if let Some(grad) = grad {
            add_partials(grad, partials);
        }
    }
}

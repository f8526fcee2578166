//! Layer normalisation of `x + residual`.

use rayon::prelude::*;

use super::{ROWS, add_partials, dot, sum, vectorised};

/// The result, and what the backward pass needs.
pub struct Forward {
    /// `[R, H]`.
    pub y: Vec<f32>,
    /// The normalised rows before scale and shift, `[R, H]`.
    pub normalised: Vec<f32>,
    /// One over the standard deviation of each row, `[R]`.
    pub rstd: Vec<f32>,
}

/// `x` and `residual` are `[R, H]`, `weight` and `bias` `[H]`.
pub fn forward(x: &[f32], residual: Option<&[f32]>, weight: &[f32], bias: &[f32], eps: f32) -> Forward {
    let h = weight.len();
    let rows = x.len() / h;
    let (mut y, mut normalised, mut rstd) = (vec![0f32; x.len()], vec![0f32; x.len()], vec![0f32; rows]);
    let blocks = y.par_chunks_mut(ROWS * h).zip(normalised.par_chunks_mut(ROWS * h)).zip(rstd.par_chunks_mut(ROWS));
    blocks.enumerate().for_each(|(block, ((y, normalised), rstd))| {
        let from = block * ROWS * h;
        let x = &x[from..from + y.len()];
        let residual = residual.map(|residual| &residual[from..from + y.len()]);
        vectorised(|| {
            for (row, rstd) in rstd.iter_mut().enumerate() {
                let at = row * h..(row + 1) * h;
                let out = &mut normalised[at.clone()];
                match residual {
                    Some(residual) => {
                        for ((out, x), r) in out.iter_mut().zip(&x[at.clone()]).zip(&residual[at.clone()]) {
                            *out = x + r;
                        }
                    }
                    None => out.copy_from_slice(&x[at.clone()]),
                }
                *rstd = normalise(out, eps);
                for (((y, n), w), b) in y[at].iter_mut().zip(out.iter()).zip(weight).zip(bias) {
                    *y = n.mul_add(*w, *b);
                }
            }
        });
    });
    Forward { y, normalised, rstd }
}

/// Normalises one row in place and returns one over its standard deviation.
#[inline(always)]
fn normalise(row: &mut [f32], eps: f32) -> f32 {
    let mean = sum(row) / row.len() as f32;
    for value in row.iter_mut() {
        *value -= mean;
    }
    let rstd = 1.0 / (dot(row, row) / row.len() as f32 + eps).sqrt();
    for value in row.iter_mut() {
        *value *= rstd;
    }
    rstd
}

/// Turns the gradient of `y` into the gradient of `x + residual`, in place, and adds to the gradients of scale and
/// shift.
pub fn backward(
    grad: &mut [f32],
    normalised: &[f32],
    rstd: &[f32],
    weight: &[f32],
    weight_grad: &mut [f32],
    bias_grad: &mut [f32],
) {
    let h = weight.len();
    let blocks = grad.par_chunks_mut(ROWS * h).zip(normalised.par_chunks(ROWS * h)).zip(rstd.par_chunks(ROWS));
    let (weights, biases): (Vec<_>, Vec<_>) = blocks
        .map(|((grad, normalised), rstd)| vectorised(|| backward_block(grad, normalised, rstd, weight)))
        .collect();
    add_partials(weight_grad, &weights);
    add_partials(bias_grad, &biases);
}

/// One block of rows; returns its part of the gradients of scale and shift.
#[inline(always)]
fn backward_block(grad: &mut [f32], normalised: &[f32], rstd: &[f32], weight: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let h = weight.len();
    let (mut weight_grad, mut bias_grad) = (vec![0f32; h], vec![0f32; h]);
    for ((grad, normalised), rstd) in grad.chunks_exact_mut(h).zip(normalised.chunks_exact(h)).zip(rstd) {
        for i in 0..h {
            weight_grad[i] = grad[i].mul_add(normalised[i], weight_grad[i]);
            bias_grad[i] += grad[i];
            grad[i] *= weight[i];
        }
        let mean = sum(grad) / h as f32;
        let slope = dot(grad, normalised) / h as f32;
        for (g, n) in grad.iter_mut().zip(normalised) {
            *g = (*g - mean - n * slope) * rstd;
        }
    }
    (weight_grad, bias_grad)
}

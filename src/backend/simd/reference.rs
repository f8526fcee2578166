//! The slow obvious version of every operation: one loop nest each, in `f64`, judge of every backend in tests and
//! benches. Matrices are `[outputs, inputs]`, row-major, as PyTorch stores them.

use crate::backend::{Activation, Lengths, NormKind};

/// `act(x · weightᵀ + bias)`, `[rows, inputs]` to `[rows, outputs]`.
pub fn linear(x: &[f32], weight: &[f32], bias: &[f32], inputs: usize, act: Activation) -> Vec<f32> {
    let mut out = Vec::new();
    for row in x.chunks_exact(inputs) {
        for (weight, bias) in weight.chunks_exact(inputs).zip(bias) {
            let sum: f64 = row.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            out.push(activate(sum + f64::from(*bias), act) as f32);
        }
    }
    out
}

/// [`linear`] with int8 weights, one scale an output, and activations rounded to int8 with one scale a row. The sums
/// are integers and every `f32` step is stated: without activation a backend must give the same bits.
pub fn linear_int8(x: &[f32], weight: &[i8], scales: &[f32], bias: &[f32], inputs: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for row in x.chunks_exact(inputs) {
        let (quantized, row_scale) = quantize(row);
        for ((weight, scale), bias) in weight.chunks_exact(inputs).zip(scales).zip(bias) {
            let sum: i32 = quantized.iter().zip(weight).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum();
            out.push(sum as f32 * (scale * row_scale) + bias);
        }
    }
    out
}

/// A row as int8, and its scale: the largest magnitude becomes 127, halves go to the even neighbour.
pub fn quantize(row: &[f32]) -> (Vec<i8>, f32) {
    let largest = row.iter().fold(0.0, |best: f32, x| best.max(x.abs()));
    let inverse = if largest >= 1e-30 { 127.0 / largest } else { 0.0 };
    (row.iter().map(|x| (x * inverse).round_ties_even() as i8).collect(), largest / 127.0)
}

/// The norm of `y = x + residual`, row by row: `(y - mean) / sqrt(variance + eps) · weight + bias`, or only
/// `y · weight + bias`.
pub fn add_norm(x: &[f32], residual: Option<&[f32]>, weight: &[f32], bias: &[f32], kind: NormKind) -> Vec<f32> {
    let columns = weight.len();
    let mut out = Vec::new();
    for (r, row) in x.chunks_exact(columns).enumerate() {
        let other = |c: usize| residual.map_or(0.0, |residual| f64::from(residual[r * columns + c]));
        let y: Vec<f64> = row.iter().enumerate().map(|(c, x)| f64::from(*x) + other(c)).collect();
        let (mean, scale) = match kind {
            NormKind::LayerNorm { eps } => {
                let mean = y.iter().sum::<f64>() / columns as f64;
                let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / columns as f64;
                (mean, 1.0 / (variance + f64::from(eps)).sqrt())
            }
            NormKind::NoNorm => (0.0, 1.0),
        };
        out.extend((0..columns).map(|c| ((y[c] - mean) * scale * f64::from(weight[c]) + f64::from(bias[c])) as f32));
    }
    out
}

/// `[next, own, previous]` of each row in its own sequence, zeros beyond the ends; `x` is `[rows, columns]`.
pub fn trigram(x: &[f32], columns: usize, lengths: &Lengths) -> Vec<f32> {
    let mut out = Vec::new();
    for rows in lengths.ranges() {
        for row in rows.clone() {
            for neighbour in [row + 1, row, row.wrapping_sub(1)] {
                let inside = rows.contains(&neighbour);
                out.extend((0..columns).map(|c| if inside { x[neighbour * columns + c] } else { 0.0 }));
            }
        }
    }
    out
}

/// `softmax(Q Kᵀ / √d) V` inside each sequence and head; `qkv` is `[rows, 3 · hidden]`, the result `[rows, hidden]`.
pub fn attention(qkv: &[f32], hidden: usize, heads: usize, lengths: &Lengths) -> Vec<f32> {
    let width = hidden / heads;
    let mut out = vec![0.0; qkv.len() / 3];
    let at = |part: usize, row: usize, column: usize| f64::from(qkv[(row * 3 + part) * hidden + column]);
    for rows in lengths.ranges() {
        for head in (0..hidden).step_by(width) {
            for query in rows.clone() {
                let score = |key| (head..head + width).map(|c| at(0, query, c) * at(1, key, c)).sum::<f64>();
                let scores: Vec<f64> = rows.clone().map(|key| score(key) / (width as f64).sqrt()).collect();
                let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - best).exp()).collect();
                let total: f64 = weights.iter().sum();
                for c in head..head + width {
                    let sum: f64 = rows.clone().zip(&weights).map(|(key, weight)| at(2, key, c) * weight).sum();
                    out[query * hidden + c] = (sum / total) as f32;
                }
            }
        }
    }
    out
}

/// [`Activation`] of one value.
pub fn activate(x: f64, act: Activation) -> f64 {
    match act {
        Activation::None => x,
        Activation::Gelu => 0.5 * x * erfc(-x / std::f64::consts::SQRT_2),
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
    }
}

/// `1 - erf(x)`: the series about zero, and the continued fraction where that would cancel.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while f64::abs(term) > 1e-18 {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - std::f64::consts::FRAC_2_SQRT_PI * sum;
    }
    let fraction = (1..=60).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    (-x * x).exp() / (fraction * std::f64::consts::PI.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfc_of_tables() {
        // Abramowitz and Stegun, tables 7.1 and 7.3.
        for (x, expected) in [(0.0, 1.0), (0.5, 0.479_500_122_2), (1.0, 0.157_299_207_1), (2.0, 0.004_677_734_98)] {
            assert!((erfc(x) - expected).abs() < 1e-10, "erfc({x}) = {}", erfc(x));
        }
        assert!((erfc(3.0) / 2.209_049_7e-5 - 1.0).abs() < 1e-7);
        assert!((erfc(-1.0) - 1.842_700_792_9).abs() < 1e-10);
        assert!((erfc(2.5 - 1e-9) - erfc(2.5 + 1e-9)).abs() < 1e-9);
    }
}

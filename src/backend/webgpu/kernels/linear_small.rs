//! Products of a few rows.

use super::linear::activate;
use crate::backend::Activation;

/// Threads that share out the inputs of an output.
const SLICES: usize = 16;

/// The twin of `linear_small.wgsl`: quads of inputs are dealt out to slices, whose sums are added in their order.
pub fn linear_small(x: &[f32], weight: &[f32], bias: &[f32], inputs: usize, act: Activation) -> Vec<f32> {
    let mut out = Vec::new();
    for row in x.chunks_exact(inputs) {
        for (weight, bias) in weight.chunks_exact(inputs).zip(bias) {
            let slice = |slice: usize| {
                let quads = row.chunks(4).zip(weight.chunks(4)).skip(slice).step_by(SLICES);
                let pairs = quads.flat_map(|(x, w)| x.iter().zip(w));
                pairs.fold(0.0, |sum: f32, (x, w)| x.mul_add(*w, sum))
            };
            out.push(activate((0..SLICES).map(slice).sum::<f32>() + bias, act));
        }
    }
    out
}

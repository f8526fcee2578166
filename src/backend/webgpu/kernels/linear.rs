//! Products with bias and activation.

use crate::backend::Activation;

/// The number of an activation in `activate.wgsl`.
pub(in super::super) fn act(act: Activation) -> u32 {
    match act {
        Activation::None => 0,
        Activation::Gelu => 1,
        Activation::Relu => 2,
        Activation::Tanh => 3,
    }
}

/// The twin of `linear.wgsl`: inputs in their order. `weight` is `[outputs, inputs]`, as a file has it.
pub fn linear(x: &[f32], weight: &[f32], bias: &[f32], inputs: usize, act: Activation) -> Vec<f32> {
    let mut out = Vec::new();
    for row in x.chunks_exact(inputs) {
        for (weight, bias) in weight.chunks_exact(inputs).zip(bias) {
            let sum = row.iter().zip(weight).fold(0.0, |sum: f32, (x, w)| x.mul_add(*w, sum));
            out.push(activate(sum + bias, act));
        }
    }
    out
}

/// The twin of `linear.wgsl` over int8: exact sums, then two scales. Rows are quantised by [`super::quantize`].
pub fn linear_int8(x: &[f32], weight: &[i8], scales: &[f32], bias: &[f32], inputs: usize, act: Activation) -> Vec<f32> {
    let mut out = Vec::new();
    for row in x.chunks_exact(inputs) {
        let (row, row_scale) = super::quantize::quantize(row);
        for ((weight, scale), bias) in weight.chunks_exact(inputs).zip(scales).zip(bias) {
            let sum: i32 = row.iter().zip(weight).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum();
            out.push(activate(sum as f32 * (scale * row_scale) + bias, act));
        }
    }
    out
}

/// The twin of `activate.wgsl`.
pub fn activate(x: f32, act: Activation) -> f32 {
    match act {
        Activation::None => x,
        Activation::Gelu => gelu_erf(x),
        Activation::Relu => x.max(0.0),
        Activation::Tanh => 1.0 - 2.0 / ((2.0 * x.min(20.0)).exp() + 1.0),
    }
}

fn gelu_erf(x: f32) -> f32 {
    let magnitude = x.abs();
    let t = 1.0 / (1.0 + 0.231_641_9 * magnitude);
    let p = ((((0.530_702_7 * t - 0.726_576) * t + 0.710_706_9) * t - 0.142_248_37) * t + 0.127_414_8) * t;
    x.max(0.0) - p * (-0.5 * x * x).exp() * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::simd::reference;

    #[test]
    fn gelu_is_good_to_a_millionth() {
        let worst = (-120_000..=120_000)
            .map(|i| i as f32 * 1e-4)
            .map(|x| {
                (gelu_erf(x) - reference::activate(f64::from(x), Activation::Gelu) as f32).abs() / x.abs().max(1.0)
            })
            .fold(0.0, f32::max);
        assert!(worst < 1e-6, "off by {worst:e} of the larger of one and x");
    }
}

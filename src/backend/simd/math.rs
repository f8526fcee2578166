//! `exp` and GELU for eight lanes. No fused operation: the same bits on every target.

use super::lanes::{Lanes, MAGIC};

/// `e^x` for `x` in -87..=88, clamped outside; relative error below 2e-7.
///
/// `x = n ln 2 + r`: `2^n` is built from its bits, `e^r` is the polynomial of degree five of Cephes' `expf`.
#[inline(always)]
pub(crate) fn exp<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    let x = lanes.min(lanes.max(x, lanes.splat(-87.0)), lanes.splat(88.0));
    let shifted = lanes.add(lanes.mul(x, lanes.splat(std::f32::consts::LOG2_E)), lanes.splat(MAGIC));
    let n = lanes.sub(shifted, lanes.splat(MAGIC));
    let r = lanes.sub(x, lanes.mul(n, lanes.splat(0.693_359_4)));
    let r = lanes.sub(r, lanes.mul(n, lanes.splat(-2.121_944_4e-4)));
    let p = horner(lanes, r, &[1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5]);
    let e = lanes.add(lanes.add(lanes.mul(p, lanes.mul(r, r)), r), lanes.splat(1.0));
    lanes.mul(e, lanes.power_of_two(shifted))
}

/// `x · Φ(x)`, absolute error below 1e-6 · max(1, |x|).
///
/// `Φ` through `erfc` of the magnitude (Abramowitz and Stegun 7.1.26), so that the negative tail does not cancel:
/// `max(x, 0) - |x|/2 · erfc(|x|/√2)`.
#[inline(always)]
pub(crate) fn gelu_erf<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    let magnitude = lanes.abs(x);
    let one = lanes.splat(1.0);
    // p / √2 with the p of 7.1.26.
    let t = lanes.div(one, lanes.add(one, lanes.mul(magnitude, lanes.splat(0.231_641_9))));
    let p = horner(lanes, t, &[1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6]);
    let half = lanes.mul(magnitude, lanes.splat(-0.5));
    let tail = lanes.mul(lanes.mul(p, t), exp(lanes, lanes.mul(half, magnitude)));
    lanes.add(lanes.max(x, lanes.splat(0.0)), lanes.mul(half, tail))
}

/// The polynomial with these coefficients, highest power first.
#[inline(always)]
fn horner<L: Lanes, const N: usize>(lanes: L, x: L::Floats, coefficients: &[f32; N]) -> L::Floats {
    let mut sum = lanes.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = lanes.add(lanes.mul(sum, x), lanes.splat(coefficient));
    }
    sum
}

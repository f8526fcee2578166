//! `2^x`, GELU, ReLU and tanh for eight lanes. No fused operation: the same bits on every target.

use super::lanes::{Lanes, MAGIC};

/// `2^x` for `x` in -100..=127, `2^-100` below; relative error under 3e-7. The bound keeps what the result is multiplied
/// with from becoming subnormal, which costs many times a normal operation.
#[inline(always)]
pub(crate) fn exp2<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    let (f, power) = split(lanes, x);
    let square = lanes.mul(f, f);
    let high = line(lanes, f, 1.327_647_2e-3, 9.675_541e-3);
    let middle = line(lanes, f, 5.550_713e-2, 0.240_221_2);
    let low = line(lanes, f, 0.693_146_94, 1.000_000_1);
    let p = lanes.add(lanes.mul(lanes.add(lanes.mul(high, square), middle), square), low);
    lanes.mul(p, power)
}

/// As [`exp2`] with a relative error under 1e-4, in three quarters of the time.
#[inline(always)]
pub(crate) fn exp2_short<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    let (f, power) = split(lanes, x);
    let high = line(lanes, f, 5.517_164e-2, 0.242_611_12);
    let low = line(lanes, f, 0.693_261, 0.999_928_06);
    lanes.mul(lanes.add(lanes.mul(high, lanes.mul(f, f)), low), power)
}

/// `x = n + f` with a whole `n`: `f` in -0.5..=0.5, for which polynomials are minimax, and `2^n`, built from its bits.
#[inline(always)]
fn split<L: Lanes>(lanes: L, x: L::Floats) -> (L::Floats, L::Floats) {
    let x = lanes.max(x, lanes.splat(-100.0));
    let shifted = lanes.add(x, lanes.splat(MAGIC));
    let f = lanes.sub(x, lanes.sub(shifted, lanes.splat(MAGIC)));
    (f, lanes.power_of_two(shifted))
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
    // Half of its coefficients.
    let high = line(lanes, t, 0.530_702_7, -0.726_576);
    let middle = line(lanes, t, 0.710_706_9, -0.142_248_37);
    let p = lanes.add(lanes.mul(high, lanes.mul(t, t)), middle);
    let p = lanes.add(lanes.mul(p, t), lanes.splat(0.127_414_8));
    // e^(-x²/2)
    let power = exp2(lanes, lanes.mul(lanes.mul(x, x), lanes.splat(-0.5 * std::f32::consts::LOG2_E)));
    let tail = lanes.mul(lanes.mul(p, t), lanes.mul(power, magnitude));
    lanes.sub(lanes.max(x, lanes.splat(0.0)), tail)
}

/// `max(x, 0)`.
#[inline(always)]
pub(crate) fn relu<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    lanes.max(x, lanes.splat(0.0))
}

/// The hyperbolic tangent as `1 - 2 / (e^2x + 1)`, absolute error below 1e-6.
#[inline(always)]
pub(crate) fn tanh<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    // Beyond 20 the result is one to the last bit, and the power would leave its range: min(x, 20).
    let x = lanes.sub(lanes.splat(0.0), lanes.max(lanes.sub(lanes.splat(0.0), x), lanes.splat(-20.0)));
    let power = exp2(lanes, lanes.mul(x, lanes.splat(2.0 * std::f32::consts::LOG2_E)));
    let one = lanes.splat(1.0);
    lanes.sub(one, lanes.div(lanes.splat(2.0), lanes.add(power, one)))
}

/// `a · x + b`. Polynomials are trees of these rather than chains: half the latency.
#[inline(always)]
fn line<L: Lanes>(lanes: L, x: L::Floats, a: f32, b: f32) -> L::Floats {
    lanes.add(lanes.mul(x, lanes.splat(a)), lanes.splat(b))
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Kernel, Target, WIDTH};
    use super::super::reference::activate;
    use super::*;
    use crate::backend::Activation;

    #[derive(Clone, Copy)]
    enum Function {
        Exp2,
        Exp2Short,
        Gelu,
        Tanh,
    }

    struct Map<'a>(&'a mut [[f32; WIDTH]], Function);

    impl Kernel for Map<'_> {
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) {
            for values in self.0 {
                let x = lanes.load(values);
                let y = match self.1 {
                    Function::Exp2 => exp2(lanes, x),
                    Function::Exp2Short => exp2_short(lanes, x),
                    Function::Gelu => gelu_erf(lanes, x),
                    Function::Tanh => tanh(lanes, x),
                };
                lanes.store(y, values);
            }
        }
    }

    fn mapped(values: &[[f32; WIDTH]], function: Function) -> Vec<[f32; WIDTH]> {
        let (mut fast, mut plain) = (values.to_vec(), values.to_vec());
        Target::detect().run(Map(&mut fast, function));
        Target::Scalar.run(Map(&mut plain, function));
        assert_eq!(fast, plain, "the same bits on every target");
        fast
    }

    #[test]
    fn exp2_relative_error() {
        let values: Vec<[f32; WIDTH]> = (-99_000..126_000)
            .step_by(8)
            .map(|i| std::array::from_fn(|lane| (i + lane as i32) as f32 * 0.001_003))
            .collect();
        for (function, bound) in [(Function::Exp2, 3e-7), (Function::Exp2Short, 1e-4)] {
            for (x, y) in values.as_flattened().iter().zip(mapped(&values, function).as_flattened()) {
                let expected = f64::from(*x).exp2();
                assert!((f64::from(*y) / expected - 1.0).abs() < bound, "2^{x} = {y}, expected {expected}");
            }
            assert!(mapped(&[[-1e9; WIDTH]], function)[0][0] < 1e-30);
        }
    }

    #[test]
    fn gelu_error() {
        let values: Vec<[f32; WIDTH]> = (-12_000..12_000)
            .step_by(8)
            .map(|i| std::array::from_fn(|lane| (i + lane as i32) as f32 * 0.000_999))
            .collect();
        for (x, y) in values.as_flattened().iter().zip(mapped(&values, Function::Gelu).as_flattened()) {
            let expected = activate(f64::from(*x), Activation::Gelu);
            assert!(
                (f64::from(*y) - expected).abs() < 1e-6 * f64::from(x.abs()).max(1.0),
                "gelu({x}) = {y}, expected {expected}"
            );
        }
    }

    #[test]
    fn tanh_error() {
        let values: Vec<[f32; WIDTH]> = (-24_000..24_000)
            .step_by(8)
            .map(|i| std::array::from_fn(|lane| (i + lane as i32) as f32 * 0.000_999))
            .chain([[-1e30, -1e9, -100.0, 100.0, 1e9, 1e30, 0.0, -0.0]])
            .collect();
        for (x, y) in values.as_flattened().iter().zip(mapped(&values, Function::Tanh).as_flattened()) {
            let expected = activate(f64::from(*x), Activation::Tanh);
            assert!((f64::from(*y) - expected).abs() < 1e-6, "tanh({x}) = {y}, expected {expected}");
        }
    }
}

//! Functions of one number, written so that a loop over them vectorises.

/// `eˣ`, within 2 units in the last place between -87.3 and 88.3 and held at the ends beyond.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Cephes: x = n·ln 2 + r; adding 1.5·2²³ rounds to an integer that stays readable in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.3);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, c);
    }
    let y = p.mul_add(r * r, r) + 1.0;
    y * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// The natural logarithm of a positive normal number, within a relative 2.5e-7.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    // Cephes: x = m · 2ᵉ with m between √½ and √2, whose bits begin at 0x3f35_04f3.
    let bits = x.to_bits();
    let exponent = (bits.wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((exponent << 23) as u32)) - 1.0;
    let e = exponent as f32;
    let mut p = 7.037_683_6e-2_f32;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.mul_add(m, c);
    }
    let m2 = m * m;
    let y = p * m * m2;
    let y = e.mul_add(-2.121_944_4e-4, y);
    let y = m2.mul_add(-0.5, y);
    e.mul_add(0.693_359_4, m + y)
}

/// The error function, within 5e-7: the rational minimax of Eigen's `erf` for `f32`.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let mut p = -2.726_142_3e-10_f32;
    for c in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906e-4, -2.954_6e-3, -1.609_603_3e-2] {
        p = p.mul_add(x2, c);
    }
    let mut q = -1.456_607_2e-5_f32;
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2] {
        q = q.mul_add(x2, c);
    }
    x * p / q
}

/// The hyperbolic tangent, within 5e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// `x · Φ(x)`, the `gelu` of BERT.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The derivative of [`gelu`]: `Φ(x) + x · φ(x)`.
#[inline(always)]
pub fn gelu_slope(x: f32) -> f32 {
    const INV_SQRT_TAU: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2 * 0.5;
    let cumulative = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    x.mul_add(INV_SQRT_TAU * exp(-0.5 * x * x), cumulative)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(low: f32, high: f32) -> impl Iterator<Item = f32> {
        (0..=20_000).map(move |i| low + (high - low) * i as f32 / 20_000.0)
    }

    #[test]
    fn exp_agrees_with_f64() {
        for x in grid(-87.0, 88.0) {
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2.5e-7, "exp({x}): relative error {error:e}");
        }
        assert!(exp(-1e30) < 1.3e-38);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn ln_agrees_with_f64() {
        let close = grid(0.5, 2.0);
        let far = grid(-38.0, 38.0).map(|x| 10f32.powf(x.max(-37.9)));
        for x in close.chain(far) {
            let expected = f64::from(x).ln();
            let error = (f64::from(ln(x)) - expected).abs() / expected.abs().max(1e-30);
            assert!(error < 2.5e-7, "ln({x}) = {}: relative error {error:e}", ln(x));
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn erf_gelu_and_tanh_agree_with_f64() {
        for x in grid(-6.0, 6.0) {
            let expected = candle_core::cpu::erf::erf_f64(f64::from(x));
            assert!((f64::from(erf(x)) - expected).abs() < 5e-7, "erf({x}) = {} for {expected}", erf(x));
            let phi = 0.5 * (1.0 + candle_core::cpu::erf::erf_f64(f64::from(x) / 2f64.sqrt()));
            assert!((f64::from(gelu(x)) - f64::from(x) * phi).abs() < 2e-6, "gelu({x})");
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 5e-7, "tanh({x})");
            let slope = phi + f64::from(x) * (-0.5 * f64::from(x).powi(2)).exp() / std::f64::consts::TAU.sqrt();
            assert!((f64::from(gelu_slope(x)) - slope).abs() < 1e-6, "gelu_slope({x})");
        }
    }
}

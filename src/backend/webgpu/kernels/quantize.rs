//! Rows as int8.

/// 127 with 24 bits.
const MANTISSA_OF_127: u32 = 0xfe_0000;

/// Rows below this magnitude become zeros.
const SMALLEST: f32 = 1e-30;

/// The twin of `quantize.wgsl`: a row as int8, and its scale.
pub fn quantize(row: &[f32]) -> (Vec<i8>, f32) {
    let largest = row.iter().fold(0.0, |best: f32, x| best.max(x.abs()));
    let (mut inverse, mut scale) = (0.0, 0.0);
    if largest >= SMALLEST {
        let mantissa = (largest.to_bits() & 0x7f_ffff) | 0x80_0000;
        let exponent = largest.to_bits() >> 23;
        inverse = quotient(MANTISSA_OF_127, mantissa, 260 - exponent);
        scale = quotient(mantissa, MANTISSA_OF_127, exponent - 6);
    }
    (row.iter().map(|x| (x * inverse).round_ties_even() as i8).collect(), scale)
}

/// `a / b`, rounded to the nearest float, halves to even. Both have 24 bits; `exponent` is that of a quotient of at least one.
fn quotient(a: u32, b: u32, exponent: u32) -> f32 {
    let (mut rest, mut power) = (a, exponent);
    if rest < b {
        rest <<= 1;
        power -= 1;
    }
    let mut bits = 0;
    for _ in 0..24 {
        bits <<= 1;
        if rest >= b {
            rest -= b;
            bits |= 1;
        }
        rest <<= 1;
    }
    if rest > b || (rest == b && bits & 1 == 1) {
        bits += 1;
    }
    f32::from_bits((power << 23) + bits - 0x80_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_those_of_the_processor() {
        let mut state = 1_u32;
        for _ in 0..100_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // All magnitudes from 1e-30 up.
            let x = f32::from_bits((state % 0x7f80_0000).max(SMALLEST.to_bits()));
            let (row, scale) = quantize(&[x]);
            assert_eq!(scale.to_bits(), (x / 127.0).to_bits(), "{x:e} / 127");
            assert_eq!(row, [127], "{x:e}");
            let mantissa = (x.to_bits() & 0x7f_ffff) | 0x80_0000;
            let inverse = quotient(MANTISSA_OF_127, mantissa, 260 - (x.to_bits() >> 23));
            assert_eq!(inverse.to_bits(), (127.0 / x).to_bits(), "127 / {x:e}");
        }
    }
}

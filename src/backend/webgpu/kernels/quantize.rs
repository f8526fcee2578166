//! Rows as int8.

/// Rows below this magnitude become zeros.
const SMALLEST: f32 = 1e-30;

/// The twin of `quantize.wgsl`: a row as int8, and its scale.
pub fn quantize(row: &[f32]) -> (Vec<i8>, f32) {
    let largest = row.iter().fold(0.0, |best: f32, x| best.max(x.abs()));
    let (mut inverse, mut scale) = (0.0, 0.0);
    if largest >= SMALLEST {
        inverse = quotient(127.0, largest);
        scale = quotient(largest, 127.0);
    }
    (row.iter().map(|x| (x * inverse).round_ties_even() as i8).collect(), scale)
}

/// The twin of `quotient.wgsl`: `a / b` of positive normal floats, rounded to the nearest, halves to even.
pub(super) fn quotient(a: f32, b: f32) -> f32 {
    let mantissa = |x: f32| (x.to_bits() & 0x7f_ffff) | 0x80_0000;
    let (mut rest, by) = (mantissa(a), mantissa(b));
    let mut power = (a.to_bits() >> 23) + 127 - (b.to_bits() >> 23);
    if rest < by {
        rest <<= 1;
        power -= 1;
    }
    let mut bits = 0;
    for _ in 0..24 {
        bits <<= 1;
        if rest >= by {
            rest -= by;
            bits |= 1;
        }
        rest <<= 1;
    }
    if rest > by || (rest == by && bits & 1 == 1) {
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
            assert_eq!(quotient(127.0, x).to_bits(), (127.0 / x).to_bits(), "127 / {x:e}");
        }
    }
}

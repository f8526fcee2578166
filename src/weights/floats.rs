//! Numbers as files store them, as `f32`.

use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, ErrorKind, Result};

/// The values of a float tensor.
///
/// # Errors
/// A tensor of another type; a value that is not finite.
pub(super) fn floats(view: &TensorView<'_>, name: &str) -> Result<Vec<f32>> {
    let bytes = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| from_f16(u16::from_le_bytes([b[0], b[1]]))).collect(),
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| from_bf16(u16::from_le_bytes([b[0], b[1]]))).collect(),
        other => {
            let message = format!("weight {name:?}: expected F32, F16, BF16 or packed I8, found {other:?}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let message = format!("weight {name:?}: the value at {at} is not finite");
        return Err(Error::new(ErrorKind::Weights, message));
    }
    Ok(values)
}

/// The integers of a packed tensor.
///
/// # Errors
/// A value of -128, which a symmetric scale never writes.
pub(super) fn integers(view: &TensorView<'_>, name: &str) -> Result<Vec<i8>> {
    let values: Vec<i8> = view.data().iter().map(|&byte| byte.cast_signed()).collect();
    match values.iter().position(|&value| value == i8::MIN) {
        Some(at) => Err(Error::new(ErrorKind::Weights, format!("weight {name:?}: -128 at {at} is not symmetric int8"))),
        None => Ok(values),
    }
}

/// bfloat16 is the upper half of an `f32`.
fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// IEEE 754 half precision: 1 sign, 5 exponent (bias 15), 10 mantissa bits.
fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, mantissa) = (u32::from(bits >> 10) & 0x1f, u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: a multiple of 2^-24, exact in f32.
        0 => (mantissa as f32 * 2f32.powi(-24)).to_bits(),
        31 => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + 127 - 15) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_what_the_standard_says() {
        for bits in 0..=u16::MAX {
            let (sign, exponent, mantissa) = (bits >> 15, i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
            let magnitude = match exponent {
                0 => mantissa / 1024.0 * 2f64.powi(-14),
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15),
            };
            let expected = if sign == 1 { -magnitude } else { magnitude };
            let found = f64::from(from_f16(bits));
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{bits:#06x}: {expected}, found {found}");
            assert_eq!(found.is_sign_negative(), sign == 1, "{bits:#06x}");
        }
    }

    #[test]
    fn bfloat16_values() {
        for (bits, expected) in [(0x3f80, 1.0), (0xc000, -2.0), (0x3e80, 0.25), (0x0000, 0.0)] {
            assert_eq!(from_bf16(bits), expected);
        }
    }

    #[test]
    fn what_is_not_a_weight_is_refused() {
        let view = |dtype, bytes| TensorView::new(dtype, vec![1], bytes).expect("one value");
        let nan = f32::NAN.to_le_bytes();
        assert_eq!(floats(&view(Dtype::F32, &nan), "w").expect_err("NaN").kind(), ErrorKind::Weights);
        assert_eq!(floats(&view(Dtype::F16, &[0, 0x7c]), "w").expect_err("inf").kind(), ErrorKind::Weights);
        assert_eq!(floats(&view(Dtype::I64, &[0; 8]), "w").expect_err("i64").kind(), ErrorKind::Unsupported);
        assert_eq!(integers(&view(Dtype::I8, &[0x80]), "w").expect_err("-128").kind(), ErrorKind::Weights);
    }
}

//! Weights on the device: a buffer a tensor, bound once.
//!
//! A matrix lies transposed, `[K][N]`, so that neighbouring threads read neighbouring outputs; both sides are filled up with
//! zeros to what the kernels step by. int8: a word holds four inputs of an output, `[K/4][N]`.

use super::gpu::Gpu;
use super::kernels::Numbers;
use crate::backend::table::check;
use crate::backend::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// Rows of activations and columns of weights are filled up to a multiple of this.
pub(super) const STEP: usize = 16;

/// The most inputs of an int8 matrix: `127 · 128 · K` must stay below `2^31`.
const MOST_INT8_INPUTS: usize = 1 << 17;

/// A weight matrix `[N, K]` on the device.
pub struct Matrix {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) numbers: Numbers,
    pub(super) group: wgpu::BindGroup,
}

/// A bias or a scale, `[N]`, on the device.
pub struct Vector {
    pub(super) len: usize,
    pub(super) group: wgpu::BindGroup,
}

/// Packed numbers of a matrix, and of its scales.
pub(super) struct Packed {
    pub(super) weights: Vec<u8>,
    pub(super) scales: Vec<f32>,
}

impl Matrix {
    /// The parts, stacked along their outputs. If one of them is `f32`, all become floats.
    pub(super) fn new(gpu: &Gpu, parts: &[Stored]) -> Result<Self> {
        let inputs = parts.first().map_or(0, |part| part.columns);
        for part in parts {
            check(part)?;
            if part.columns != inputs {
                let message = format!("weight {:?}: expected {inputs} columns, found {}", part.name, part.columns);
                return Err(Error::new(ErrorKind::Weights, message));
            }
        }
        let outputs = parts.iter().map(|part| part.rows).sum();
        let numbers = gpu.numbers_of(parts);
        let packed = match numbers {
            Numbers::Int8 if inputs > MOST_INT8_INPUTS => {
                let message =
                    format!("weight {:?}: an int8 matrix has at most {MOST_INT8_INPUTS} columns", parts[0].name);
                return Err(Error::new(ErrorKind::Weights, message));
            }
            Numbers::Int8 => pack_int8(parts, outputs, inputs),
            Numbers::F32 => pack_floats(parts, outputs, inputs, |x, to| to.copy_from_slice(&x.to_le_bytes()), 4),
            Numbers::F16 => pack_floats(parts, outputs, inputs, |x, to| to.copy_from_slice(&half(x).to_le_bytes()), 2),
        };
        let group = gpu.matrix_group(&packed)?;
        Ok(Self { outputs, inputs, numbers, group })
    }

    /// What a row of inputs is multiplied in: floats, or words of four.
    pub(super) fn depth(&self) -> usize {
        match self.numbers {
            Numbers::Int8 => words(self.inputs),
            Numbers::F32 | Numbers::F16 => self.inputs.next_multiple_of(STEP),
        }
    }
}

impl Vector {
    pub(super) fn new(gpu: &Gpu, parts: &[Stored]) -> Result<Self> {
        for part in parts {
            check(part)?;
        }
        let mut values: Vec<f32> = parts.iter().flat_map(Stored::to_f32).collect();
        let len = values.len();
        values.resize(len.next_multiple_of(STEP), 0.0);
        Ok(Self { len, group: gpu.vector_group(&values)? })
    }
}

/// The words of a quantised row, filled up.
pub(super) fn words(columns: usize) -> usize {
    columns.div_ceil(4).next_multiple_of(STEP)
}

fn pack_floats(parts: &[Stored], outputs: usize, inputs: usize, write: impl Fn(f32, &mut [u8]), size: usize) -> Packed {
    let width = outputs.next_multiple_of(STEP);
    let mut weights = vec![0; size * width * inputs.next_multiple_of(STEP)];
    let mut first = 0;
    for part in parts {
        for (n, row) in part.to_f32().chunks_exact(inputs).enumerate() {
            for (k, &x) in row.iter().enumerate() {
                write(x, &mut weights[size * (k * width + first + n)..][..size]);
            }
        }
        first += part.rows;
    }
    Packed { weights, scales: vec![0.0; 4] }
}

fn pack_int8(parts: &[Stored], outputs: usize, inputs: usize) -> Packed {
    let width = outputs.next_multiple_of(STEP);
    let mut weights = vec![0; 4 * width * words(inputs)];
    let mut all_scales = Vec::with_capacity(width);
    for part in parts {
        let Values::Int8 { data, scales } = &part.values else { continue };
        for (n, row) in (all_scales.len()..).zip(data.chunks_exact(inputs)) {
            for (k, &x) in row.iter().enumerate() {
                weights[4 * (k / 4 * width + n) + k % 4] = x.cast_unsigned();
            }
        }
        all_scales.extend(scales);
    }
    all_scales.resize(width, 0.0);
    Packed { weights, scales: all_scales }
}

/// The nearest `f16`, halves to even; beyond its range the largest.
fn half(x: f32) -> u16 {
    let sign = (x.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = x.abs().min(65_504.0);
    if magnitude < 6.103_515_6e-5 {
        // Subnormal: a multiple of 2^-24.
        return sign | (magnitude * 16_777_216.0).round_ties_even() as u16;
    }
    let bits = magnitude.to_bits();
    let odd = (bits >> 13) & 1;
    sign | (((bits + 0xfff + odd) >> 13) - (112 << 10)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        let cases = [
            (0.0, 0x0000),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65_504.0, 0x7bff),
            (1e9, 0x7bff),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            (2.980_232_2e-8, 0x0000),
            (1.000_488_3, 0x3c00), // half of the last place: to even
            (1.001_464_8, 0x3c02),
            (0.333_251_95, 0x3555),
        ];
        for (x, expected) in cases {
            assert_eq!(half(x), expected, "{x}");
        }
    }

    #[test]
    fn int8_words_hold_four_inputs_of_an_output() {
        let values = Values::Int8 { data: (1..=10).collect(), scales: vec![0.5, 0.25] };
        let part = Stored { name: "w".into(), rows: 2, columns: 5, values, transposed: false };
        let packed = pack_int8(&[part], 2, 5);
        assert_eq!(packed.weights.len(), 4 * STEP * STEP);
        assert_eq!(packed.weights[..8], [1, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(packed.weights[4 * STEP..][..8], [5, 0, 0, 0, 10, 0, 0, 0]);
        assert_eq!(packed.scales[..3], [0.5, 0.25, 0.0]);
    }
}

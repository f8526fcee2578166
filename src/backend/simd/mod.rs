//! The product's CPU engine: `f32` and exact int8 kernels, one thread, no allocation in steady state.
//!
//! The form of a weight is that of its file: a matrix stored as int8 is multiplied in int8, one stored as `f32` in
//! `f32`. Kernels are written once over eight-lane vectors ([`lanes`]): AVX2 with FMA natively, found at run time,
//! simd128 in WebAssembly, plain Rust elsewhere.
//!
//! Accuracy, kept by the tests: every `f32` operation agrees with its slow reference to 1e-5 of the largest
//! magnitude; int8 sums are equal to those of integers, bit by bit. A model whose matrices are all int8 gives the same
//! bits on every target, because only the `f32` product uses fused operations.

mod attention;
mod gemm;
mod gemm_f32;
mod gemm_int8;
mod lanes;
mod math;
mod matrix;
mod norm;
mod pool;
mod quantize;
pub mod reference;

use std::sync::Arc;

use self::gemm::Out;
use self::gemm_f32::{F32Tiles, GemmF32};
use self::gemm_int8::{GemmInt8, Int8Tiles};
use self::lanes::Target;
use self::matrix::Panels;
pub use self::matrix::{Matrix, Table, Vector};
use self::pool::{Buffer, Shelf};
use self::quantize::{Quantize, padded_columns};
use super::{Activation, Backend, Lengths, Linear, Norm, Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// The engine: a vector unit and buffers to reuse.
pub struct SimdBackend {
    target: Target,
    floats: Arc<Shelf<f32>>,
    shorts: Arc<Shelf<i16>>,
}

/// Activations `[rows, columns]`. The memory goes back to the engine with the last clone.
#[derive(Clone)]
pub struct Tensor {
    rows: usize,
    columns: usize,
    buffer: Buffer<f32>,
}

impl SimdBackend {
    /// The fastest kernels of this machine.
    pub fn new() -> Self {
        Self { target: Target::detect(), floats: Shelf::new(), shorts: Shelf::new() }
    }

    /// Plain Rust kernels: the judge of the others, and the way to see what a vector unit is worth.
    pub fn scalar() -> Self {
        Self { target: Target::Scalar, ..Self::new() }
    }

    /// The vector unit in use: `avx2`, `simd128` or `scalar`.
    pub fn target(&self) -> &'static str {
        self.target.name()
    }

    /// The bytes of all activation buffers. They are reused: this grows up to the largest batch and never falls.
    pub fn allocated(&self) -> usize {
        self.floats.allocated() + self.shorts.allocated()
    }

    fn tensor(&self, rows: usize, columns: usize) -> Tensor {
        Tensor { rows, columns, buffer: self.floats.take(rows * columns) }
    }
}

impl Default for SimdBackend {
    fn default() -> Self {
        Self::new()
    }
}

fn refuse<T>(message: String) -> Result<T> {
    Err(Error::new(ErrorKind::Backend, message))
}

impl Backend for SimdBackend {
    type Tensor = Tensor;
    type Matrix = Matrix;
    type Table = Table;
    type Vector = Vector;

    fn name(&self) -> &'static str {
        "simd"
    }

    fn table(&self, stored: Stored) -> Result<Table> {
        Table::new(stored)
    }

    fn matrix(&self, parts: &[Stored]) -> Result<Matrix> {
        Matrix::pack(parts)
    }

    fn vector(&self, parts: &[Stored]) -> Result<Vector> {
        Vector::join(parts)
    }

    fn embed(&self, sources: &[(&Table, &[u32])]) -> Result<Tensor> {
        let Some((first, ids)) = sources.first() else {
            return refuse("embed: no table".into());
        };
        let mut out = self.tensor(ids.len(), first.columns);
        out.buffer.values_mut().fill(0.0);
        for (table, ids) in sources {
            if table.columns != out.columns || ids.len() != out.rows {
                let (rows, columns) = (ids.len(), table.columns);
                return refuse(format!("embed: expected [{}, {}], found [{rows}, {columns}]", out.rows, out.columns));
            }
            add_rows(table, ids, out.buffer.values_mut())?;
        }
        Ok(out)
    }

    fn linear(&self, x: &Tensor, linear: &Linear<Self>, act: Activation) -> Result<Tensor> {
        let weight = &linear.weight;
        if x.columns != weight.inputs {
            return refuse(format!("linear: expected [{}, {}], found {} columns", x.rows, weight.inputs, x.columns));
        }
        if let Some(bias) = linear.bias.as_ref().filter(|bias| bias.len != weight.outputs) {
            return refuse(format!("linear: expected a bias of {}, found {}", weight.outputs, bias.len));
        }
        let mut result = self.tensor(x.rows, weight.outputs);
        let bias = linear.bias.as_ref().map(|bias| bias.values.as_slice());
        let (values, stride) = (result.buffer.values_mut(), weight.outputs);
        let out = Out { values, stride, rows: x.rows, columns: weight.outputs, bias, act };
        match &weight.panels {
            Panels::F32(panels) => {
                let tiles = F32Tiles::<true> { rows: x.buffer.values(), stride: x.columns, inputs: x.columns, panels };
                self.target.run(GemmF32 { tiles, out });
            }
            Panels::Int8 { data, scales } => self.linear_int8(x, data, scales, out),
        }
        Ok(result)
    }

    fn add_norm(&self, x: &Tensor, residual: Option<&Tensor>, norm: &Norm<Self>) -> Result<Tensor> {
        let (rows, columns) = (x.rows, x.columns);
        if let Some(other) = residual.filter(|other| other.rows != rows || other.columns != columns) {
            return refuse(format!(
                "add_norm: expected [{rows}, {columns}], found [{}, {}]",
                other.rows, other.columns
            ));
        }
        if norm.weight.len != columns || norm.bias.len != columns {
            return refuse(format!(
                "add_norm: expected {columns} weights and biases, found {} and {}",
                norm.weight.len, norm.bias.len
            ));
        }
        let mut out = self.tensor(rows, columns);
        self.target.run(norm::AddNorm {
            x: x.buffer.values(),
            residual: residual.map(|residual| residual.buffer.values()),
            columns,
            weight: &norm.weight.values,
            bias: &norm.bias.values,
            eps: norm.eps,
            out: out.buffer.values_mut(),
        });
        Ok(out)
    }

    fn attention(&self, qkv: &Tensor, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        let hidden = qkv.columns / 3;
        if heads == 0 || hidden == 0 || !qkv.columns.is_multiple_of(3) || !hidden.is_multiple_of(heads) {
            return refuse(format!("attention: {} columns are not three times {heads} heads", qkv.columns));
        }
        if lengths.rows() != qkv.rows {
            return refuse(format!("attention: expected {} rows, found {}", lengths.rows(), qkv.rows));
        }
        let longest = lengths.ranges().map(|rows| rows.len()).max().unwrap_or(0);
        let mut scratch = self.floats.take(attention::scratch_len(longest, hidden / heads));
        let mut out = self.tensor(qkv.rows, hidden);
        self.target.run(attention::Attention {
            qkv: qkv.buffer.values(),
            hidden,
            heads,
            lengths,
            scratch: scratch.values_mut(),
            out: out.buffer.values_mut(),
        });
        Ok(out)
    }

    async fn to_host(&self, x: &Tensor) -> Result<Vec<f32>> {
        Ok(x.buffer.values().to_vec())
    }
}

impl SimdBackend {
    fn linear_int8(&self, x: &Tensor, panels: &[i8], scales: &[f32], out: Out<'_>) {
        let inputs = padded_columns(x.columns);
        let mut quantized = self.shorts.take(x.rows * inputs);
        let mut row_scales = self.floats.take(x.rows);
        self.target.run(Quantize {
            x: x.buffer.values(),
            columns: x.columns,
            quantized: quantized.values_mut(),
            scales: row_scales.values_mut(),
        });
        let (rows, row_scales) = (quantized.values(), row_scales.values());
        self.target.run(GemmInt8 { tiles: Int8Tiles { rows, row_scales, inputs, panels, scales }, out });
    }
}

/// Adds row `ids[i]` of the table to row `i`.
fn add_rows(table: &Table, ids: &[u32], out: &mut [f32]) -> Result<()> {
    let columns = table.columns;
    for (to, &id) in out.chunks_exact_mut(columns).zip(ids) {
        let id = id as usize;
        if id >= table.rows {
            return refuse(format!("embed: id {id} is outside a table of {} rows", table.rows));
        }
        let range = id * columns..(id + 1) * columns;
        match &table.values {
            Values::F32(data) => to.iter_mut().zip(&data[range]).for_each(|(to, from)| *to += from),
            Values::Int8 { data, scales } => {
                let scale = scales[id];
                to.iter_mut().zip(&data[range]).for_each(|(to, &from)| *to += f32::from(from) * scale);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn close(found: &[f32], expected: &[f32], what: &str) {
        let scale = expected.iter().fold(0.0, |best: f32, x| best.max(x.abs()));
        let off = found.iter().zip(expected).fold(0.0, |worst: f32, (x, y)| worst.max((x - y).abs()));
        assert!(found.len() == expected.len() && off <= 1e-5 * scale, "{what}: off by {off} of {scale}");
    }

    fn host(x: &Tensor) -> Vec<f32> {
        x.buffer.values().to_vec()
    }

    fn from_host(backend: &SimdBackend, values: &[f32], columns: usize) -> Tensor {
        let mut x = backend.tensor(values.len() / columns, columns);
        x.buffer.values_mut().copy_from_slice(values);
        x
    }

    #[test]
    fn smoke() {
        for backend in [SimdBackend::new(), SimdBackend::scalar()] {
            for (m, n, k) in [(1, 1, 1), (7, 17, 31), (33, 65, 128), (128, 384, 384), (13, 1152, 384), (31, 384, 1536)]
            {
                let (x, w, b) = (noise(m * k, 1), noise(n * k, 2), noise(n, 3));
                let weight = Stored { name: "w".into(), rows: n, columns: k, values: Values::F32(w.clone()) };
                let bias = Stored { name: "b".into(), rows: 1, columns: n, values: Values::F32(b.clone()) };
                let linear = Linear {
                    weight: backend.matrix(&[weight]).expect("packs"),
                    bias: Some(backend.vector(&[bias.clone()]).expect("packs")),
                };
                let xt = from_host(&backend, &x, k);
                for act in [Activation::None, Activation::Gelu] {
                    let y = backend.linear(&xt, &linear, act).expect("runs");
                    close(&host(&y), &reference::linear(&x, &w, &b, k, act), &format!("{m} {n} {k} {act:?}"));
                }
                let data: Vec<i8> = w.iter().map(|w| (w * 127.0) as i8).collect();
                let scales: Vec<f32> = noise(n, 4).iter().map(|x| x.abs() + 0.01).collect();
                let values = Values::Int8 { data: data.clone(), scales: scales.clone() };
                let weight = Stored { name: "w".into(), rows: n, columns: k, values };
                let linear = Linear {
                    weight: backend.matrix(&[weight]).expect("packs"),
                    bias: Some(backend.vector(&[bias]).expect("packs")),
                };
                let y = backend.linear(&xt, &linear, Activation::None).expect("runs");
                assert_eq!(host(&y), reference::linear_int8(&x, &data, &scales, &b, k), "{m} {n} {k}");
            }
            for (hidden, heads, lengths) in [(52, 2, vec![7, 1, 33]), (384, 12, vec![65, 128]), (3, 3, vec![31, 0, 17])]
            {
                let lengths = Lengths::new(lengths);
                let qkv: Vec<f32> = noise(lengths.rows() * hidden * 3, 5).iter().map(|x| x * 4.0).collect();
                let y = backend.attention(&from_host(&backend, &qkv, 3 * hidden), heads, &lengths).expect("runs");
                close(&host(&y), &reference::attention(&qkv, hidden, heads, &lengths), "attention");
            }
            for n in [1, 7, 17, 31, 33, 65, 128, 384] {
                let (x, r, w, b) = (noise(n * 5, 1), noise(n * 5, 2), noise(n, 3), noise(n, 4));
                let vector = |v: &[f32]| {
                    let stored = Stored { name: "v".into(), rows: 1, columns: n, values: Values::F32(v.to_vec()) };
                    backend.vector(&[stored]).expect("packs")
                };
                let norm = Norm { weight: vector(&w), bias: vector(&b), eps: 1e-12 };
                let (xt, rt) = (from_host(&backend, &x, n), from_host(&backend, &r, n));
                let y = backend.add_norm(&xt, Some(&rt), &norm).expect("runs");
                close(&host(&y), &reference::add_norm(&x, Some(&r), &w, &b, 1e-12), "norm");
            }
        }
    }
}

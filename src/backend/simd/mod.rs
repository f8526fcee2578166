//! The product's CPU engine: `f32` and exact int8 kernels, one thread, no allocation in steady state.
//!
//! The form of a weight is that of its file: a matrix stored as int8 is multiplied in int8, one stored as `f32` in
//! `f32`. Kernels are written once over eight-lane vectors (`lanes`): AVX2 with FMA natively, found at run time,
//! simd128 in WebAssembly, plain Rust elsewhere.
//!
//! Accuracy, kept by the tests: every `f32` operation agrees with its slow reference to 1e-5 of the largest
//! magnitude; int8 sums are equal to those of integers, bit by bit. A model whose matrices are all int8 gives the same
//! bits on every target, because only the `f32` product uses fused operations.

mod attention;
mod attention_exact;
mod gemm;
mod gemm_f32;
mod gemm_int8;
mod gemm_pairs;
mod lanes;
mod math;
mod matrix;
mod norm;
mod pool;
mod quantize;
pub mod reference;

use std::ops::Range;
use std::sync::Arc;

use self::attention::{Attention, Heads, Part};
use self::attention_exact::{ExactAttention, MOST_WIDTH};
use self::gemm::Out;
use self::gemm_f32::{F32Tiles, GemmF32};
use self::gemm_int8::{GemmInt8, Int8Tiles};
use self::lanes::Target;
use self::matrix::{Int8Panels, Panels};
pub use self::matrix::{Matrix, Vector};
use self::pool::{Buffer, Shelf};
use self::quantize::{Quantize, strips_len};
pub use super::table::Table;
use super::table::embedded;
use super::{Activation, Backend, Lengths, Linear, Norm, Qkv, Stored};
use crate::error::{Error, ErrorKind, Result};

/// The engine: a vector unit and buffers to reuse.
pub struct SimdBackend {
    target: Target,
    floats: Arc<Shelf<f32>>,
    words: Arc<Shelf<u32>>,
}

/// Activations `[rows, columns]`. The memory goes back to the engine with the last clone.
#[derive(Clone)]
pub struct Tensor {
    rows: usize,
    columns: usize,
    buffer: Buffer<f32>,
    /// Made by an int8 product: attention goes on in integers.
    exact: bool,
}

impl SimdBackend {
    /// The fastest kernels of this machine.
    pub fn new() -> Self {
        Self { target: Target::detect(), floats: Shelf::new(), words: Shelf::new() }
    }

    /// One engine for each kind of kernels that this machine can run, the best guess first, plain Rust last.
    pub fn all() -> Vec<Self> {
        Target::all().into_iter().map(|target| Self { target, ..Self::new() }).collect()
    }

    /// Plain Rust kernels: the judge of the others, and the way to see what a vector unit is worth.
    #[cfg(not(feature = "wasm"))]
    pub fn scalar() -> Self {
        Self { target: Target::Scalar, ..Self::new() }
    }

    /// The vector unit in use: `avx512-vnni`, `avx2`, `simd128`, `relaxed-simd`, `relaxed-simd-dot` or `scalar`.
    pub fn target(&self) -> &'static str {
        self.target.name()
    }

    /// The bytes of all activation buffers. They are reused: this grows up to the largest batch and never falls.
    pub fn allocated(&self) -> usize {
        self.floats.allocated() + self.words.allocated()
    }

    fn tensor(&self, rows: usize, columns: usize) -> Tensor {
        Tensor { rows, columns, buffer: self.floats.take(rows * columns), exact: false }
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
        Matrix::pack(parts, self.target.int8_form().0)
    }

    fn vector(&self, parts: &[Stored]) -> Result<Vector> {
        Vector::join(parts)
    }

    fn embed(&self, sources: &[(&Table, &[u32])]) -> Result<Tensor> {
        let [rows, columns] = embedded(sources)?;
        let mut out = self.tensor(rows, columns);
        out.buffer.values_mut().fill(0.0);
        for (table, ids) in sources {
            table.add_rows(ids, out.buffer.values_mut(), columns)?;
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
        let bias = linear.bias.as_ref().map(|bias| &*bias.values);
        result.exact = matches!(*weight.panels, Panels::Int8(_));
        let (values, stride) = (result.buffer.values_mut(), weight.outputs);
        let out = Out { values, stride, rows: x.rows, columns: weight.outputs, bias, act };
        match &*weight.panels {
            Panels::F32(panels) => {
                let tiles = F32Tiles { rows: x.buffer.values(), stride: x.columns, inputs: x.columns, panels };
                self.target.run(GemmF32 { tiles, out });
            }
            Panels::Int8(panels) => self.linear_int8(x, panels, out),
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
            kind: norm.kind,
            out: out.buffer.values_mut(),
        });
        Ok(out)
    }

    fn attention(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        let (shape, hidden, fits) = match qkv {
            Qkv::Joined(x) => (x, x.columns / 3, x.columns.is_multiple_of(3)),
            Qkv::Apart { query_key: x, value } => {
                (x, value.columns, x.columns == 2 * value.columns && x.rows == value.rows)
            }
        };
        if !fits || heads == 0 || hidden == 0 || !hidden.is_multiple_of(heads) {
            return refuse(format!("attention: {} columns do not hold the parts of {heads} heads", shape.columns));
        }
        if lengths.rows() != shape.rows {
            return refuse(format!("attention: expected {} rows, found {}", lengths.rows(), shape.rows));
        }
        let mut out = self.tensor(shape.rows, hidden);
        let heads = Heads { parts: parts(qkv, hidden), hidden, width: hidden / heads, lengths };
        let exact = heads.width <= MOST_WIDTH
            && match qkv {
                Qkv::Joined(x) => x.exact,
                Qkv::Apart { query_key, value } => query_key.exact && value.exact,
            };
        if exact {
            self.attention_exact(heads, &mut out);
        } else {
            self.attention_f32(heads, &mut out);
        }
        Ok(out)
    }

    fn add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        if (x.rows, x.columns) != (y.rows, y.columns) {
            return refuse(format!("add: expected [{}, {}], found [{}, {}]", x.rows, x.columns, y.rows, y.columns));
        }
        let mut out = self.tensor(x.rows, x.columns);
        let sums = x.buffer.values().iter().zip(y.buffer.values()).map(|(x, y)| x + y);
        out.buffer.values_mut().iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
        Ok(out)
    }

    fn rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        let mut out = self.tensor(rows.len(), x.columns);
        for (to, &row) in out.buffer.values_mut().chunks_exact_mut(x.columns.max(1)).zip(rows) {
            let row = row as usize;
            if row >= x.rows {
                return refuse(format!("rows: row {row} of {}", x.rows));
            }
            to.copy_from_slice(&x.buffer.values()[row * x.columns..(row + 1) * x.columns]);
        }
        Ok(out)
    }

    fn columns(&self, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
        if columns.is_empty() || columns.end > x.columns {
            return refuse(format!("columns: {columns:?} of {}", x.columns));
        }
        let mut out = self.tensor(x.rows, columns.len());
        let rows = x.buffer.values().chunks_exact(x.columns);
        for (to, row) in out.buffer.values_mut().chunks_exact_mut(columns.len()).zip(rows) {
            to.copy_from_slice(&row[columns.clone()]);
        }
        Ok(out)
    }

    fn trigram(&self, x: &Tensor, lengths: &Lengths) -> Result<Tensor> {
        if lengths.rows() != x.rows {
            return refuse(format!("trigram: expected {} rows, found {}", lengths.rows(), x.rows));
        }
        let (columns, from) = (x.columns, x.buffer.values());
        let mut out = self.tensor(x.rows, 3 * columns);
        let to = out.buffer.values_mut();
        to.fill(0.0);
        for rows in lengths.ranges() {
            for row in rows.clone() {
                let own = &from[row * columns..(row + 1) * columns];
                // The row is the next one of the row before, its own, and the previous one of the row after.
                for (reader, part) in [(row.wrapping_sub(1), 0), (row, 1), (row + 1, 2)] {
                    if rows.contains(&reader) {
                        to[(3 * reader + part) * columns..][..columns].copy_from_slice(own);
                    }
                }
            }
        }
        Ok(out)
    }

    async fn to_host(&self, x: &Tensor) -> Result<Vec<f32>> {
        Ok(x.buffer.values().to_vec())
    }
}

impl SimdBackend {
    fn attention_f32(&self, heads: Heads<'_>, out: &mut Tensor) {
        let mut scratch = self.floats.take(attention::scratch_len(heads.lengths.longest(), heads.width));
        let (scratch, out) = (scratch.values_mut(), out.buffer.values_mut());
        self.target.run(Attention { heads, scratch, out });
    }

    fn attention_exact(&self, heads: Heads<'_>, out: &mut Tensor) {
        let longest = heads.lengths.longest();
        let mut words = self.words.take(attention_exact::words_len(longest, heads.width));
        let mut scores = self.floats.take(attention_exact::scores_len(longest));
        let (words, scores, out) = (words.values_mut(), scores.values_mut(), out.buffer.values_mut());
        self.target.run(ExactAttention { heads, words, scores, out });
    }

    fn linear_int8(&self, x: &Tensor, panels: &Int8Panels, out: Out<'_>) {
        let (form, strip) = self.target.int8_form();
        let mut strips = self.words.take(strips_len(form, strip, x.rows, x.columns));
        let mut row_scales = self.floats.take(x.rows);
        self.target.run(Quantize {
            x: x.buffer.values(),
            columns: x.columns,
            strips: strips.values_mut(),
            scales: row_scales.values_mut(),
        });
        let (strips, row_scales) = (strips.values(), row_scales.values());
        self.target.run(GemmInt8 { tiles: Int8Tiles { strips, row_scales, inputs: x.columns, panels }, out });
    }
}

/// Query, key and value with `hidden` columns each; shapes have been checked.
fn parts(qkv: Qkv<'_, Tensor>, hidden: usize) -> [Part<'_>; 3] {
    fn part(x: &Tensor, column: usize) -> Part<'_> {
        // Without rows there is nothing to begin at.
        Part { values: x.buffer.values().get(column..).unwrap_or_default(), stride: x.columns }
    }
    match qkv {
        Qkv::Joined(x) => [0, hidden, 2 * hidden].map(|column| part(x, column)),
        Qkv::Apart { query_key, value } => [part(query_key, 0), part(query_key, hidden), part(value, 0)],
    }
}

// The operations themselves are judged in tests/backends.rs, with the same checks for every backend and target.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{NormKind, Values};

    fn stored(rows: usize, columns: usize) -> Stored {
        Stored { name: "w".into(), rows, columns, values: Values::F32(vec![0.5; rows * columns]), transposed: false }
    }

    fn refused<T>(case: &str, expected: &str, found: Result<T>) {
        match found {
            Ok(_) => panic!("{case}: not refused"),
            Err(error) => assert!(error.to_string().contains(expected), "{case}: {error}"),
        }
    }

    #[test]
    fn wrong_shapes_are_errors() -> Result<()> {
        let backend = SimdBackend::new();
        let table = backend.table(stored(4, 6))?;
        let x = backend.embed(&[(&table, &[3, 0])])?; // [2, 6]
        let vector = |len| backend.vector(&[stored(1, len)]);

        refused("no table", "no table", backend.embed(&[]));
        refused("an id too high", "id 4 is outside a table of 4 rows", backend.embed(&[(&table, &[4])]));
        refused("ragged ids", "expected [2, 6], found [1, 6]", backend.embed(&[(&table, &[1, 2]), (&table, &[1])]));

        let linear = |outputs, inputs, bias| -> Result<_> {
            Ok(Linear { weight: backend.matrix(&[stored(outputs, inputs)])?, bias: Some(vector(bias)?) })
        };
        let narrow = linear(3, 5, 3)?;
        refused("inputs", "expected [2, 5], found 6 columns", backend.linear(&x, &narrow, Activation::None));
        let short = linear(3, 6, 2)?;
        refused("bias", "expected a bias of 3, found 2", backend.linear(&x, &short, Activation::None));

        let norm = Norm { weight: vector(6)?, bias: vector(5)?, kind: NormKind::NoNorm };
        refused("norm", "found 6 and 5", backend.add_norm(&x, None, &norm));
        let other = backend.embed(&[(&table, &[1])])?;
        refused("residual", "expected [2, 6], found [1, 6]", backend.add_norm(&x, Some(&other), &norm));

        let lengths = Lengths::new(vec![1, 1]);
        let qkv = Qkv::Joined(&x);
        refused("heads", "6 columns do not hold the parts of 3 heads", backend.attention(qkv, 3, &lengths));
        refused("no head", "0 heads", backend.attention(qkv, 0, &lengths));
        refused("rows", "expected 3 rows, found 2", backend.attention(qkv, 1, &Lengths::new(vec![3])));
        let apart = Qkv::Apart { query_key: &x, value: &x };
        refused("parts", "6 columns do not hold", backend.attention(apart, 1, &lengths));
        refused("trigram", "expected 3 rows, found 2", backend.trigram(&x, &Lengths::new(vec![3])));
        refused("row", "row 2 of 2", backend.rows(&x, &[0, 2]));
        refused("columns", "3..7 of 6", backend.columns(&x, 3..7));
        refused("add", "expected [2, 6], found [1, 6]", backend.add(&x, &other));
        Ok(())
    }

    #[test]
    fn no_rows_are_no_error() -> Result<()> {
        let backend = SimdBackend::new();
        let x = backend.embed(&[(&backend.table(stored(4, 6))?, &[])])?;
        let weight = backend.matrix(&[stored(3, 6)])?;
        let y = backend.linear(&x, &Linear { weight, bias: None }, Activation::Gelu)?;
        assert_eq!((y.rows, y.columns), (0, 3));
        assert_eq!(backend.attention(Qkv::Joined(&x), 2, &Lengths::new(vec![0]))?.columns, 2);
        Ok(())
    }
}

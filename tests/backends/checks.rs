//! One set of checks for every backend: each operation beside its slow reference, at sizes that fill no vector and at
//! those of the default model. The same file is compiled for WebAssembly by `tests/wasm`.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use clinlite::Result;
use clinlite::backend::simd::reference;
use clinlite::backend::{Activation, Backend, Lengths, Linear, Norm, NormKind, Qkv, Stored, Values};

/// What a backend does with int8 weights.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Int8 {
    /// Multiplies integers: the bits of [`reference::linear_int8`].
    Exact,
    /// Multiplies the same integers; the scales are rounded as a GPU does it.
    Rounded,
    /// Turns them into floats once.
    AsFloats,
}

/// Rows, outputs and inputs of a product.
const PRODUCTS: [[usize; 3]; 14] = [
    [1, 1, 1],
    [7, 17, 31],
    [17, 7, 33],
    [31, 33, 1],
    [33, 65, 128],
    [65, 128, 7],
    [128, 31, 17],
    [3, 13, 384],
    [1, 1536, 384],
    [5, 384, 1536],
    [16, 1152, 384],
    [128, 384, 384],
    [49, 1536, 384],
    [50, 384, 1536],
];

/// Hidden size, heads, and the lengths of the sequences.
const ATTENTIONS: [(usize, usize, &[usize]); 6] = [
    (1, 1, &[1]),
    (312, 12, &[7, 1, 33]), // heads of width 26
    (384, 12, &[65, 128]),
    (3, 3, &[31, 0, 17]),
    (52, 2, &[2, 8, 24, 25]),
    (66, 2, &[257]),
];

const WIDTHS: [usize; 10] = [1, 7, 8, 17, 31, 33, 65, 128, 312, 384];

/// Runs every check and returns one line for each that failed. `tolerance` is relative to the largest magnitude.
pub(super) fn failures<B: Backend>(backend: &B, int8: Int8, tolerance: f32) -> Vec<String> {
    let mut checker = Checker { backend, int8, tolerance, failures: Vec::new() };
    let done = checker.products().and_then(|()| checker.stacked()).and_then(|()| checker.norms());
    let done = done.and_then(|()| checker.attentions()).and_then(|()| checker.embeddings());
    let done = done.and_then(|()| checker.moves()).and_then(|()| checker.attentions_of_int8());
    checker.failures.extend(done.err().map(|error| format!("an operation failed: {error}")));
    checker.failures
}

struct Checker<'a, B: Backend> {
    backend: &'a B,
    int8: Int8,
    tolerance: f32,
    failures: Vec<String>,
}

impl<B: Backend> Checker<'_, B> {
    fn products(&mut self) -> Result<()> {
        for [m, n, k] in PRODUCTS {
            let (x, bias) = (noise(m * k, 1), noise(n, 3));
            for weight in [floats(n, k, 2), integers(n, k, 4)] {
                for act in [Activation::None, Activation::Gelu, Activation::Relu, Activation::Tanh] {
                    // What goes into a tanh must not be so large that its rounding shows in a result of at most one.
                    let size = if act == Activation::Tanh { 0.1 } else { 1.0 };
                    let x: Vec<f32> = x.iter().map(|x| size * x).collect();
                    let found = self.linear(&x, std::slice::from_ref(&weight), &bias, act)?;
                    self.product(&format!("{m} x {n} x {k} {act:?}"), &found, &x, &weight, &bias, act);
                }
            }
        }
        Ok(())
    }

    fn product(&mut self, case: &str, found: &[f32], x: &[f32], weight: &Stored, bias: &[f32], act: Activation) {
        match &weight.values {
            Values::Int8 { data, scales } if self.int8 != Int8::AsFloats => {
                let mut expected = reference::linear_int8(x, data, scales, bias, weight.columns);
                if act == Activation::None && self.int8 == Int8::Exact {
                    if bits(found) != bits(&expected) {
                        self.failures.push(format!("int8 product {case}: other bits than the integers give"));
                    }
                    return;
                }
                expected.iter_mut().for_each(|x| *x = reference::activate(f64::from(*x), act) as f32);
                self.compare(&format!("int8 product {case}"), found, &expected);
            }
            _ => {
                let expected = reference::linear(x, &weight.to_f32(), bias, weight.columns, act);
                self.compare(&format!("product {case}"), found, &expected);
            }
        }
    }

    /// Query, key and value as one matrix; one of another form turns all into floats.
    fn stacked(&mut self) -> Result<()> {
        let (x, bias) = (noise(5 * 33, 1), noise(24, 2));
        let parts = [3, 4, 5].map(|seed| integers(8, 33, seed));
        let found = self.linear(&x, &parts, &bias, Activation::None)?;
        let (data, scales) = join_int8(&parts);
        let joined = Stored {
            name: fresh_name(),
            rows: 24,
            columns: 33,
            values: Values::Int8 { data, scales },
            transposed: false,
        };
        self.product("stacked", &found, &x, &joined, &bias, Activation::None);

        let mut parts = parts;
        parts[1].values = Values::F32(parts[1].to_f32());
        let found = self.linear(&x, &parts, &bias, Activation::None)?;
        let weight: Vec<f32> = parts.iter().flat_map(Stored::to_f32).collect();
        self.compare("stack of both", &found, &reference::linear(&x, &weight, &bias, 33, Activation::None));
        Ok(())
    }

    fn norms(&mut self) -> Result<()> {
        // A row of one column has no variance: an eps of 1e-12 would only amplify rounding.
        for kind in [NormKind::LayerNorm { eps: 1e-5 }, NormKind::NoNorm] {
            for n in WIDTHS {
                let (x, residual) = (noise(5 * n, 1), noise(5 * n, 2));
                let (weight, bias) = (noise(n, 3), noise(n, 4));
                let norm = Norm { weight: self.vector(&weight)?, bias: self.vector(&bias)?, kind };
                let (x_tensor, residual_tensor) = (self.tensor(&x, n)?, self.tensor(&residual, n)?);
                let found = self.host(&self.backend.add_norm(&x_tensor, None, &norm)?)?;
                let expected = reference::add_norm(&x, None, &weight, &bias, kind);
                self.compare(&format!("{kind:?} of {n}"), &found, &expected);
                let found = self.host(&self.backend.add_norm(&x_tensor, Some(&residual_tensor), &norm)?)?;
                let expected = reference::add_norm(&x, Some(&residual), &weight, &bias, kind);
                self.compare(&format!("{kind:?} of {n} with residual"), &found, &expected);
            }
        }
        Ok(())
    }

    fn attentions(&mut self) -> Result<()> {
        for (hidden, heads, lengths) in ATTENTIONS {
            let lengths = Lengths::new(lengths.to_vec());
            let qkv: Vec<f32> = noise(lengths.rows() * 3 * hidden, 5).iter().map(|x| 4.0 * x).collect();
            let found = self.backend.attention(Qkv::Joined(&self.tensor(&qkv, 3 * hidden)?), heads, &lengths)?;
            let expected = reference::attention(&qkv, hidden, heads, &lengths);
            let found = self.host(&found)?;
            self.compare(&format!("attention {hidden} in {heads} heads, {lengths:?}"), &found, &expected);
            let columns = |from: usize, to: usize| -> Vec<f32> {
                qkv.chunks_exact(3 * hidden).flat_map(|row| &row[from * hidden..to * hidden]).copied().collect()
            };
            let (query_key, value) = (self.tensor(&columns(0, 2), 2 * hidden)?, self.tensor(&columns(2, 3), hidden)?);
            let apart = Qkv::Apart { query_key: &query_key, value: &value };
            let found = self.host(&self.backend.attention(apart, heads, &lengths)?)?;
            self.compare(&format!("attention of parts, {hidden} in {heads} heads, {lengths:?}"), &found, &expected);
        }
        Ok(())
    }

    /// What comes from int8 products may be rounded once more, to a part in a few thousand.
    fn attentions_of_int8(&mut self) -> Result<()> {
        for (hidden, heads, lengths) in ATTENTIONS {
            let lengths = Lengths::new(lengths.to_vec());
            let x = self.tensor(&noise(lengths.rows() * 8, 5), 8)?;
            let weight = self.backend.matrix(&[integers(3 * hidden, 8, 6)])?;
            let linear = Linear { weight, bias: Some(self.vector(&noise(3 * hidden, 7))?) };
            let qkv = self.backend.linear(&x, &linear, Activation::None)?;
            let found = self.host(&self.backend.attention(Qkv::Joined(&qkv), heads, &lengths)?)?;
            let expected = reference::attention(&self.host(&qkv)?, hidden, heads, &lengths);
            let exactly = std::mem::replace(&mut self.tolerance, 2e-3);
            self.compare(&format!("attention of int8, {hidden} in {heads} heads, {lengths:?}"), &found, &expected);
            self.tolerance = exactly;
        }
        Ok(())
    }

    /// Operations that only move numbers about, and a sum.
    fn moves(&mut self) -> Result<()> {
        let (x, y) = (noise(11 * 7, 1), noise(11 * 7, 2));
        let (x_tensor, y_tensor) = (self.tensor(&x, 7)?, self.tensor(&y, 7)?);
        let sum: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        let found = self.host(&self.backend.add(&x_tensor, &y_tensor)?)?;
        self.compare("add", &found, &sum);
        let rows = [10, 0, 3, 3];
        let expected: Vec<f32> = rows.iter().flat_map(|&row| &x[row as usize * 7..][..7]).copied().collect();
        let found = self.host(&self.backend.rows(&x_tensor, &rows)?)?;
        self.compare("rows", &found, &expected);
        let expected: Vec<f32> = x.chunks_exact(7).flat_map(|row| &row[2..5]).copied().collect();
        let found = self.host(&self.backend.columns(&x_tensor, 2..5)?)?;
        self.compare("columns", &found, &expected);
        let lengths = Lengths::new(vec![1, 0, 6, 2, 2]);
        let found = self.host(&self.backend.trigram(&x_tensor, &lengths)?)?;
        self.compare("trigram", &found, &reference::trigram(&x, 7, &lengths));
        Ok(())
    }

    fn embeddings(&mut self) -> Result<()> {
        let tables = [floats(7, 19, 1), integers(3, 19, 2)];
        let ids: [&[u32]; 2] = [&[6, 2, 2, 0, 6], &[0, 1, 2, 1, 1]];
        let [a, b] = [self.backend.table(tables[0].clone())?, self.backend.table(tables[1].clone())?];
        let found = self.host(&self.backend.embed(&[(&a, ids[0]), (&b, ids[1])])?)?;
        let rows = tables.map(|table| table.to_f32());
        let value =
            |row: usize, column: usize| -> f32 { (0..2).map(|t| rows[t][ids[t][row] as usize * 19 + column]).sum() };
        let expected: Vec<f32> = (0..5 * 19).map(|i| value(i / 19, i % 19)).collect();
        self.compare("embed", &found, &expected);
        Ok(())
    }

    fn linear(&self, x: &[f32], parts: &[Stored], bias: &[f32], act: Activation) -> Result<Vec<f32>> {
        let linear = Linear { weight: self.backend.matrix(parts)?, bias: Some(self.vector(bias)?) };
        self.host(&self.backend.linear(&self.tensor(x, parts[0].columns)?, &linear, act)?)
    }

    fn vector(&self, values: &[f32]) -> Result<B::Vector> {
        vector(self.backend, values)
    }

    fn tensor(&self, values: &[f32], columns: usize) -> Result<B::Tensor> {
        tensor(self.backend, values, columns)
    }

    fn host(&self, x: &B::Tensor) -> Result<Vec<f32>> {
        host(self.backend, x)
    }

    fn compare(&mut self, case: &str, found: &[f32], expected: &[f32]) {
        let largest = expected.iter().fold(0.0, |best: f32, x| best.max(x.abs()));
        let off = found.iter().zip(expected).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        let finite = found.iter().all(|x| x.is_finite());
        if found.len() != expected.len() || !finite || off > self.tolerance * largest {
            self.failures.push(format!("{case}: off by {off:e} where the largest value is {largest:e}"));
        }
    }
}

/// The bits of one int8 encoder layer over noise, folded into one number. Equal on every target, as is stated in
/// `docs/performance.md`.
pub(super) fn fingerprint<B: Backend>(backend: &B) -> Result<u64> {
    let (hidden, inner, lengths) = (384, 1536, Lengths::new(vec![31, 50]));
    let dense = |n, k, seed| -> Result<Linear<B>> {
        let weight = backend.matrix(&[integers(n, k, seed)])?;
        Ok(Linear { weight, bias: Some(vector(backend, &noise(n, seed + 1))?) })
    };
    let norm = Norm {
        weight: vector(backend, &noise(hidden, 7))?,
        bias: vector(backend, &noise(hidden, 8))?,
        kind: NormKind::LayerNorm { eps: 1e-12 },
    };
    let x = tensor(backend, &noise(lengths.rows() * hidden, 9), hidden)?;
    let x = backend.add_norm(&x, None, &norm)?;
    let qkv = backend.linear(&x, &dense(3 * hidden, hidden, 10)?, Activation::None)?;
    let context = backend.attention(Qkv::Joined(&qkv), 12, &lengths)?;
    let attended = backend.linear(&context, &dense(hidden, hidden, 20)?, Activation::None)?;
    let x = backend.add_norm(&attended, Some(&x), &norm)?;
    let wide = backend.linear(&x, &dense(inner, hidden, 30)?, Activation::Gelu)?;
    let x = backend.add_norm(&backend.linear(&wide, &dense(hidden, inner, 40)?, Activation::None)?, Some(&x), &norm)?;
    let fold = |hash: u64, bits: u32| (hash ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
    Ok(bits(&host(backend, &x)?).into_iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Values in -1..1, the same everywhere.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b1) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A backend that trains keeps its parameters by name: the same name would be the same numbers.
fn fresh_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("weight {}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn floats(rows: usize, columns: usize, seed: u32) -> Stored {
    Stored { name: fresh_name(), rows, columns, values: Values::F32(noise(rows * columns, seed)), transposed: false }
}

fn integers(rows: usize, columns: usize, seed: u32) -> Stored {
    let data = noise(rows * columns, seed).iter().map(|x| (x * 127.5) as i8).collect();
    let scales = noise(rows, seed + 1).iter().map(|x| 0.01 * (x.abs() + 0.1)).collect();
    Stored { name: fresh_name(), rows, columns, values: Values::Int8 { data, scales }, transposed: false }
}

fn join_int8(parts: &[Stored]) -> (Vec<i8>, Vec<f32>) {
    let (mut all, mut all_scales) = (Vec::new(), Vec::new());
    for part in parts {
        if let Values::Int8 { data, scales } = &part.values {
            all.extend(data);
            all_scales.extend(scales);
        }
    }
    (all, all_scales)
}

fn vector<B: Backend>(backend: &B, values: &[f32]) -> Result<B::Vector> {
    let columns = values.len();
    backend.vector(&[Stored {
        name: fresh_name(),
        rows: 1,
        columns,
        values: Values::F32(values.to_vec()),
        transposed: false,
    }])
}

/// The trait takes activations from tables only.
fn tensor<B: Backend>(backend: &B, values: &[f32], columns: usize) -> Result<B::Tensor> {
    let rows = values.len() / columns;
    let stored = Stored { name: fresh_name(), rows, columns, values: Values::F32(values.to_vec()), transposed: false };
    let ids: Vec<u32> = (0..rows as u32).collect();
    backend.embed(&[(&backend.table(stored)?, &ids)])
}

pub(crate) fn host<B: Backend>(backend: &B, x: &B::Tensor) -> Result<Vec<f32>> {
    match pin!(backend.to_host(x)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(values) => values,
        Poll::Pending => unreachable!("an engine on the CPU has its values at once"),
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

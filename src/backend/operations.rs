//! Operations that every engine that trains is tested on: odd sizes, ragged lengths, weights used twice.

use super::candle::kernels::random::Stream;
use super::training::Training;
use super::tuning::{LowRank, Tuning};
use super::{Activation, Backend, Lengths, Linear, Norm, NormKind, Qkv, Stored, Values};
use crate::error::Result;

/// Deterministic numbers around zero.
pub(super) fn numbers(len: usize, key: u64) -> Vec<f32> {
    let stream = Stream::new(key, 0, 0);
    (0..len as u32).map(|i| stream.normal(i)).collect()
}

pub(super) fn stored(name: &str, rows: usize, columns: usize, key: u64) -> Stored {
    Stored { name: name.into(), rows, columns, values: Values::F32(numbers(rows * columns, key)), transposed: false }
}

/// An operation under test: builds its weights, runs, returns its result. Inputs are rows of tables, so that their
/// gradients are gradients of weights too.
pub(super) type Operation<B> = fn(&B) -> Result<<B as Backend>::Tensor>;

pub(super) fn input<B: Backend>(backend: &B, name: &str, rows: usize, columns: usize, key: u64) -> Result<B::Tensor> {
    let table = backend.table(stored(name, rows, columns, key))?;
    let ids: Vec<u32> = (0..rows as u32).collect();
    backend.embed(&[(&table, &ids)])
}

pub(super) fn dense<B: Backend>(backend: &B, n: usize, k: usize, names: &[&str]) -> Result<Linear<B>> {
    let parts: Vec<_> = names.iter().enumerate().map(|(i, name)| stored(name, n, k, 10 + i as u64)).collect();
    let biases: Vec<_> = names.iter().map(|name| stored(&format!("{name}.bias"), 1, n, 20)).collect();
    Ok(Linear { weight: backend.matrix(&parts)?, bias: Some(backend.vector(&biases)?) })
}

pub(super) fn norm_layer<B: Backend>(backend: &B, h: usize) -> Result<Norm<B>> {
    let (weight, bias) = (stored("norm.weight", 1, h, 30), stored("norm.bias", 1, h, 31));
    Ok(Norm {
        weight: backend.vector(&[weight])?,
        bias: backend.vector(&[bias])?,
        kind: NormKind::LayerNorm { eps: 1e-12 },
    })
}

pub(super) fn embed_repeated<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let (a, b) = (backend.table(stored("a", 7, 19, 1))?, backend.table(stored("b", 3, 19, 2))?);
    backend.embed(&[(&a, &[6, 2, 2, 0, 6]), (&b, &[0, 1, 2, 1, 1])])
}

fn linear_plain<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 37, 19, 1)?;
    backend.linear(&x, &dense(backend, 23, 19, &["w"])?, Activation::None)
}

fn linear_gelu<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 67, 19, 1)?;
    backend.linear(&x, &dense(backend, 23, 19, &["w"])?, Activation::Gelu)
}

fn linear_stacked_twice<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 5, 6, 1)?;
    let layer = dense(backend, 2, 6, &["q", "k", "v"])?;
    let y = backend.linear(&x, &layer, Activation::Gelu)?;
    backend.linear(&y, &layer, Activation::None)
}

fn norm_alone<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 35, 21, 1)?;
    backend.add_norm(&x, None, &norm_layer(backend, 21)?)
}

fn norm_residual<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let (x, r) = (input(backend, "x", 35, 21, 1)?, input(backend, "r", 35, 21, 2)?);
    let y = backend.linear(&x, &dense(backend, 21, 21, &["w"])?, Activation::None)?;
    let layer = norm_layer(backend, 21)?;
    let z = backend.add_norm(&y, Some(&x), &layer)?;
    backend.add_norm(&z, Some(&r), &layer)
}

fn attention_ragged<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 34, 3 * 4 * 5, 1)?;
    backend.attention(Qkv::Joined(&x), 4, &Lengths::new(vec![1, 7, 0, 17, 9]))
}

/// With what is dropped drawn anew after another dropout, and a map that is looked at on the way.
fn attention_with_dropout<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let lengths = Lengths::new(vec![1, 7, 0, 17, 9]);
    let x = backend.dropout(input(backend, "x", 34, 3 * 4 * 5, 1)?, 0.1)?;
    backend.observe_attention(0, Qkv::Joined(&x), 4, &lengths)?;
    backend.attention_with_dropout(Qkv::Joined(&x), 4, &lengths, 0.4)
}

fn attention_of_equal_lengths_with_dropout<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let (qk, v) = (input(backend, "qk", 48, 2 * 2 * 8, 1)?, input(backend, "v", 48, 2 * 8, 2)?);
    let lengths = Lengths::new(vec![16, 16, 16]);
    backend.attention_with_dropout(Qkv::Apart { query_key: &qk, value: &v }, 2, &lengths, 0.1)
}

fn dropout_middle<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 41, 13, 1)?;
    let y = backend.dropout(x, 0.3)?;
    backend.dropout(backend.linear(&y, &dense(backend, 11, 13, &["w"])?, Activation::None)?, 0.1)
}

fn linear_relu<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 67, 19, 1)?;
    backend.linear(&x, &dense(backend, 23, 19, &["w"])?, Activation::Relu)
}

fn linear_tanh<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 67, 5, 1)?;
    backend.linear(&x, &dense(backend, 23, 5, &["w"])?, Activation::Tanh)
}

fn no_norm<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let (x, r) = (input(backend, "x", 35, 21, 1)?, input(backend, "r", 35, 21, 2)?);
    let layer = Norm { kind: NormKind::NoNorm, ..norm_layer(backend, 21)? };
    backend.add_norm(&backend.add_norm(&x, Some(&r), &layer)?, None, &layer)
}

fn attention_of_parts<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let (qk, v) = (input(backend, "qk", 34, 2 * 4 * 5, 1)?, input(backend, "v", 34, 4 * 5, 2)?);
    backend.attention(Qkv::Apart { query_key: &qk, value: &v }, 4, &Lengths::new(vec![1, 7, 0, 17, 9]))
}

fn moved<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 11, 6, 1)?;
    let wide = backend.trigram(&x, &Lengths::new(vec![1, 0, 7, 3]))?;
    let some = backend.columns(&backend.rows(&wide, &[10, 2, 2, 0])?, 3..9)?;
    backend.add(&some, &backend.rows(&x, &[1, 2, 3, 3])?)
}

/// A table that is looked up and, under the same name, multiplied with: a tied decoder.
pub(super) fn tied<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let table = backend.table(stored("a", 7, 5, 1))?;
    let weight = backend.matrix(&[stored("a", 7, 5, 1)])?;
    let x = backend.embed(&[(&table, &[6, 2, 2, 0])])?;
    backend.linear(&x, &Linear { weight, bias: None }, Activation::None)
}

/// Frozen weights named in `frozen`, matrices of rank 3 beside those named in `beside`.
pub(super) fn tune<B: Training>(backend: &B, frozen: &'static [&str], beside: &'static [&str], dropout: f32) {
    let low_rank = move |part: &Stored| {
        let a = stored(&format!("{}.a", part.name), 3, part.columns, 40);
        let b = stored(&format!("{}.b", part.name), part.rows, 3, 41);
        beside.contains(&&*part.name).then_some(LowRank { a, b, scale: 0.7, dropout })
    };
    let learns = |name: &str| !frozen.contains(&name);
    backend.tune(Tuning { learns: Box::new(learns), beside: Box::new(low_rank) });
}

/// Parts of a stacked matrix, used twice.
fn low_rank_stacked<B: Training>(backend: &B) -> Result<B::Tensor> {
    tune(backend, &["q", "q.bias"], &["q", "v"], 0.3);
    linear_stacked_twice(backend)
}

/// Beside a matrix that learns itself, before an activation.
fn low_rank_gelu<B: Training>(backend: &B) -> Result<B::Tensor> {
    tune(backend, &["w.bias"], &["w"], 0.0);
    linear_gelu(backend)
}

/// Nothing below the second layer learns.
fn low_rank_on_top<B: Training>(backend: &B) -> Result<B::Tensor> {
    tune(backend, &["x", "below", "below.bias", "norm.weight", "norm.bias", "w", "w.bias"], &["w"], 0.2);
    let x = input(backend, "x", 35, 21, 1)?;
    let y = backend.linear(&x, &dense(backend, 21, 21, &["below"])?, Activation::Gelu)?;
    let y = backend.add_norm(&y, Some(&x), &norm_layer(backend, 21)?)?;
    let z = backend.linear(&y, &dense(backend, 21, 21, &["w"])?, Activation::Tanh)?;
    backend.add_norm(&z, Some(&y), &norm_layer(backend, 21)?)
}

/// A norm of which only the shift learns, and one of two tables.
fn partly_frozen<B: Training>(backend: &B) -> Result<B::Tensor> {
    tune(backend, &["a", "norm.weight"], &[], 0.0);
    backend.add_norm(&embed_repeated(backend)?, None, &norm_layer(backend, 19)?)
}

/// By name.
pub(super) fn operations<B: Training>() -> [(&'static str, Operation<B>); 20] {
    [
        ("embed, repeated ids", embed_repeated),
        ("linear", linear_plain),
        ("linear with gelu", linear_gelu),
        ("one stacked weight used twice", linear_stacked_twice),
        ("norm", norm_alone),
        ("norm with residual", norm_residual),
        ("attention, ragged", attention_ragged),
        ("attention with dropout, ragged", attention_with_dropout),
        ("attention with dropout, equal lengths", attention_of_equal_lengths_with_dropout),
        ("dropout", dropout_middle),
        ("linear with relu", linear_relu),
        ("linear with tanh", linear_tanh),
        ("no norm", no_norm),
        ("attention of parts", attention_of_parts),
        ("rows, columns, trigrams and a sum", moved),
        ("a tied decoder", tied),
        ("low rank beside parts of a stack", low_rank_stacked),
        ("low rank before gelu", low_rank_gelu),
        ("low rank above frozen layers", low_rank_on_top),
        ("a norm and tables, partly frozen", partly_frozen),
    ]
}

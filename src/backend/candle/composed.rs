//! The same operations from candle's elementary ones: slow, obvious, and differentiable by candle itself.
//!
//! This is the judge of the fused kernels, and what runs on a device for which there are none yet. candle's own
//! `layer_norm` and `softmax_last_dim` are not used: they stop gradients without a word.

use std::ops::Range;

use candle_core::{D, DType, Result, Tensor};

use crate::backend::{Activation, Lengths, NormKind, Qkv};

/// `x · Wᵀ + b`.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// `x · (scale · B · A)ᵀ` in these of `n` columns, zero in the others.
pub(super) fn low_rank(
    x: &Tensor,
    [a, b]: [&Tensor; 2],
    scale: f32,
    columns: Range<usize>,
    n: usize,
) -> Result<Tensor> {
    let change = (b.matmul(a)? * f64::from(scale))?; // [columns, K]
    let zeros = |rows: usize| Tensor::zeros((rows, change.dim(1)?), DType::F32, x.device());
    let parts = [zeros(columns.start)?, change.clone(), zeros(n - columns.end)?];
    let parts: Vec<_> = parts.into_iter().filter(|part| part.elem_count() > 0).collect();
    x.matmul(&Tensor::cat(&parts, 0)?.t()?)
}

/// `act(y)`.
pub(super) fn activate(y: Tensor, act: Activation) -> Result<Tensor> {
    match act {
        Activation::None => Ok(y),
        Activation::Gelu => y.gelu_erf(),
        Activation::Relu => y.relu(),
        Activation::Tanh => y.tanh(),
    }
}

/// The norm of `x + residual`.
pub(super) fn add_norm(
    x: &Tensor,
    residual: Option<&Tensor>,
    weight: &Tensor,
    bias: &Tensor,
    kind: NormKind,
) -> Result<Tensor> {
    let x = match residual {
        Some(residual) => (x + residual)?,
        None => x.clone(),
    };
    let NormKind::LayerNorm { eps } = kind else {
        return x.broadcast_mul(weight)?.broadcast_add(bias);
    };
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?; // [R, H]
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?; // [R, 1]
    let normalised = centred.broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?; // [R, H]
    normalised.broadcast_mul(weight)?.broadcast_add(bias)
}

/// Attention, one sequence after the other. The result is `[R, H]`. `mask`, if there is one, is what the probabilities are
/// multiplied with, `[Σ heads · L²]`.
pub(super) fn attention(
    qkv: Qkv<'_, Tensor>,
    heads: usize,
    lengths: &Lengths,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let (mut outputs, mut first) = (Vec::new(), 0);
    for rows in lengths.ranges().filter(|rows| !rows.is_empty()) {
        let [q, k, v] = split(qkv, heads, &rows)?;
        let (hidden, l) = (heads * v.dim(2)?, rows.len());
        let mut probabilities = map(&q, &k)?; // [heads, L, L]
        if let Some(mask) = mask {
            let mask = mask.flatten_all()?.narrow(0, first, heads * l * l)?.reshape((heads, l, l))?;
            probabilities = (probabilities * mask)?;
        }
        first += heads * l * l;
        outputs.push(probabilities.matmul(&v)?.transpose(0, 1)?.reshape((l, hidden))?);
    }
    match qkv {
        _ if !outputs.is_empty() => Tensor::cat(&outputs, 0),
        Qkv::Joined(x) => x.narrow(1, 0, x.dim(1)? / 3)?.contiguous(),
        Qkv::Apart { value, .. } => Ok(value.clone()),
    }
}

/// The attention maps, one after the other: `[Σ heads · L²]`.
pub(super) fn attention_maps(qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
    let mut maps = Vec::new();
    for rows in lengths.ranges().filter(|rows| !rows.is_empty()) {
        let [q, k, _] = split(qkv, heads, &rows)?;
        maps.push(map(&q, &k)?.flatten_all()?);
    }
    Tensor::cat(&maps, 0)
}

/// Query, key and value of one sequence, `[heads, L, width]`.
fn split(qkv: Qkv<'_, Tensor>, heads: usize, rows: &Range<usize>) -> Result<[Tensor; 3]> {
    let part = |x: &Tensor, of: usize, i: usize| {
        let hidden = x.dim(1)? / of;
        let part = x.narrow(0, rows.start, rows.len())?.narrow(1, i * hidden, hidden)?;
        part.reshape((rows.len(), heads, hidden / heads))?.transpose(0, 1)?.contiguous()
    };
    Ok(match qkv {
        Qkv::Joined(x) => [part(x, 3, 0)?, part(x, 3, 1)?, part(x, 3, 2)?],
        Qkv::Apart { query_key, value } => [part(query_key, 2, 0)?, part(query_key, 2, 1)?, part(value, 1, 0)?],
    })
}

/// `softmax(Q Kᵀ / √width)`, `[heads, L, L]`.
fn map(q: &Tensor, k: &Tensor) -> Result<Tensor> {
    let scores = (q.matmul(&k.t()?.contiguous()?)? / (q.dim(2)? as f64).sqrt())?;
    let max = scores.max_keepdim(D::Minus1)?.detach();
    let powers = scores.broadcast_sub(&max)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}

/// `[next, own, previous]` of each row in its own sequence.
pub(super) fn trigram(x: &Tensor, lengths: &Lengths) -> Result<Tensor> {
    let edge = Tensor::zeros((1, x.dim(1)?), DType::F32, x.device())?;
    let mut outputs = Vec::new();
    for rows in lengths.ranges().filter(|rows| !rows.is_empty()) {
        let own = x.narrow(0, rows.start, rows.len())?;
        let rest = |from: usize| own.narrow(0, from, rows.len() - 1);
        let next = Tensor::cat(&[&rest(1)?, &edge], 0)?;
        let previous = Tensor::cat(&[&edge, &rest(0)?], 0)?;
        outputs.push(Tensor::cat(&[&next, &own, &previous], 1)?);
    }
    if outputs.is_empty() { Tensor::cat(&[x, x, x], 1) } else { Tensor::cat(&outputs, 0) }
}

/// The sum of one row of each table for every id.
pub(super) fn embed(sources: &[(&Tensor, &[u32])]) -> Result<Tensor> {
    let mut total: Option<Tensor> = None;
    for (table, ids) in sources {
        let rows = table.index_select(&Tensor::new(*ids, table.device())?, 0)?; // [R, H]
        total = Some(match total {
            Some(total) => (total + rows)?,
            None => rows,
        });
    }
    match total {
        Some(total) => Ok(total),
        None => candle_core::bail!("an embedding of no tables"),
    }
}

//! The same operations from candle's elementary ones: slow, obvious, and differentiable by candle itself.
//!
//! This is the judge of the fused kernels, and what runs on a device for which there are none yet. candle's own
//! `layer_norm` and `softmax_last_dim` are not used: they stop gradients without a word.

use candle_core::{D, Result, Tensor};

use crate::backend::{Activation, Lengths};

/// `act(x · Wᵀ + b)`.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, act: Activation) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    match act {
        Activation::None => Ok(y),
        Activation::Gelu => y.gelu_erf(),
    }
}

/// Layer normalisation of `x + residual`.
pub(super) fn add_norm(
    x: &Tensor,
    residual: Option<&Tensor>,
    weight: &Tensor,
    bias: &Tensor,
    eps: f32,
) -> Result<Tensor> {
    let x = match residual {
        Some(residual) => (x + residual)?,
        None => x.clone(),
    };
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?; // [R, H]
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?; // [R, 1]
    let normalised = centred.broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?; // [R, H]
    normalised.broadcast_mul(weight)?.broadcast_add(bias)
}

/// Attention, one sequence after the other.
pub(super) fn attention(qkv: &Tensor, heads: usize, lengths: &Lengths) -> Result<Tensor> {
    let hidden = qkv.dim(1)? / 3;
    let width = hidden / heads;
    let mut outputs = Vec::new();
    for rows in lengths.ranges().filter(|rows| !rows.is_empty()) {
        let here = qkv.narrow(0, rows.start, rows.len())?;
        let part = |i: usize| {
            let part = here.narrow(1, i * hidden, hidden)?.reshape((rows.len(), heads, width))?;
            part.transpose(0, 1)?.contiguous() // [heads, L, width]
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?.contiguous()?)? / (width as f64).sqrt())?; // [heads, L, L]
        let max = scores.max_keepdim(D::Minus1)?.detach();
        let powers = scores.broadcast_sub(&max)?.exp()?;
        let map = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
        outputs.push(map.matmul(&v)?.transpose(0, 1)?.reshape((rows.len(), hidden))?);
    }
    if outputs.is_empty() { qkv.narrow(1, 0, hidden)?.contiguous() } else { Tensor::cat(&outputs, 0) }
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

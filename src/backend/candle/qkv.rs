//! What attention reads: where query, key and value lie, and where their gradients go.

use candle_core::Tensor;

use super::gradients::Gradients;
use super::kernels::{attention, rows};
use super::{dims, host};
use crate::backend::shapes::check_attention;
use crate::backend::{Lengths, Qkv};
use crate::error::Result;

/// What attention read, for the way back.
pub(super) enum Kept {
    Joined(Tensor),
    Apart { query_key: Tensor, value: Tensor },
}

impl From<Qkv<'_, Tensor>> for Kept {
    fn from(qkv: Qkv<'_, Tensor>) -> Self {
        match qkv {
            Qkv::Joined(x) => Self::Joined(x.clone()),
            Qkv::Apart { query_key, value } => Self::Apart { query_key: query_key.clone(), value: value.clone() },
        }
    }
}

impl Kept {
    pub(super) fn qkv(&self) -> Qkv<'_, Tensor> {
        match self {
            Self::Joined(x) => Qkv::Joined(x),
            Self::Apart { query_key, value } => Qkv::Apart { query_key, value },
        }
    }

    /// Gives the gradient of query, key and value side by side to what they came from.
    pub(super) fn spread(&self, grad: Vec<f32>, hidden: usize, gradients: &mut Gradients) {
        match self {
            Self::Joined(x) => gradients.add(x.id(), grad),
            Self::Apart { query_key, value } => {
                gradients.add(query_key.id(), rows::columns(&grad, 0..2 * hidden, 3 * hidden));
                gradients.add(value.id(), rows::columns(&grad, 2 * hidden..3 * hidden, 3 * hidden));
            }
        }
    }
}

/// What the kernels are told, once the parts are known to fit together.
pub(super) fn attention_shape(qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<attention::Shape> {
    let hidden = match qkv {
        Qkv::Joined(x) => check_attention(&[dims(x)?], heads, lengths),
        Qkv::Apart { query_key, value } => check_attention(&[dims(query_key)?, dims(value)?], heads, lengths),
    }?;
    Ok(attention::Shape { lengths: lengths.clone(), heads, hidden, dropout: None })
}

/// Query, key and value where they lie.
pub(super) fn with_parts<R>(qkv: Qkv<'_, Tensor>, h: usize, run: impl FnOnce(attention::Parts<'_>) -> R) -> Result<R> {
    fn part(data: &[f32], from: usize, stride: usize) -> attention::Part<'_> {
        attention::Part { data: data.get(from..).unwrap_or_default(), stride }
    }
    match qkv {
        Qkv::Joined(x) => host(x, |x| {
            let [query, key, value] = [0, h, 2 * h].map(|from| part(x, from, 3 * h));
            run(attention::Parts { query, key, value })
        }),
        Qkv::Apart { query_key, value } => host(query_key, |x| {
            let (query, key) = (part(x, 0, 2 * h), part(x, h, 2 * h));
            host(value, |value| run(attention::Parts { query, key, value: part(value, 0, h) }))
        })?,
    }
}

//! What attention reads: where query, key and value lie.

use super::{CudaBackend, Tensor};
use crate::backend::shapes::check_attention;
use crate::backend::{Lengths, Qkv};
use crate::error::Result;

/// Where query, key and value come from.
pub(super) enum Source {
    Joined(Tensor),
    Apart { query_key: Tensor, value: Tensor },
}

impl Source {
    pub(super) fn new(backend: &CudaBackend, qkv: Qkv<'_, Tensor>) -> Result<Self> {
        Ok(match qkv {
            Qkv::Joined(x) => Self::Joined(backend.packed(x)?),
            Qkv::Apart { query_key, value } => {
                Self::Apart { query_key: backend.packed(query_key)?, value: backend.packed(value)? }
            }
        })
    }

    /// The sum of the widths of all heads.
    pub(super) fn hidden(&self, heads: usize, lengths: &Lengths) -> Result<usize> {
        let dims = |x: &Tensor| [x.rows, x.columns];
        match self {
            Self::Joined(x) => check_attention(&[dims(x)], heads, lengths),
            Self::Apart { query_key, value } => check_attention(&[dims(query_key), dims(value)], heads, lengths),
        }
    }

    pub(super) fn ids(&self) -> [u64; 2] {
        match self {
            Self::Joined(x) => [x.id(), x.id()],
            Self::Apart { query_key, value } => [query_key.id(), value.id()],
        }
    }
}

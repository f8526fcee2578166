//! Whether what an operation is given fits together.

use super::Tensor;
use crate::backend::{Lengths, Qkv};
use crate::error::{Error, ErrorKind, Result};

pub(super) fn refuse<T>(message: String) -> Result<T> {
    Err(Error::new(ErrorKind::Backend, message))
}

pub(super) fn same_shape(what: &str, x: &Tensor, y: &Tensor) -> Result<()> {
    if (x.rows, x.columns) == (y.rows, y.columns) {
        return Ok(());
    }
    refuse(format!("{what}: expected [{}, {}], found [{}, {}]", x.rows, x.columns, y.rows, y.columns))
}

/// `x` is `[R, K]`, `weight` `[N, K]`, and a bias has `N` numbers.
pub(super) fn linear(x: [usize; 2], weight: [usize; 2], bias: Option<usize>) -> Result<()> {
    if x[1] != weight[1] {
        return refuse(format!("linear: expected [{}, {}], found {} columns", x[0], weight[1], x[1]));
    }
    match bias.filter(|&bias| bias != weight[0]) {
        Some(bias) => refuse(format!("linear: expected a bias of {}, found {bias}", weight[0])),
        None => Ok(()),
    }
}

pub(super) fn norm(columns: usize, weight: usize, bias: usize) -> Result<()> {
    if weight == columns && bias == columns {
        return Ok(());
    }
    refuse(format!("add_norm: expected {columns} weights and biases, found {weight} and {bias}"))
}

/// The hidden size.
pub(super) fn attention(qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<usize> {
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
    Ok(hidden)
}

//! Scaled dot-product attention inside each sequence of a packed batch.
//!
//! Forward, for each sequence of length `L` and each head of width `W`:
//! `P = softmax(Q · Kᵀ / √W)`, `O = D(P) · V`, where `D` drops and scales as [`Dropout`] does, or does nothing. Backward,
//! with `P` and what is dropped computed again rather than kept (`L²` a head is the largest thing a step would have to
//! remember): `dV = D(P)ᵀ · dO`, `dP = D(dO · Vᵀ)`, `dS = P ∘ (dP − rowsum(dP ∘ P))`, `dQ = dS · K / √W`,
//! `dK = dSᵀ · Q / √W`.

use std::ops::Range;

use rayon::prelude::*;

use super::matmul::{Into, Shared, Threads, View, ViewMut, product};
use super::random::Dropout;
use super::{dot, math, sum, vectorised};
use crate::backend::Lengths;

/// Query, key and value, each `[R, H]` inside rows that may hold more.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// From the first number of the part on.
    pub query: Part<'a>,
    /// As `query`.
    pub key: Part<'a>,
    /// As `query`.
    pub value: Part<'a>,
}

/// One of them: the first number of each row lies `stride` after that of the row before.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// From the first number of the part on.
    pub data: &'a [f32],
    /// Columns of a whole row.
    pub stride: usize,
}

/// What attention is told besides its input.
#[derive(Clone)]
pub struct Shape {
    /// Rows of each sequence.
    pub lengths: Lengths,
    /// Heads.
    pub heads: usize,
    /// `H`, the sum of the widths of all heads.
    pub hidden: usize,
    /// Of the probabilities, numbered as [`maps`] lays them out. The maps themselves are shown without it.
    pub dropout: Option<Dropout>,
}

impl Shape {
    fn width(&self) -> usize {
        self.hidden / self.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width() as f32).sqrt()
    }

    /// One piece of work for every head of every sequence.
    fn pairs(&self) -> Vec<(Range<usize>, usize)> {
        let sequences = self.lengths.ranges().filter(|rows| !rows.is_empty());
        sequences.flat_map(|rows| (0..self.heads).map(move |head| (rows.clone(), head))).collect()
    }

    /// The same with the number of the first element of each map.
    fn numbered(&self) -> Vec<(Range<usize>, usize, u32)> {
        let mut first = 0u32;
        let number = |(rows, head): (Range<usize>, usize)| {
            let at = first;
            first = first.wrapping_add((rows.len() * rows.len()) as u32);
            (rows, head, at)
        };
        self.pairs().into_iter().map(number).collect()
    }

    fn drop(&self, map: &mut [f32], first: u32) {
        if let Some(dropout) = &self.dropout {
            dropout.apply(map, first);
        }
    }
}

/// One head of one sequence: where its query, key and value begin, and `softmax(Q · Kᵀ / √W)`.
struct Head<'a> {
    q: View<'a>,
    k: View<'a>,
    v: View<'a>,
}

impl<'a> Head<'a> {
    fn new(parts: &Parts<'a>, shape: &Shape, rows: &Range<usize>, head: usize) -> Self {
        let w = shape.width();
        let view =
            |part: Part<'a>| View::new(&part.data[rows.start * part.stride + head * w..], rows.len(), w, part.stride);
        Self { q: view(parts.query), k: view(parts.key), v: view(parts.value) }
    }

    /// Writes the attention map `[L, L]`.
    fn map(&self, map: &mut [f32], length: usize, scale: f32) {
        let view = ViewMut::new(map, length, length, length);
        product(view, self.q, self.k.t(), scale, Into::Fresh, Threads::One);
        softmax_rows(map, length);
    }
}

vectorised! {
    fn softmax_rows(map: &mut [f32], length: usize) {
        for row in map.chunks_exact_mut(length) {
            let max = super::max(row);
            for x in row.iter_mut() {
                *x = math::exp(*x - max);
            }
            let scale = 1.0 / sum(row);
            for x in row.iter_mut() {
                *x *= scale;
            }
        }
    }

    /// `slope` holds the gradient of the map and becomes that of the scores.
    fn softmax_backward(slope: &mut [f32], map: &[f32], length: usize) {
        for (slope, map) in slope.chunks_exact_mut(length).zip(map.chunks_exact(length)) {
            let mean = dot(slope, map);
            for (s, p) in slope.iter_mut().zip(map) {
                *s = p * (*s - mean);
            }
        }
    }
}

/// A map as products read it.
fn square(map: &[f32], length: usize) -> View<'_> {
    View::new(map, length, length, length)
}

/// The result is `[R, H]`.
pub fn forward(parts: &Parts<'_>, shape: &Shape) -> Vec<f32> {
    let (h, w, scale) = (shape.hidden, shape.width(), shape.scale());
    let mut out = vec![0f32; shape.lengths.rows() * h];
    let shared = Shared::new(&mut out);
    shape.numbered().into_par_iter().for_each_init(Vec::new, |map: &mut Vec<f32>, (rows, head, first)| {
        let length = rows.len();
        map.resize(length * length, 0.0);
        let parts = Head::new(parts, shape, &rows, head);
        parts.map(map, length, scale);
        shape.drop(map, first);
        // Safety: the columns of this head in the rows of this sequence belong to this pair alone, and `out` outlives
        // the loop.
        let block = unsafe { shared.block(rows.start * h + head * w, length, w, h) };
        product(block, square(map, length), parts.v, 1.0, Into::Fresh, Threads::One);
    });
    out
}

/// The attention maps, `[L, L]` each, sequence after sequence and head after head.
pub fn maps(parts: &Parts<'_>, shape: &Shape) -> Vec<f32> {
    let pairs = shape.pairs();
    let mut out = vec![0f32; pairs.iter().map(|(rows, _)| rows.len() * rows.len()).sum()];
    let mut rest = &mut out[..];
    let maps = pairs.into_iter().map(|(rows, head)| {
        let (map, after) = std::mem::take(&mut rest).split_at_mut(rows.len() * rows.len());
        rest = after;
        (rows, head, map)
    });
    maps.collect::<Vec<_>>().into_par_iter().for_each(|(rows, head, map)| {
        Head::new(parts, shape, &rows, head).map(map, rows.len(), shape.scale());
    });
    out
}

/// The gradients of query, key and value side by side, `[R, 3H]`, from that of the result `[R, H]`.
pub fn backward(grad: &[f32], parts: &Parts<'_>, shape: &Shape) -> Vec<f32> {
    let (h, w, scale) = (shape.hidden, shape.width(), shape.scale());
    let mut out = vec![0f32; 3 * grad.len()];
    let shared = Shared::new(&mut out);
    shape.numbered().into_par_iter().for_each_init(
        || (Vec::new(), Vec::new()),
        |(map, slope): &mut (Vec<f32>, Vec<f32>), (rows, head, first)| {
            let length = rows.len();
            map.resize(length * length, 0.0);
            slope.resize(length * length, 0.0);
            let parts = Head::new(parts, shape, &rows, head);
            parts.map(map, length, scale);
            let grad = View::new(&grad[rows.start * h + head * w..], length, w, h);
            // Safety: as in `forward`; query, key and value are three different blocks.
            let block = |i: usize| unsafe { shared.block(rows.start * 3 * h + i * h + head * w, length, w, 3 * h) };
            slope.copy_from_slice(map);
            shape.drop(slope, first);
            product(block(2), square(slope, length).t(), grad, 1.0, Into::Fresh, Threads::One);
            let view = ViewMut::new(slope, length, length, length);
            product(view, grad, parts.v.t(), 1.0, Into::Fresh, Threads::One);
            shape.drop(slope, first);
            softmax_backward(slope, map, length);
            product(block(0), square(slope, length), parts.k, scale, Into::Fresh, Threads::One);
            product(block(1), square(slope, length).t(), parts.q, scale, Into::Fresh, Threads::One);
        },
    );
    out
}

/// As [`backward`], from the gradient of the [`maps`], in their order: `[R, 3H]`. That of the value is zero.
pub fn maps_backward(maps_grad: &[f32], parts: &Parts<'_>, shape: &Shape) -> Vec<f32> {
    let (h, w, scale) = (shape.hidden, shape.width(), shape.scale());
    let mut out = vec![0f32; shape.lengths.rows() * 3 * h];
    let shared = Shared::new(&mut out);
    let mut rest = maps_grad;
    let grads = shape.pairs().into_iter().map(|(rows, head)| {
        let (grad, after) = rest.split_at(rows.len() * rows.len());
        rest = after;
        (rows, head, grad)
    });
    grads.collect::<Vec<_>>().into_par_iter().for_each_init(
        || (Vec::new(), Vec::new()),
        |(map, slope): &mut (Vec<f32>, Vec<f32>), (rows, head, grad)| {
            let length = rows.len();
            map.resize(length * length, 0.0);
            slope.clear();
            slope.extend_from_slice(grad);
            let parts = Head::new(parts, shape, &rows, head);
            parts.map(map, length, scale);
            softmax_backward(slope, map, length);
            let slope = square(slope, length);
            // Safety: as in `backward`.
            let block = |i: usize| unsafe { shared.block(rows.start * 3 * h + i * h + head * w, length, w, 3 * h) };
            product(block(0), slope, parts.k, scale, Into::Fresh, Threads::One);
            product(block(1), slope.t(), parts.q, scale, Into::Fresh, Threads::One);
        },
    );
    out
}

#[cfg(test)]
mod tests {
    use candle_core::{Result, Tensor};

    use super::super::judge::{Case, constant, log_softmax, numbers};
    use super::*;

    /// `Σ maps · upstream` from the formula of the maps; `x` is `[R, 3H]`.
    fn weighted_maps(x: &Tensor, upstream: &[f32], shape: &Shape) -> Result<Tensor> {
        let (w, mut total, mut at) = (shape.width(), constant(&[0.0], (1, 1)).sum_all()?, 0);
        for (rows, head) in shape.pairs() {
            let length = rows.len();
            let part = |i: usize| x.narrow(0, rows.start, length)?.narrow(1, i * shape.hidden + head * w, w);
            let scores = (part(0)?.contiguous()?.matmul(&part(1)?.t()?.contiguous()?)? / (w as f64).sqrt())?;
            let upstream = constant(&upstream[at..at + length * length], (length, length));
            total = (total + (log_softmax(&scores)?.exp()? * upstream)?.sum_all()?)?;
            at += length * length;
        }
        Ok(total)
    }

    #[test]
    fn maps_backward_equals_the_formula() {
        let lengths = Lengths::new(vec![1, 7, 0, 17, 9]);
        let shape = Shape { lengths, heads: 4, hidden: 20, dropout: None };
        let case = Case { name: "maps", student: numbers(34 * 60, 1, 1.0), dims: (34, 60) };
        let upstream = numbers(4 * (1 + 49 + 289 + 81), 2, 1.0);
        let part = |i: usize| Part { data: &case.student[i * 20..], stride: 60 };
        let parts = Parts { query: part(0), key: part(1), value: part(2) };
        case.judge(
            |x| weighted_maps(x, &upstream, &shape),
            |grad| {
                let found = maps_backward(&upstream, &parts, &shape);
                grad.iter_mut().zip(&found).for_each(|(g, found)| *g += found);
                maps(&parts, &shape).iter().zip(&upstream).map(|(p, u)| f64::from(*p) * f64::from(*u)).sum()
            },
        );
    }
}

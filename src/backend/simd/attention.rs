//! Scaled dot-product attention in `f32` inside each sequence, head by head; [`super::attention_exact`] is that of int8
//! models.
//!
//! Keys and values of a head are packed into panels once; then a block of query rows makes its scores, their softmax and
//! its context with the product of [`super::gemm_f32`]. No more than [`BLOCK`] rows of scores exist at a time.

use std::ops::Range;

use super::gemm::Out;
use super::gemm_f32::{F32Tiles, GemmF32};
use super::lanes::{Kernel, Lanes, WIDTH, padded};
use super::math;
use super::matrix::{pack_f32, panel_len};
use crate::backend::Lengths;

/// Query rows that are worked on at a time; a multiple of the rows of every register tile.
const BLOCK: usize = 24;

/// `softmax(Q Kᵀ / √d) V` for each sequence and head.
pub(crate) struct Attention<'a> {
    pub(crate) heads: Heads<'a>,
    /// [`scratch_len`] floats.
    pub(crate) scratch: &'a mut [f32],
    /// `[rows, hidden]`.
    pub(crate) out: &'a mut [f32],
}

/// What attention reads, for each sequence and head.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    /// Query, key and value.
    pub(crate) parts: [Part<'a>; 3],
    pub(crate) hidden: usize,
    /// Of a head.
    pub(crate) width: usize,
    pub(crate) lengths: &'a Lengths,
}

impl<'a> Heads<'a> {
    /// The rows of a sequence, the first column of a head, and its query, key and value; one sequence after the other.
    #[inline(always)]
    pub(crate) fn each(self) -> impl Iterator<Item = (Range<usize>, usize, [Part<'a>; 3])> {
        let Self { parts, hidden, width, lengths } = self;
        lengths.ranges().filter(|rows| !rows.is_empty()).flat_map(move |rows| {
            let head = move |at| (rows.clone(), at, parts.map(|part| part.at(rows.start, at)));
            (0..hidden).step_by(width).map(head)
        })
    }
}

/// Query, key or value of all heads: `[rows, hidden]`, the first number of each row `stride` after that of the last.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
}

impl<'a> Part<'a> {
    /// The first `width` numbers of each row.
    #[inline(always)]
    pub(crate) fn rows(self, width: usize) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks(self.stride).map(move |row| &row[..width])
    }

    /// From `row` and `column` on.
    #[inline(always)]
    pub(crate) fn at(self, row: usize, column: usize) -> Self {
        Self { values: &self.values[row * self.stride + column..], ..self }
    }
}

/// The scratch of sequences up to `longest` with heads of width `width`.
pub(crate) fn scratch_len(longest: usize, width: usize) -> usize {
    panel_len(longest, width) + panel_len(width, longest) + BLOCK * longest.next_multiple_of(WIDTH)
}

impl Kernel for Attention<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { heads, scratch, out } = self;
        let Heads { hidden, width, .. } = heads;
        for (rows, at, [query, key, value]) in heads.each() {
            let out = &mut out[rows.start * hidden..rows.end * hidden];
            Head { query, key, value, hidden, width, at, len: rows.len() }.run(lanes, &mut *scratch, out);
        }
    }
}

/// One head of one sequence of `len` rows: its own parts, and where `at` its columns of the result begin.
#[derive(Clone, Copy)]
struct Head<'a> {
    query: Part<'a>,
    key: Part<'a>,
    value: Part<'a>,
    hidden: usize,
    width: usize,
    at: usize,
    len: usize,
}

impl Head<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, scratch: &mut [f32], out: &mut [f32]) {
        let Self { query, hidden, width, at, len, .. } = self;
        let (keys, scratch) = scratch.split_at_mut(panel_len(len, width));
        let (values, scratch) = scratch.split_at_mut(panel_len(width, len));
        self.pack(keys, values);
        let stride = len.next_multiple_of(WIDTH);
        for start in (0..len).step_by(BLOCK) {
            let rows = BLOCK.min(len - start);
            let scores = &mut scratch[..rows * stride];
            let queries = query.at(start, 0).values;
            let tiles = F32Tiles { rows: queries, stride: query.stride, inputs: width, panels: keys };
            lanes.call(GemmF32 { tiles, out: Out::plain(scores, stride, rows, len) });
            let sums = &mut [0.0; BLOCK][..rows];
            lanes.call(Exponentials { scores, stride, len, sums });
            let tiles = F32Tiles { rows: scores, stride, inputs: len, panels: values };
            let out = &mut out[start * hidden + at..];
            lanes.call(GemmF32 { tiles, out: Out::plain(out, hidden, rows, width) });
            for (row, sum) in out.chunks_mut(hidden).zip(sums) {
                let scale = 1.0 / *sum;
                row[..width].iter_mut().for_each(|x| *x *= scale);
            }
        }
    }

    /// Keys `[len/8][width][8]`, scaled so that a score is a power of two: `log2(e)/√width`, and values
    /// `[width/8][len][8]`.
    #[inline(always)]
    fn pack(self, keys: &mut [f32], values: &mut [f32]) {
        let Self { key, value, width, len, .. } = self;
        let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
        pack_f32(key.values, key.stride, len, width, scale, keys);
        for (p, panel) in values.chunks_exact_mut(len * WIDTH).enumerate() {
            let columns = p * WIDTH..width.min((p + 1) * WIDTH);
            for (row, to) in value.values.chunks(value.stride).zip(panel.as_chunks_mut::<WIDTH>().0) {
                let row = &row[columns.clone()];
                match row.first_chunk() {
                    Some(whole) => *to = *whole,
                    None => *to = padded(row),
                }
            }
        }
    }
}

/// Replaces the first `len` scores of each row by `2^(score - max)` and sums them.
struct Exponentials<'a> {
    scores: &'a mut [f32],
    /// From one row to the next, a whole number of vectors.
    stride: usize,
    len: usize,
    sums: &'a mut [f32],
}

impl Kernel for Exponentials<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        for (row, sum) in self.scores.chunks_exact_mut(self.stride).zip(self.sums) {
            *sum = exponentials(lanes, row, self.len);
        }
    }
}

#[inline(always)]
fn exponentials<L: Lanes>(lanes: L, row: &mut [f32], len: usize) -> f32 {
    let first = row[0];
    row[len..].fill(first); // any score of the row leaves the maximum alone
    let mut best = lanes.splat(first);
    for x in row.as_chunks::<WIDTH>().0 {
        best = lanes.max(best, lanes.load(x));
    }
    let best = lanes.splat(lanes.peak(best));
    let mut sums = lanes.splat(0.0);
    let (whole, rest) = row.split_at_mut(len / WIDTH * WIDTH);
    for x in whole.as_chunks_mut::<WIDTH>().0 {
        let e = math::exp2(lanes, lanes.sub(lanes.load(x), best));
        sums = lanes.add(sums, e);
        lanes.store(e, x);
    }
    let mut total = lanes.sum(sums);
    if let Some(x) = rest.first_chunk_mut() {
        let e = math::exp2(lanes, lanes.sub(lanes.load(x), best));
        lanes.store(e, x);
        for e in &x[..len % WIDTH] {
            total += e;
        }
    }
    total
}

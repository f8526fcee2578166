//! Attention in integers, for models whose products are: exact sums, the same bits on every target, and half the steps of
//! `f32`, because one multiplies a pair.
//!
//! A head's queries and keys are rounded to thirteen bits, so that a score is good to 1 in 4,000 of what the largest of
//! them could give; the weights of a row to sixteen, its best score having almost 32,767; values to eleven, and summed in runs
//! of keys that cannot overflow. Keys and values of a head are packed once; then a few query rows at a time make scores,
//! their softmax and their context. No more than [`BLOCK`] rows of scores exist at a time.

use super::attention::{Heads, Part};
use super::gemm::Out;
use super::gemm_pairs::{GemmPairs, PairTiles};
use super::lanes::{Kernel, Lanes, MAGIC, WIDTH, padded};
use super::math;
use super::quantize::{inverse, magnitude};

/// Query rows that are worked on at a time; a multiple of the rows of every register tile.
const BLOCK: usize = 12;

/// The largest query and key: `128 · 4095²` fits an `i32`.
const QUERY_KEY: f32 = 4095.0;

/// The widest head.
pub(crate) const MOST_WIDTH: usize = 128;

/// The weight of a row's best score is two to the power of this: below 32,767 with the error of [`math::exp2_short`].
const WEIGHT_LOG2: f32 = 14.9997;

/// The largest value, and the pairs of keys that are summed at once: `2 · 32 · 32767 · 1023` fits an `i32`.
const VALUE: f32 = 1023.0;
const RUN: usize = 32;

/// The score of a key that does not exist.
const NOTHING: f32 = -1e30;

/// `softmax(Q Kᵀ / √d) V` for each sequence and head.
pub(crate) struct ExactAttention<'a> {
    /// Of width [`MOST_WIDTH`] at most.
    pub(crate) heads: Heads<'a>,
    /// [`words_len`] words.
    pub(crate) words: &'a mut [u32],
    /// [`scores_len`] floats.
    pub(crate) scores: &'a mut [f32],
    /// `[rows, hidden]`.
    pub(crate) out: &'a mut [f32],
}

/// The words that sequences up to `longest` with heads of width `width` need.
pub(crate) fn words_len(longest: usize, width: usize) -> usize {
    Sizes { len: longest, width }.offsets()[4]
}

/// The floats that sequences up to `longest` need.
pub(crate) fn scores_len(longest: usize) -> usize {
    BLOCK * longest.next_multiple_of(WIDTH)
}

/// The sizes of a head, in pairs.
#[derive(Clone, Copy)]
struct Sizes {
    len: usize,
    width: usize,
}

impl Sizes {
    /// Of a query or key.
    fn depth(self) -> usize {
        self.width.div_ceil(2)
    }

    /// Of keys, filled up to whole vectors.
    fn keys(self) -> usize {
        self.len.next_multiple_of(WIDTH) / 2
    }

    /// Where in the scratch keys, values, a block of queries and a block of weights begin, and where these end.
    fn offsets(self) -> [usize; 5] {
        let keys = 2 * self.keys() * self.depth();
        let values = self.width.next_multiple_of(WIDTH) * self.keys();
        [
            0,
            keys,
            keys + values,
            keys + values + BLOCK * self.depth(),
            keys + values + BLOCK * (self.depth() + self.keys()),
        ]
    }
}

impl Kernel for ExactAttention<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { heads, words, scores, out } = self;
        let Heads { hidden, width, .. } = heads;
        for (rows, at, [query, key, value]) in heads.each() {
            let head = Head { query, key, value, sizes: Sizes { len: rows.len(), width } };
            head.run(lanes, words, scores, &mut out[rows.start * hidden..rows.end * hidden][at..], hidden);
        }
    }
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Head<'a> {
    query: Part<'a>,
    key: Part<'a>,
    value: Part<'a>,
    sizes: Sizes,
}

impl Head<'_> {
    /// Writes the context, rows `hidden` apart.
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, words: &mut [u32], scores: &mut [f32], out: &mut [f32], hidden: usize) {
        let Self { query, key, value, sizes } = self;
        let (Sizes { len, width }, [_, at_values, at_queries, at_weights, _]) = (sizes, sizes.offsets());
        let (keys, rest) = words.split_at_mut(at_values);
        let (values, rest) = rest.split_at_mut(at_queries - at_values);
        let (queries, weights) = rest.split_at_mut(at_weights - at_queries);
        let [of_query, of_key, of_value] = [query, key, value].map(|part| largest(lanes, part, sizes));
        lanes.call(Strips { part: key, rows: len, width, height: WIDTH, scale: inverse(of_key, QUERY_KEY), to: keys });
        lanes.call(Values { part: value, sizes, scale: inverse(of_value, VALUE), to: values });
        let unit = of_query / QUERY_KEY * (of_key / QUERY_KEY) * (std::f32::consts::LOG2_E / (width as f32).sqrt());
        for start in (0..len).step_by(BLOCK) {
            let (rows, stride) = (BLOCK.min(len - start), 2 * sizes.keys());
            let (part, scores) = (query.at(start, 0), &mut scores[..rows * stride]);
            lanes.call(Strips { part, rows, width, height: L::ROWS, scale: inverse(of_query, QUERY_KEY), to: queries });
            let (pairs, scales) = (sizes.depth(), &mut [unit; BLOCK]);
            let tiles = PairTiles { strips: queries, panels: keys, stride: pairs, pairs, run: pairs, scales };
            lanes.call(GemmPairs { tiles, out: Out::plain(scores, stride, rows, len) });
            lanes.call(Softmax { scores, len, unit: of_value / VALUE, weights, scales });
            let pairs = len.div_ceil(2);
            let tiles = PairTiles { strips: weights, panels: values, stride: sizes.keys(), pairs, run: RUN, scales };
            lanes.call(GemmPairs { tiles, out: Out::plain(&mut out[start * hidden..], hidden, rows, width) });
        }
    }
}

/// Rows as pairs of `i16` in strips of `height` rows, `[rows/height][width/2][height]`; keys in strips of eight are panels.
struct Strips<'a> {
    part: Part<'a>,
    rows: usize,
    width: usize,
    height: usize,
    scale: f32,
    to: &'a mut [u32],
}

impl Kernel for Strips<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { part, rows, width, height, scale, to } = self;
        let (depth, scale, magic) = (width.div_ceil(2), lanes.splat(scale), lanes.splat(MAGIC));
        for (r, row) in part.rows(width).take(rows).enumerate() {
            let strip = &mut to[r / height * height * depth..][..height * depth];
            let (whole, rest) = row.as_chunks::<WIDTH>();
            for (i, x) in whole.iter().enumerate() {
                let n = lanes.add(lanes.mul(lanes.load(x), scale), magic);
                let here = &mut strip[i * WIDTH / 2 * height + r % height..];
                assert!(here.len() > 3 * height, "too short a strip");
                // Safety: the line above.
                unsafe { lanes.store_pairs(n, here.as_mut_ptr(), height) }
            }
            if !rest.is_empty() {
                let mut last = [0; WIDTH / 2];
                let n = lanes.add(lanes.mul(lanes.load(&padded(rest)), scale), magic);
                // Safety: four words, side by side.
                unsafe { lanes.store_pairs(n, last.as_mut_ptr(), 1) }
                let begin = whole.len() * WIDTH / 2;
                for (pair, word) in (begin..depth).zip(last) {
                    strip[pair * height + r % height] = word;
                }
            }
        }
    }
}

/// Values as pairs of keys, `[width/8][keys][8]`, filled up with zeros.
struct Values<'a> {
    part: Part<'a>,
    sizes: Sizes,
    scale: f32,
    to: &'a mut [u32],
}

impl Kernel for Values<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { part, sizes: Sizes { len, width }, scale, to } = self;
        let (scale, magic) = (lanes.splat(scale), lanes.splat(MAGIC));
        for (p, panel) in to.chunks_exact_mut(self.sizes.keys() * WIDTH).enumerate() {
            let columns = p * WIDTH..width.min((p + 1) * WIDTH);
            for (j, pair) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
                let mut rounded = [lanes.splat(0.0); 2];
                for (n, row) in rounded.iter_mut().zip(2 * j..len) {
                    let row = &part.values[row * part.stride..][columns.clone()];
                    let x = row.first_chunk().map_or_else(|| lanes.load(&padded(row)), |x| lanes.load(x));
                    *n = lanes.add(lanes.mul(x, scale), magic);
                }
                *pair = lanes.join(rounded[0], rounded[1]);
            }
        }
    }
}

/// Turns scores, which are powers of two, into integer weights in strips, and `scales` into what one is worth in the
/// context: `unit` by the sum of the row's weights.
struct Softmax<'a> {
    /// `[rows, stride]`, `stride` whole vectors.
    scores: &'a mut [f32],
    len: usize,
    unit: f32,
    /// `[rows of a block / rows of a tile][stride/2][rows of a tile]`.
    weights: &'a mut [u32],
    scales: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { scores, len, unit, weights, scales } = self;
        let stride = len.next_multiple_of(WIDTH);
        for (r, (row, scale)) in scores.chunks_exact_mut(stride).zip(scales).enumerate() {
            let strip = &mut weights[r / L::ROWS * L::ROWS * stride / 2..][..L::ROWS * stride / 2];
            row[len..].fill(NOTHING);
            *scale = unit / row_weights(lanes, row, &mut strip[r % L::ROWS..]);
        }
    }
}

/// Writes the weights of a row and returns their sum, an integer: exact up to 512 keys.
#[inline(always)]
fn row_weights<L: Lanes>(lanes: L, row: &[f32], to: &mut [u32]) -> f32 {
    let row = row.as_chunks::<WIDTH>().0;
    let mut best = lanes.splat(NOTHING);
    for x in row {
        best = lanes.max(best, lanes.load(x));
    }
    let (best, magic) = (lanes.splat(lanes.peak(best) - WEIGHT_LOG2), lanes.splat(MAGIC));
    let mut total = lanes.splat(0.0);
    for (x, to) in row.iter().zip(to.chunks_mut(WIDTH / 2 * L::ROWS)) {
        let n = lanes.add(math::exp2_short(lanes, lanes.sub(lanes.load(x), best)), magic);
        total = lanes.add(total, lanes.sub(n, magic));
        assert!(to.len() > 3 * L::ROWS, "too short a strip");
        // Safety: the line above.
        unsafe { lanes.store_pairs(n, to.as_mut_ptr(), L::ROWS) }
    }
    lanes.sum(total)
}

/// The largest magnitude of a head.
#[inline(always)]
fn largest<L: Lanes>(lanes: L, part: Part<'_>, sizes: Sizes) -> f32 {
    let rows = part.rows(sizes.width).take(sizes.len);
    rows.fold(0.0, |best, row| best.max(magnitude(lanes, row)))
}

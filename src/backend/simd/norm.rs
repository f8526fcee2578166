//! Residual and normalisation in one go, up to three passes over a row that stays in the first cache.

use super::lanes::{Kernel, Lanes, WIDTH, padded, store_some};
use crate::backend::NormKind;

/// `(y - mean(y)) / sqrt(var(y) + eps) · weight + bias` with `y = x + residual`, row by row; without layer
/// normalisation `y · weight + bias`.
pub(crate) struct AddNorm<'a> {
    /// `[rows, columns]`.
    pub(crate) x: &'a [f32],
    /// `[rows, columns]`.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) columns: usize,
    /// Filled up to whole vectors, as is `bias`.
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) kind: NormKind,
    /// `[rows, columns]`.
    pub(crate) out: &'a mut [f32],
}

impl Kernel for AddNorm<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let columns = self.columns;
        let (weight, bias) = (self.weight.as_chunks().0, self.bias.as_chunks().0);
        self.out.copy_from_slice(self.x);
        for (r, row) in self.out.chunks_exact_mut(columns).enumerate() {
            if let Some(residual) = self.residual {
                add(lanes, row, &residual[r * columns..][..columns]);
            }
            let (mean, scale) = match self.kind {
                NormKind::LayerNorm { eps } => {
                    let mean = sum(lanes, row) / columns as f32;
                    (mean, 1.0 / (squares(lanes, row, mean) / columns as f32 + eps).sqrt())
                }
                NormKind::NoNorm => (0.0, 1.0),
            };
            Affine { mean, scale, weight, bias }.run(lanes, row);
        }
    }
}

#[inline(always)]
fn add<L: Lanes>(lanes: L, row: &mut [f32], residual: &[f32]) {
    let (row, rest) = row.as_chunks_mut::<WIDTH>();
    let (residual, residual_rest) = residual.as_chunks::<WIDTH>();
    for (x, y) in row.iter_mut().zip(residual) {
        lanes.store(lanes.add(lanes.load(x), lanes.load(y)), x);
    }
    for (x, y) in rest.iter_mut().zip(residual_rest) {
        *x += y;
    }
}

#[inline(always)]
fn sum<L: Lanes>(lanes: L, row: &[f32]) -> f32 {
    let mut sums = [lanes.splat(0.0); 2];
    let (pairs, rest) = row.as_chunks::<{ 2 * WIDTH }>();
    for pair in pairs {
        for (sum, x) in sums.iter_mut().zip(pair.as_chunks::<WIDTH>().0) {
            *sum = lanes.add(*sum, lanes.load(x));
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest.chunks(WIDTH)) {
        *sum = lanes.add(*sum, lanes.load(&padded(x)));
    }
    lanes.sum(lanes.add(sums[0], sums[1]))
}

/// The sum of squared distances from the mean.
#[inline(always)]
fn squares<L: Lanes>(lanes: L, row: &[f32], mean: f32) -> f32 {
    let center = lanes.splat(mean);
    let mut sums = [lanes.splat(0.0); 2];
    let (pairs, rest) = row.as_chunks::<{ 2 * WIDTH }>();
    for pair in pairs {
        for (sum, x) in sums.iter_mut().zip(pair.as_chunks::<WIDTH>().0) {
            let d = lanes.sub(lanes.load(x), center);
            *sum = lanes.add(*sum, lanes.mul(d, d));
        }
    }
    let mut total = lanes.sum(lanes.add(sums[0], sums[1]));
    for x in rest {
        total += (x - mean) * (x - mean);
    }
    total
}

/// What one row is turned into.
struct Affine<'a> {
    mean: f32,
    scale: f32,
    weight: &'a [[f32; WIDTH]],
    bias: &'a [[f32; WIDTH]],
}

impl Affine<'_> {
    #[inline(always)]
    fn run<L: Lanes>(&self, lanes: L, row: &mut [f32]) {
        let (whole, rest) = row.as_chunks_mut::<WIDTH>();
        let last = whole.len();
        for (i, values) in whole.iter_mut().enumerate() {
            lanes.store(self.one(lanes, lanes.load(values), i), values);
        }
        if !rest.is_empty() {
            store_some(lanes, self.one(lanes, lanes.load(&padded(rest)), last), rest);
        }
    }

    #[inline(always)]
    fn one<L: Lanes>(&self, lanes: L, x: L::Floats, i: usize) -> L::Floats {
        let d = lanes.mul(lanes.sub(x, lanes.splat(self.mean)), lanes.splat(self.scale));
        lanes.add(lanes.mul(d, lanes.load(&self.weight[i])), lanes.load(&self.bias[i]))
    }
}

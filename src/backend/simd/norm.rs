//! Residual and layer normalisation in one go, two passes over a row that stays in the first cache.

use super::lanes::{Kernel, Lanes, WIDTH, padded, store_some};

/// `(y - mean(y)) / sqrt(var(y) + eps) · weight + bias` with `y = x + residual`, row by row.
pub(crate) struct AddNorm<'a> {
    /// `[rows, columns]`.
    pub(crate) x: &'a [f32],
    /// `[rows, columns]`.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) columns: usize,
    /// Filled up to whole vectors, as is `bias`.
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) eps: f32,
    /// `[rows, columns]`.
    pub(crate) out: &'a mut [f32],
}

impl Kernel for AddNorm<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let columns = self.columns;
        for (row, (x, out)) in self.x.chunks_exact(columns).zip(self.out.chunks_exact_mut(columns)).enumerate() {
            let mean = match self.residual {
                Some(residual) => sum_into(lanes, x, Some(&residual[row * columns..][..columns]), out),
                None => sum_into(lanes, x, None, out),
            } / columns as f32;
            let scale = 1.0 / (squares(lanes, out, mean) / columns as f32 + self.eps).sqrt();
            affine(lanes, out, mean, scale, self.weight, self.bias);
        }
    }
}

/// Writes `x + residual` and returns the sum of the row.
#[inline(always)]
fn sum_into<L: Lanes>(lanes: L, x: &[f32], residual: Option<&[f32]>, out: &mut [f32]) -> f32 {
    let mut sums = [lanes.splat(0.0); 2];
    for (i, (x, out)) in x.chunks(WIDTH).zip(out.chunks_mut(WIDTH)).enumerate() {
        let mut value = load_some(lanes, x);
        if let Some(residual) = residual {
            value = lanes.add(value, load_some(lanes, &residual[i * WIDTH..][..x.len()]));
        }
        sums[i % 2] = lanes.add(sums[i % 2], value);
        store_some(lanes, value, out);
    }
    lanes.sum(lanes.add(sums[0], sums[1]))
}

/// The sum of squared distances from the mean.
#[inline(always)]
fn squares<L: Lanes>(lanes: L, row: &[f32], mean: f32) -> f32 {
    let center = lanes.splat(mean);
    let mut sums = [lanes.splat(0.0); 2];
    let (whole, rest) = row.as_chunks::<WIDTH>();
    for (i, x) in whole.iter().enumerate() {
        let d = lanes.sub(lanes.load(x), center);
        sums[i % 2] = lanes.add(sums[i % 2], lanes.mul(d, d));
    }
    let mut total = lanes.sum(lanes.add(sums[0], sums[1]));
    for x in rest {
        total += (x - mean) * (x - mean);
    }
    total
}

#[inline(always)]
fn affine<L: Lanes>(lanes: L, row: &mut [f32], mean: f32, scale: f32, weight: &[f32], bias: &[f32]) {
    let (center, scale) = (lanes.splat(mean), lanes.splat(scale));
    for (i, values) in row.chunks_mut(WIDTH).enumerate() {
        let d = lanes.mul(lanes.sub(load_some(lanes, values), center), scale);
        let weight = load_some(lanes, &weight[i * WIDTH..][..WIDTH]);
        let bias = load_some(lanes, &bias[i * WIDTH..][..WIDTH]);
        store_some(lanes, lanes.add(lanes.mul(d, weight), bias), values);
    }
}

#[inline(always)]
fn load_some<L: Lanes>(lanes: L, values: &[f32]) -> L::Floats {
    match values.first_chunk() {
        Some(whole) => lanes.load(whole),
        None => lanes.load(&padded(values)),
    }
}

//! The CPU kernels of training, each with its backward pass, on plain slices.
//!
//! Stock candle spends three quarters of a training step outside its matrix products: single-threaded element-wise
//! passes, temporaries and page faults. Here each operation of the model is one pass forward and one backward, rows are
//! shared out over all threads, and results do not depend on how many threads there are: sums over rows are taken in
//! blocks of [`ROWS`] and added in order.

pub mod attention;
pub mod embedding;
pub mod linear;
pub mod math;
pub mod matmul;
pub mod norm;
pub mod random;
pub mod token_loss;

use rayon::prelude::*;

/// Rows of one piece of work.
pub(crate) const ROWS: usize = 32;

/// Runs `work` compiled for the widest vectors of this machine.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// `Σ x`, in eight interleaved sums so that it vectorises.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let chunks = x.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// `Σ x·y`, in interleaved sums so that it vectorises.
#[inline(always)]
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (xs, ys) = (x.chunks_exact(16), y.chunks_exact(16));
    let rest: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in xs.zip(ys) {
        for i in 0..16 {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// `y += x`, on all threads when it is long.
pub(crate) fn add_assign(y: &mut [f32], x: &[f32]) {
    y.par_chunks_mut(1 << 15).zip(x.par_chunks(1 << 15)).for_each(|(y, x)| {
        vectorised(|| {
            for (y, x) in y.iter_mut().zip(x) {
                *y += x;
            }
        });
    });
}

/// Adds the partial sums of all row blocks, in order, to `total`.
pub(crate) fn add_partials(total: &mut [f32], partials: &[Vec<f32>]) {
    for partial in partials {
        for (total, value) in total.iter_mut().zip(partial) {
            *total += value;
        }
    }
}

//! The CPU kernels of training, each with its backward pass, on plain slices.
//!
//! Stock candle spends three quarters of a training step outside its matrix products: single-threaded element-wise
//! passes, temporaries and page faults. Here each operation of the model is one pass forward and one backward, rows are
//! shared out over all threads, and results do not depend on how many threads there are: sums over rows are taken in
//! blocks of `ROWS` and added in order.

pub mod attention;
pub mod cached_loss;
pub mod cosine_loss;
pub mod embedding;
#[cfg(test)]
mod judge;
pub mod label_loss;
pub mod linear;
pub mod low_rank;
pub mod map_loss;
pub mod math;
pub mod matmul;
pub mod norm;
pub mod random;
pub mod rows;
pub mod square_loss;
pub mod token_loss;
pub mod vocabulary_loss;

use rayon::prelude::*;

/// Rows of one piece of work.
pub(crate) const ROWS: usize = 32;

/// Compiles a function three times, for AVX-512, for AVX2 with FMA and for any machine, and calls the widest that this
/// machine has. What it calls must be inlined, or it stays narrow: hence `#[inline(always)]` below.
macro_rules! vectorised {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {$(
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            fn portable($($arg: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
                fn avx512($($arg: $type),*) $(-> $result)? { portable($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $result)? { portable($($arg),*) }
                if $crate::backend::candle::kernels::has_avx512() {
                    // Safety: this machine has the instructions.
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // Safety: this machine has the instructions.
                    return unsafe { avx2($($arg),*) };
                }
            }
            portable($($arg),*)
        }
    )*};
}
pub(crate) use vectorised;

#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("fma")
}

/// `Σ x`, in interleaved sums so that it vectorises.
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

/// The largest element, in interleaved lanes so that it vectorises.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = x.chunks_exact(16);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    lanes.into_iter().fold(rest, f32::max)
}

/// `y += x`, on all threads when it is long.
pub(crate) fn add_assign(y: &mut [f32], x: &[f32]) {
    y.par_chunks_mut(1 << 15).zip(x.par_chunks(1 << 15)).for_each(|(y, x)| add_block(y, x));
}

vectorised! {
    fn add_block(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }

    /// `Σ x²`.
    pub(crate) fn square_sum(x: &[f32]) -> f32 {
        dot(x, x)
    }
}

/// Adds the partial sums of all row blocks, in order, to `total`.
pub(crate) fn add_partials(total: &mut [f32], partials: &[Vec<f32>]) {
    for partial in partials {
        for (total, value) in total.iter_mut().zip(partial) {
            *total += value;
        }
    }
}

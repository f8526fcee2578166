//! Random numbers that are a function of where they are used, so that nothing has to be kept or replayed: a resumed
//! run, and the backward pass of a dropout, compute the same numbers again.

use rayon::prelude::*;

use super::vectorised;

/// A stream of 2³² random numbers, told apart from others by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    low: u32,
    high: u32,
}

impl Stream {
    /// The stream of a place in a run: the run's seed, the step, and what in the step it is for.
    pub fn new(seed: u64, step: u64, site: u64) -> Self {
        let key = mix64(mix64(mix64(seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_add(step)).wrapping_add(site));
        Self { low: key as u32, high: (key >> 32) as u32 }
    }

    /// The key, for a generator elsewhere that gives the same numbers.
    pub fn key(self) -> (u32, u32) {
        (self.low, self.high)
    }

    /// The `i`-th number, uniform over all of `u32`.
    #[inline(always)]
    pub fn bits(self, i: u32) -> u32 {
        // Two rounds of a 32-bit finaliser (lowbias32) with half of the key before each: vectorises, unlike Philox.
        let mut x = i ^ self.low;
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        x = (x ^ (x >> 16)).wrapping_add(self.high);
        x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
        x = (x ^ (x >> 15)).wrapping_mul(0x735a_2d97);
        x ^ (x >> 15)
    }

    /// The `i`-th number, uniform in `[0, 1)`.
    pub fn uniform(self, i: u32) -> f32 {
        (self.bits(i) >> 8) as f32 / (1 << 24) as f32
    }

    /// Pairs of numbers as normal deviates (Box and Muller).
    pub fn normal(self, i: u32) -> f32 {
        let (u, v) = (self.uniform(2 * i), self.uniform(2 * i + 1));
        let radius = (-2.0 * f64::from(1.0 - u).ln()).sqrt();
        (radius * (std::f64::consts::TAU * f64::from(v)).cos()) as f32
    }

    /// A number below `n`, without noticeable bias for `n` far below 2³².
    pub fn below(self, i: u32, n: usize) -> usize {
        ((u64::from(self.bits(i)) * n as u64) >> 32) as usize
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32, i + 1));
        }
    }
}

fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `y = x · mask / (1 − p)`, where element `i` of the mask is 0 with probability `p` by the `i`-th number of the stream.
/// The backward pass is the same function on the gradient.
pub fn dropout(x: &[f32], p: f32, stream: Stream) -> Vec<f32> {
    const BLOCK: usize = 1 << 14;
    let dropout = Dropout::new(p, stream);
    let mut y = vec![0f32; x.len()];
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).enumerate().for_each(|(block, (y, x))| {
        y.copy_from_slice(x);
        dropout.apply(y, (block * BLOCK) as u32);
    });
    y
}

/// Which elements are dropped, and what the others are multiplied with.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Of these numbers, one an element,
    pub stream: Stream,
    /// those below this one drop theirs.
    pub threshold: u32,
    /// `1 / (1 − p)`.
    pub scale: f32,
}

impl Dropout {
    /// With probability `p`, below 1.
    pub fn new(p: f32, stream: Stream) -> Self {
        Self { stream, threshold: (f64::from(p) * 4_294_967_296.0) as u32, scale: 1.0 / (1.0 - p) }
    }

    /// In place, on elements of which the first has the number `first`.
    pub fn apply(&self, x: &mut [f32], first: u32) {
        apply(x, first, *self);
    }
}

vectorised! {
    fn apply(x: &mut [f32], first: u32, dropout: Dropout) {
        for (i, x) in x.iter_mut().enumerate() {
            let keep = dropout.stream.bits(first.wrapping_add(i as u32)) >= dropout.threshold;
            *x = if keep { *x * dropout.scale } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_stated_share_and_the_mean() {
        let x = vec![1f32; 1_000_003];
        let y = dropout(&x, 0.1, Stream::new(1, 2, 3));
        let dropped = y.iter().filter(|&&v| v == 0.0).count() as f64 / y.len() as f64;
        assert!((dropped - 0.1).abs() < 0.002, "{dropped}");
        let mean = y.iter().map(|&v| f64::from(v)).sum::<f64>() / y.len() as f64;
        assert!((mean - 1.0).abs() < 0.002, "{mean}");
        assert_eq!(y, dropout(&x, 0.1, Stream::new(1, 2, 3)));
        assert_ne!(y, dropout(&x, 0.1, Stream::new(1, 2, 4)));
    }

    #[test]
    fn normal_has_mean_0_and_deviation_1() {
        let stream = Stream::new(7, 0, 0);
        let values: Vec<f64> = (0..100_000).map(|i| f64::from(stream.normal(i))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}

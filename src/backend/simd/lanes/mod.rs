//! The vector primitives of one target, eight `f32` wide everywhere.
//!
//! The kernels are written once, generic over [`Lanes`]; a target is one small file: [`scalar`] (any machine, the judge),
//! [`avx2`] (x86-64 with AVX2 and FMA, found at run time) and `simd128` (WebAssembly, chosen at compile time). Every
//! primitive but [`Lanes::mul_add`] gives the same bits on every target: a kernel that avoids it is bit-identical
//! natively and in the browser.
//!
//! Kernels must be `#[inline(always)]` down to the primitives, without closures on the hot path: only then does a whole
//! kernel become one function compiled for the target's features.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
pub(crate) mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) mod simd128;

use scalar::Scalar;

/// The number of `f32` in a vector, and the width of a weight panel.
pub(crate) const WIDTH: usize = 8;

/// `1.5 · 2^23`: adding it to `|x| < 2^22` rounds `x` to the nearest even integer, which then stands in the low bits.
pub(crate) const MAGIC: f32 = 12_582_912.0;

/// Eight-lane arithmetic of one target. A value of an implementing type is the proof that the target is there.
pub(crate) trait Lanes: Copy {
    /// Eight `f32`.
    type Floats: Copy;
    /// Eight `i32`.
    type Ints: Copy;
    /// Sixteen `i16`, as eight pairs.
    type Pairs: Copy;
    /// True where sixteen registers of eight lanes exist, so that register tiles span two panels.
    const WIDE: bool;

    /// Runs a kernel as a function of its own, compiled for the target. Small functions are what optimising compilers of
    /// WebAssembly keep in registers.
    #[inline(never)]
    fn call(self, kernel: impl Kernel) {
        kernel.run(self);
    }

    fn splat(self, x: f32) -> Self::Floats;
    fn load(self, from: &[f32; WIDTH]) -> Self::Floats;
    fn store(self, x: Self::Floats, to: &mut [f32; WIDTH]);
    fn add(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    fn sub(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    fn mul(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    fn div(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    /// `x · y + z`, rounded once where the target can: the only primitive whose bits differ between targets.
    fn mul_add(self, x: Self::Floats, y: Self::Floats, z: Self::Floats) -> Self::Floats;
    /// The larger of each lane; of unequal zeros or with a NaN, either.
    fn max(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    fn abs(self, x: Self::Floats) -> Self::Floats;
    /// `2^n` for lanes that hold `n + MAGIC`, `n` in -126..=127.
    fn power_of_two(self, x: Self::Floats) -> Self::Floats;
    /// `n` for lanes that hold `n + MAGIC`.
    fn low_halves(self, x: Self::Floats, to: &mut [i16; WIDTH]);
    /// The sum of the lanes: `i` with `i + 4`, then with `i + 2`, then with `i + 1`.
    fn sum(self, x: Self::Floats) -> f32;
    /// The largest lane.
    fn peak(self, x: Self::Floats) -> f32;

    fn int_zero(self) -> Self::Ints;
    /// Eight pairs of weights, widened.
    fn load_pairs(self, from: &[i8; 2 * WIDTH]) -> Self::Pairs;
    /// One pair of activations in all eight places.
    fn splat_pair(self, from: &[i16; 2]) -> Self::Pairs;
    /// `sum + x₀y₀ + x₁y₁` in each of the eight places, wrapping.
    fn dot(self, sum: Self::Ints, x: Self::Pairs, y: Self::Pairs) -> Self::Ints;
    fn to_floats(self, x: Self::Ints) -> Self::Floats;
}

/// Work that can be done with any [`Lanes`]. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    fn run<L: Lanes>(self, lanes: L);
}

/// The vector unit that was found.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Plain Rust.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    /// WebAssembly with simd128.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128(simd128::Simd128),
}

impl Target {
    /// The fastest target of this machine.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = avx2::Avx2::detect() {
            return Self::Avx2(lanes);
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        return Self::Simd128(simd128::Simd128);
        #[allow(unreachable_code, reason = "with simd128 compiled in there is no other choice")]
        Self::Scalar
    }

    /// Runs a kernel compiled for this target.
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self {
            Self::Scalar => Scalar.call(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.call(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(lanes) => lanes.call(kernel),
        }
    }

    /// The name of the target in reports: `scalar`, `avx2`, `simd128`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(_) => "simd128",
        }
    }
}

/// The values of a short slice with zeros behind them.
#[inline(always)]
pub(crate) fn padded(values: &[f32]) -> [f32; WIDTH] {
    let mut full = [0.0; WIDTH];
    for (to, from) in full.iter_mut().zip(values) {
        *to = *from;
    }
    full
}

/// Stores the first `to.len()` lanes, eight at most.
#[inline(always)]
pub(crate) fn store_some<L: Lanes>(lanes: L, x: L::Floats, to: &mut [f32]) {
    if let Some(full) = to.first_chunk_mut() {
        lanes.store(x, full);
    } else {
        let mut full = [0.0; WIDTH];
        lanes.store(x, &mut full);
        for (to, from) in to.iter_mut().zip(&full) {
            *to = *from;
        }
    }
}

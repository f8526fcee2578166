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
// The package holds no judge: what a page downloads is small.
#[cfg(not(feature = "wasm"))]
pub(crate) mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) mod simd128;

#[cfg(not(feature = "wasm"))]
use scalar::Scalar;

/// The number of `f32` in a vector, and the width of a weight panel.
pub(crate) const WIDTH: usize = 8;

/// `1.5 · 2^23`: adding it to `|x| < 2^22` rounds `x` to the nearest even integer, which then stands in the low bits.
pub(crate) const MAGIC: f32 = 12_582_912.0;

/// How an int8 product takes its operands on a target. A step multiplies `depth` inputs of a row with the weights of eight
/// outputs; the inputs of a row for one step are `words` words of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Inputs of a step.
    pub(crate) depth: usize,
    /// Words that hold them.
    pub(crate) words: usize,
    /// What is added to each input, for targets that multiply unsigned inputs; the sums begin with what that takes away.
    pub(crate) offset: i32,
}

/// Pairs of `i16`: what every target can multiply and add exactly.
pub(crate) const PAIRS: Form = Form { depth: 2, words: 1, offset: 0 };

/// Eight-lane arithmetic of one target. A value of an implementing type is the proof that the target is there.
pub(crate) trait Lanes: Copy {
    /// Eight `f32`.
    type Floats: Copy;
    /// Eight `i32`.
    type Ints: Copy;
    /// Sixteen `i16`, as eight pairs.
    type Pairs: Copy;
    /// The int8 weights of eight outputs for one step.
    type Weights: Copy;
    /// The inputs of one row for one step, in all eight places.
    type Inputs: Copy;
    /// True where sixteen registers of eight lanes exist, so that register tiles span two panels.
    const WIDE: bool;
    /// Rows of the largest register tile of integers, and of a strip of quantised rows.
    const ROWS: usize = if Self::WIDE { 6 } else { 4 };
    /// Rows of the largest register tile of `f32`: six where a step needs no register for a product.
    const F32_ROWS: usize = Self::ROWS;
    /// Of int8 products.
    const FORM: Form;

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
    /// The words of `n` and `m`, for lanes that hold `n + MAGIC` and `m + MAGIC`, as pairs of `i16`.
    fn join(self, n: Self::Floats, m: Self::Floats) -> [u32; WIDTH];
    /// The sum of the lanes: `i` with `i + 4`, then with `i + 2`, then with `i + 1`.
    fn sum(self, x: Self::Floats) -> f32;
    /// The largest lane.
    fn peak(self, x: Self::Floats) -> f32;

    fn load_ints(self, from: &[i32; WIDTH]) -> Self::Ints;
    fn to_floats(self, x: Self::Ints) -> Self::Floats;
    fn load_pairs(self, from: &[u32; WIDTH]) -> Self::Pairs;
    /// The pair of `i16` in a word, in all eight places.
    fn splat_pair(self, from: &u32) -> Self::Pairs;
    /// `sum + x₀y₀ + x₁y₁` in each of the eight places, wrapping.
    fn dot_pairs(self, sum: Self::Ints, x: Self::Pairs, y: Self::Pairs) -> Self::Ints;
    /// Writes eight inputs, lanes that hold `n + MAGIC`, as four pairs of `i16`, `stride` words apart.
    ///
    /// # Safety
    /// These words must be writable.
    unsafe fn store_pairs(self, x: Self::Floats, to: *mut u32, stride: usize);

    /// The weights of one step.
    ///
    /// # Safety
    /// Eight times [`Form::depth`] bytes must be readable.
    unsafe fn load_weights(self, from: *const i8) -> Self::Weights;
    /// The inputs of one step.
    ///
    /// # Safety
    /// [`Form::words`] words must be readable.
    unsafe fn splat_inputs(self, from: *const u32) -> Self::Inputs;
    /// The sum and all products of one step, wrapping.
    fn dot(self, sum: Self::Ints, x: Self::Inputs, y: Self::Weights) -> Self::Ints;
    /// Writes eight inputs, lanes that hold `n + MAGIC` with `n` in -127..=127: `8 / depth` steps, `stride` words apart.
    ///
    /// # Safety
    /// The words of all these steps must be writable.
    unsafe fn store_inputs(self, x: Self::Floats, to: *mut u32, stride: usize);
}

/// Work that can be done with any [`Lanes`]. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    fn run<L: Lanes>(self, lanes: L);
}

/// A vector unit, and the form in which it takes int8 products.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Plain Rust.
    #[cfg(not(feature = "wasm"))]
    Scalar,
    /// x86-64 with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2<false>),
    /// The same with the dot products of AVX-512 VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni(avx2::Avx2<true>),
    /// WebAssembly with simd128.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128(simd128::Simd128<false>),
    /// The same with the dot products of relaxed-simd.
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    Dot(simd128::Simd128<true>),
}

impl Target {
    /// What this machine can run, the best guess first. Int8 products have the same bits on all.
    pub(crate) fn all() -> Vec<Self> {
        let known = [
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::<true>::detect().map(Self::Vnni),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::<false>::detect().map(Self::Avx2),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Some(Self::Simd128(simd128::Simd128)),
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Some(Self::Dot(simd128::Simd128)),
            #[cfg(not(feature = "wasm"))]
            Some(Self::Scalar),
        ];
        known.into_iter().flatten().collect()
    }

    /// The best guess at the fastest target of this machine.
    pub(crate) fn detect() -> Self {
        Self::all()[0]
    }

    /// Runs a kernel compiled for this target.
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self {
            #[cfg(not(feature = "wasm"))]
            Self::Scalar => Scalar.call(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.call(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(lanes) => lanes.call(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(lanes) => lanes.call(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Self::Dot(lanes) => lanes.call(kernel),
        }
    }

    /// The name of the target in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(not(feature = "wasm"))]
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(_) => "avx512-vnni",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(_) if cfg!(target_feature = "relaxed-simd") => "relaxed-simd",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128(_) => "simd128",
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Self::Dot(_) => "relaxed-simd-dot",
        }
    }

    /// How it takes the operands of int8 products, and the rows of its strips.
    pub(crate) fn int8_form(self) -> (Form, usize) {
        struct Ask<'a>(&'a mut (Form, usize));
        impl Kernel for Ask<'_> {
            #[inline(always)]
            fn run<L: Lanes>(self, _: L) {
                *self.0 = (L::FORM, L::ROWS);
            }
        }
        let mut form = (PAIRS, 1);
        self.run(Ask(&mut form));
        form
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

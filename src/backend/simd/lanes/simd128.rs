//! WebAssembly with simd128: two vectors of four lanes side by side.
//!
//! A build with relaxed-simd multiplies and adds floats in one instruction, and has a dot product of four bytes: one
//! instruction on ARM and on x86-64 with VNNI. What it does with unsigned inputs above 127 differs between machines, so an
//! input is stored as two, what is above zero and what is below: both fit, nothing saturates, and the sums are exact. With
//! `DOT` int8 products take it; where it is made of several instructions, pairs of `i16` are faster.

use std::arch::wasm32::*;

use super::{Form, Lanes, PAIRS, WIDTH};

/// The features are part of the compilation, so a value needs no proof.
#[derive(Clone, Copy)]
pub(crate) struct Simd128<const DOT: bool>;

type Two = [v128; 2];

impl<const DOT: bool> Lanes for Simd128<DOT> {
    type Floats = Two;
    type Ints = Two;
    type Pairs = Two;
    /// With `DOT` the weights and their negatives.
    type Weights = [Two; 2];
    /// With `DOT` the inputs above and below zero.
    type Inputs = Two;
    const WIDE: bool = false;
    const F32_ROWS: usize = if cfg!(target_feature = "relaxed-simd") { 6 } else { Self::ROWS };
    const FORM: Form = if DOT { Form { depth: 4, words: 2, offset: 0 } } else { PAIRS };

    #[inline(always)]
    fn splat(self, x: f32) -> Two {
        [f32x4_splat(x); 2]
    }
    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> Two {
        let from = from.as_ptr().cast::<v128>();
        // Safety: the array holds two vectors; loads need no alignment.
        unsafe { [v128_load(from), v128_load(from.add(1))] }
    }
    #[inline(always)]
    fn store(self, x: Two, to: &mut [f32; WIDTH]) {
        let to = to.as_mut_ptr().cast::<v128>();
        // Safety: the array holds two vectors; stores need no alignment.
        unsafe {
            v128_store(to, x[0]);
            v128_store(to.add(1), x[1]);
        }
    }
    #[inline(always)]
    fn add(self, x: Two, y: Two) -> Two {
        [f32x4_add(x[0], y[0]), f32x4_add(x[1], y[1])]
    }
    #[inline(always)]
    fn sub(self, x: Two, y: Two) -> Two {
        [f32x4_sub(x[0], y[0]), f32x4_sub(x[1], y[1])]
    }
    #[inline(always)]
    fn mul(self, x: Two, y: Two) -> Two {
        [f32x4_mul(x[0], y[0]), f32x4_mul(x[1], y[1])]
    }
    #[inline(always)]
    fn div(self, x: Two, y: Two) -> Two {
        [f32x4_div(x[0], y[0]), f32x4_div(x[1], y[1])]
    }
    #[inline(always)]
    fn mul_add(self, x: Two, y: Two, z: Two) -> Two {
        #[cfg(target_feature = "relaxed-simd")]
        return [f32x4_relaxed_madd(x[0], y[0], z[0]), f32x4_relaxed_madd(x[1], y[1], z[1])];
        #[cfg(not(target_feature = "relaxed-simd"))]
        self.add(self.mul(x, y), z)
    }
    #[inline(always)]
    fn max(self, x: Two, y: Two) -> Two {
        [f32x4_pmax(x[0], y[0]), f32x4_pmax(x[1], y[1])]
    }
    #[inline(always)]
    fn abs(self, x: Two) -> Two {
        [f32x4_abs(x[0]), f32x4_abs(x[1])]
    }
    #[inline(always)]
    fn power_of_two(self, x: Two) -> Two {
        let one = i32x4_splat(0x3f80_0000);
        [i32x4_add(i32x4_shl(x[0], 23), one), i32x4_add(i32x4_shl(x[1], 23), one)]
    }
    #[inline(always)]
    fn join(self, n: Two, m: Two) -> [u32; WIDTH] {
        let mut to = [0; WIDTH];
        let low = i32x4_splat(0xffff);
        for (i, to) in to.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let words = v128_bitselect(n[i], i32x4_shl(m[i], 16), low);
            // Safety: the array holds one vector; stores need no alignment.
            unsafe { v128_store(to.as_mut_ptr().cast(), words) }
        }
        to
    }
    #[inline(always)]
    fn sum(self, x: Two) -> f32 {
        let four = f32x4_add(x[0], x[1]);
        let two = f32x4_add(four, i64x2_shuffle::<1, 1>(four, four));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }
    #[inline(always)]
    fn peak(self, x: Two) -> f32 {
        let four = f32x4_pmax(x[0], x[1]);
        let two = f32x4_pmax(four, i64x2_shuffle::<1, 1>(four, four));
        let (x, y) = (f32x4_extract_lane::<0>(two), f32x4_extract_lane::<1>(two));
        if x > y { x } else { y }
    }

    #[inline(always)]
    fn load_ints(self, from: &[i32; WIDTH]) -> Two {
        let from = from.as_ptr().cast::<v128>();
        // Safety: the array holds two vectors; loads need no alignment.
        unsafe { [v128_load(from), v128_load(from.add(1))] }
    }
    #[inline(always)]
    fn to_floats(self, x: Two) -> Two {
        [f32x4_convert_i32x4(x[0]), f32x4_convert_i32x4(x[1])]
    }
    #[inline(always)]
    fn load_pairs(self, from: &[u32; WIDTH]) -> Two {
        let from = from.as_ptr().cast::<v128>();
        // Safety: the array holds two vectors; loads need no alignment.
        unsafe { [v128_load(from), v128_load(from.add(1))] }
    }
    #[inline(always)]
    fn splat_pair(self, from: &u32) -> Two {
        // Safety: a reference is readable.
        let pair = unsafe { v128_load32_splat(from) };
        [pair; 2]
    }
    #[inline(always)]
    fn dot_pairs(self, sum: Two, x: Two, y: Two) -> Two {
        [i32x4_add(sum[0], i32x4_dot_i16x8(x[0], y[0])), i32x4_add(sum[1], i32x4_dot_i16x8(x[1], y[1]))]
    }
    #[inline(always)]
    unsafe fn store_pairs(self, x: Two, to: *mut u32, stride: usize) {
        let halves = halves(x);
        // Safety: the caller vouches for four words; stores need no alignment.
        unsafe {
            v128_store32_lane::<0>(halves, to);
            v128_store32_lane::<1>(halves, to.add(stride));
            v128_store32_lane::<2>(halves, to.add(2 * stride));
            v128_store32_lane::<3>(halves, to.add(3 * stride));
        }
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const i8) -> [Two; 2] {
        // Safety: the caller vouches for 16 bytes, with `DOT` for 32; loads need no alignment.
        unsafe {
            if DOT {
                let weights = [v128_load(from.cast()), v128_load(from.add(2 * WIDTH).cast())];
                [weights, [i8x16_neg(weights[0]), i8x16_neg(weights[1])]]
            } else {
                [[i16x8_load_extend_i8x8(from), i16x8_load_extend_i8x8(from.add(WIDTH))]; 2]
            }
        }
    }
    #[inline(always)]
    unsafe fn splat_inputs(self, from: *const u32) -> Two {
        // Safety: the caller vouches for a word, with `DOT` for two.
        unsafe {
            let first = v128_load32_splat(from);
            if DOT { [first, v128_load32_splat(from.add(1))] } else { [first; 2] }
        }
    }
    #[inline(always)]
    fn dot(self, sum: Two, x: Two, [weights, negatives]: [Two; 2]) -> Two {
        #[cfg(target_feature = "relaxed-simd")]
        if DOT {
            let dot = i32x4_relaxed_dot_i8x16_i7x16_add;
            return [0, 1].map(|i| dot(negatives[i], x[1], dot(weights[i], x[0], sum[i])));
        }
        let _ = negatives;
        self.dot_pairs(sum, x, weights)
    }
    #[inline(always)]
    unsafe fn store_inputs(self, x: Two, to: *mut u32, stride: usize) {
        // Safety: the caller vouches for all words; stores need no alignment.
        unsafe {
            if !DOT {
                return self.store_pairs(x, to, stride);
            }
            let (halves, zero) = (halves(x), i16x8_splat(0));
            let above = i8x16_narrow_i16x8(i16x8_max(halves, zero), zero);
            let below = i8x16_narrow_i16x8(i16x8_max(i16x8_neg(halves), zero), zero);
            v128_store32_lane::<0>(above, to);
            v128_store32_lane::<0>(below, to.add(1));
            v128_store32_lane::<1>(above, to.add(stride));
            v128_store32_lane::<1>(below, to.add(stride + 1));
        }
    }
}

/// `n` as `i16` for lanes that hold `n + MAGIC`.
#[inline(always)]
fn halves(x: Two) -> v128 {
    i16x8_shuffle::<0, 2, 4, 6, 8, 10, 12, 14>(x[0], x[1])
}

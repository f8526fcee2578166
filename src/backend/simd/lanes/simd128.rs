//! WebAssembly with simd128: two vectors of four lanes side by side.

use std::arch::wasm32::*;

use super::{Lanes, WIDTH};

/// The feature is part of the compilation, so a value needs no proof.
#[derive(Clone, Copy)]
pub(crate) struct Simd128;

type Two = [v128; 2];

impl Lanes for Simd128 {
    type Floats = Two;
    type Ints = Two;
    type Pairs = Two;
    const WIDE: bool = false;

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
    fn low_halves(self, x: Two, to: &mut [i16; WIDTH]) {
        let halves = i16x8_shuffle::<0, 2, 4, 6, 8, 10, 12, 14>(x[0], x[1]);
        // Safety: the array holds one vector; stores need no alignment.
        unsafe { v128_store(to.as_mut_ptr().cast(), halves) }
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
    fn int_zero(self) -> Two {
        [i32x4_splat(0); 2]
    }
    #[inline(always)]
    fn load_pairs(self, from: &[i8; 2 * WIDTH]) -> Two {
        let from = from.as_ptr();
        // Safety: the array holds two times eight bytes; loads need no alignment.
        unsafe { [i16x8_load_extend_i8x8(from), i16x8_load_extend_i8x8(from.add(WIDTH))] }
    }
    #[inline(always)]
    fn splat_pair(self, from: &[i16; 2]) -> Two {
        // Safety: the array holds four bytes; loads need no alignment.
        let pair = unsafe { v128_load32_splat(from.as_ptr().cast()) };
        [pair; 2]
    }
    #[inline(always)]
    fn dot(self, sum: Two, x: Two, y: Two) -> Two {
        [i32x4_add(sum[0], i32x4_dot_i16x8(x[0], y[0])), i32x4_add(sum[1], i32x4_dot_i16x8(x[1], y[1]))]
    }
    #[inline(always)]
    fn to_floats(self, x: Two) -> Two {
        [f32x4_convert_i32x4(x[0]), f32x4_convert_i32x4(x[1])]
    }
}

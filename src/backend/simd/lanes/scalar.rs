//! Plain Rust: what every other target must agree with.

use super::{Form, Lanes, PAIRS, WIDTH};

/// No vector unit at all.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type Floats = [f32; WIDTH];

#[inline(always)]
fn each(x: Floats, y: Floats, f: impl Fn(f32, f32) -> f32) -> Floats {
    let mut out = x;
    for (x, y) in out.iter_mut().zip(y) {
        *x = f(*x, y);
    }
    out
}

impl Lanes for Scalar {
    type Floats = Floats;
    type Ints = [i32; WIDTH];
    type Pairs = [i16; 2 * WIDTH];
    type Weights = Self::Pairs;
    type Inputs = Self::Pairs;
    const WIDE: bool = false;
    const FORM: Form = PAIRS;

    #[inline(always)]
    fn splat(self, x: f32) -> Floats {
        [x; WIDTH]
    }
    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> Floats {
        *from
    }
    #[inline(always)]
    fn store(self, x: Floats, to: &mut [f32; WIDTH]) {
        *to = x;
    }
    #[inline(always)]
    fn add(self, x: Floats, y: Floats) -> Floats {
        each(x, y, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(self, x: Floats, y: Floats) -> Floats {
        each(x, y, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(self, x: Floats, y: Floats) -> Floats {
        each(x, y, |x, y| x * y)
    }
    #[inline(always)]
    fn div(self, x: Floats, y: Floats) -> Floats {
        each(x, y, |x, y| x / y)
    }
    #[inline(always)]
    fn mul_add(self, x: Floats, y: Floats, z: Floats) -> Floats {
        self.add(self.mul(x, y), z) // `f32::mul_add` is a library call where the instruction is missing
    }
    #[inline(always)]
    fn max(self, x: Floats, y: Floats) -> Floats {
        each(x, y, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    fn abs(self, x: Floats) -> Floats {
        each(x, x, |x, _| x.abs())
    }
    #[inline(always)]
    fn power_of_two(self, x: Floats) -> Floats {
        each(x, x, |x, _| f32::from_bits((x.to_bits() << 23).wrapping_add(0x3f80_0000)))
    }
    #[inline(always)]
    fn join(self, n: Floats, m: Floats) -> [u32; WIDTH] {
        std::array::from_fn(|i| n[i].to_bits() & 0xffff | m[i].to_bits() << 16)
    }
    #[inline(always)]
    fn sum(self, x: Floats) -> f32 {
        ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
    }
    #[inline(always)]
    fn peak(self, x: Floats) -> f32 {
        x.into_iter().fold(x[0], |best, x| if x > best { x } else { best })
    }

    #[inline(always)]
    fn load_ints(self, from: &[i32; WIDTH]) -> Self::Ints {
        *from
    }
    #[inline(always)]
    fn to_floats(self, x: Self::Ints) -> Floats {
        x.map(|x| x as f32)
    }
    #[inline(always)]
    fn load_pairs(self, from: &[u32; WIDTH]) -> Self::Pairs {
        std::array::from_fn(|i| (from[i / 2] >> (16 * (i % 2))) as i16)
    }
    #[inline(always)]
    fn splat_pair(self, from: &u32) -> Self::Pairs {
        let pair = [*from as i16, (*from >> 16) as i16];
        std::array::from_fn(|i| pair[i % 2])
    }
    #[inline(always)]
    fn dot_pairs(self, mut sum: Self::Ints, x: Self::Pairs, y: Self::Pairs) -> Self::Ints {
        for i in 0..WIDTH {
            let (first, second) = (x[2 * i] as i32 * y[2 * i] as i32, x[2 * i + 1] as i32 * y[2 * i + 1] as i32);
            sum[i] = sum[i].wrapping_add(first.wrapping_add(second));
        }
        sum
    }
    #[inline(always)]
    unsafe fn store_pairs(self, x: Floats, to: *mut u32, stride: usize) {
        for (step, pair) in x.as_chunks::<2>().0.iter().enumerate() {
            // Safety: the caller vouches for four words, `stride` apart.
            unsafe { *to.add(step * stride) = pair[0].to_bits() & 0xffff | pair[1].to_bits() << 16 };
        }
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const i8) -> Self::Pairs {
        // Safety: the caller vouches for eight pairs of bytes.
        let weights: &[i8; 2 * WIDTH] = unsafe { &*from.cast() };
        weights.map(i16::from)
    }
    #[inline(always)]
    unsafe fn splat_inputs(self, from: *const u32) -> Self::Pairs {
        // Safety: the caller vouches for a word.
        self.splat_pair(unsafe { &*from })
    }
    #[inline(always)]
    fn dot(self, sum: Self::Ints, x: Self::Pairs, y: Self::Pairs) -> Self::Ints {
        self.dot_pairs(sum, x, y)
    }
    #[inline(always)]
    unsafe fn store_inputs(self, x: Floats, to: *mut u32, stride: usize) {
        // Safety: as the caller says.
        unsafe { self.store_pairs(x, to, stride) }
    }
}

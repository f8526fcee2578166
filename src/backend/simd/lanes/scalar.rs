//! Plain Rust: what every other target must agree with.

use super::{Lanes, WIDTH};

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
    const WIDE: bool = false;

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
    fn low_halves(self, x: Floats, to: &mut [i16; WIDTH]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to = x.to_bits() as i16;
        }
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
    fn int_zero(self) -> Self::Ints {
        [0; WIDTH]
    }
    #[inline(always)]
    fn load_pairs(self, from: &[i8; 2 * WIDTH]) -> Self::Pairs {
        from.map(i16::from)
    }
    #[inline(always)]
    fn splat_pair(self, from: &[i16; 2]) -> Self::Pairs {
        let mut pairs = [from[0]; 2 * WIDTH];
        for i in 0..WIDTH {
            pairs[2 * i + 1] = from[1];
        }
        pairs
    }
    #[inline(always)]
    fn dot(self, mut sum: Self::Ints, x: Self::Pairs, y: Self::Pairs) -> Self::Ints {
        for i in 0..WIDTH {
            let (first, second) = (x[2 * i] as i32 * y[2 * i] as i32, x[2 * i + 1] as i32 * y[2 * i + 1] as i32);
            sum[i] = sum[i].wrapping_add(first.wrapping_add(second));
        }
        sum
    }
    #[inline(always)]
    fn to_floats(self, x: Self::Ints) -> Floats {
        x.map(|x| x as f32)
    }
}

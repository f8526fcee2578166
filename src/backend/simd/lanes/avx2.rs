//! x86-64 with AVX2 and FMA.

use std::arch::x86_64::*;

use super::{Kernel, Lanes, WIDTH};

/// The proof that AVX2 and FMA are there: [`Avx2::detect`] is the only source of a value.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

/// Safety of every block below: a value of `Avx2` proves that the features were detected; pointers come from array
/// references of the size that is read or written, and the unaligned forms are used.
impl Lanes for Avx2 {
    type Floats = __m256;
    type Ints = __m256i;
    type Pairs = __m256i;
    const WIDE: bool = true;

    fn call(self, kernel: impl Kernel) {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        fn compiled(lanes: Avx2, kernel: impl Kernel) {
            kernel.run(lanes);
        }
        // Safety: see the impl.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32; WIDTH]) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m256, to: &mut [f32; WIDTH]) {
        // Safety: see the impl.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn add(self, x: __m256, y: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_add_ps(x, y) }
    }
    #[inline(always)]
    fn sub(self, x: __m256, y: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_sub_ps(x, y) }
    }
    #[inline(always)]
    fn mul(self, x: __m256, y: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_mul_ps(x, y) }
    }
    #[inline(always)]
    fn div(self, x: __m256, y: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_div_ps(x, y) }
    }
    #[inline(always)]
    fn mul_add(self, x: __m256, y: __m256, z: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_fmadd_ps(x, y, z) }
    }
    #[inline(always)]
    fn max(self, x: __m256, y: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_max_ps(x, y) }
    }
    #[inline(always)]
    fn abs(self, x: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), x) }
    }
    #[inline(always)]
    fn power_of_two(self, x: __m256) -> __m256 {
        // Safety: see the impl.
        unsafe {
            let shifted = _mm256_slli_epi32::<23>(_mm256_castps_si256(x));
            _mm256_castsi256_ps(_mm256_add_epi32(shifted, _mm256_set1_epi32(0x3f80_0000)))
        }
    }
    #[inline(always)]
    fn low_halves(self, x: __m256, to: &mut [i16; WIDTH]) {
        // Safety: see the impl.
        unsafe {
            let bits = _mm256_castps_si256(x);
            let signed = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(bits));
            let halves = _mm_packs_epi32(_mm256_castsi256_si128(signed), _mm256_extracti128_si256::<1>(signed));
            _mm_storeu_si128(to.as_mut_ptr().cast(), halves);
        }
    }
    #[inline(always)]
    fn sum(self, x: __m256) -> f32 {
        // Safety: see the impl.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
    #[inline(always)]
    fn peak(self, x: __m256) -> f32 {
        // Safety: see the impl.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    fn int_zero(self) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    fn load_pairs(self, from: &[i8; 2 * WIDTH]) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(from.as_ptr().cast())) }
    }
    #[inline(always)]
    fn splat_pair(self, from: &[i16; 2]) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_set1_epi32(from.as_ptr().cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    fn dot(self, sum: __m256i, x: __m256i, y: __m256i) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(x, y)) }
    }
    #[inline(always)]
    fn to_floats(self, x: __m256i) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_cvtepi32_ps(x) }
    }
}

//! x86-64 with AVX2 and FMA, and with `VNNI` the dot products of AVX-512 VNNI on vectors of 256 bits.
//!
//! A dot product of AVX-512 VNNI multiplies four unsigned with four signed bytes and adds them to an `i32` in one
//! instruction, where AVX2 takes two of widening, multiplying and adding for two: the inputs are stored with 128 added.

use std::arch::x86_64::*;

use super::{Form, Kernel, Lanes, PAIRS, WIDTH};

/// The proof that the features are there: [`Avx2::detect`] is the only source of a value.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<const VNNI: bool>(());

impl<const VNNI: bool> Avx2<VNNI> {
    pub(crate) fn detect() -> Option<Self> {
        let vnni = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vl");
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        (avx2 && (vnni || !VNNI)).then_some(Self(()))
    }
}

/// Safety of every block below: a value of `Avx2` proves that the features were detected; pointers come from array
/// references of the size that is read or written, or the caller vouches for them, and the unaligned forms are used.
impl<const VNNI: bool> Lanes for Avx2<VNNI> {
    type Floats = __m256;
    type Ints = __m256i;
    type Pairs = __m256i;
    type Weights = __m256i;
    type Inputs = __m256i;
    const WIDE: bool = true;
    const FORM: Form = if VNNI { Form { depth: 4, words: 1, offset: 128 } } else { PAIRS };

    fn call(self, kernel: impl Kernel) {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        fn avx2(lanes: impl Lanes, kernel: impl Kernel) {
            kernel.run(lanes);
        }
        #[inline(never)]
        #[target_feature(enable = "avx2,fma,avx512vl,avx512vnni")]
        fn vnni(lanes: impl Lanes, kernel: impl Kernel) {
            kernel.run(lanes);
        }
        // Safety: see the impl.
        unsafe { if VNNI { vnni(self, kernel) } else { avx2(self, kernel) } }
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
    fn join(self, n: __m256, m: __m256) -> [u32; WIDTH] {
        let mut to = [0; WIDTH];
        // Safety: see the impl.
        unsafe {
            let high = _mm256_slli_epi32::<16>(_mm256_castps_si256(m));
            let words = _mm256_blend_epi16::<0b1010_1010>(_mm256_castps_si256(n), high);
            _mm256_storeu_si256(to.as_mut_ptr().cast(), words);
        }
        to
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
    fn load_ints(self, from: &[i32; WIDTH]) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn to_floats(self, x: __m256i) -> __m256 {
        // Safety: see the impl.
        unsafe { _mm256_cvtepi32_ps(x) }
    }
    #[inline(always)]
    fn load_pairs(self, from: &[u32; WIDTH]) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn splat_pair(self, from: &u32) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_set1_epi32(from.cast_signed()) }
    }
    #[inline(always)]
    fn dot_pairs(self, sum: __m256i, x: __m256i, y: __m256i) -> __m256i {
        // Safety: see the impl.
        unsafe { if VNNI { _mm256_dpwssd_epi32(sum, x, y) } else { _mm256_add_epi32(sum, _mm256_madd_epi16(x, y)) } }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, x: __m256, to: *mut u32, stride: usize) {
        // Safety: see the impl.
        unsafe {
            let halves = halves(x);
            *to = _mm_extract_epi32::<0>(halves).cast_unsigned();
            *to.add(stride) = _mm_extract_epi32::<1>(halves).cast_unsigned();
            *to.add(2 * stride) = _mm_extract_epi32::<2>(halves).cast_unsigned();
            *to.add(3 * stride) = _mm_extract_epi32::<3>(halves).cast_unsigned();
        }
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const i8) -> __m256i {
        // Safety: see the impl.
        unsafe {
            if VNNI { _mm256_loadu_si256(from.cast()) } else { _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())) }
        }
    }
    #[inline(always)]
    unsafe fn splat_inputs(self, from: *const u32) -> __m256i {
        // Safety: see the impl.
        unsafe { _mm256_set1_epi32((*from).cast_signed()) }
    }
    #[inline(always)]
    fn dot(self, sum: __m256i, x: __m256i, y: __m256i) -> __m256i {
        // Safety: see the impl.
        unsafe { if VNNI { _mm256_dpbusd_epi32(sum, x, y) } else { self.dot_pairs(sum, x, y) } }
    }
    #[inline(always)]
    unsafe fn store_inputs(self, x: __m256, to: *mut u32, stride: usize) {
        // Safety: see the impl.
        unsafe {
            if !VNNI {
                return self.store_pairs(x, to, stride);
            }
            let bytes = _mm_packs_epi16(halves(x), _mm_setzero_si128());
            let words = _mm_xor_si128(bytes, _mm_set1_epi8(-128)); // as unsigned, 128 added
            *to = _mm_extract_epi32::<0>(words).cast_unsigned();
            *to.add(stride) = _mm_extract_epi32::<1>(words).cast_unsigned();
        }
    }
}

/// `n` as `i16` for lanes that hold `n + MAGIC`.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn halves(x: __m256) -> __m128i {
    // Safety: as the caller says.
    unsafe {
        let signed = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(_mm256_castps_si256(x)));
        _mm_packs_epi32(_mm256_castsi256_si128(signed), _mm256_extracti128_si256::<1>(signed))
    }
}

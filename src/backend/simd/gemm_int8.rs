//! int8 products, exact: the sums are integers, the same on every target.
//!
//! Weights are int8 with one scale an output, activations int8 in `i16` with one scale a row ([`super::quantize`]). A
//! step multiplies two inputs at once and adds the pair in `i32`; the two scales are applied to the finished sum.

use super::gemm::{Out, Tiles};
use super::lanes::{Kernel, Lanes, WIDTH};

/// Rows `[M, K]` times panels `[N/8][K/2][8][2]`.
#[derive(Clone, Copy)]
pub(crate) struct Int8Tiles<'a> {
    /// `[M, K]`, values in -127..=127.
    pub(crate) rows: &'a [i16],
    /// `[M]`.
    pub(crate) row_scales: &'a [f32],
    /// `K`, even.
    pub(crate) inputs: usize,
    pub(crate) panels: &'a [i8],
    /// `[N]`, filled up to whole panels.
    pub(crate) scales: &'a [f32],
}

impl<L: Lanes> Tiles<L> for Int8Tiles<'_> {
    #[inline(always)]
    unsafe fn sums<const R: usize, const P: usize>(self, lanes: L, row: usize, panel: usize) -> [[L::Floats; P]; R] {
        let mut sums = [[lanes.int_zero(); P]; R];
        let mut floats = [[lanes.splat(0.0); P]; R];
        // Safety: the caller vouches for the rows and panels; `k` stays below `inputs`, which is even.
        unsafe {
            let rows = self.rows.as_ptr().add(row * self.inputs);
            let panels = self.panels.as_ptr().add(panel * self.inputs * WIDTH);
            let mut weights = [lanes.splat_pair(&[0; 2]); P];
            for k in (0..self.inputs).step_by(2) {
                for (p, weights) in weights.iter_mut().enumerate() {
                    *weights = lanes.load_pairs(&*panels.add((p * self.inputs + k) * WIDTH).cast());
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = lanes.splat_pair(&*rows.add(r * self.inputs + k).cast());
                    for (sum, &weights) in sums.iter_mut().zip(&weights) {
                        *sum = lanes.dot(*sum, x, weights);
                    }
                }
            }
            for p in 0..P {
                let scales = lanes.load(&*self.scales.as_ptr().add((panel + p) * WIDTH).cast());
                for r in 0..R {
                    let scale = lanes.mul(scales, lanes.splat(*self.row_scales.get_unchecked(row + r)));
                    floats[r][p] = lanes.mul(lanes.to_floats(sums[r][p]), scale);
                }
            }
        }
        floats
    }
}

/// A whole product with its bias and activation.
pub(crate) struct GemmInt8<'a> {
    pub(crate) tiles: Int8Tiles<'a>,
    pub(crate) out: Out<'a>,
}

impl Kernel for GemmInt8<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { tiles, out } = self;
        let width = out.columns.next_multiple_of(WIDTH);
        assert!(tiles.inputs.is_multiple_of(2), "odd inputs");
        assert!(tiles.rows.len() >= out.rows * tiles.inputs && tiles.row_scales.len() >= out.rows, "too few rows");
        assert!(tiles.panels.len() >= width * tiles.inputs && tiles.scales.len() >= width, "too few panels");
        // Safety: the three lines above.
        unsafe { out.fill(lanes, tiles) }
    }
}

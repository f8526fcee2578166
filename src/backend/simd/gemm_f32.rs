//! `f32` products.

use super::gemm::{Out, Tiles};
use super::lanes::{Kernel, Lanes, WIDTH};
use super::matrix::panel_len;

/// Rows `[M, K]` times panels `[N/8][K][8]`.
///
/// A step rounds once where the target can (`fma`): the bits differ between targets.
#[derive(Clone, Copy)]
pub(crate) struct F32Tiles<'a> {
    /// `[M, K]`, rows `stride` apart.
    pub(crate) rows: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) inputs: usize,
    pub(crate) panels: &'a [f32],
}

impl Tiles for F32Tiles<'_> {
    fn most_rows<L: Lanes>() -> usize {
        L::F32_ROWS
    }

    fn row_bytes<L: Lanes>(self) -> usize {
        4 * self.inputs
    }

    #[inline(always)]
    unsafe fn sums<L: Lanes, const R: usize, const P: usize>(
        self,
        lanes: L,
        row: usize,
        panel: usize,
    ) -> [[L::Floats; P]; R] {
        let mut sums = [[lanes.splat(0.0); P]; R];
        let mut weights = [lanes.splat(0.0); P];
        // Safety: the caller vouches for the rows and panels; `k` stays below `inputs`.
        unsafe {
            let rows = self.rows.as_ptr().add(row * self.stride);
            let panels = self.panels.as_ptr().add(panel * self.inputs * WIDTH);
            for k in 0..self.inputs {
                for (p, weights) in weights.iter_mut().enumerate() {
                    *weights = lanes.load(&*panels.add((p * self.inputs + k) * WIDTH).cast());
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = lanes.splat(*rows.add(r * self.stride + k));
                    for (sum, &weights) in sums.iter_mut().zip(&weights) {
                        *sum = lanes.mul_add(x, weights, *sum);
                    }
                }
            }
        }
        sums
    }
}

/// A whole product with its bias and activation.
pub(crate) struct GemmF32<'a> {
    pub(crate) tiles: F32Tiles<'a>,
    pub(crate) out: Out<'a>,
}

impl Kernel for GemmF32<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { tiles, out } = self;
        assert!(out.rows == 0 || tiles.rows.len() >= (out.rows - 1) * tiles.stride + tiles.inputs, "too few rows");
        assert!(tiles.panels.len() >= panel_len(out.columns, tiles.inputs), "too few panels");
        // Safety: the two lines above.
        unsafe { out.fill(lanes, tiles) }
    }
}

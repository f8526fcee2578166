//! int8 products, exact: the sums are integers, the same on every target.
//!
//! Weights are int8 with one scale an output, activations int8 with one scale a row ([`super::quantize`]). A step multiplies
//! two or four inputs at once ([`super::lanes::Form`]) and adds them in `i32`; the two scales are applied to the finished
//! sum.

use super::gemm::{Out, Tiles};
use super::lanes::{Kernel, Lanes, WIDTH};
use super::matrix::Int8Panels;
use super::quantize::{padded_columns, strip_len, strips_len};

/// Rows `[M, K]` in strips times the panels of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Int8Tiles<'a> {
    /// As [`super::quantize::Quantize`] writes them.
    pub(crate) strips: &'a [u32],
    /// `[M]`.
    pub(crate) row_scales: &'a [f32],
    /// `K`.
    pub(crate) inputs: usize,
    pub(crate) panels: &'a Int8Panels,
}

impl Tiles for Int8Tiles<'_> {
    fn most_rows<L: Lanes>() -> usize {
        L::ROWS
    }

    fn row_bytes<L: Lanes>(self) -> usize {
        4 * padded_columns(self.inputs) / L::FORM.depth * L::FORM.words
    }

    #[inline(always)]
    unsafe fn sums<L: Lanes, const R: usize, const P: usize>(
        self,
        lanes: L,
        row: usize,
        panel: usize,
    ) -> [[L::Floats; P]; R] {
        let Self { strips, row_scales, inputs, panels } = self;
        let (steps, words, depth) = (padded_columns(inputs) / L::FORM.depth, L::FORM.words, L::FORM.depth * WIDTH);
        let mut floats = [[lanes.splat(0.0); P]; R];
        // Safety: the caller vouches for the rows and panels; a tile lies within a strip.
        unsafe {
            let begin = |p| lanes.load_ints(&*panels.begin.as_ptr().add((panel + p) * WIDTH).cast());
            let mut sums: [[L::Ints; P]; R] = [std::array::from_fn(begin); R];
            let strip = row / L::ROWS * strip_len(L::FORM, L::ROWS, inputs) + row % L::ROWS * words;
            let mut x = strips.as_ptr().add(strip);
            let mut weights: [*const i8; P] =
                std::array::from_fn(|p| panels.data.as_ptr().add((panel + p) * steps * depth));
            let end = weights[0].add(steps * depth);
            while weights[0] < end {
                let here: [L::Weights; P] = std::array::from_fn(|p| lanes.load_weights(weights[p]));
                let inputs: [L::Inputs; R] = std::array::from_fn(|r| lanes.splat_inputs(x.add(r * words)));
                for (sums, &inputs) in sums.iter_mut().zip(&inputs) {
                    for (sum, &weights) in sums.iter_mut().zip(&here) {
                        *sum = lanes.dot(*sum, inputs, weights);
                    }
                }
                x = x.add(L::ROWS * words);
                weights = weights.map(|weights| weights.add(depth));
            }
            for p in 0..P {
                let scales = lanes.load(&*panels.scales.as_ptr().add((panel + p) * WIDTH).cast());
                for r in 0..R {
                    let scale = lanes.mul(scales, lanes.splat(*row_scales.get_unchecked(row + r)));
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
        let (width, inputs) = (out.columns.next_multiple_of(WIDTH), padded_columns(tiles.inputs));
        let panels = tiles.panels;
        assert_eq!(panels.form, L::FORM, "panels of another target");
        assert!(tiles.strips.len() >= strips_len(L::FORM, L::ROWS, out.rows, inputs), "too few rows");
        assert!(tiles.row_scales.len() >= out.rows, "too few scales");
        assert!(panels.data.len() >= width * inputs, "too few panels");
        assert!(panels.scales.len() >= width && panels.begin.len() >= width, "too few scales");
        // Safety: the lines above.
        unsafe { out.fill(lanes, tiles) }
    }
}

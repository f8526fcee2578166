//! Products of `i16` pairs, exact: what attention of int8 models is made of.

use super::gemm::{Out, Tiles};
use super::lanes::{Kernel, Lanes, WIDTH};

/// Rows of pairs times panels of pairs, summed exactly in runs, and the runs in `f32`.
#[derive(Clone, Copy)]
pub(crate) struct PairTiles<'a> {
    /// `[M/rows of a tile][stride][rows of a tile]`.
    pub(crate) strips: &'a [u32],
    /// `[N/8][stride][8]`.
    pub(crate) panels: &'a [u32],
    /// Pairs of a row, filled up.
    pub(crate) stride: usize,
    /// Those that count.
    pub(crate) pairs: usize,
    /// Pairs that are summed as integers before they are added in `f32`: so many that nothing overflows.
    pub(crate) run: usize,
    /// `[M]`, what one stands for.
    pub(crate) scales: &'a [f32],
}

impl Tiles for PairTiles<'_> {
    fn most_rows<L: Lanes>() -> usize {
        L::ROWS
    }

    fn row_bytes<L: Lanes>(self) -> usize {
        4 * self.pairs
    }

    #[inline(always)]
    unsafe fn sums<L: Lanes, const R: usize, const P: usize>(
        self,
        lanes: L,
        row: usize,
        panel: usize,
    ) -> [[L::Floats; P]; R] {
        let Self { strips, panels, stride, pairs, run, scales } = self;
        let mut totals = [[lanes.splat(0.0); P]; R];
        // Safety: the caller vouches for the rows and panels; a tile lies within a strip.
        unsafe {
            let mut x = strips.as_ptr().add(row / L::ROWS * L::ROWS * stride + row % L::ROWS);
            let mut y: [*const u32; P] = std::array::from_fn(|p| panels.as_ptr().add((panel + p) * stride * WIDTH));
            let mut left = pairs;
            while left > 0 {
                let here = left.min(run);
                left -= here;
                let mut sums = [[lanes.load_ints(&[0; WIDTH]); P]; R];
                let end = x.add(here * L::ROWS);
                while x < end {
                    let ys: [L::Pairs; P] = std::array::from_fn(|p| lanes.load_pairs(&*y[p].cast()));
                    let xs: [L::Pairs; R] = std::array::from_fn(|r| lanes.splat_pair(&*x.add(r)));
                    for (sums, &x) in sums.iter_mut().zip(&xs) {
                        for (sum, &y) in sums.iter_mut().zip(&ys) {
                            *sum = lanes.dot_pairs(*sum, x, y);
                        }
                    }
                    x = x.add(L::ROWS);
                    y = y.map(|y| y.add(WIDTH));
                }
                for (totals, sums) in totals.iter_mut().zip(&sums) {
                    for (total, &sum) in totals.iter_mut().zip(sums) {
                        *total = lanes.add(*total, lanes.to_floats(sum));
                    }
                }
            }
            for (r, totals) in totals.iter_mut().enumerate() {
                let scale = lanes.splat(*scales.get_unchecked(row + r));
                for total in totals {
                    *total = lanes.mul(*total, scale);
                }
            }
        }
        totals
    }
}

/// A whole product, scaled row by row.
pub(crate) struct GemmPairs<'a> {
    pub(crate) tiles: PairTiles<'a>,
    pub(crate) out: Out<'a>,
}

impl Kernel for GemmPairs<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { tiles, out } = self;
        assert!(tiles.pairs <= tiles.stride && tiles.run > 0, "too many pairs");
        assert!(tiles.strips.len() >= out.rows.next_multiple_of(L::ROWS) * tiles.stride, "too few rows");
        assert!(tiles.panels.len() >= out.columns.next_multiple_of(WIDTH) * tiles.stride, "too few panels");
        assert!(tiles.scales.len() >= out.rows, "too few scales");
        // Safety: the lines above.
        unsafe { out.fill(lanes, tiles) }
    }
}

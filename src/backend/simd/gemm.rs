//! What every product `[M, K] · [N, K]ᵀ` shares: the order of the tiles and what happens to a finished one.
//!
//! Weights come in panels of eight outputs. Rows are cut into blocks that stay in the cache, each panel (or pair of
//! panels) is read once a block, and a register tile of rows × panels walks down the block. The sums of a tile come from
//! a [`Tiles`], of which there is one for `f32` and one for int8.

use std::ops::Range;

use super::lanes::{Kernel, Lanes, WIDTH, padded, store_some};
use super::math;
use crate::backend::Activation;

/// Rows are kept in the second cache while the panels pass: at least [`LEAST`] of them, and so many bytes.
const CACHE: usize = 512 << 10;

/// A multiple of the rows of every register tile.
const LEAST: usize = 48;

/// The sums of one register tile.
pub(crate) trait Tiles: Copy {
    /// Rows of the largest tile: four or six.
    fn most_rows<L: Lanes>() -> usize;

    /// Bytes of a row.
    fn row_bytes<L: Lanes>(self) -> usize;

    /// The products of rows `row..row + R` with the outputs of panels `panel..panel + P`.
    ///
    /// # Safety
    /// These rows and panels must be inside the operands.
    unsafe fn sums<L: Lanes, const R: usize, const P: usize>(
        self,
        lanes: L,
        row: usize,
        panel: usize,
    ) -> [[L::Floats; P]; R];
}

/// Where a product goes, `[rows, columns]`, and what happens on the way.
pub(crate) struct Out<'a> {
    pub(crate) values: &'a mut [f32],
    /// From one row to the next in `values`.
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Filled up to whole panels.
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) act: Activation,
}

impl<'a> Out<'a> {
    /// A product without bias and activation.
    pub(crate) fn plain(values: &'a mut [f32], stride: usize, rows: usize, columns: usize) -> Self {
        Self { values, stride, rows, columns, bias: None, act: Activation::None }
    }

    /// Computes all tiles.
    ///
    /// # Safety
    /// `tiles` must cover `rows` rows and `columns` rounded up to whole panels.
    #[inline(always)]
    pub(crate) unsafe fn fill<L: Lanes, T: Tiles>(mut self, lanes: L, tiles: T) {
        let panels = self.columns.div_ceil(WIDTH);
        assert!(
            self.rows == 0 || self.values.len() >= (self.rows - 1) * self.stride + self.columns,
            "too short a result"
        );
        assert!(self.bias.is_none_or(|bias| bias.len() >= panels * WIDTH), "too short a bias");
        let block = CACHE / tiles.row_bytes::<L>().max(1) / LEAST * LEAST;
        for start in (0..self.rows).step_by(block.max(LEAST)) {
            let rows = start..self.rows.min(start + block.max(LEAST));
            let mut panel = 0;
            // Safety: rows stay below `rows`, panels below `panels`, which the caller vouches for.
            unsafe {
                while L::WIDE && panel + 2 <= panels {
                    self.column_of_tiles::<L, T, 2>(lanes, tiles, rows.clone(), panel);
                    panel += 2;
                }
                while panel < panels {
                    self.column_of_tiles::<L, T, 1>(lanes, tiles, rows.clone(), panel);
                    panel += 1;
                }
            }
        }
    }

    /// # Safety
    /// As [`Tiles::sums`].
    #[inline(always)]
    unsafe fn column_of_tiles<L: Lanes, T: Tiles, const P: usize>(
        &mut self,
        lanes: L,
        tiles: T,
        rows: Range<usize>,
        panel: usize,
    ) {
        let (mut row, end) = (rows.start, rows.end);
        if T::most_rows::<L>() >= 6 {
            row = self.tiles::<L, 6, P>(lanes, tiles, row..end, panel);
        }
        row = self.tiles::<L, 4, P>(lanes, tiles, row..end, panel);
        row = self.tiles::<L, 2, P>(lanes, tiles, row..end, panel);
        self.tiles::<L, 1, P>(lanes, tiles, row..end, panel);
        let columns = panel * WIDTH..self.columns.min((panel + P) * WIDTH);
        if self.act != Activation::None {
            lanes.call(Activate { out: &mut *self, rows, columns });
        }
    }

    /// As many whole tiles as these rows hold; returns the first row that is left.
    #[inline(always)]
    fn tiles<L: Lanes, const R: usize, const P: usize>(
        &mut self,
        lanes: L,
        tiles: impl Tiles,
        rows: Range<usize>,
        panel: usize,
    ) -> usize {
        let end = rows.end - rows.len() % R;
        if rows.start < end {
            lanes.call(Column::<_, R, P> { tiles, out: &mut *self, rows: rows.start..end, panel });
        }
        end
    }
}

/// Register tiles below each other, with their bias: a function of its own, so that its loop has the registers for itself.
struct Column<'t, 'a, T, const R: usize, const P: usize> {
    tiles: T,
    out: &'t mut Out<'a>,
    /// Multiples of `R`, and panels: inside the operands and the result, as [`Out::fill`] keeps them.
    rows: Range<usize>,
    panel: usize,
}

impl<T: Tiles, const R: usize, const P: usize> Kernel for Column<'_, '_, T, R, P> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { tiles, out, rows, panel } = self;
        let (column, stride) = (panel * WIDTH, out.stride);
        let bias: [L::Floats; P] = std::array::from_fn(|p| match out.bias {
            // Safety: `fill` has checked the length.
            Some(bias) => lanes.load(unsafe { &*bias.as_ptr().add(column + p * WIDTH).cast() }),
            None => lanes.splat(0.0),
        });
        let whole = column + P * WIDTH <= out.columns;
        let mut row = rows.start;
        while row < rows.end {
            // Safety: see `rows`.
            let sums = unsafe { tiles.sums::<L, R, P>(lanes, row, panel) };
            for (r, sums) in sums.iter().enumerate() {
                let at = (row + r) * stride + column;
                for p in 0..P {
                    let (sum, at) = (lanes.add(sums[p], bias[p]), at + p * WIDTH);
                    if whole {
                        // Safety: `fill` has checked the length.
                        lanes.store(sum, unsafe { &mut *out.values.as_mut_ptr().add(at).cast() });
                    } else {
                        let width = WIDTH.min(out.columns - column - p * WIDTH);
                        store_some(lanes, sum, &mut out.values[at..at + width]);
                    }
                }
            }
            row += R;
        }
    }
}

/// The activation of finished columns, while they are in the first cache: one copy of its code serves all tiles.
struct Activate<'t, 'a> {
    out: &'t mut Out<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Kernel for Activate<'_, '_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let act = self.out.act;
        for row in self.rows {
            let row = &mut self.out.values[row * self.out.stride..][self.columns.clone()];
            let (whole, rest) = row.as_chunks_mut::<WIDTH>();
            for values in whole {
                let x = lanes.load(values);
                lanes.store(activate(lanes, x, act), values);
            }
            if !rest.is_empty() {
                let x = lanes.load(&padded(rest));
                store_some(lanes, activate(lanes, x, act), rest);
            }
        }
    }
}

#[inline(always)]
fn activate<L: Lanes>(lanes: L, x: L::Floats, act: Activation) -> L::Floats {
    match act {
        Activation::None => x,
        Activation::Gelu => math::gelu_erf(lanes, x),
        Activation::Relu => math::relu(lanes, x),
        Activation::Tanh => math::tanh(lanes, x),
    }
}

//! What every product `[M, K] · [N, K]ᵀ` shares: the order of the tiles and what happens to a finished one.
//!
//! Weights come in panels of eight outputs. Rows are cut into blocks that stay in the cache, each panel (or pair of
//! panels) is read once a block, and a register tile of rows × panels walks down the block. The sums of a tile come from
//! a [`Tiles`], of which there is one for `f32` and one for int8.

use super::lanes::{Lanes, WIDTH, padded, store_some};
use super::math;
use crate::backend::Activation;

/// Rows that are kept in the cache while a panel passes.
const BLOCK: usize = 48;

/// The sums of one register tile.
pub(crate) trait Tiles<L: Lanes>: Copy {
    /// The products of rows `row..row + R` with the outputs of panels `panel..panel + P`.
    ///
    /// # Safety
    /// These rows and panels must be inside the operands.
    unsafe fn sums<const R: usize, const P: usize>(self, lanes: L, row: usize, panel: usize) -> [[L::Floats; P]; R];
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

impl Out<'_> {
    /// Computes all tiles.
    ///
    /// # Safety
    /// `tiles` must cover `rows` rows and `columns` rounded up to whole panels.
    #[inline(always)]
    pub(crate) unsafe fn fill<L: Lanes>(mut self, lanes: L, tiles: impl Tiles<L>) {
        let panels = self.columns.div_ceil(WIDTH);
        for start in (0..self.rows).step_by(BLOCK) {
            let end = self.rows.min(start + BLOCK);
            let mut panel = 0;
            // Safety: rows stay below `rows`, panels below `panels`, which the caller vouches for.
            unsafe {
                while L::WIDE && panel + 2 <= panels {
                    self.column_of_tiles::<L, 2>(lanes, tiles, start, end, panel);
                    panel += 2;
                }
                while panel < panels {
                    self.column_of_tiles::<L, 1>(lanes, tiles, start, end, panel);
                    panel += 1;
                }
            }
        }
    }

    /// # Safety
    /// As [`Tiles::sums`].
    #[inline(always)]
    unsafe fn column_of_tiles<L: Lanes, const P: usize>(
        &mut self,
        lanes: L,
        tiles: impl Tiles<L>,
        start: usize,
        end: usize,
        panel: usize,
    ) {
        let mut row = start;
        // Safety: as the caller says.
        unsafe {
            if L::WIDE {
                while row + 6 <= end {
                    self.tile::<L, 6, P>(lanes, tiles, row, panel);
                    row += 6;
                }
            }
            while row + 4 <= end {
                self.tile::<L, 4, P>(lanes, tiles, row, panel);
                row += 4;
            }
            while row + 2 <= end {
                self.tile::<L, 2, P>(lanes, tiles, row, panel);
                row += 2;
            }
            if row < end {
                self.tile::<L, 1, P>(lanes, tiles, row, panel);
            }
        }
        match self.act {
            Activation::None => (),
            Activation::Gelu => self.activate(lanes, start, end, panel, P, math::gelu_erf::<L>),
            Activation::Relu => self.activate(lanes, start, end, panel, P, math::relu::<L>),
            Activation::Tanh => self.activate(lanes, start, end, panel, P, math::tanh::<L>),
        }
    }

    /// # Safety
    /// As [`Tiles::sums`].
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const P: usize>(
        &mut self,
        lanes: L,
        tiles: impl Tiles<L>,
        row: usize,
        panel: usize,
    ) {
        // Safety: as the caller says.
        let sums: [[_; P]; R] = unsafe { tiles.sums(lanes, row, panel) };
        for p in 0..P {
            let column = (panel + p) * WIDTH;
            let bias = match self.bias.and_then(|bias| bias[column..].first_chunk()) {
                Some(bias) => lanes.load(bias),
                None => lanes.splat(0.0),
            };
            let width = WIDTH.min(self.columns - column);
            for (r, sums) in sums.iter().enumerate() {
                let at = (row + r) * self.stride + column;
                store_some(lanes, lanes.add(sums[p], bias), &mut self.values[at..at + width]);
            }
        }
    }

    /// The activation of finished columns, while they are in the first cache: one copy of its code serves all tiles.
    #[inline(always)]
    fn activate<L: Lanes>(
        &mut self,
        lanes: L,
        start: usize,
        end: usize,
        panel: usize,
        panels: usize,
        act: impl Fn(L, L::Floats) -> L::Floats,
    ) {
        let columns = panel * WIDTH..self.columns.min((panel + panels) * WIDTH);
        for row in start..end {
            let row = &mut self.values[row * self.stride..][columns.clone()];
            let (whole, rest) = row.as_chunks_mut::<WIDTH>();
            for values in whole {
                let x = lanes.load(values);
                lanes.store(act(lanes, x), values);
            }
            if !rest.is_empty() {
                let x = lanes.load(&padded(rest));
                store_some(lanes, act(lanes, x), rest);
            }
        }
    }
}

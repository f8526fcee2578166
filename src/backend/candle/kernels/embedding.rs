//! Sums of table rows, and the way back.

use rayon::prelude::*;

use super::{ROWS, vectorised};

/// `y[r] += table[ids[r]]`: table `[V, H]`, ids `[R]`, `y` `[R, H]`. Ids have been checked.
pub fn forward(y: &mut [f32], table: &[f32], ids: &[u32], h: usize) {
    y.par_chunks_mut(ROWS * h).zip(ids.par_chunks(ROWS)).for_each(|(y, ids)| sum_rows(y, table, ids, h));
}

/// Adds each row of `grad` `[R, H]` to the row of the table's gradient that its id names. One thread, in order: the
/// same rows are hit again and again, and `R · H` additions are nothing beside a layer.
pub fn backward(grad: &[f32], ids: &[u32], table_grad: &mut [f32], h: usize) {
    spread_rows(table_grad, grad, ids, h);
}

vectorised! {
    fn sum_rows(y: &mut [f32], table: &[f32], ids: &[u32], h: usize) {
        for (y, &id) in y.chunks_exact_mut(h).zip(ids) {
            for (y, value) in y.iter_mut().zip(&table[id as usize * h..][..h]) {
                *y += value;
            }
        }
    }

    fn spread_rows(table: &mut [f32], rows: &[f32], ids: &[u32], h: usize) {
        for (row, &id) in rows.chunks_exact(h).zip(ids) {
            for (t, value) in table[id as usize * h..][..h].iter_mut().zip(row) {
                *t += value;
            }
        }
    }
}

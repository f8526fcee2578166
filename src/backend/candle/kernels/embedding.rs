//! Sums of table rows, and the way back.

use rayon::prelude::*;

use super::{ROWS, vectorised};

/// `y[r] = Σ tables[t][ids[t][r]]`: tables `[V, H]`, ids `[R]`, result `[R, H]`. Ids have been checked.
pub fn forward(sources: &[(&[f32], &[u32])], h: usize) -> Vec<f32> {
    let rows = sources.first().map_or(0, |(_, ids)| ids.len());
    let mut y = vec![0f32; rows * h];
    y.par_chunks_mut(ROWS * h).enumerate().for_each(|(block, y)| {
        vectorised(|| {
            for (row, y) in y.chunks_exact_mut(h).enumerate() {
                for (table, ids) in sources {
                    let from = ids[block * ROWS + row] as usize * h;
                    for (y, value) in y.iter_mut().zip(&table[from..from + h]) {
                        *y += value;
                    }
                }
            }
        });
    });
    y
}

/// Adds each row of `grad` `[R, H]` to the row of the table's gradient that its id names. One thread, in order: the
/// same rows are hit again and again, and `R · H` additions are nothing beside a layer.
pub fn backward(grad: &[f32], ids: &[u32], table_grad: &mut [f32], h: usize) {
    vectorised(|| {
        for (grad, &id) in grad.chunks_exact(h).zip(ids) {
            let from = id as usize * h;
            for (t, g) in table_grad[from..from + h].iter_mut().zip(grad) {
                *t += g;
            }
        }
    });
}

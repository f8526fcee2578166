//! Some neighbouring columns.

use std::ops::Range;

/// The twin of `columns.wgsl`: `x` is `[rows, width]`.
pub fn columns(x: &[f32], width: usize, columns: Range<usize>) -> Vec<f32> {
    x.chunks_exact(width).flat_map(|row| &row[columns.clone()]).copied().collect()
}

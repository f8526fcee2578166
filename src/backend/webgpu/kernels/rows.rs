//! Some rows, in the order of their numbers.

/// The twin of `rows.wgsl`: `x` is `[rows, columns]`.
pub fn rows(x: &[f32], columns: usize, list: &[u32]) -> Vec<f32> {
    list.iter().flat_map(|&row| &x[row as usize * columns..][..columns]).copied().collect()
}

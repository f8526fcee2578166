//! `x + y`.

/// Quads that a workgroup adds.
pub(in super::super) const THREADS: usize = 256;

/// The twin of `add.wgsl`.
pub fn add(x: &[f32], y: &[f32]) -> Vec<f32> {
    x.iter().zip(y).map(|(x, y)| x + y).collect()
}

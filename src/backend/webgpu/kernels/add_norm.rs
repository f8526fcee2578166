//! Residual and normalisation.

use crate::backend::NormKind;

/// Threads of a row.
const THREADS: usize = 64;

/// The twin of `add_norm.wgsl`: sums are those of the threads, added in their order.
pub fn add_norm(x: &[f32], residual: Option<&[f32]>, weight: &[f32], bias: &[f32], kind: NormKind) -> Vec<f32> {
    let columns = weight.len();
    let mut out = Vec::with_capacity(x.len());
    for (r, row) in x.chunks_exact(columns).enumerate() {
        let y = |c: usize| row[c] + residual.map_or(0.0, |residual| residual[r * columns + c]);
        let (mean, scale) = match kind {
            NormKind::LayerNorm { eps } => {
                let mean = total(columns, &y) / columns as f32;
                let squares = total(columns, &|c| (y(c) - mean) * (y(c) - mean));
                (mean, 1.0 / (squares / columns as f32 + eps).sqrt())
            }
            NormKind::NoNorm => (0.0, 1.0),
        };
        out.extend((0..columns).map(|c| (y(c) - mean) * scale * weight[c] + bias[c]));
    }
    out
}

/// The sum over columns, quads of which are dealt out to threads.
fn total(columns: usize, value: &dyn Fn(usize) -> f32) -> f32 {
    let thread = |thread: usize| -> f32 {
        let quads = (thread..columns.div_ceil(4)).step_by(THREADS);
        quads.map(|quad| (4 * quad..columns.min(4 * quad + 4)).map(value).sum::<f32>()).sum()
    };
    (0..THREADS).map(thread).sum()
}

//! Cross-entropy over rows of which we know only a set of labels that may be right.

use rayon::prelude::*;

use super::ROWS;

/// The loss and its gradient.
pub struct TokenLoss {
    /// The mean over judged rows, weighted.
    pub loss: f64,
    /// `[R, N]`.
    pub grad: Vec<f32>,
}

/// `Σ weight[r] · (logsumexp(all logits) − logsumexp(allowed logits)) / norm` over judged rows.
///
/// `logits` is `[R, N]`; bit `l` of `allowed[r]` says that label `l` may be right. One bit is ordinary cross-entropy;
/// no bit means that the row is not judged; all bits give neither loss nor gradient. `norm` is what to divide by: the
/// sum of the weights of all judged rows, of the other parts of the batch too when a step has several.
pub fn token_loss(logits: &[f32], n: usize, allowed: &[u64], weight: &[f32], norm: f64) -> TokenLoss {
    let mut grad = vec![0f32; logits.len()];
    let parts: Vec<f64> = grad
        .par_chunks_mut(ROWS * n)
        .enumerate()
        .map(|(block, grad)| {
            let mut loss = 0.0;
            for (row, grad) in grad.chunks_exact_mut(n).enumerate() {
                let r = block * ROWS + row;
                if allowed[r] != 0 && weight[r] != 0.0 {
                    let scale = f64::from(weight[r]) / norm;
                    loss += scale * row_loss(&logits[r * n..(r + 1) * n], allowed[r], scale, grad);
                }
            }
            loss
        })
        .collect();
    TokenLoss { loss: parts.iter().sum(), grad }
}

/// One row in `f64`: its loss, and `scale · (softmax(all) − softmax(allowed))` as its gradient.
fn row_loss(logits: &[f32], allowed: u64, scale: f64, grad: &mut [f32]) -> f64 {
    let may = |label: usize| allowed >> label & 1 == 1;
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut best = f32::NEG_INFINITY;
    for (label, &z) in logits.iter().enumerate() {
        if may(label) {
            best = best.max(z);
        }
    }
    let (mut all, mut some) = (0f64, 0f64);
    for (label, &z) in logits.iter().enumerate() {
        all += f64::from(z - max).exp();
        if may(label) {
            some += f64::from(z - best).exp();
        }
    }
    for (label, (&z, grad)) in logits.iter().zip(grad).enumerate() {
        let right = if may(label) { f64::from(z - best).exp() / some } else { 0.0 };
        *grad = (scale * (f64::from(z - max).exp() / all - right)) as f32;
    }
    (all.ln() + f64::from(max)) - (some.ln() + f64::from(best))
}

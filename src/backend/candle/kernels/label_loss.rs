//! Binary cross-entropy over the labels of texts that may have several.

use super::token_loss::TokenLoss;

/// `Σ weight[r] · mean over labels of (softplus(z) − y · z) / norm`: the mean of PyTorch's `BCEWithLogitsLoss` when all
/// weights are one and `norm` is the number of rows.
///
/// `logits` is `[S, N]`; bit `l` of `labels[r]` says that row `r` has label `l`.
pub fn label_loss(logits: &[f32], n: usize, labels: &[u64], weight: &[f32], norm: f64) -> TokenLoss {
    let mut grad = vec![0f32; logits.len()];
    let mut loss = 0.0;
    for (row, grad) in grad.chunks_exact_mut(n).enumerate() {
        let scale = f64::from(weight[row]) / norm / n as f64;
        for (label, (grad, &z)) in grad.iter_mut().zip(&logits[row * n..(row + 1) * n]).enumerate() {
            let (z, y) = (f64::from(z), f64::from((labels[row] >> label & 1) as u32));
            loss += scale * (z.max(0.0) + (-z.abs()).exp().ln_1p() - y * z);
            *grad = (scale * (1.0 / (1.0 + (-z).exp()) - y)) as f32;
        }
    }
    TokenLoss { loss, grad }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSS: f64 = 3.642_435_312;
    const GRADIENT: [f32; 6] =
        [-0.062_923_44, 0.037_116_688, -0.007_904_311, 0.053_470_213, -0.083_333_336, 0.166_666_67];

    /// `torch.nn.functional.binary_cross_entropy_with_logits` of these, and its gradient (PyTorch 2).
    #[test]
    fn pytorch_s_numbers() {
        let logits = [0.5, -1.25, 3.0, -0.75, 0.0, 20.0];
        let found = label_loss(&logits, 3, &[0b101, 0b010], &[1.0, 1.0], 2.0);
        assert!((found.loss - LOSS).abs() < 1e-6, "{}", found.loss);
        for (found, expected) in found.grad.iter().zip(GRADIENT) {
            assert!((found - expected).abs() < 1e-7, "{found} for {expected}");
        }
    }
}

//! Low-rank matrices beside a weight: what they add to its layer, and their way back.

use std::sync::Arc;

use candle_core::Tensor;

use super::gradients::Gradients;
use super::kernels::{linear, low_rank};
use super::{CandleBackend, Parameter, composed, dims, engine, host, lock};
use crate::backend::training::Kind;
use crate::backend::tuning::Pair;
use crate::backend::{Activation, Backend, Linear, Stored};
use crate::error::Result;

/// What a forward pass keeps of one pair.
pub(super) struct Kept {
    pair: Arc<Pair<Parameter>>,
    shape: low_rank::Shape,
    /// What went into `A`, `[R, K]`.
    x: Tensor,
    /// `scale · x · Aᵀ`, `[R, r]`.
    inner: Vec<f32>,
}

impl CandleBackend {
    /// The pairs beside the parts of a matrix.
    pub(super) fn pairs(&self, parts: &[Stored]) -> Result<Vec<Arc<Pair<Parameter>>>> {
        if !self.trainable {
            return Ok(Vec::new());
        }
        let tuning = Arc::clone(&lock(&self.tuning));
        tuning.pairs(parts, |stored| self.parameter(Kind::Matrix, &[stored], Vec::new()))
    }

    /// Adds what stands beside a weight `[N, K]` to `x · Wᵀ`, `[R, N]`.
    pub(super) fn add_low_rank(&self, x: &Tensor, weight: &Parameter, y: &mut [f32]) -> Result<Vec<Kept>> {
        let ([rows, k], n) = (dims(x)?, weight.layout().rows());
        let add = |pair: &Arc<Pair<Parameter>>| {
            let x = self.dropout(x.clone(), pair.dropout)?;
            let (columns, scale) = (pair.rows.clone(), pair.scale);
            let shape = low_rank::Shape { rows, n, k, r: pair.a.layout().rows(), columns, scale };
            let inner = pair.a.read(|a| pair.b.read(|b| host(&x, |x| low_rank::forward(y, x, a, b, &shape))))???; // [R, r]
            Ok(Kept { pair: Arc::clone(pair), shape, x, inner })
        };
        weight.pairs().iter().map(add).collect()
    }

    /// A layer from candle's own operations.
    pub(super) fn composed_linear(&self, x: &Tensor, layer: &Linear<Self>, act: Activation) -> Result<Tensor> {
        let (weight, n) = (&layer.weight, layer.weight.layout().rows());
        let bias = layer.bias.as_ref().map(|bias| bias.value());
        let mut y = composed::linear(x, weight.value(), bias).map_err(engine)?; // [R, N]
        for pair in weight.pairs() {
            let x = self.dropout(x.clone(), pair.dropout)?;
            let matrices = [pair.a.value(), pair.b.value()];
            let more = composed::low_rank(&x, matrices, pair.scale, pair.rows.clone(), n);
            y = more.and_then(|more| y + more).map_err(engine)?;
        }
        composed::activate(y, act).map_err(engine)
    }
}

impl Kept {
    /// Adds to the gradients of both matrices, and to that of what went into them if it is wanted. `grad` `[R, N]` is that of
    /// the whole layer before its activation.
    pub(super) fn backward(&self, grad: &[f32], wanted: bool, gradients: &mut Gradients) -> Result<()> {
        let (Pair { a, b, .. }, &low_rank::Shape { k, r, .. }) = (&*self.pair, &self.shape);
        let inner =
            b.read(|values| low_rank::backward_b(grad, &self.inner, values, b.gradient().dense(b.len()), &self.shape))?; // [R, r]
        host(&self.x, |x| linear::backward_weight(&inner, x, a.gradient().dense(a.len()), r, k))?;
        if !wanted {
            return Ok(());
        }
        a.read(|values| {
            gradients.write(self.x.id(), self.x.elem_count(), |x_grad, into| {
                linear::backward_input(&inner, values, x_grad, r, k, into);
            });
        })
    }
}

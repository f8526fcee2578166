//! Low-rank matrices beside a weight: what they add to its layer, and their way back.

use std::sync::Arc;

use super::device::Device;
use super::gradients::Gradients;
use super::operations::side;
use super::product::{Side, Target};
use super::{CudaBackend, Parameter, Tensor, lock};
use crate::backend::training::Kind;
use crate::backend::tuning::Pair;
use crate::backend::{Backend, Stored};
use crate::error::Result;

/// What a forward pass keeps of one pair.
pub(super) struct Kept {
    pair: Arc<Pair<Parameter>>,
    /// What went into `A`, `[R, K]`.
    x: Tensor,
    /// `scale · x · Aᵀ`, `[R, r]`.
    inner: Tensor,
}

impl CudaBackend {
    /// The pairs beside the parts of a matrix.
    pub(super) fn pairs(&self, parts: &[Stored]) -> Result<Vec<Arc<Pair<Parameter>>>> {
        if !self.trainable {
            return Ok(Vec::new());
        }
        let tuning = Arc::clone(&lock(&self.tuning));
        tuning.pairs(parts, |stored| self.parameter(Kind::Matrix, &[stored], Vec::new()))
    }

    /// Adds what stands beside a weight to `z = x · Wᵀ`, `[R, N]`.
    pub(super) fn add_low_rank(&self, x: &Tensor, weight: &Parameter, z: &Tensor) -> Result<Vec<Kept>> {
        let device = &self.device;
        let add = |pair: &Arc<Pair<Parameter>>| {
            let x = self.dropout(x.clone(), pair.dropout)?;
            let (rows, k, r) = (x.rows, x.columns, pair.a.layout.rows());
            let inner = Tensor::new(device.activations(rows * r)?, rows, r);
            let to = Target { at: inner.buffer.at(), stride: r, f32: false, sum: false, scale: pair.scale };
            device.product(to, [rows, r, k], side(&x, false), matrix(&pair.a, true))?;
            let to = Target { at: first(device, z, pair), stride: z.stride, f32: false, sum: true, scale: 1.0 };
            device.product(to, [rows, pair.rows.len(), r], side(&inner, false), matrix(&pair.b, true))?;
            Ok(Kept { pair: Arc::clone(pair), x, inner })
        };
        weight.pairs.iter().map(add).collect()
    }
}

impl Kept {
    /// Adds to the gradients of both matrices, and to that of what went into them if it is wanted. `grad` `[R, N]` is that of
    /// the whole layer before its activation.
    pub(super) fn backward(
        &self,
        device: &Device,
        grad: &Tensor,
        wanted: bool,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let Pair { a, b, rows: outputs, scale, .. } = &*self.pair;
        let (rows, k, r, n) = (self.x.rows, self.x.columns, self.inner.columns, outputs.len());
        let some = |turned| Side { at: first(device, grad, &self.pair), stride: grad.stride, turned };
        if let Some(gradient) = &b.gradient {
            let to = Target { at: gradient.at(), stride: r, f32: true, sum: true, scale: 1.0 };
            device.product(to, [n, r, rows], some(true), side(&self.inner, false))?;
        }
        let inner = self.inner.like(device)?; // [R, r]
        let to = Target { at: inner.buffer.at(), stride: r, f32: false, sum: false, scale: *scale };
        device.product(to, [rows, r, n], some(false), matrix(b, false))?;
        if let Some(gradient) = &a.gradient {
            let to = Target { at: gradient.at(), stride: k, f32: true, sum: true, scale: 1.0 };
            device.product(to, [r, k, rows], side(&inner, true), side(&self.x, false))?;
        }
        if !wanted {
            return Ok(());
        }
        gradients.write(&self.x, |to, add| {
            let to = Target { at: to.buffer.at(), stride: k, f32: false, sum: add, scale: 1.0 };
            device.product(to, [rows, k, r], side(&inner, false), matrix(a, false))
        })
    }
}

fn matrix(weight: &Parameter, turned: bool) -> Side {
    Side { at: weight.at(), stride: weight.layout.columns, turned }
}

/// Where the outputs of a pair begin in the first row of all outputs.
fn first(device: &Device, y: &Tensor, pair: &Pair<Parameter>) -> u64 {
    y.buffer.at() + (pair.rows.start * device.precision().bytes()) as u64
}

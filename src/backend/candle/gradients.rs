//! The gradients of activations during the walk back.
//!
//! candle's own graph creates a gradient of zeros for each edge and then adds to it, and keeps all activations until
//! the end. Here the first gradient is moved to its place, and matrix products add into what is there.

use std::collections::HashMap;

use candle_core::{Tensor, TensorId};

use super::kernels::add_assign;
use super::kernels::matmul::Into;
use crate::backend::tape;

/// The backward pass of one operation.
pub(super) type Backward = tape::Backward<Gradients>;

/// By the tensor they belong to, row by row.
#[derive(Default)]
pub(super) struct Gradients {
    by_tensor: HashMap<TensorId, Vec<f32>>,
}

impl tape::Gradients for Gradients {
    type Id = TensorId;
    type Gradient = Vec<f32>;

    fn take(&mut self, id: &TensorId) -> Option<Vec<f32>> {
        self.by_tensor.remove(id)
    }
}

impl Gradients {
    /// Adds a gradient, or moves it there when it is the first.
    pub(super) fn add(&mut self, tensor: TensorId, grad: Vec<f32>) {
        match self.by_tensor.get_mut(&tensor) {
            Some(sum) => add_assign(sum, &grad),
            None => {
                self.by_tensor.insert(tensor, grad);
            }
        }
    }

    /// Lets an operation write its gradient where it goes, or add to what is there.
    pub(super) fn write(&mut self, tensor: TensorId, len: usize, write: impl FnOnce(&mut [f32], Into)) {
        match self.by_tensor.get_mut(&tensor) {
            Some(sum) => write(sum, Into::Sum),
            None => {
                let mut grad = vec![0f32; len];
                write(&mut grad, Into::Fresh);
                self.by_tensor.insert(tensor, grad);
            }
        }
    }

    /// The gradient of a tensor, zeros so far if nothing was added.
    pub(super) fn sum(&mut self, tensor: &Tensor) -> &mut [f32] {
        self.by_tensor.entry(tensor.id()).or_insert_with(|| vec![0.0; tensor.elem_count()])
    }
}

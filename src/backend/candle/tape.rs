//! What a training step remembers of its forward pass, to walk it backwards.
//!
//! candle's own graph creates a gradient of zeros for each edge and then adds to it, and keeps all activations until
//! the end. Here a gradient is moved to where it goes,
//! matrix products add into it, and what an operation kept is freed as soon as its backward pass has run. Gradients of
//! parameters go straight into [`super::Parameter::gradient`].

use std::collections::HashMap;

use candle_core::{Tensor, TensorId};

use super::kernels::add_assign;
use super::kernels::matmul::Into;
use crate::error::Result;

/// The backward pass of one operation: takes the gradient of its result, adds to those of its inputs.
pub(super) type Backward = Box<dyn FnOnce(Vec<f32>, &mut Gradients) -> Result<()> + Send>;

/// The operations of one forward pass, in order.
#[derive(Default)]
pub(super) struct Tape {
    steps: Vec<(TensorId, Backward)>,
}

impl Tape {
    pub(super) fn record(&mut self, output: &Tensor, backward: Backward) {
        self.steps.push((output.id(), backward));
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
    }

    /// Walks back from the tensors whose gradients are given.
    pub(super) fn backward(&mut self, mut gradients: Gradients) -> Result<()> {
        while let Some((output, backward)) = self.steps.pop() {
            if let Some(grad) = gradients.by_tensor.remove(&output) {
                backward(grad, &mut gradients)?;
            }
        }
        Ok(())
    }
}

/// The gradients of activations that still wait for the operation that made them.
#[derive(Default)]
pub(super) struct Gradients {
    by_tensor: HashMap<TensorId, Vec<f32>>,
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
}

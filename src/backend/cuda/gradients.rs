//! The gradients of activations during the walk back.

use std::collections::HashMap;
use std::sync::Arc;

use super::device::Device;
use super::launch::Grid;
use super::tensor::Tensor;
use crate::backend::tape;
use crate::error::Result;

/// The backward pass of one operation.
pub(super) type Backward = tape::Backward<Gradients>;

/// By the tensor they belong to.
pub(super) struct Gradients {
    device: Arc<Device>,
    by_tensor: HashMap<u64, Tensor>,
}

impl tape::Gradients for Gradients {
    type Id = u64;
    type Gradient = Tensor;

    fn take(&mut self, id: &u64) -> Option<Tensor> {
        self.by_tensor.remove(id)
    }
}

impl Gradients {
    pub(super) fn new(device: Arc<Device>) -> Self {
        Self { device, by_tensor: HashMap::new() }
    }

    /// Adds a gradient of the same shape, or moves it there when it is the first.
    pub(super) fn add(&mut self, tensor: u64, grad: Tensor) -> Result<()> {
        let sum = match self.by_tensor.remove(&tensor) {
            Some(before) => sum(&self.device, &before, &grad)?,
            None => grad,
        };
        self.by_tensor.insert(tensor, sum);
        Ok(())
    }

    /// Lets an operation write its gradient where it goes, or add to what is there if that belongs to nobody else.
    pub(super) fn write(&mut self, x: &Tensor, write: impl FnOnce(&Tensor, bool) -> Result<()>) -> Result<()> {
        match self.by_tensor.get(&x.id()) {
            Some(before) if Arc::strong_count(&before.buffer) == 1 => write(before, true),
            _ => {
                let fresh = x.like(&self.device)?;
                write(&fresh, false)?;
                self.add(x.id(), fresh)
            }
        }
    }
}

/// `x + y`, of the same shape.
pub(super) fn sum(device: &Device, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let z = x.like(device)?;
    device.launch("add", Grid::over(x.span() / 4), &[z.arg(), x.arg(), y.arg(), x.span().into()])?;
    Ok(z)
}

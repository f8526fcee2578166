//! How the gradients of an engine are summed over all ranks.

use std::cell::RefCell;

use super::group::{Group, Pending};
#[cfg(feature = "cuda")]
use crate::backend::cuda::{CudaBackend, Device, Nccl};
use crate::backend::training::{Quantity, Training};
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "cuda")]
use std::sync::Arc;

/// Sums gradients while the engine goes on with its backward pass.
pub trait Sums<B: Training> {
    /// Begins to sum the gradients of some weights, to which this step adds nothing more.
    ///
    /// # Errors
    /// A failure of the engine.
    fn begin(&self, group: &Group, engine: &B, weights: Vec<String>) -> Result<()>;

    /// Puts all sums that were begun in the place of the gradients.
    ///
    /// # Errors
    /// A failure of the engine, a rank that is gone.
    fn finish(&self, group: &Group, engine: &B) -> Result<()>;
}

/// Over the channels of the [`Group`], for every engine; those of the CPU lose nothing by it.
#[derive(Default)]
pub struct HostSums {
    begun: RefCell<Vec<Bucket>>,
}

/// Weights whose gradients are under way, one after the other.
struct Bucket {
    weights: Vec<String>,
    sums: Pending<Vec<f32>>,
}

impl<B: Training> Sums<B> for HostSums {
    fn begin(&self, group: &Group, engine: &B, weights: Vec<String>) -> Result<()> {
        let mut values = Vec::new();
        for name in &weights {
            values.extend(engine.read(name, Quantity::Gradient)?);
        }
        self.begun.borrow_mut().push(Bucket { weights, sums: group.sum(values) });
        Ok(())
    }

    fn finish(&self, group: &Group, engine: &B) -> Result<()> {
        for Bucket { weights, sums } in self.begun.take() {
            let sums = group.wait(sums)?;
            let mut rest = sums.as_slice();
            for name in &weights {
                let len = engine.read(name, Quantity::Gradient)?.len();
                let (own, behind) = rest
                    .split_at_checked(len)
                    .ok_or_else(|| Error::new(ErrorKind::Backend, format!("{name}: {} of {len} sums", rest.len())))?;
                engine.write(name, Quantity::Gradient, own)?;
                rest = behind;
            }
        }
        Ok(())
    }
}

/// Through NCCL, where the gradients lie.
#[cfg(feature = "cuda")]
pub struct NcclSums(Arc<Nccl>);

#[cfg(feature = "cuda")]
impl NcclSums {
    /// Joins the devices of all ranks. Every rank has a device of its own.
    ///
    /// # Errors
    /// NCCL is missing, or fails; a rank that is gone.
    pub fn join(group: &Group, device: &Arc<Device>) -> Result<Self> {
        let own = if group.rank() == 0 { Nccl::id()?.to_vec() } else { Vec::new() };
        let ids = group.gather(&own)?;
        let id = ids.first().and_then(|id| id.as_slice().try_into().ok());
        let id = id.ok_or_else(|| Error::new(ErrorKind::Backend, "rank 0 sent no id of NCCL"))?;
        let nccl = Arc::new(Nccl::join(device, group.rank(), group.size(), id)?);
        let lost = Arc::clone(&nccl);
        // What waits on the device for a rank that is gone would wait for ever.
        group.when_broken(move || lost.abort());
        Ok(Self(nccl))
    }
}

#[cfg(feature = "cuda")]
impl Sums<CudaBackend> for NcclSums {
    fn begin(&self, _: &Group, engine: &CudaBackend, weights: Vec<String>) -> Result<()> {
        engine.begin_sum(&self.0, &weights)
    }

    fn finish(&self, _: &Group, engine: &CudaBackend) -> Result<()> {
        engine.finish_sums(&self.0)
    }
}

//! What an engine is made for, and how each kind of engine is made for it.

#[cfg(feature = "cuda")]
use std::sync::Arc;

use crate::backend::candle::CandleBackend;
#[cfg(feature = "cuda")]
use crate::backend::cuda::{CudaBackend, Device};
#[cfg(feature = "cuda")]
use crate::error::Result;

/// What an engine is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To learn.
    Learn {
        /// Decides what dropout drops.
        seed: u64,
    },
    /// To be asked: it keeps nothing to walk back.
    Answer,
    /// To be asked, and to drop values as if it learnt.
    Drop {
        /// Decides what dropout drops.
        seed: u64,
    },
}

impl Role {
    /// An engine on the CPU.
    pub fn on_cpu(self) -> CandleBackend {
        match self {
            Self::Learn { seed } => CandleBackend::training(seed),
            Self::Answer => CandleBackend::inference(candle_core::Device::Cpu),
            Self::Drop { seed } => CandleBackend::dropping(seed),
        }
    }

    /// An engine on an NVIDIA device.
    ///
    /// # Errors
    /// Memory.
    #[cfg(feature = "cuda")]
    pub fn on_cuda(self, device: &Arc<Device>) -> Result<CudaBackend> {
        match self {
            Self::Learn { seed } => CudaBackend::training(device, seed),
            Self::Answer => CudaBackend::inference(device),
            Self::Drop { seed } => CudaBackend::dropping(device, seed),
        }
    }
}

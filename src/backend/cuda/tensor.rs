//! Activations on the device.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::device::Device;
use super::launch::{Arg, Grid};
use super::memory::Buffer;
use crate::error::Result;

/// Rows of activations. Cheap to clone; what is in it does not change, except where an operation made it and nobody else
/// has seen it yet.
#[derive(Clone)]
pub struct Tensor {
    pub(super) id: u64,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// From one row to the next: a vocabulary is rounded up to a multiple of 8, as the matrix units like it.
    pub(super) stride: usize,
    pub(super) buffer: Arc<Buffer>,
}

impl Tensor {
    /// Takes a buffer of packed rows over.
    pub(super) fn new(buffer: Buffer, rows: usize, columns: usize) -> Self {
        Self::strided(buffer, rows, columns, columns)
    }

    pub(super) fn strided(buffer: Buffer, rows: usize, columns: usize, stride: usize) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed);
        Self { id, rows, columns, stride, buffer: Arc::new(buffer) }
    }

    /// A tensor of the same shape.
    pub(super) fn like(&self, device: &Device) -> Result<Self> {
        let buffer = device.activations(self.rows * self.stride)?;
        Ok(Self::strided(buffer, self.rows, self.columns, self.stride))
    }

    pub(super) fn zeros_like(&self, device: &Device) -> Result<Self> {
        let buffer = device.zeros(self.rows * self.stride * device.precision().bytes())?;
        Ok(Self::strided(buffer, self.rows, self.columns, self.stride))
    }

    /// What tells it from all others.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Numbers from the first of the first row to the end of the last, what lies between rows included.
    pub(super) fn span(&self) -> usize {
        self.rows * self.stride
    }

    /// Where it begins.
    pub(super) fn arg(&self) -> Arg {
        Arg::U64(self.buffer.at())
    }

    /// Row by row as floats. Waits.
    pub(super) fn to_host(&self, device: &Device) -> Result<Vec<f32>> {
        let n = self.rows * self.columns;
        if n == 0 {
            return Ok(Vec::new());
        }
        let y = device.alloc(n * 4)?;
        let args = [(&y).into(), self.arg(), n.into(), self.columns.into(), self.stride.into()];
        device.launch("widen_rows", Grid::over(n), &args)?;
        device.download(&y, n)
    }
}

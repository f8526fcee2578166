//! Memory of a device, kept for the next step when a tensor is dropped: a step wants the same sizes again, in the same
//! order, and asking the driver for each costs more than many kernels run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

use super::device::failed;
use super::lock;
use crate::error::Result;

/// What nobody uses now, by size. Everything runs in one stream: what was freed may be written at once, because whoever
/// read it was started before.
#[derive(Default)]
pub(super) struct Memory(Arc<Mutex<Free>>);

type Free = HashMap<usize, Vec<CudaSlice<u8>>>;

/// Memory of a device. Goes back to its [`Memory`] when it is dropped.
pub(super) struct Buffer {
    slice: Option<CudaSlice<u8>>,
    pointer: u64,
    free: Arc<Mutex<Free>>,
}

impl Buffer {
    /// Where it begins on the device.
    pub(super) fn at(&self) -> u64 {
        self.pointer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            lock(&self.free).entry(slice.len()).or_default().push(slice);
        }
    }
}

impl Memory {
    /// At least `bytes`, with whatever was in them.
    pub(super) fn take(&self, stream: &Arc<CudaStream>, bytes: usize) -> Result<Buffer> {
        let size = rounded(bytes);
        let kept = lock(&self.0).get_mut(&size).and_then(Vec::pop);
        let slice = match kept {
            Some(slice) => slice,
            None => self.ask(stream, size)?,
        };
        let pointer = slice.device_ptr(stream).0;
        Ok(Buffer { slice: Some(slice), pointer, free: Arc::clone(&self.0) })
    }

    /// Asks the driver; if it has none, gives back what nobody uses and asks again.
    fn ask(&self, stream: &Arc<CudaStream>, size: usize) -> Result<CudaSlice<u8>> {
        // Safety: whoever takes memory writes before anybody reads.
        let ask = || unsafe { stream.alloc::<u8>(size) };
        ask()
            .or_else(|_| {
                lock(&self.0).clear();
                stream.synchronize()?;
                ask()
            })
            .map_err(|e| failed(&format!("{size} bytes of device memory"), &e))
    }
}

/// Sizes a little apart share memory: up to an eighth more than was asked for.
fn rounded(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 16).max(512);
    bytes.max(1).next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn sizes_are_rounded_by_an_eighth_at_most() {
        for (bytes, expected) in [(0, 512), (1, 512), (513, 1024), (100_000, 106_496), (1 << 30, 1 << 30)] {
            assert_eq!(rounded(bytes), expected, "{bytes}");
        }
        assert!((1..100_000).all(|bytes| rounded(bytes * 97) <= (bytes * 97).max(4096) * 9 / 8 + 512));
    }
}

//! Numbers on their way to the device, in memory that it reads by itself: a copy from ordinary memory would make the host
//! wait until everything before it is done.

use std::sync::Arc;

use cudarc::driver::result::memcpy_htod_async;
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, PinnedHostSlice, sys};

/// Bytes of one slot.
pub(super) const SLOT: usize = 1 << 19;
/// Slots: more than a step uploads, so that the host may be a step ahead of the device.
const SLOTS: usize = 128;

/// Slots, used in turn.
pub(super) struct Staging {
    slots: Vec<Slot>,
    next: usize,
    context: Arc<CudaContext>,
}

struct Slot {
    memory: PinnedHostSlice<u8>,
    /// Set off when the device has read it.
    read: CudaEvent,
}

impl Staging {
    pub(super) fn new(context: &Arc<CudaContext>) -> Self {
        Self { slots: Vec::new(), next: 0, context: Arc::clone(context) }
    }

    fn slot(&mut self) -> Result<&mut Slot, DriverError> {
        if self.next == self.slots.len() && self.slots.len() < SLOTS {
            // Safety: it is written before it is read.
            let memory = unsafe { self.context.alloc_pinned::<u8>(SLOT) }?;
            let read = self.context.new_event(Some(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING))?;
            self.slots.push(Slot { memory, read });
        }
        let at = self.next;
        self.next = (at + 1) % SLOTS;
        Ok(&mut self.slots[at])
    }

    /// Starts to copy at most [`SLOT`] bytes to a place on the device.
    pub(super) fn upload(&mut self, stream: &CudaStream, bytes: &[u8], to: u64) -> Result<(), DriverError> {
        let slot = self.slot()?;
        slot.read.synchronize()?;
        let memory = &mut slot.memory.as_mut_slice()?[..bytes.len()];
        memory.copy_from_slice(bytes);
        // Safety: the slot is not touched again before `read` was set off, and the place is as large as what goes there.
        unsafe { memcpy_htod_async(to, memory, stream.cu_stream()) }?;
        slot.read.record(stream)
    }
}

//! Sums of gradients over the devices of several processes, by NCCL, in a stream of their own beside the backward pass.

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cudarc::driver::CudaStream;
use cudarc::nccl::{result, sys};

use super::device::{Device, failed};
use super::{CudaBackend, lock};
use crate::error::{Error, ErrorKind, Result};

/// This process among those that sum.
pub struct Nccl {
    comm: Comm,
    stream: Arc<CudaStream>,
    /// Nobody may use `comm` any more.
    over: AtomicBool,
}

struct Comm(sys::ncclComm_t);

// Safety: NCCL takes a communicator from any thread; only an abort comes from another one than the rest, as it may.
unsafe impl Send for Comm {}
// Safety: as above.
unsafe impl Sync for Comm {}

/// What tells the processes of one run from those of others.
pub type Id = [u8; 128];

/// The version of NCCL, as it numbers itself: 23004 is 2.30.4.
///
/// # Errors
/// It is not there.
pub fn nccl_version() -> Result<i32> {
    // Safety: this only tries to open a library.
    if unsafe { sys::is_culib_present() } {
        return result::get_nccl_version().map_err(|e| refused("version", &e));
    }
    let message = "not found: NCCL (libnccl), which several devices need. It comes with `pip install nvidia-nccl-cu13`; \
                   name its folder in LD_LIBRARY_PATH";
    Err(Error::new(ErrorKind::Backend, message).at("cuda"))
}

impl Nccl {
    /// A new id, for all processes of a run.
    ///
    /// # Errors
    /// NCCL is missing, or fails.
    pub fn id() -> Result<Id> {
        nccl_version()?;
        let id = result::get_uniqueid().map_err(|e| refused("id", &e))?;
        Ok(id.internal.map(|byte| byte as u8))
    }

    /// Waits for the others, each with its device.
    ///
    /// # Errors
    /// NCCL is missing, or fails: two processes on one device, a host that cannot be reached.
    pub fn join(device: &Device, rank: usize, size: usize, id: Id) -> Result<Self> {
        nccl_version()?;
        let stream = device.fork()?;
        let id = sys::ncclUniqueId { internal: id.map(|byte| byte as c_char) };
        let mut comm = ptr::null_mut();
        // Safety: the device's context is current since `fork`; `comm` is written before it is read.
        let joined = unsafe { result::comm_init_rank(&raw mut comm, size as i32, id, rank as i32) };
        joined.map_err(|e| refused("processes", &e))?;
        Ok(Self { comm: Comm(comm), stream, over: AtomicBool::new(false) })
    }

    /// Ends what waits for a process that is gone. Whoever uses this afterwards is refused.
    pub fn abort(&self) {
        if !self.over.swap(true, Ordering::SeqCst) {
            // Safety: the communicator is there until it is aborted or destroyed, which `over` allows once.
            let _ = unsafe { result::comm_abort(self.comm.0) }; // it failed already
        }
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        if !self.over.swap(true, Ordering::SeqCst) {
            // Safety: as in `abort`.
            let _ = unsafe { result::comm_destroy(self.comm.0) };
        }
    }
}

impl CudaBackend {
    /// Begins to sum the gradients of some weights over all processes. They wait for what was started before, and what is
    /// started later does not wait for them.
    ///
    /// # Errors
    /// A weight that no model loaded or that does not learn; NCCL fails.
    pub fn begin_sum(&self, nccl: &Nccl, weights: &[String]) -> Result<()> {
        if nccl.over.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Backend, "a process is gone").at("cuda: NCCL"));
        }
        nccl.stream.join(&self.device.stream).map_err(|e| failed("stream", &e))?;
        result::group_start().map_err(|e| refused("sums", &e))?;
        let summed = weights.iter().try_for_each(|name| self.sum_one(nccl, name));
        result::group_end().map_err(|e| refused("sums", &e))?;
        summed
    }

    fn sum_one(&self, nccl: &Nccl, name: &str) -> Result<()> {
        let parameter = lock(&self.parameters).get(name).cloned();
        let parameter = parameter.ok_or_else(|| Error::new(ErrorKind::Backend, format!("no model loaded {name:?}")))?;
        let missing = || Error::new(ErrorKind::Backend, format!("{name} has no gradient"));
        let (at, len) = (parameter.gradient.as_ref().ok_or_else(missing)?.at(), parameter.layout.len());
        let (float, sum) = (sys::ncclDataType_t::ncclFloat32, sys::ncclRedOp_t::ncclSum);
        let stream = nccl.stream.cu_stream().cast();
        // Safety: the gradient holds `len` floats and lives as long as the engine, which waits for the stream in
        // `finish_sums` before it writes there.
        let begun = unsafe { result::all_reduce(at as *const _, at as *mut _, len, float, sum, nccl.comm.0, stream) };
        begun.map(drop).map_err(|e| refused(name, &e))
    }

    /// What is started from here on waits for all sums.
    ///
    /// # Errors
    /// A failure of the driver.
    pub fn finish_sums(&self, nccl: &Nccl) -> Result<()> {
        self.device.stream.join(&nccl.stream).map_err(|e| failed("stream", &e))
    }
}

fn refused(place: &str, error: &result::NcclError) -> Error {
    failed(&format!("NCCL: {place}"), &error.0)
}

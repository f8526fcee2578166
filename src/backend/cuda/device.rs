//! One CUDA device: its memory, its kernels, its matrix products. Everything runs in one stream, in the order of the calls.
//!
//! The driver, cuBLAS and the run-time compiler are looked for when a device is opened, not when the program starts: a
//! program built with the feature `cuda` runs on a machine without them and says what is missing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cudarc::cublas::CudaBlas;
use cudarc::driver::result::{memcpy_dtod_async, memcpy_dtoh_async, memset_d8_async};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream};

use super::compile::{compile, require_libraries};
use super::launch::Grid;
use super::lock;
use super::memory::{Buffer, Memory};
use super::staging::{SLOT, Staging};
use crate::error::{Error, ErrorKind, Result};

/// What activations and the weights in products are. Sums, weights that learn, gradients of weights and moments are
/// `f32` in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, products without TF32: for comparison.
    F32,
    /// bfloat16: what the matrix units are made for.
    Bf16,
}

impl Precision {
    /// Bytes of an activation.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// An open device.
pub struct Device {
    context: Arc<CudaContext>,
    pub(super) stream: Arc<CudaStream>,
    pub(super) blas: CudaBlas,
    pub(super) module: Arc<CudaModule>,
    pub(super) functions: Mutex<HashMap<&'static str, CudaFunction>>,
    staging: Mutex<Staging>,
    memory: Memory,
    precision: Precision,
}

/// The largest tensor, so that kernels count in 32 bits.
const MOST: usize = (1 << 32) - (1 << 24);

/// How many devices the driver shows.
///
/// # Errors
/// What is missing: the driver, cuBLAS, the run-time compiler.
pub fn count() -> Result<usize> {
    require_libraries()?;
    CudaContext::device_count().map(|n| usize::try_from(n).unwrap_or(0)).map_err(|e| failed("devices", &e))
}

impl Device {
    /// Opens a device by its number and compiles the kernels for it.
    ///
    /// # Errors
    /// What is missing: the driver, a device of this number, cuBLAS, the run-time compiler.
    pub fn open(ordinal: usize, precision: Precision) -> Result<Arc<Self>> {
        require_libraries()?;
        let context = CudaContext::new(ordinal).map_err(|e| failed("no device", &e))?;
        // Safety: there is one stream, so nothing can be read in another before it is written in this one.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(|e| failed("no stream", &e))?;
        let blas = CudaBlas::new(Arc::clone(&stream)).map_err(|e| failed("cuBLAS", &e))?;
        let module = context.load_module(compile(&context, precision)?).map_err(|e| failed("kernels", &e))?;
        let (functions, staging) = (Mutex::default(), Mutex::new(Staging::new(&context)));
        let memory = Memory::default();
        Ok(Arc::new(Self { context, stream, blas, module, functions, staging, memory, precision }))
    }

    /// What the driver calls it.
    ///
    /// # Errors
    /// A failure of the driver.
    pub fn name(&self) -> Result<String> {
        self.context.name().map_err(|e| failed("name", &e))
    }

    /// What the device can do, as NVIDIA numbers it: 9.0 is Hopper.
    ///
    /// # Errors
    /// A failure of the driver.
    pub fn compute_capability(&self) -> Result<(i32, i32)> {
        self.context.compute_capability().map_err(|e| failed("compute capability", &e))
    }

    /// Bytes free and in all.
    ///
    /// # Errors
    /// A failure of the driver.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.context.mem_get_info().map_err(|e| failed("memory", &e))
    }

    /// What activations are.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// A stream beside the one in which everything runs, for this thread.
    pub(super) fn fork(&self) -> Result<Arc<CudaStream>> {
        let bound = self.context.bind_to_thread();
        bound.and_then(|()| self.context.new_stream()).map_err(|e| failed("no stream", &e))
    }

    /// Waits until everything that was started is done.
    ///
    /// # Errors
    /// What went wrong meanwhile.
    pub fn wait(&self) -> Result<()> {
        self.stream.synchronize().map_err(|e| failed("device", &e))
    }

    /// Memory with whatever was in it.
    pub(super) fn alloc(&self, bytes: usize) -> Result<Buffer> {
        if bytes > MOST {
            let message = format!("{bytes} bytes in one tensor, at most {MOST}: take fewer sequences at once");
            return Err(Error::new(ErrorKind::Backend, message).at("cuda"));
        }
        self.memory.take(&self.stream, bytes)
    }

    pub(super) fn zeros(&self, bytes: usize) -> Result<Buffer> {
        let buffer = self.alloc(bytes)?;
        // Safety: the buffer is at least this long, and nobody else has it yet.
        let result = unsafe { memset_d8_async(buffer.at(), 0, bytes, self.stream.cu_stream()) };
        result.map_err(|e| failed("zeros", &e))?;
        Ok(buffer)
    }

    /// Memory for `n` activations.
    pub(super) fn activations(&self, n: usize) -> Result<Buffer> {
        self.alloc(n * self.precision.bytes())
    }

    /// Copies bytes from one buffer to another, which belongs to whoever asks.
    pub(super) fn copy(&self, from: &Buffer, to: &Buffer, bytes: usize) -> Result<()> {
        // Safety: both buffers live until the stream is done with them, and are at least this long.
        let result = unsafe { memcpy_dtod_async(to.at(), from.at(), bytes, self.stream.cu_stream()) };
        result.map_err(|e| failed("copy", &e))
    }

    /// Brings plain numbers to the device.
    pub(super) fn upload<N: Plain>(&self, values: &[N]) -> Result<Buffer> {
        let (bytes, to) = (bytes_of(values), self.alloc(size_of_val(values))?);
        for (chunk, from) in bytes.chunks(SLOT).zip((0..).step_by(SLOT)) {
            let mut staging = lock(&self.staging);
            staging.upload(&self.stream, chunk, to.at() + from).map_err(|e| failed("upload", &e))?;
        }
        Ok(to)
    }

    /// The first `n` floats of a buffer. Waits.
    pub(super) fn download(&self, buffer: &Buffer, n: usize) -> Result<Vec<f32>> {
        let mut values = vec![0f32; n];
        // Safety: the buffer holds at least `n` floats.
        let copied = unsafe { memcpy_dtoh_async(&mut values, buffer.at(), self.stream.cu_stream()) };
        copied.and_then(|()| self.stream.synchronize()).map_err(|e| failed("download", &e))?;
        Ok(values)
    }

    /// Floats as activations.
    pub(super) fn narrowed(&self, values: &[f32]) -> Result<Buffer> {
        let wide = self.upload(values)?;
        if self.precision == Precision::F32 {
            return Ok(wide);
        }
        let narrow = self.activations(values.len())?;
        self.launch("narrow_all", Grid::over(values.len()), &[(&narrow).into(), (&wide).into(), values.len().into()])?;
        Ok(narrow)
    }
}

/// A type whose bytes are numbers.
///
/// # Safety
/// Without padding, and any bit pattern is fine.
pub(super) unsafe trait Plain: Copy {}
// Safety: plain numbers.
unsafe impl Plain for f32 {}
// Safety: plain numbers.
unsafe impl Plain for u32 {}
// Safety: plain numbers.
unsafe impl Plain for u64 {}
// Safety: `repr(C)`, seven floats.
unsafe impl Plain for crate::backend::adamw::Pass {}

fn bytes_of<N: Plain>(values: &[N]) -> &[u8] {
    // Safety: `Plain` promises that every byte is initialised.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The first line is what went wrong; what follows it are addresses.
pub(super) fn failed(place: &str, error: &dyn std::fmt::Debug) -> Error {
    let text = format!("{error:?}");
    Error::new(ErrorKind::Backend, text.lines().next().unwrap_or_default()).at(format!("cuda: {place}"))
}

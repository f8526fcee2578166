//! One CUDA device: its memory, its kernels, its matrix products. Everything runs in one stream, in the order of the calls.
//!
//! The driver, cuBLAS and the run-time compiler are looked for when a device is opened, not when the program starts: a
//! program built with the feature `cuda` runs on a machine without them and says what is missing.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::cublas::sys::{cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType};
use cudarc::cublas::{CudaBlas, result as cublas};
use cudarc::driver::result::memcpy_dtod_async;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, sys,
};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

use crate::error::{Error, ErrorKind, Result};

const KERNELS: &str = concat!(
    include_str!("kernels/prelude.cu"),
    include_str!("kernels/move.cu"),
    include_str!("kernels/linear.cu"),
    include_str!("kernels/norm.cu"),
    include_str!("kernels/attention.cu"),
    include_str!("kernels/loss.cu"),
    include_str!("kernels/adamw.cu"),
);

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

    fn data_type(self) -> cudaDataType {
        match self {
            Self::F32 => cudaDataType::CUDA_R_32F,
            Self::Bf16 => cudaDataType::CUDA_R_16BF,
        }
    }
}

/// An open device.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    module: Arc<CudaModule>,
    functions: Mutex<HashMap<&'static str, CudaFunction>>,
    precision: Precision,
}

/// Memory of a device; given back when it is dropped, after what was started before.
pub(super) struct Buffer {
    slice: CudaSlice<u8>,
    pointer: u64,
}

impl Buffer {
    /// Where it begins on the device.
    pub(super) fn at(&self) -> u64 {
        self.pointer
    }
}

/// What a kernel is told.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    /// A place on the device, or a number of elements.
    U64(u64),
    U32(u32),
    F32(f32),
}

impl From<&Buffer> for Arg {
    fn from(buffer: &Buffer) -> Self {
        Self::U64(buffer.pointer)
    }
}

impl From<Option<&Buffer>> for Arg {
    fn from(buffer: Option<&Buffer>) -> Self {
        Self::U64(buffer.map_or(0, |buffer| buffer.pointer))
    }
}

impl From<usize> for Arg {
    fn from(value: usize) -> Self {
        // Sizes of tensors and tables were checked when these were made.
        Self::U32(value as u32)
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for Arg {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

/// How a kernel is spread out.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) blocks: [usize; 2],
    pub(super) threads: usize,
    /// Bytes of shared memory that the kernel asks for by name.
    pub(super) shared: usize,
}

impl Grid {
    /// Enough threads for `n` pieces of work that a loop shares out.
    pub(super) fn over(n: usize) -> Self {
        Self { blocks: [n.div_ceil(256).clamp(1, 1 << 14), 1], threads: 256, shared: 0 }
    }

    /// One block for each of `n`.
    pub(super) fn blocks(n: usize, threads: usize) -> Self {
        Self { blocks: [n, 1], threads, shared: 0 }
    }

    /// One warp for each of `n`, four a block.
    pub(super) fn warps(n: usize) -> Self {
        Self::blocks(n.div_ceil(4), 128)
    }
}

/// One side of a matrix product: row-major, rows `stride` numbers apart, read as its transpose where it is `turned`.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) at: u64,
    pub(super) stride: usize,
    pub(super) turned: bool,
}

/// Where a matrix product goes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) at: u64,
    pub(super) stride: usize,
    /// `f32` rather than the precision of activations.
    pub(super) f32: bool,
    /// Added to what is there.
    pub(super) sum: bool,
}

/// How many products lie how far apart: left side, right side, target, in numbers.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    pub(super) count: usize,
    pub(super) steps: [usize; 3],
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
        keep_memory(&context)?;
        let stream = context.new_stream().map_err(|e| failed("no stream", &e))?;
        let blas = CudaBlas::new(Arc::clone(&stream)).map_err(|e| failed("cuBLAS", &e))?;
        let module = context.load_module(compile(&context, precision)?).map_err(|e| failed("kernels", &e))?;
        Ok(Arc::new(Self { context, stream, blas, module, functions: Mutex::default(), precision }))
    }

    /// What the driver calls it.
    ///
    /// # Errors
    /// A failure of the driver.
    pub fn name(&self) -> Result<String> {
        self.context.name().map_err(|e| failed("name", &e))
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

    /// Waits until everything that was started is done.
    ///
    /// # Errors
    /// What went wrong meanwhile.
    pub fn wait(&self) -> Result<()> {
        self.stream.synchronize().map_err(|e| failed("device", &e))
    }

    /// Memory with whatever was in it.
    pub(super) fn alloc(&self, bytes: usize) -> Result<Buffer> {
        // Safety: whoever asks writes before anybody reads.
        let slice = unsafe { self.stream.alloc::<u8>(bytes.max(16)) };
        self.buffer(slice.map_err(|e| failed(&format!("{bytes} bytes of device memory"), &e))?)
    }

    pub(super) fn zeros(&self, bytes: usize) -> Result<Buffer> {
        let slice = self.stream.alloc_zeros::<u8>(bytes.max(16));
        self.buffer(slice.map_err(|e| failed(&format!("{bytes} bytes of device memory"), &e))?)
    }

    /// Memory for `n` activations.
    pub(super) fn activations(&self, n: usize) -> Result<Buffer> {
        self.alloc(n * self.precision.bytes())
    }

    fn buffer(&self, slice: CudaSlice<u8>) -> Result<Buffer> {
        let pointer = slice.device_ptr(&self.stream).0;
        Ok(Buffer { slice, pointer })
    }

    /// Copies bytes from one buffer to another, which belongs to whoever asks.
    pub(super) fn copy(&self, from: &Buffer, to: &Buffer, bytes: usize) -> Result<()> {
        // Safety: both buffers live until the stream is done with them, and are at least this long.
        let result = unsafe { memcpy_dtod_async(to.pointer, from.pointer, bytes, self.stream.cu_stream()) };
        result.map_err(|e| failed("copy", &e))
    }

    /// Brings plain numbers to the device.
    pub(super) fn upload<N: Plain>(&self, values: &[N]) -> Result<Buffer> {
        if values.is_empty() {
            return self.zeros(0);
        }
        let slice = self.stream.clone_htod(bytes_of(values)).map_err(|e| failed("upload", &e))?;
        self.buffer(slice)
    }

    /// The first `n` floats of a buffer. Waits.
    pub(super) fn download(&self, buffer: &Buffer, n: usize) -> Result<Vec<f32>> {
        let part = buffer.slice.slice(..n * 4);
        let bytes = self.stream.clone_dtoh(&part).map_err(|e| failed("download", &e))?;
        Ok(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// Floats as activations.
    pub(super) fn narrowed(&self, values: &[f32]) -> Result<Buffer> {
        let wide = self.upload(values)?;
        if self.precision == Precision::F32 {
            return Ok(wide);
        }
        let narrow = self.activations(values.len())?;
        self.launch("narrow_all", Grid::over(values.len()), &[(&narrow).into(), (&wide).into(), count(values.len())])?;
        Ok(narrow)
    }

    /// Starts a kernel.
    pub(super) fn launch(&self, name: &'static str, grid: Grid, args: &[Arg]) -> Result<()> {
        let [x, y] = grid.blocks;
        if x == 0 || y == 0 {
            return Ok(());
        }
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let function = match functions.get(name) {
            Some(function) => function,
            None => {
                let function = self.module.load_function(name).map_err(|e| failed(name, &e))?;
                allow_shared(&function).map_err(|e| failed(name, &e))?;
                functions.entry(name).or_insert(function)
            }
        };
        let mut launch = self.stream.launch_builder(function);
        for arg in args {
            match arg {
                Arg::U64(value) => launch.arg(value),
                Arg::U32(value) => launch.arg(value),
                Arg::F32(value) => launch.arg(value),
            };
        }
        let config = LaunchConfig {
            grid_dim: (x as u32, y as u32, 1),
            block_dim: (grid.threads as u32, 1, 1),
            shared_mem_bytes: grid.shared as u32,
        };
        // Safety: names and arguments are those of the kernels beside this file, and buffers live until the stream is
        // done with them.
        unsafe { launch.launch(config) }.map(drop).map_err(|e| failed(name, &e))
    }

    /// `to[m, n] = left[m, k] · right[k, n]`, or many of them.
    pub(super) fn product(
        &self,
        to: Target,
        [m, n, k]: [usize; 3],
        left: Side,
        right: Side,
        batch: Option<Batch>,
    ) -> Result<()> {
        if m == 0 || n == 0 || k == 0 {
            return Ok(());
        }
        let op = |side: Side| match side.turned {
            true => cublasOperation_t::CUBLAS_OP_T,
            false => cublasOperation_t::CUBLAS_OP_N,
        };
        let (handle, data) = (*self.blas.handle(), self.precision.data_type());
        let target = if to.f32 { cudaDataType::CUDA_R_32F } else { data };
        let (one, beta) = (1f32, if to.sum { 1f32 } else { 0f32 });
        let pointer = |number: &f32| std::ptr::from_ref(number).cast::<c_void>();
        let compute = cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let algorithm = cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT;
        let Batch { count, steps: [step_left, step_right, step_to] } =
            batch.unwrap_or(Batch { count: 1, steps: [0; 3] });
        // cuBLAS thinks in columns: what lies here row by row is the transpose of what it sees, so the sides change places.
        // Safety: pointers and sizes are those of live buffers.
        let result = unsafe {
            cublas::gemm_strided_batched_ex(
                handle,
                op(right),
                op(left),
                n as i32,
                m as i32,
                k as i32,
                pointer(&one),
                right.at as *const c_void,
                data,
                right.stride as i32,
                step_right as i64,
                left.at as *const c_void,
                data,
                left.stride as i32,
                step_left as i64,
                pointer(&beta),
                to.at as *mut c_void,
                target,
                to.stride as i32,
                step_to as i64,
                count as i32,
                compute,
                algorithm,
            )
        };
        result.map_err(|e| failed(&format!("product {m} by {k} by {n}"), &e))
    }
}

/// A number of elements, which kernels take in 64 bits.
pub(super) fn count(n: usize) -> Arg {
    Arg::U64(n as u64)
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

/// The libraries that are opened at run time, each named if it is not there.
fn require_libraries() -> Result<()> {
    // Safety: these only try to open a library.
    let found = unsafe {
        [
            (sys::is_culib_present(), "the NVIDIA driver (libcuda)"),
            (cudarc::cublas::sys::is_culib_present(), "cuBLAS (libcublas)"),
            (cudarc::nvrtc::sys::is_culib_present(), "the CUDA run-time compiler (libnvrtc)"),
        ]
    };
    let missing: Vec<_> = found.iter().filter(|(there, _)| !there).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "not found: {}. Install the driver and the CUDA 13 libraries, or name their folder in LD_LIBRARY_PATH",
        missing.join(", ")
    );
    Err(Error::new(ErrorKind::Backend, message).at("cuda"))
}

fn compile(context: &CudaContext, precision: Precision) -> Result<cudarc::nvrtc::Ptx> {
    let (major, minor) = context.compute_capability().map_err(|e| failed("compute capability", &e))?;
    let mut options = vec![format!("--gpu-architecture=compute_{major}{minor}")];
    if precision == Precision::Bf16 {
        if major < 8 {
            let message = format!("bfloat16 needs compute capability 8.0, this device has {major}.{minor}: use f32");
            return Err(Error::new(ErrorKind::Backend, message).at("cuda"));
        }
        options.push("-DBF16".into());
    }
    compile_ptx_with_opts(KERNELS, CompileOptions { options, ..CompileOptions::default() }).map_err(|e| {
        let message = match &e {
            CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
            other => format!("{other:?}"),
        };
        Error::new(ErrorKind::Backend, message).at("cuda: kernels")
    })
}

/// Freed memory stays with this process: a step wants the same again.
fn keep_memory(context: &CudaContext) -> Result<()> {
    let mut pool = std::ptr::null_mut();
    let mut threshold = u64::MAX;
    // Safety: `pool` and `threshold` live over the calls, and the attribute takes 64 bits.
    let result = unsafe {
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()).result().and_then(|()| {
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut threshold).cast()).result()
        })
    };
    result.map_err(|e| failed("memory pool", &e))
}

/// Rows of up to 4,096 floats a warp stay in shared memory: more than a kernel gets unasked.
fn allow_shared(function: &CudaFunction) -> std::result::Result<(), cudarc::driver::DriverError> {
    let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    function.set_attribute(attribute, 65_536)
}

/// The first line is what went wrong; what follows it are addresses.
pub(super) fn failed(place: &str, error: &dyn std::fmt::Debug) -> Error {
    let text = format!("{error:?}");
    Error::new(ErrorKind::Backend, text.lines().next().unwrap_or_default()).at(format!("cuda: {place}"))
}

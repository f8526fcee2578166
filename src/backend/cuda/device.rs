//! One CUDA device: its memory, its kernels, its matrix products. Everything runs in one stream, in the order of the calls.
//!
//! The driver, cuBLAS and the run-time compiler are looked for when a device is opened, not when the program starts: a
//! program built with the feature `cuda` runs on a machine without them and says what is missing.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use cudarc::cublas::CudaBlas;
use cudarc::cublas::sys::{self as blas, cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType};
use cudarc::driver::result::{memcpy_dtod_async, memcpy_dtoh_async, memset_d8_async};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

use super::lock;
use super::memory::{Buffer, Memory};
use super::staging::{SLOT, Staging};
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
    staging: Mutex<Staging>,
    memory: Memory,
    precision: Precision,
}

/// The largest tensor, so that kernels count in 32 bits.
const MOST: usize = (1 << 32) - (1 << 24);

/// What a kernel is told.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    /// A place on the device.
    U64(u64),
    U32(u32),
    F32(f32),
}

impl From<&Buffer> for Arg {
    fn from(buffer: &Buffer) -> Self {
        Self::U64(buffer.at())
    }
}

impl From<Option<&Buffer>> for Arg {
    fn from(buffer: Option<&Buffer>) -> Self {
        Self::U64(buffer.map_or(0, Buffer::at))
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
}

impl Grid {
    /// Enough threads for `n` pieces of work that a loop shares out.
    pub(super) fn over(n: usize) -> Self {
        Self { blocks: [n.div_ceil(256).clamp(1, 1 << 14), 1], threads: 256 }
    }

    /// One block for each of `n`.
    pub(super) fn blocks(n: usize, threads: usize) -> Self {
        Self { blocks: [n, 1], threads }
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

/// Matrices of one shape, one for each head: where each begins, and how far apart its rows are.
pub(super) struct Heads {
    places: Buffer,
    count: usize,
    stride: usize,
}

/// A side of the products for every head.
#[derive(Clone, Copy)]
pub(super) struct HeadSide<'a> {
    heads: &'a Heads,
    turned: bool,
}

impl Heads {
    /// Read as their transposes.
    pub(super) fn turned(&self) -> HeadSide<'_> {
        HeadSide { heads: self, turned: true }
    }
}

impl<'a> From<&'a Heads> for HeadSide<'a> {
    fn from(heads: &'a Heads) -> Self {
        Self { heads, turned: false }
    }
}

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

    /// Starts a kernel.
    pub(super) fn launch(&self, name: &'static str, grid: Grid, args: &[Arg]) -> Result<()> {
        let [x, y] = grid.blocks;
        if x == 0 || y == 0 {
            return Ok(());
        }
        let mut functions = lock(&self.functions);
        let function = match functions.get(name) {
            Some(function) => function,
            None => {
                let function = self.module.load_function(name).map_err(|e| failed(name, &e))?;
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
            shared_mem_bytes: 0,
        };
        // Safety: names and arguments are those of the kernels beside this file, and buffers live until the stream is
        // done with them.
        unsafe { launch.launch(config) }.map(drop).map_err(|e| failed(name, &e))
    }

    /// `to[m, n] = left[m, k] · right[k, n]`.
    pub(super) fn product(&self, to: Target, [m, n, k]: [usize; 3], left: Side, right: Side) -> Result<()> {
        if m == 0 || n == 0 || k == 0 {
            return Ok(());
        }
        let data = self.precision.data_type();
        let target = if to.f32 { cudaDataType::CUDA_R_32F } else { data };
        let (one, beta) = (1f32, if to.sum { 1f32 } else { 0f32 });
        // cuBLAS thinks in columns: what lies here row by row is the transpose of what it sees, so the sides change places.
        // Safety: pointers and sizes are those of live buffers.
        let status = unsafe {
            blas::cublasGemmEx(
                *self.blas.handle(),
                op(right.turned),
                op(left.turned),
                n as i32,
                m as i32,
                k as i32,
                number(&one),
                right.at as *const c_void,
                data,
                right.stride as i32,
                left.at as *const c_void,
                data,
                left.stride as i32,
                number(&beta),
                to.at as *mut c_void,
                target,
                to.stride as i32,
                COMPUTE,
                ALGORITHM,
            )
        };
        status.result().map_err(|e| failed(&format!("product {m} by {k} by {n}"), &e))
    }

    /// The same for every head, in the precision of activations.
    pub(super) fn products<'a>(
        &self,
        to: &Heads,
        [m, n, k]: [usize; 3],
        left: impl Into<HeadSide<'a>>,
        right: impl Into<HeadSide<'a>>,
    ) -> Result<()> {
        if to.count == 0 || m == 0 || n == 0 || k == 0 {
            return Ok(());
        }
        let (left, right, data) = (left.into(), right.into(), self.precision.data_type());
        let (one, zero) = (1f32, 0f32);
        // Safety: as in `product`; each array of places has `count` of them.
        let status = unsafe {
            blas::cublasGemmBatchedEx(
                *self.blas.handle(),
                op(right.turned),
                op(left.turned),
                n as i32,
                m as i32,
                k as i32,
                number(&one),
                right.heads.places.at() as *const *const c_void,
                data,
                right.heads.stride as i32,
                left.heads.places.at() as *const *const c_void,
                data,
                left.heads.stride as i32,
                number(&zero),
                to.places.at() as *const *mut c_void,
                data,
                to.stride as i32,
                to.count as i32,
                COMPUTE,
                ALGORITHM,
            )
        };
        status.result().map_err(|e| failed(&format!("{} products {m} by {k} by {n}", to.count), &e))
    }

    /// Where the heads of sequences of equal length lie: `maps` of them, `heads` side by side, rows `stride` numbers apart,
    /// heads `width`.
    pub(super) fn heads(
        &self,
        base: u64,
        [maps, heads, length]: [usize; 3],
        [stride, width]: [usize; 2],
    ) -> Result<Heads> {
        let (places, bytes) = (self.alloc(8 * maps)?, self.precision.bytes());
        let args = [
            (&places).into(),
            Arg::U64(base),
            maps.into(),
            heads.into(),
            (stride * bytes).into(),
            (width * bytes).into(),
            length.into(),
        ];
        self.launch("head_places", Grid::blocks(maps.div_ceil(256), 256), &args)?;
        Ok(Heads { places, count: maps, stride })
    }
}

const COMPUTE: cublasComputeType_t = cublasComputeType_t::CUBLAS_COMPUTE_32F;
const ALGORITHM: cublasGemmAlgo_t = cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT;

fn op(turned: bool) -> cublasOperation_t {
    if turned { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N }
}

fn number(number: &f32) -> *const c_void {
    std::ptr::from_ref(number).cast()
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

/// The first line is what went wrong; what follows it are addresses.
pub(super) fn failed(place: &str, error: &dyn std::fmt::Debug) -> Error {
    let text = format!("{error:?}");
    Error::new(ErrorKind::Backend, text.lines().next().unwrap_or_default()).at(format!("cuda: {place}"))
}

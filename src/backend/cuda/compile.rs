//! What has to be there at run time, and the kernels made for a device.

use cudarc::driver::{CudaContext, sys};
use cudarc::nvrtc::{CompileError, CompileOptions, Ptx, compile_ptx_with_opts};

use super::device::{Precision, failed};
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

/// The libraries that are opened at run time, each named if it is not there.
pub(super) fn require_libraries() -> Result<()> {
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

pub(super) fn compile(context: &CudaContext, precision: Precision) -> Result<Ptx> {
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

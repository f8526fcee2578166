//! `--backend webgpu`, in builds that have it.

use anyhow::Result;
#[cfg(not(feature = "webgpu"))]
use clinlite::backend::simd::SimdBackend;
#[cfg(feature = "webgpu")]
use clinlite::backend::webgpu::{Options, WebGpuBackend};

/// Opens the fastest adapter. Software ones are taken only where this variable is set: they are slower than the CPU engine.
#[cfg(feature = "webgpu")]
pub(crate) fn open() -> Result<WebGpuBackend> {
    let allow_software = std::env::var_os("CLINLITE_SOFTWARE_GPU").is_some();
    let backend = pollster::block_on(WebGpuBackend::open(Options { allow_software, ..Options::default() }))?;
    eprintln!("webgpu: {} ({})", backend.adapter().name, backend.adapter().api);
    Ok(backend)
}

/// Says how to get an engine. The type is that of some engine; none is ever made.
#[cfg(not(feature = "webgpu"))]
pub(crate) fn open() -> Result<SimdBackend> {
    anyhow::bail!(
        "--backend webgpu: this program was built without it; build it with `cargo build --release --features webgpu`, \
         which takes no toolkit, and run it where a Vulkan or Metal driver is"
    )
}

//! `clinlite doctor`: what this build and this machine can do.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

#[derive(Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: Arguments) -> Result<ExitCode> {
    println!("clinlite {}", env!("CARGO_PKG_VERSION"));
    println!("processor: {} threads, {}", std::thread::available_parallelism()?, instructions());
    println!("engines for answers: simd (int8 and f32), candle (f32, the reference)");
    println!("engines for training: cpu (f32){}", if cfg!(feature = "cuda") { ", cuda (bf16, f32)" } else { "" });
    println!("processes of one training on the CPU: several, over TCP");
    webgpu();
    let healthy = cuda();
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The widest instructions that the kernels use here.
fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
        let avx512 = std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl");
        match (avx2, avx512) {
            (true, true) => return "AVX-512 in training, AVX2 in answers",
            (true, false) => return "AVX2",
            (false, _) => (),
        }
    }
    "no vector instructions that the kernels know: the portable ones are used"
}

/// What the fastest GPU adapter is.
#[cfg(feature = "webgpu")]
fn webgpu() {
    use clinlite::backend::webgpu::{Options, WebGpuBackend};
    let options = Options { allow_software: true, ..Options::default() };
    match pollster::block_on(WebGpuBackend::open(options)) {
        Ok(backend) => {
            let adapter = backend.adapter();
            let software = if adapter.is_software() { ", software: slower than simd" } else { "" };
            println!("webgpu: {}, {}, {}{software}", adapter.name, adapter.driver, adapter.api);
        }
        Err(error) => println!("webgpu: {error}"),
    }
}

#[cfg(not(feature = "webgpu"))]
fn webgpu() {
    println!("webgpu: not in this build; `cargo install --path . --features webgpu` adds it and takes no toolkit");
}

/// Opens every device; whether all is well with what this build has.
#[cfg(feature = "cuda")]
fn cuda() -> bool {
    use clinlite::backend::cuda::{Device, Precision, count, nccl_version};
    let found = match count() {
        Ok(found) => found,
        Err(error) => {
            println!("{error}");
            return false;
        }
    };
    if found == 0 {
        println!("cuda: the driver shows no device");
        return false;
    }
    let describe = |number: usize| -> clinlite::Result<String> {
        let device = Device::open(number, Precision::Bf16).or_else(|_| Device::open(number, Precision::F32))?;
        let ((major, minor), (free, all)) = (device.compute_capability()?, device.memory()?);
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        let (name, precision) = (device.name()?, device.precision());
        Ok(format!(
            "{name}, compute capability {major}.{minor}, {:.1} of {:.1} GiB free, kernels compiled in {precision:?}",
            gib(free),
            gib(all)
        ))
    };
    match nccl_version() {
        Ok(version) => println!("several devices: NCCL {version}"),
        Err(error) => println!("several devices: {error}"),
    }
    (0..found).fold(true, |healthy, number| match describe(number) {
        Ok(line) => {
            println!("cuda:{number}: {line}");
            healthy
        }
        Err(error) => {
            println!("cuda:{number}: {error}");
            false
        }
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> bool {
    println!("cuda: not in this build; `cargo install --path . --features cuda` adds it and takes no CUDA toolkit");
    true
}

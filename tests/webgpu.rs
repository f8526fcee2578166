//! The engine on GPUs, natively: on the machine's Vulkan or Metal driver, software allowed.
//!
//! Without a driver the tests that need one print a line and pass; with `REQUIRE_GPU=1`, as `make test` sets it where it has
//! installed one, they fail.

#![allow(clippy::unwrap_used, reason = "in a test a step that fails is the failure")]

#[allow(dead_code, reason = "shared with the tests of the other engines")]
#[path = "backends/checks.rs"]
mod checks;
#[cfg(feature = "cli")]
#[path = "webgpu/command.rs"]
mod command;
#[path = "webgpu/failures.rs"]
mod failures;
#[path = "webgpu/kernels.rs"]
mod kernels;
#[path = "parity/models.rs"]
mod models;
#[path = "webgpu/parity.rs"]
mod parity;
#[allow(dead_code, reason = "shared with the tests of the other engines")]
#[path = "parity/pytorch.rs"]
mod pytorch;
#[path = "webgpu/reuse.rs"]
mod reuse;
#[path = "webgpu/sources.rs"]
mod sources;
#[allow(dead_code, reason = "shared with the other tests, which write files")]
mod support;

use std::sync::OnceLock;

use clinlite::backend::webgpu::{Options, Precision, WebGpuBackend};

/// Engines are opened for this adapter: the first one that there is, software too.
fn options(precision: Precision) -> Options {
    Options { allow_software: true, precision, ..Options::default() }
}

/// An engine, or nothing where the machine has no driver and need not have one.
fn opened(options: Options) -> Option<WebGpuBackend> {
    match pollster::block_on(WebGpuBackend::open(options)) {
        Ok(backend) => Some(backend),
        Err(error) if std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1") => {
            panic!("REQUIRE_GPU is set: {error:?}")
        }
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// An engine that several tests share: opening one compiles all kernels.
fn shared(precision: Precision) -> Option<&'static WebGpuBackend> {
    static ENGINES: [OnceLock<Option<WebGpuBackend>>; 3] = [const { OnceLock::new() }; 3];
    ENGINES[precision as usize].get_or_init(|| opened(options(precision))).as_ref()
}

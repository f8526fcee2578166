//! The kernels and encoders on the machine's GPU, by its own clock where it has one.
//!
//! `webgpu [--rows 2048] [--seconds 60] [--only attainable,products,layers,notes] [--software] [--checked]`
//!
//! 1. What is attainable: chains of multiply-adds that touch no memory, in `f32`, `f16` and four-byte products.
//! 2. Products of every encoder's shapes, tile by tile: TFLOP/s (int8: Tera operations/s), the share of what is attainable, and
//!    the share of what cuBLAS does in `f32` on the same card, in turn with each tile.
//! 3. Where the time of an encoder goes, kernel by kernel.
//! 4. Notes of 5,000 words a second: windows of 128 that share 64, without tokenizing, beside the engines `cuda` and `simd`.
//!
//! cuBLAS and `cuda` are there in builds with the feature `cuda`, on a card with NVIDIA's driver, cuBLAS and NVRTC. A time is the
//! minimum of its rounds. What does not fit into the seconds is left out and said.

#[path = "webgpu/attainable.rs"]
mod attainable;
#[cfg_attr(feature = "cuda", path = "webgpu/cuda.rs")]
#[cfg_attr(not(feature = "cuda"), path = "webgpu/without_cuda.rs")]
mod cuda;
#[path = "webgpu/encoders.rs"]
mod encoders;
#[path = "webgpu/products.rs"]
mod products;
#[allow(dead_code, reason = "shared with the other benches")]
mod random;

use std::error::Error;
use std::time::{Duration, Instant};

use clinlite::backend::webgpu::{Options, Precision, WebGpuBackend};

/// What the command line says.
struct Asked {
    rows: usize,
    until: Instant,
    only: Option<String>,
    software: bool,
    checked: bool,
}

impl Asked {
    fn options(&self, precision: Precision) -> Options {
        Options { allow_software: self.software, precision, checked: self.checked, ..Options::default() }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|name| name == part))
    }

    fn is_late(&self) -> bool {
        Instant::now() > self.until
    }
}

/// What is attainable, operations a second; none where it could not be measured.
#[derive(Clone, Copy, Default)]
struct Attainable {
    f32: Option<f64>,
    int8: Option<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked = asked()?;
    let backend = pollster::block_on(WebGpuBackend::open(asked.options(Precision::Int8)))?;
    let adapter = backend.adapter();
    println!("adapter: {}, {}, {}", adapter.name, adapter.driver, adapter.api);
    println!("shader-f16: {}, four-byte products: {}", adapter.has_f16(), adapter.has_int8());
    drop(backend);
    let mut attainable = Attainable::default();
    if asked.wants("attainable") {
        attainable = pollster::block_on(attainable::measure())?;
    }
    if asked.wants("products") {
        products::measure(&asked, attainable)?;
    }
    if asked.wants("layers") {
        encoders::layers(&asked, attainable)?;
    }
    if asked.wants("notes") {
        encoders::notes(&asked)?;
    }
    Ok(())
}

fn asked() -> Result<Asked, Box<dyn Error>> {
    let mut asked = Asked { rows: 2048, until: Instant::now(), only: None, software: false, checked: false };
    let mut seconds = 120;
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument}: expected a value"));
        match argument.as_str() {
            "--rows" => asked.rows = value()?.parse()?,
            "--seconds" => seconds = value()?.parse()?,
            "--only" => asked.only = Some(value()?),
            "--software" => asked.software = true,
            "--checked" => asked.checked = true,
            other => return Err(format!("{other}: expected --rows, --seconds, --only, --software or --checked").into()),
        }
    }
    asked.until += Duration::from_secs(seconds);
    Ok(asked)
}

/// Tera operations a second, and the share of each of these rates that is known: `34.05  52 %  81 %`.
fn rate(operations: f64, seconds: f64, most: &[Option<f64>]) -> String {
    let rate = operations / seconds;
    let shares = most.iter().flatten().map(|most| format!(" {:3.0} %", 100.0 * rate / most)).collect::<String>();
    format!("{:7.2}{shares}", rate * 1e-12)
}

//! `--device` and `--precision`: which engine trains.

use std::str::FromStr;
#[cfg(feature = "cuda")]
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
#[cfg(feature = "cuda")]
use clinlite::backend::cuda;

/// What a subcommand that trains takes in with `#[command(flatten)]`.
#[derive(Args)]
pub(crate) struct DeviceArguments {
    /// What calculates: cpu, cuda, or cuda:N for the device of that number
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Name,
    /// The numbers between the weights on a CUDA device; weights that learn and sums are f32 in any case [default: bf16]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Cpu,
    /// The first device, or that of this process among several on this host.
    Cuda(Option<usize>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// bfloat16, what the matrix units are made for
    Bf16,
    /// 32 bits, for comparison
    F32,
}

/// An opened device.
pub(crate) enum Device {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda(Arc<cuda::Device>),
}

impl DeviceArguments {
    /// Opens the device for a process of this number on its host.
    pub(crate) fn open(&self, local_rank: usize) -> Result<Device> {
        match (self.device, self.precision) {
            (Name::Cpu, Some(Precision::Bf16)) => bail!("--precision bf16: the CPU trains in f32 only"),
            (Name::Cpu, _) => Ok(Device::Cpu),
            (Name::Cuda(number), precision) => open_cuda(number, local_rank, precision.unwrap_or(Precision::Bf16)),
        }
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(number: Option<usize>, local_rank: usize, precision: Precision) -> Result<Device> {
    // A launcher may show each process its own device only, which then is number 0.
    let alone = local_rank == 0 || cuda::count()? == 1;
    let number = number.unwrap_or(if alone { 0 } else { local_rank });
    let precision = match precision {
        Precision::Bf16 => cuda::Precision::Bf16,
        Precision::F32 => cuda::Precision::F32,
    };
    let device = cuda::Device::open(number, precision)?;
    eprintln!("device cuda:{number}: {}, {precision:?}", device.name()?);
    Ok(Device::Cuda(device))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(number: Option<usize>, local_rank: usize, _precision: Precision) -> Result<Device> {
    let number = number.unwrap_or(local_rank);
    bail!(
        "--device cuda:{number}: this program was built without CUDA; build it with `cargo build --release --features \
         cuda`, which takes no CUDA toolkit, and run it where the NVIDIA driver, cuBLAS and NVRTC are"
    )
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "expected cpu, cuda or cuda:N".to_owned();
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(None)),
            Some(("cuda", number)) => number.parse().map(|number| Self::Cuda(Some(number))).map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}

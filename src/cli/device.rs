//! `--device` and `--precision`: which engine trains.

use std::str::FromStr;
#[cfg(feature = "cuda")]
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
#[cfg(feature = "cuda")]
use clinlite::backend::cuda;

#[derive(Args)]
pub(crate) struct DeviceArguments {
    /// Where to compute: `cpu`, `cuda`, or `cuda:N` for one of several
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: Device,
    /// Of activations and products; what learns is always f32. Default: bf16 on cuda, f32 on the CPU, which has no other
    #[arg(long, value_enum)]
    precision: Option<Precision>,
}

/// What was typed.
#[derive(Clone, Copy)]
enum Device {
    Cpu,
    /// The number of the device.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err("expected cpu, cuda or cuda:N".into()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Precision {
    Bf16,
    F32,
}

/// An engine's ground, open.
pub(crate) enum Opened {
    /// The processor.
    Cpu,
    /// An NVIDIA device.
    #[cfg(feature = "cuda")]
    Cuda(Arc<cuda::Device>),
}

impl DeviceArguments {
    /// Opens what was asked for.
    pub(crate) fn open(&self) -> Result<Opened> {
        match self.device {
            Device::Cpu if self.precision == Some(Precision::Bf16) => {
                bail!("--precision bf16 wants --device cuda: the CPU computes in f32")
            }
            Device::Cpu => Ok(Opened::Cpu),
            Device::Cuda(number) => open_cuda(number, self.precision.unwrap_or(Precision::Bf16)),
        }
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(number: usize, precision: Precision) -> Result<Opened> {
    let precision = match precision {
        Precision::Bf16 => cuda::Precision::Bf16,
        Precision::F32 => cuda::Precision::F32,
    };
    Ok(Opened::Cuda(cuda::Device::open(number, precision)?))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: usize, _: Precision) -> Result<Opened> {
    bail!("--device cuda: this program was built without it, build it anew: cargo install --path . --features cuda")
}

//! Kernels: what they are told, how they are spread out, how they are started.

use cudarc::driver::{LaunchConfig, PushKernelArg};

use super::device::{Device, failed};
use super::lock;
use super::memory::Buffer;
use crate::error::Result;

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

impl Device {
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
}

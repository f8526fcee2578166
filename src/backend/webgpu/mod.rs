//! The engine on GPUs, through wgpu: Vulkan or Metal natively, WebGPU in a page. One set of kernels in WGSL for all.
//!
//! An operation notes what is to be done and returns at once; [`Backend::to_host`] hands everything over in one go and
//! brings the numbers back. Activations lie in one buffer, the arena, whose parts are reused; weights are uploaded once.
//! After the first batch of a size no buffer is made. Only what every WebGPU offers is used: 256 threads and 16 KiB of
//! workgroup memory, no subgroups.
//!
//! Accuracy, kept by `tests/webgpu.rs`: in `f32` every operation agrees with its reference to 1e-5 of the largest magnitude;
//! int8 products have the integer sums of the `simd` engine, and rows are rounded to the same integers.

mod adapter;
mod arena;
mod attention;
mod clock;
mod failure;
mod gpu;
pub mod kernels;
mod pipelines;
mod readback;
mod recording;
mod shapes;
mod weights;

use std::ops::Range;
use std::sync::Arc;

pub use self::adapter::{Adapter, Options, Power, Precision};
use self::arena::Slot;
use self::gpu::{Dispatch, Gpu};
use self::kernels::{Kernel, Numbers, ROWS_ACROSS, Tile};
use self::shapes::{refuse, same_shape};
use self::weights::STEP;
pub use self::weights::{Matrix, Vector};
use super::table::{Table, embedded};
use super::{Activation, Backend, Lengths, Linear, Norm, NormKind, Qkv, Stored};
use crate::error::Result;

/// Rows of a batch that fill a GPU: sixteen windows of 128.
const BUSY_ROWS: usize = 2048;

/// The engine: a device with compiled kernels.
pub struct WebGpuBackend {
    gpu: Gpu,
}

/// Activations `[rows, columns]` in the arena. The place goes back with the last clone.
#[derive(Clone)]
pub struct Tensor {
    rows: usize,
    columns: usize,
    slot: Arc<Slot>,
    /// Made by an int8 product: attention goes on in integers.
    exact: bool,
}

impl Tensor {
    /// Floats from one row to the next: filled up with zeros.
    fn stride(&self) -> usize {
        self.columns.next_multiple_of(STEP)
    }

    fn start(&self) -> u32 {
        self.slot.start() as u32
    }

    /// Where it begins, in quads.
    fn quad(&self) -> u32 {
        self.start() / 4
    }

    fn quads(&self) -> u32 {
        self.stride() as u32 / 4
    }
}

impl WebGpuBackend {
    /// Opens an adapter and compiles the kernels for it.
    ///
    /// # Errors
    /// [`NoAdapter`](crate::ErrorKind::NoAdapter), [`SoftwareAdapter`](crate::ErrorKind::SoftwareAdapter) unless the options allow
    /// one, [`GpuLimits`](crate::ErrorKind::GpuLimits) if it offers less than every WebGPU must or lacks the precision,
    /// [`Shader`](crate::ErrorKind::Shader) if its compiler refuses a kernel.
    pub async fn open(options: Options) -> Result<Self> {
        Ok(Self { gpu: Gpu::open(options).await? })
    }

    /// What it runs on.
    pub fn adapter(&self) -> &Adapter {
        &self.gpu.adapter
    }

    /// Whether the device is gone. Then every call fails with [`DeviceLost`](crate::ErrorKind::DeviceLost): open another.
    pub fn is_lost(&self) -> bool {
        self.gpu.failure.is_lost()
    }

    /// Gives the device up as if the driver had taken it away.
    pub fn lose(&self) {
        self.gpu.device.destroy();
        // Natively this is when the device says so; in a page it does so by itself.
        let _ = self.gpu.device.poll(wgpu::PollType::Poll);
    }

    /// Cuts all products of more than a few rows up like that; without a tile by their shape, as from the start. For benches and
    /// tests.
    ///
    /// # Errors
    /// [`Shader`](crate::ErrorKind::Shader) if the device takes no kernel of that tile.
    pub async fn use_tile(&mut self, tile: Option<Tile>) -> Result<()> {
        self.gpu.use_tile(tile).await
    }

    /// The buffers made so far, weights included. Constant from the second batch of a size on.
    pub fn buffers_created(&self) -> usize {
        self.gpu.buffers_created()
    }

    /// The bytes of all activations: grows up to the largest batch and never falls.
    pub fn allocated(&self) -> usize {
        self.gpu.arena_bytes()
    }

    /// Computes everything noted so far that `x` may need, each kernel in a pass of its own, and returns the kernels in their order
    /// with the seconds of each by the device's clock: for benches.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the adapter has no timestamps; as [`Backend::to_host`].
    pub async fn timed(&self, x: &Tensor) -> Result<Vec<(Kernel, f64)>> {
        Ok(self.gpu.read_timed(&x.slot, STEP).await?.1)
    }

    fn tensor(&self, rows: usize, columns: usize) -> Result<Tensor> {
        let slot = self.gpu.arena.take(rows * columns.next_multiple_of(STEP))?;
        Ok(Tensor { rows, columns, slot, exact: false })
    }

    /// Notes a kernel that takes a workgroup a row.
    fn by_row(
        &self,
        kernel: Kernel,
        params: &[u32],
        slots: &[&Slot],
        groups: Option<[&wgpu::BindGroup; 2]>,
        rows: usize,
    ) -> Result<()> {
        self.gpu.record(Dispatch { kernel, params, look_up: None, slots, groups, grid: across(rows) })
    }

    /// Rows as int8 words, and where their scales begin, in quads.
    fn quantized(&self, x: &Tensor) -> Result<(Arc<Slot>, u32)> {
        let words = weights::words(x.columns);
        let slot = self.gpu.arena.take(x.rows * (words + 4))?;
        let (start, scales) = (slot.start() as u32 / 4, (slot.start() + x.rows * words) as u32 / 4);
        let params = [x.rows as u32, x.quad(), x.quads(), start, words as u32 / 4, scales];
        self.by_row(Kernel::Quantize, &params, &[&x.slot, &slot], None, x.rows)?;
        Ok((slot, scales))
    }
}

/// Workgroups one after the other, in lines.
fn across(groups: usize) -> [usize; 2] {
    [groups.min(ROWS_ACROSS), groups.div_ceil(ROWS_ACROSS)]
}

impl Backend for WebGpuBackend {
    type Tensor = Tensor;
    type Matrix = Matrix;
    type Table = Table;
    type Vector = Vector;

    fn name(&self) -> &'static str {
        "webgpu"
    }

    fn table(&self, stored: Stored) -> Result<Table> {
        Table::new(stored)
    }

    fn matrix(&self, parts: &[Stored]) -> Result<Matrix> {
        Matrix::new(&self.gpu, parts)
    }

    fn vector(&self, parts: &[Stored]) -> Result<Vector> {
        Vector::new(&self.gpu, parts)
    }

    fn embed(&self, sources: &[(&Table, &[u32])]) -> Result<Tensor> {
        let [rows, columns] = embedded(sources)?;
        let stride = columns.next_multiple_of(STEP);
        let slot = self.gpu.upload(rows * stride, |out| {
            sources.iter().try_for_each(|(table, ids)| table.add_rows(ids, out, stride))
        })?;
        Ok(Tensor { rows, columns, slot, exact: false })
    }

    fn linear(&self, x: &Tensor, linear: &Linear<Self>, act: Activation) -> Result<Tensor> {
        let (weight, bias) = (&linear.weight, linear.bias.as_ref());
        shapes::linear([x.rows, x.columns], [weight.outputs, weight.inputs], bias.map(|bias| bias.len))?;
        let mut out = self.tensor(x.rows, weight.outputs)?;
        out.exact = weight.numbers == Numbers::Int8;
        let quantized = out.exact.then(|| self.quantized(x)).transpose()?;
        let (kernel, grid) = self.gpu.product(weight.numbers, x.rows, weight.outputs);
        let depth = weight.depth() as u32;
        let (from, scales) = match &quantized {
            Some((slot, scales)) => (slot.start() as u32 / 4, *scales),
            None => (x.quad(), 0),
        };
        let stride = out.quads();
        let act = kernels::linear::act(act);
        let has_bias = u32::from(bias.is_some());
        let params = [x.rows as u32, depth, from, depth / 4, scales, out.quad(), stride, stride, act, has_bias];
        let slot = quantized.as_ref().map_or(&x.slot, |(slot, _)| slot);
        let groups = Some([&weight.group, bias.map_or(self.gpu.no_bias(), |bias| &bias.group)]);
        self.gpu.record(Dispatch {
            kernel,
            params: &params,
            look_up: None,
            slots: &[slot, &out.slot],
            groups,
            grid,
        })?;
        Ok(out)
    }

    fn add_norm(&self, x: &Tensor, residual: Option<&Tensor>, norm: &Norm<Self>) -> Result<Tensor> {
        residual.map_or(Ok(()), |residual| same_shape("add_norm", x, residual))?;
        shapes::norm(x.columns, norm.weight.len, norm.bias.len)?;
        let out = self.tensor(x.rows, x.columns)?;
        let (is_layer_norm, eps) = match norm.kind {
            NormKind::LayerNorm { eps } => (1, eps),
            NormKind::NoNorm => (0, 0.0),
        };
        let other = residual.unwrap_or(x);
        let has_residual = u32::from(residual.is_some());
        let (rows, columns) = (x.rows as u32, x.columns as u32);
        let (from, to) = ([x.quad(), other.quad()], out.quad());
        let params = [rows, columns, x.quads(), from[0], from[1], to, has_residual, is_layer_norm, eps.to_bits()];
        let groups = Some([&norm.weight.group, &norm.bias.group]);
        self.by_row(Kernel::AddNorm, &params, &[&x.slot, &other.slot, &out.slot], groups, x.rows)?;
        Ok(out)
    }

    fn attention(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        self.attend(qkv, heads, lengths)
    }

    fn add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        same_shape("add", x, y)?;
        let out = self.tensor(x.rows, x.columns)?;
        let quads = x.rows as u32 * x.quads();
        let params = [quads, x.quad(), y.quad(), out.quad()];
        let grid = across((quads as usize).div_ceil(kernels::add::THREADS));
        let slots: &[&Slot] = &[&x.slot, &y.slot, &out.slot];
        self.gpu.record(Dispatch { kernel: Kernel::Add, params: &params, look_up: None, slots, groups: None, grid })?;
        Ok(out)
    }

    fn rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        if let Some(row) = rows.iter().find(|&&row| row as usize >= x.rows) {
            return refuse(format!("rows: row {row} of {}", x.rows));
        }
        let out = self.tensor(rows.len(), x.columns)?;
        let params = [rows.len() as u32, x.quads(), x.quad(), out.quad(), 0];
        let (look_up, slots) = (Some((4, rows.to_vec())), &[&*x.slot, &*out.slot]);
        let grid = across(rows.len());
        self.gpu.record(Dispatch { kernel: Kernel::Rows, params: &params, look_up, slots, groups: None, grid })?;
        Ok(out)
    }

    fn columns(&self, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
        if columns.is_empty() || columns.end > x.columns {
            return refuse(format!("columns: {columns:?} of {}", x.columns));
        }
        let out = self.tensor(x.rows, columns.len())?;
        let first = x.start() + columns.start as u32;
        let (count, strides) = (columns.len() as u32, [x.stride() as u32, out.stride() as u32]);
        let params = [x.rows as u32, count, first, strides[0], out.start(), strides[1]];
        self.by_row(Kernel::Columns, &params, &[&x.slot, &out.slot], None, x.rows)?;
        Ok(out)
    }

    fn trigram(&self, x: &Tensor, lengths: &Lengths) -> Result<Tensor> {
        if lengths.rows() != x.rows {
            return refuse(format!("trigram: expected {} rows, found {}", lengths.rows(), x.rows));
        }
        let out = self.tensor(x.rows, 3 * x.columns)?;
        let (columns, strides) = (x.columns as u32, [x.stride() as u32, out.stride() as u32]);
        let params = [x.rows as u32, columns, x.start(), strides[0], out.start(), strides[1], 0];
        let look_up = Some((6, kernels::trigram::neighbours(lengths).collect()));
        let (slots, grid) = (&[&*x.slot, &*out.slot], across(x.rows));
        self.gpu.record(Dispatch { kernel: Kernel::Trigram, params: &params, look_up, slots, groups: None, grid })?;
        Ok(out)
    }

    fn busy_rows(&self) -> usize {
        BUSY_ROWS
    }

    async fn to_host(&self, x: &Tensor) -> Result<Vec<f32>> {
        if x.rows == 0 {
            return Ok(Vec::new());
        }
        let mut values = self.gpu.read(&x.slot, x.rows * x.stride()).await?;
        if x.stride() != x.columns {
            for row in 0..x.rows {
                values.copy_within(row * x.stride()..row * x.stride() + x.columns, row * x.columns);
            }
            values.truncate(x.rows * x.columns);
        }
        Ok(values)
    }
}

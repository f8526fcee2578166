//! The operations of the model: forward, and what the tape walks back. Shapes have been checked.

use std::ops::Range;
use std::sync::Arc;

use super::device::{Device, Precision};
use super::gradients::{Gradients, sum};
use super::launch::{Arg, Grid};
use super::memory::Buffer;
use super::parameter::stride;
use super::product::{Side, Target};
use super::runs::{Into as To, Runs};
use super::{CudaBackend, Parameter, Tensor};
use crate::backend::candle::kernels::random::Dropout;
use crate::backend::{Activation, Lengths, Linear, Norm, NormKind};
use crate::error::{Error, ErrorKind, Result};

/// The entry point of a kernel for rows of this many numbers, and how many numbers it takes at once.
pub(super) fn width(device: &Device, names: [&'static str; 3], numbers: usize) -> (&'static str, usize) {
    let widest = if device.precision() == Precision::Bf16 { 8 } else { 4 };
    let [one, two, wide] = names;
    match numbers {
        n if n.is_multiple_of(widest) => (wide, widest),
        n if n.is_multiple_of(2) => (two, 2),
        _ => (one, 1),
    }
}

macro_rules! widths {
    ($name:literal) => {
        [concat!($name, "_1"), concat!($name, "_2"), concat!($name, "_wide")]
    };
}
pub(super) use widths;

fn code(act: Activation) -> u32 {
    match act {
        Activation::None => 0,
        Activation::Gelu => 1,
        Activation::Relu => 2,
        Activation::Tanh => 3,
    }
}

pub(super) fn side(x: &Tensor, turned: bool) -> Side {
    Side { at: x.buffer.at(), stride: x.stride, turned }
}

impl CudaBackend {
    /// `[R, H]`.
    pub(super) fn run_embed(&self, sources: &[(&Arc<Parameter>, &[u32])]) -> Result<Tensor> {
        let device = &self.device;
        let Some((first, ids)) = sources.first() else {
            return Err(Error::new(ErrorKind::Backend, "an embedding of no tables"));
        };
        if sources.len() > 3 {
            return Err(Error::new(ErrorKind::Backend, format!("an embedding of {} tables", sources.len())));
        }
        let (rows, h) = (ids.len(), first.layout.columns);
        let y = Tensor::new(device.activations(rows * h)?, rows, h);
        let uploads: Vec<Buffer> = sources.iter().map(|(_, ids)| device.upload(ids)).collect::<Result<_>>()?;
        let mut args = vec![y.arg()];
        for i in 0..3 {
            args.push(Arg::U64(sources.get(i).map_or(0, |(table, _)| table.at())));
            args.push(uploads.get(i).into());
        }
        args.extend([Arg::from(rows), Arg::from(h)]);
        let (kernel, v) = width(device, widths!("embed"), h);
        device.launch(kernel, Grid::over(rows * h / v), &args)?;
        self.reach(sources.iter().map(|(table, _)| *table));
        if self.recording() {
            // Sorted now, while the device is busy with what came before.
            let tables = sources;
            let learn = tables.iter().filter(|(table, _)| table.layout.learns);
            let sources = learn.map(|(table, ids)| Ok((Arc::clone(table), Runs::new(device, ids)?)));
            let (sources, device) = (sources.collect::<Result<Vec<_>>>()?, Arc::clone(device));
            let backward = move |grad: Tensor, _: &mut Gradients| {
                for (table, runs) in &sources {
                    if let Some(gradient) = &table.gradient {
                        runs.add(&device, &grad, To::Weight(gradient))?;
                    }
                }
                Ok(())
            };
            self.record_use(&y, tables.iter().map(|(table, _)| *table), Box::new(backward));
        }
        Ok(y)
    }

    /// `[R, N]` of a weight `[N, K]`.
    pub(super) fn run_linear(&self, x: &Tensor, layer: &Linear<Self>, act: Activation) -> Result<Tensor> {
        let device = &self.device;
        let (n, k, below) = (layer.weight.layout.rows(), x.columns, self.recording());
        // Products run over what lies between rows too: weights are zero there, and so are gradients.
        let whole = layer.weight.whole_rows();
        let z = Tensor::strided(device.activations(x.rows * stride(n))?, x.rows, n, stride(n));
        let weight = Side { at: layer.weight.at(), stride: k, turned: true };
        let to = Target { at: z.buffer.at(), stride: z.stride, f32: false, sum: false, scale: 1.0 };
        device.product(to, [x.rows, whole, k], side(x, false), weight)?;
        let low_rank = self.add_low_rank(x, &layer.weight, &z)?;
        self.reach(std::iter::once(&layer.weight).chain(&layer.bias));
        let recording = self.recording();
        let y = if recording && act != Activation::None { z.like(device)? } else { z.clone() };
        let bias = layer.bias.as_ref().and_then(|bias| bias.value.as_ref());
        if bias.is_some() || act != Activation::None {
            bias_act(device, &y, &z, bias, act)?;
        }
        if recording {
            let (x, weight, bias, device) =
                (x.clone(), Arc::clone(&layer.weight), layer.bias.clone(), Arc::clone(device));
            let backward = move |grad: Tensor, gradients: &mut Gradients| {
                let grad = before_activation(&device, grad, &z, act)?;
                if let Some(gradient) = bias.as_ref().and_then(|bias| bias.gradient.as_ref()) {
                    add_columns(&device, &grad, None, [Some(gradient), None])?;
                }
                if let Some(gradient) = &weight.gradient {
                    let to = Target { at: gradient.at(), stride: k, f32: true, sum: true, scale: 1.0 };
                    device.product(to, [whole, k, x.rows], side(&grad, true), side(&x, false))?;
                }
                low_rank.iter().try_for_each(|low_rank| low_rank.backward(&device, &grad, below, gradients))?;
                if !below {
                    return Ok(());
                }
                gradients.write(&x, |to, add| {
                    let to = Target { at: to.buffer.at(), stride: k, f32: false, sum: add, scale: 1.0 };
                    let weight = Side { at: weight.at(), stride: k, turned: false };
                    device.product(to, [x.rows, k, whole], side(&grad, false), weight)
                })
            };
            self.record_use(&y, std::iter::once(&layer.weight).chain(&layer.bias), Box::new(backward));
        }
        Ok(y)
    }

    /// `[R, H]`.
    pub(super) fn run_add_norm(&self, x: &Tensor, residual: Option<&Tensor>, layer: &Norm<Self>) -> Result<Tensor> {
        self.reach([&layer.weight, &layer.bias]);
        let (device, recording) = (&self.device, self.recording());
        let (y, h) = (x.like(device)?, x.columns);
        let kept = recording.then(|| x.like(device)).transpose()?;
        let rstd = recording.then(|| device.alloc(x.rows * 4)).transpose()?;
        let (eps, normalise) = match layer.kind {
            NormKind::LayerNorm { eps } => (eps, 1u32),
            NormKind::NoNorm => (0.0, 0),
        };
        let pointer = |tensor: Option<&Tensor>| Arg::U64(tensor.map_or(0, |tensor| tensor.buffer.at()));
        let [weight, bias] = [&layer.weight, &layer.bias].map(|vector| Arg::U64(vector.at()));
        let args = [
            y.arg(),
            pointer(kept.as_ref()),
            rstd.as_ref().into(),
            x.arg(),
            pointer(residual),
            weight,
            bias,
            x.rows.into(),
            h.into(),
            eps.into(),
            normalise.into(),
        ];
        let (kernel, _) = width(device, widths!("norm"), h);
        device.launch(kernel, Grid::warps(x.rows), &args)?;
        if let (Some(kept), Some(rstd)) = (kept, rstd) {
            let (x, residual, device) = (x.id(), residual.map(Tensor::id), Arc::clone(device));
            let (weight, bias) = (Arc::clone(&layer.weight), Arc::clone(&layer.bias));
            let backward = move |grad: Tensor, gradients: &mut Gradients| {
                add_columns(&device, &grad, Some(&kept), [bias.gradient.as_ref(), weight.gradient.as_ref()])?;
                let out = grad.like(&device)?;
                let (kernel, _) = width(&device, widths!("norm_backward"), h);
                let args = [
                    out.arg(),
                    grad.arg(),
                    kept.arg(),
                    (&rstd).into(),
                    Arg::U64(weight.at()),
                    grad.rows.into(),
                    h.into(),
                    normalise.into(),
                ];
                device.launch(kernel, Grid::warps(grad.rows), &args)?;
                if let Some(residual) = residual {
                    gradients.add(residual, out.clone())?;
                }
                gradients.add(x, out)
            };
            self.record_use(&y, [&layer.weight, &layer.bias], Box::new(backward));
        }
        Ok(y)
    }

    /// Without anything between rows.
    pub(super) fn packed(&self, x: &Tensor) -> Result<Tensor> {
        if x.stride == x.columns {
            return Ok(x.clone());
        }
        let y = take_columns(&self.device, x, 0..x.columns)?;
        let stride = x.stride;
        self.record_moved(&y, x, move |device, grad| {
            let slope = put_columns(device, &grad, stride, 0)?;
            Ok(Tensor { columns: grad.columns, ..slope })
        });
        Ok(y)
    }

    /// `x + y`.
    pub(super) fn run_add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let (x, y) = if x.stride == y.stride { (x.clone(), y.clone()) } else { (self.packed(x)?, self.packed(y)?) };
        let (x, y) = (&x, &y);
        let z = sum(&self.device, x, y)?;
        if self.recording() {
            let (x, y) = (x.id(), y.id());
            let backward = move |grad: Tensor, gradients: &mut Gradients| {
                gradients.add(x, grad.clone())?;
                gradients.add(y, grad)
            };
            self.record(&z, Box::new(backward));
        }
        Ok(z)
    }

    /// `[rows.len(), H]`.
    pub(super) fn run_rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        let (device, h) = (&self.device, x.columns);
        let y = Tensor::new(device.activations(rows.len() * h)?, rows.len(), h);
        let numbers = device.upload(rows)?;
        let args = [y.arg(), x.arg(), (&numbers).into(), y.span().into(), h.into()];
        device.launch("gather_rows", Grid::over(y.span()), &args)?;
        if self.recording() {
            let (into, runs) = (x.clone(), Runs::new(device, rows)?);
            self.record_moved(&y, x, move |device, grad| {
                let slope = into.zeros_like(device)?;
                runs.add(device, &grad, To::Rows(&slope))?;
                Ok(slope)
            });
        }
        Ok(y)
    }

    /// `[R, columns.len()]`.
    pub(super) fn run_columns(&self, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
        let y = take_columns(&self.device, x, columns.clone())?;
        let h = x.columns;
        self.record_moved(&y, x, move |device, grad| put_columns(device, &grad, h, columns.start));
        Ok(y)
    }

    /// `[R, 3H]`.
    pub(super) fn run_trigram(&self, x: &Tensor, lengths: &Lengths) -> Result<Tensor> {
        let (device, h) = (&self.device, x.columns);
        let mut edges = vec![0u32; x.rows];
        for rows in lengths.ranges().filter(|rows| !rows.is_empty()) {
            edges[rows.start] |= 1;
            edges[rows.end - 1] |= 2;
        }
        let edges = device.upload(&edges)?;
        let y = Tensor::new(device.activations(x.rows * 3 * h)?, x.rows, 3 * h);
        let args = [y.arg(), x.arg(), (&edges).into(), y.span().into(), h.into()];
        device.launch("trigram", Grid::over(y.span()), &args)?;
        let like = x.clone();
        self.record_moved(&y, x, move |device, grad| {
            let slope = like.like(device)?;
            let args = [slope.arg(), grad.arg(), (&edges).into(), slope.span().into(), h.into()];
            device.launch("trigram_backward", Grid::over(slope.span()), &args)?;
            Ok(slope)
        });
        Ok(y)
    }

    pub(super) fn run_dropout(&self, x: &Tensor, dropout: Dropout) -> Result<Tensor> {
        let Dropout { stream, threshold, scale } = dropout;
        let (low, high) = stream.key();
        let run = move |device: &Device, x: &Tensor| {
            let y = x.like(device)?;
            let args = [y.arg(), x.arg(), x.span().into(), threshold.into(), scale.into(), low.into(), high.into()];
            let (kernel, v) = width(device, widths!("dropout"), x.span());
            device.launch(kernel, Grid::over(x.span() / v), &args)?;
            Ok(y)
        };
        let y = run(&self.device, x)?;
        self.record_moved(&y, x, move |device, grad| run(device, &grad));
        Ok(y)
    }

    /// Records an operation with one input that keeps nothing on the tape but `back`.
    pub(super) fn record_moved(
        &self,
        y: &Tensor,
        x: &Tensor,
        back: impl Fn(&Device, Tensor) -> Result<Tensor> + Send + 'static,
    ) {
        if self.recording() {
            let (x, device) = (x.id(), Arc::clone(&self.device));
            let backward = move |grad: Tensor, gradients: &mut Gradients| {
                let slope = back(&device, grad)?;
                gradients.add(x, slope)
            };
            self.record(y, Box::new(backward));
        }
    }
}

/// Some neighbouring columns, packed.
pub(super) fn take_columns(device: &Device, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
    let y = Tensor::new(device.activations(x.rows * columns.len())?, x.rows, columns.len());
    let args = [y.arg(), x.arg(), y.span().into(), columns.len().into(), x.stride.into(), columns.start.into()];
    device.launch("take_columns", Grid::over(y.span()), &args)?;
    Ok(y)
}

/// The way back: `h` columns, zero beside those of `grad`.
pub(super) fn put_columns(device: &Device, grad: &Tensor, h: usize, from: usize) -> Result<Tensor> {
    let slope = Tensor::new(device.activations(grad.rows * h)?, grad.rows, h);
    let args = [slope.arg(), grad.arg(), slope.span().into(), grad.columns.into(), h.into(), from.into()];
    device.launch("put_columns", Grid::over(slope.span()), &args)?;
    Ok(slope)
}

/// `y = act(z + bias)`.
fn bias_act(device: &Device, y: &Tensor, z: &Tensor, bias: Option<&Buffer>, act: Activation) -> Result<()> {
    let (kernel, v) = width(device, widths!("bias_act"), z.stride);
    // Enough rows at once to keep the device busy, and enough of them a thread to make reading its bias worth it.
    let lines = z.rows.div_ceil(8).max(1);
    let args = [
        y.arg(),
        z.arg(),
        bias.into(),
        z.rows.into(),
        z.columns.into(),
        z.stride.into(),
        code(act).into(),
        lines.into(),
    ];
    device.launch(kernel, Grid::blocks((z.stride / v * lines).div_ceil(256), 256), &args)
}

/// The gradient of what went into an activation.
fn before_activation(device: &Device, grad: Tensor, z: &Tensor, act: Activation) -> Result<Tensor> {
    if act == Activation::None {
        return Ok(grad);
    }
    let out = grad.like(device)?;
    let (kernel, v) = width(device, widths!("act_backward"), grad.span());
    let args = [out.arg(), grad.arg(), z.arg(), grad.span().into(), code(act).into()];
    device.launch(kernel, Grid::over(grad.span() / v), &args)?;
    Ok(out)
}

/// Adds the column sums of `grad`, and those of `grad · kept`, to gradients of vectors.
fn add_columns(device: &Device, grad: &Tensor, kept: Option<&Tensor>, to: [Option<&Buffer>; 2]) -> Result<()> {
    if to.iter().all(Option::is_none) {
        return Ok(());
    }
    let (n, blocks) = (grad.columns, grad.rows.div_ceil(512));
    let partial = device.alloc(2 * blocks * n * 4)?;
    let kept = Arg::U64(kept.map_or(0, |kept| kept.buffer.at()));
    let args = [(&partial).into(), grad.arg(), kept, grad.rows.into(), n.into(), grad.stride.into()];
    device.launch("column_sums", Grid { blocks: [n.div_ceil(32), blocks], threads: 256 }, &args)?;
    for (half, total) in to.into_iter().enumerate() {
        if let Some(total) = total {
            let part = Arg::U64(partial.at() + (half * blocks * n * 4) as u64);
            let args = [total.into(), part, blocks.into(), n.into()];
            device.launch("add_column_sums", Grid::blocks(n.div_ceil(128), 128), &args)?;
        }
    }
    Ok(())
}

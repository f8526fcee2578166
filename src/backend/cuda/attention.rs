//! Scaled dot-product attention inside each sequence of a packed batch.
//!
//! Heads are laid apart, `[sequences · heads, L, W]` with `L` and `W` rounded up to multiples of 8, so that each product
//! is one call of cuBLAS for all heads of all sequences; see `kernels/attention.cu`. The map is kept for the way back: in
//! bfloat16 it is smaller than what working it out again would move.

use std::sync::Arc;

use super::device::{Arg, Batch, Buffer, Device, Grid, Side, Target, count};
use super::gradients::Gradients;
use super::operations::{take_columns, width, widths};
use super::{CudaBackend, Tensor, lock};
use crate::backend::shapes::check_attention;
use crate::backend::tape::Gradients as _;
use crate::backend::{Lengths, Qkv};
use crate::error::Result;

/// Query, key and value laid apart, and the map that they make.
#[derive(Clone)]
pub(super) struct State(Arc<Inner>);

struct Inner {
    shape: Shape,
    source: Source,
    /// Query, key and value, `[S · heads, L, W]`.
    parts: [Buffer; 3],
    /// `[S · heads, L, L]`, one number a row.
    map: Tensor,
}

/// Where query, key and value come from.
pub(super) enum Source {
    Joined(Tensor),
    Apart { query_key: Tensor, value: Tensor },
}

impl Source {
    pub(super) fn new(backend: &CudaBackend, qkv: Qkv<'_, Tensor>) -> Result<Self> {
        Ok(match qkv {
            Qkv::Joined(x) => Self::Joined(backend.packed(x)?),
            Qkv::Apart { query_key, value } => {
                Self::Apart { query_key: backend.packed(query_key)?, value: backend.packed(value)? }
            }
        })
    }

    /// The sum of the widths of all heads.
    fn hidden(&self, heads: usize, lengths: &Lengths) -> Result<usize> {
        let dims = |x: &Tensor| [x.rows, x.columns];
        match self {
            Self::Joined(x) => check_attention(&[dims(x)], heads, lengths),
            Self::Apart { query_key, value } => check_attention(&[dims(query_key), dims(value)], heads, lengths),
        }
    }

    fn ids(&self) -> [u64; 2] {
        match self {
            Self::Joined(x) => [x.id(), x.id()],
            Self::Apart { query_key, value } => [query_key.id(), value.id()],
        }
    }
}

struct Shape {
    sequences: usize,
    heads: usize,
    /// Of a head, in the model.
    width: usize,
    /// The longest sequence, rounded up.
    l: usize,
    /// `width`, rounded up.
    w: usize,
    rows: usize,
    /// Where each sequence begins, and where the last one ends.
    starts: Buffer,
    /// The same of their maps without what was filled in; nothing where nothing was.
    squares: Option<(Buffer, usize)>,
}

impl Shape {
    fn new(device: &Device, lengths: &Lengths, heads: usize, hidden: usize) -> Result<Self> {
        let ranges: Vec<_> = lengths.ranges().filter(|rows| !rows.is_empty()).collect();
        let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let (rows, l, width) = (lengths.rows(), longest.next_multiple_of(8), hidden / heads);
        let starts: Vec<u32> = ranges.iter().map(|rows| rows.start as u32).chain([rows as u32]).collect();
        let mut squares = vec![0u64];
        for rows in &ranges {
            squares.push(squares[squares.len() - 1] + (heads * rows.len() * rows.len()) as u64);
        }
        let packed = squares[ranges.len()] as usize;
        let filled = packed != ranges.len() * heads * l * l;
        Ok(Self {
            sequences: ranges.len(),
            heads,
            width,
            l,
            w: width.next_multiple_of(8),
            rows,
            starts: device.upload(&starts)?,
            squares: filled.then(|| device.upload(&squares).map(|buffer| (buffer, packed))).transpose()?,
        })
    }

    fn maps(&self) -> usize {
        self.sequences * self.heads
    }

    fn hidden(&self) -> usize {
        self.heads * self.width
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    fn arguments(&self, to: Arg, from: Arg, stride: usize, column: usize) -> [Arg; 10] {
        [
            to,
            from,
            (&self.starts).into(),
            self.sequences.into(),
            self.heads.into(),
            self.l.into(),
            self.w.into(),
            self.width.into(),
            stride.into(),
            column.into(),
        ]
    }

    /// Lays the heads of some columns apart.
    fn split(&self, device: &Device, x: &Tensor, column: usize) -> Result<Buffer> {
        let n = self.maps() * self.l * self.w;
        let y = device.activations(n)?;
        let (kernel, v) = width(device, widths!("split_heads"), self.alike(x.stride));
        device.launch(kernel, Grid::over(n / v), &self.arguments((&y).into(), x.arg(), x.stride, column))?;
        Ok(y)
    }

    /// Lays heads side by side into some columns.
    fn merge(&self, device: &Device, x: &Buffer, y: &Tensor, column: usize) -> Result<()> {
        let (kernel, v) = width(device, widths!("merge_heads"), self.alike(y.stride));
        let n = self.maps() * self.l * self.w;
        device.launch(kernel, Grid::over(n / v), &self.arguments(y.arg(), x.into(), y.stride, column))
    }

    /// A number that only what divides the width of a head and a row divides.
    fn alike(&self, stride: usize) -> usize {
        [8, 4, 2].into_iter().find(|n| self.width.is_multiple_of(*n) && stride.is_multiple_of(*n)).unwrap_or(1)
    }

    /// `to = left · right` for every head; sides are `[L, W]` or `[L, L]`.
    fn product(&self, device: &Device, to: (&Buffer, usize), k: usize, left: Turn<'_>, right: Turn<'_>) -> Result<()> {
        let side = |turn: Turn<'_>| Side { at: turn.buffer.at(), stride: turn.columns, turned: turn.turned };
        let target = Target { at: to.0.at(), stride: to.1, f32: false, sum: false };
        let steps = [left.columns * self.l, right.columns * self.l, to.1 * self.l];
        let batch = Batch { count: self.maps(), steps };
        device.product(target, [self.l, to.1, k], side(left), side(right), Some(batch))
    }
}

fn matrix(buffer: &Buffer, columns: usize, turned: bool) -> Turn<'_> {
    Turn { buffer, columns, turned }
}

/// A side of a product for every head.
#[derive(Clone, Copy)]
struct Turn<'a> {
    buffer: &'a Buffer,
    columns: usize,
    turned: bool,
}

impl State {
    fn new(device: &Device, source: Source, heads: usize, lengths: &Lengths) -> Result<Self> {
        let hidden = source.hidden(heads, lengths)?;
        let shape = Shape::new(device, lengths, heads, hidden)?;
        let places = match &source {
            Source::Joined(x) => [(x, 0), (x, hidden), (x, 2 * hidden)],
            Source::Apart { query_key, value } => [(query_key, 0), (query_key, hidden), (value, 0)],
        };
        let [q, k, v] = places.map(|(x, column)| shape.split(device, x, column));
        let parts = [q?, k?, v?];
        let (l, w) = (shape.l, shape.w);
        let n = shape.maps() * l * l;
        let map = Tensor::new(device.activations(n)?, n, 1);
        let (query, key) = (matrix(&parts[0], w, false), matrix(&parts[1], w, true));
        shape.product(device, (&map.buffer, l), w, query, key)?;
        let args =
            [map.arg(), (&shape.starts).into(), shape.sequences.into(), heads.into(), l.into(), shape.scale().into()];
        device.launch("softmax", Grid::warps(shape.maps() * l), &args)?;
        Ok(Self(Arc::new(Inner { shape, source, parts, map })))
    }

    /// `[R, H]`.
    fn context(&self, device: &Device) -> Result<Tensor> {
        let Inner { shape, parts, map, .. } = &*self.0;
        let (l, w) = (shape.l, shape.w);
        let apart = device.activations(shape.maps() * l * w)?;
        shape.product(device, (&apart, w), l, matrix(&map.buffer, l, false), matrix(&parts[2], w, false))?;
        let y = Tensor::new(device.activations(shape.rows * shape.hidden())?, shape.rows, shape.hidden());
        shape.merge(device, &apart, &y, 0)?;
        Ok(y)
    }

    /// Adds the gradients of query, key and value, given that of the context, that of the map, or both.
    fn backward(
        &self,
        device: &Device,
        context: Option<&Tensor>,
        map_grad: Option<&Tensor>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let Inner { shape, parts, map, source } = &*self.0;
        let (l, w, hidden) = (shape.l, shape.w, shape.hidden());
        let out = Tensor::new(device.activations(shape.rows * 3 * hidden)?, shape.rows, 3 * hidden);
        let slope = match context {
            Some(context) => {
                let (grad, slope) = (shape.split(device, context, 0)?, device.activations(shape.maps() * l * l)?);
                let value = device.activations(shape.maps() * l * w)?;
                shape.product(device, (&value, w), l, matrix(&map.buffer, l, true), matrix(&grad, w, false))?;
                shape.merge(device, &value, &out, 2 * hidden)?;
                shape.product(device, (&slope, l), w, matrix(&grad, w, false), matrix(&parts[2], w, true))?;
                slope
            }
            None => {
                let zeros = device.zeros(shape.maps() * l * w * device.precision().bytes())?;
                shape.merge(device, &zeros, &out, 2 * hidden)?;
                device.zeros(shape.maps() * l * l * device.precision().bytes())?
            }
        };
        let extra = map_grad.map(|grad| self.fill(device, grad)).transpose()?;
        let extra = Arg::U64(extra.as_ref().map_or(0, |extra| extra.buffer.at()));
        let rows = shape.maps() * l;
        let args = [(&slope).into(), map.arg(), extra, count(rows), l.into(), shape.scale().into()];
        device.launch("softmax_backward", Grid::warps(rows), &args)?;
        let part = device.activations(shape.maps() * l * w)?;
        shape.product(device, (&part, w), l, matrix(&slope, l, false), matrix(&parts[1], w, false))?;
        shape.merge(device, &part, &out, 0)?;
        shape.product(device, (&part, w), l, matrix(&slope, l, true), matrix(&parts[0], w, false))?;
        shape.merge(device, &part, &out, hidden)?;
        match source {
            Source::Joined(x) => gradients.add(x.id(), out),
            Source::Apart { query_key, value } => {
                gradients.add(query_key.id(), take_columns(device, &out, 0..2 * hidden)?)?;
                gradients.add(value.id(), take_columns(device, &out, 2 * hidden..3 * hidden)?)
            }
        }
    }

    /// The map without what was filled in, one number a row.
    fn packed_map(&self, device: &Device) -> Result<Tensor> {
        let Inner { shape, map, .. } = &*self.0;
        let Some((squares, n)) = &shape.squares else { return Ok(map.clone()) };
        let y = Tensor::new(device.activations(*n)?, *n, 1);
        let args = [y.arg(), map.arg(), (&shape.starts).into(), squares.into(), shape.heads.into(), shape.l.into()];
        device.launch("pack_maps", Grid::blocks(shape.maps(), 256), &args)?;
        Ok(y)
    }

    /// The way back of [`Self::packed_map`].
    fn fill(&self, device: &Device, grad: &Tensor) -> Result<Tensor> {
        let shape = &self.0.shape;
        let Some((squares, _)) = &shape.squares else { return Ok(grad.clone()) };
        let n = shape.maps() * shape.l * shape.l;
        let y = Tensor::new(device.activations(n)?, n, 1);
        let args = [y.arg(), grad.arg(), (&shape.starts).into(), squares.into(), shape.heads.into(), shape.l.into()];
        device.launch("unpack_maps", Grid::blocks(shape.maps(), 256), &args)?;
        Ok(y)
    }
}

impl CudaBackend {
    /// `[R, H]`. If the map of this attention was just asked for, what that worked out serves here too, and one way back
    /// takes the gradients of both.
    pub(super) fn run_attention(&self, source: Source, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        let asked = lock(&self.watched).attention.take();
        let known = asked.filter(|(state, _)| state.0.source.ids() == source.ids());
        let (state, map) = match known {
            Some((state, map)) => (state, Some(map)),
            None => (State::new(&self.device, source, heads, lengths)?, None),
        };
        let y = state.context(&self.device)?;
        if self.recording() {
            let device = Arc::clone(&self.device);
            let backward = move |grad: Tensor, gradients: &mut Gradients| {
                let map_grad = map.and_then(|map| gradients.take(&map));
                state.backward(&device, Some(&grad), map_grad.as_ref(), gradients)
            };
            self.record(&y, Box::new(backward));
        }
        Ok(y)
    }

    /// `[Σ heads · L²]`, one number a row.
    pub(super) fn run_attention_map(&self, source: Source, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        let state = State::new(&self.device, source, heads, lengths)?;
        let y = state.packed_map(&self.device)?;
        lock(&self.watched).attention = Some((state.clone(), y.id()));
        if self.recording() {
            // Only where the attention itself got no gradient: otherwise it has taken this one along.
            let device = Arc::clone(&self.device);
            let backward =
                move |grad: Tensor, gradients: &mut Gradients| state.backward(&device, None, Some(&grad), gradients);
            self.record(&y, Box::new(backward));
        }
        Ok(y)
    }
}

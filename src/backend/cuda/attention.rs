//! Scaled dot-product attention inside each sequence of a packed batch.
//!
//! Each product is one call of cuBLAS for all heads of all sequences. Where all sequences are of one length and heads as
//! wide as the matrix units like them, heads are read and written where they lie; otherwise they are laid apart,
//! `[sequences · heads, L, W]` with `L` and `W` rounded up to multiples of 8, see `kernels/attention.cu`. The map is kept
//! for the way back: in bfloat16 it is smaller than what working it out again would move.

use std::sync::Arc;

use super::device::Device;
use super::gradients::Gradients;
use super::launch::{Arg, Grid};
use super::memory::Buffer;
use super::operations::{take_columns, width, widths};
use super::product::Heads;
use super::qkv::Source;
use super::{CudaBackend, Tensor, lock};
use crate::backend::Lengths;
use crate::backend::candle::kernels::random::Dropout;
use crate::backend::tape::Gradients as _;
use crate::error::{Error, ErrorKind, Result};

/// The longest row of a map that the kernels hold in registers.
const LONGEST: usize = 2048;

/// Query, key and value by heads, and the map that they make.
#[derive(Clone)]
pub(super) struct State(Arc<Inner>);

struct Inner {
    shape: Shape,
    source: Source,
    /// Query, key and value.
    parts: [Laid; 3],
    /// `[S · heads, L, L]`, one number a row.
    map: Tensor,
}

/// Heads where products find them.
struct Laid {
    heads: Heads,
    /// Laid apart, in memory of their own; or the tensor in which they lie.
    memory: Arc<Buffer>,
    apart: bool,
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
        if longest > LONGEST {
            let message = format!("a sequence of {longest} rows: attention takes at most {LONGEST}");
            return Err(Error::new(ErrorKind::Backend, message).at("cuda"));
        }
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

    /// Whether heads can be read and written in rows that are `stride` wide.
    fn in_place(&self, stride: usize) -> bool {
        self.squares.is_none() && self.width == self.w && stride.is_multiple_of(8)
    }

    /// The heads in some columns of `x`: where they lie, or memory for them.
    fn lay(&self, device: &Device, x: &Tensor, column: usize) -> Result<Laid> {
        let bytes = device.precision().bytes();
        if self.in_place(x.stride) {
            let base = x.buffer.at() + (column * bytes) as u64;
            let heads = device.heads(base, [self.maps(), self.heads, self.l], [x.stride, self.width])?;
            return Ok(Laid { heads, memory: Arc::clone(&x.buffer), apart: false });
        }
        let memory = device.activations(self.maps() * self.l * self.w)?;
        let heads = self.squares_of(device, &memory, self.w)?;
        Ok(Laid { heads, memory: Arc::new(memory), apart: true })
    }

    /// Matrices `[L, columns]` one after the other.
    fn squares_of(&self, device: &Device, memory: &Buffer, columns: usize) -> Result<Heads> {
        device.heads(memory.at(), [self.maps(), 1, self.l], [columns, 0])
    }

    /// The heads in some columns, to be read.
    fn split(&self, device: &Device, x: &Tensor, column: usize) -> Result<Laid> {
        let laid = self.lay(device, x, column)?;
        if laid.apart {
            let (kernel, v) = width(device, widths!("split_heads"), self.alike(x.stride));
            let to = Arg::U64(laid.memory.at());
            let grid = Grid::over(self.maps() * self.l * self.w / v);
            device.launch(kernel, grid, &self.arguments(to, x.arg(), x.stride, column))?;
        }
        Ok(laid)
    }

    /// Brings heads that were written into their columns, if they do not lie there already.
    fn merge(&self, device: &Device, laid: &Laid, y: &Tensor, column: usize) -> Result<()> {
        if !laid.apart {
            return Ok(());
        }
        let (kernel, v) = width(device, widths!("merge_heads"), self.alike(y.stride));
        let from = Arg::U64(laid.memory.at());
        let grid = Grid::over(self.maps() * self.l * self.w / v);
        device.launch(kernel, grid, &self.arguments(y.arg(), from, y.stride, column))
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

    /// A number that only what divides the width of a head and a row divides.
    fn alike(&self, stride: usize) -> usize {
        [8, 4, 2].into_iter().find(|n| self.width.is_multiple_of(*n) && stride.is_multiple_of(*n)).unwrap_or(1)
    }

    /// The kernel for rows of this length.
    fn kernel(&self, names: [&'static str; 4]) -> &'static str {
        let [short, middle, long, longest] = names;
        match self.l {
            0..=128 => short,
            129..=256 => middle,
            257..=512 => long,
            _ => longest,
        }
    }
}

macro_rules! lengths {
    ($name:literal) => {
        [concat!($name, "_128"), concat!($name, "_256"), concat!($name, "_512"), concat!($name, "_2048")]
    };
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
        let (l, n) = (shape.l, shape.maps() * shape.l * shape.l);
        let map = Tensor::new(device.activations(n)?, n, 1);
        let scores = shape.squares_of(device, &map.buffer, l)?;
        device.products(&scores, [l, l, shape.w], &parts[0].heads, parts[1].heads.turned())?;
        let args =
            [map.arg(), (&shape.starts).into(), shape.sequences.into(), heads.into(), l.into(), shape.scale().into()];
        device.launch(shape.kernel(lengths!("softmax")), Grid::warps(shape.maps() * l), &args)?;
        Ok(Self(Arc::new(Inner { shape, source, parts, map })))
    }

    /// Maps, or gradients of theirs, as dropout leaves them.
    fn drop(&self, device: &Device, to: &Buffer, from: &Buffer, dropout: Dropout) -> Result<()> {
        let shape = &self.0.shape;
        let ((low, high), squares) = (dropout.stream.key(), shape.squares.as_ref().map(|(squares, _)| squares));
        let args = [
            to.into(),
            from.into(),
            (&shape.starts).into(),
            squares.into(),
            shape.heads.into(),
            shape.l.into(),
            dropout.threshold.into(),
            dropout.scale.into(),
            low.into(),
            high.into(),
        ];
        device.launch("drop_maps", Grid::blocks(shape.maps(), 256), &args)
    }

    /// What the value is multiplied with: the map, after dropout if there is one.
    fn weights(&self, device: &Device, dropout: Option<Dropout>) -> Result<Arc<Buffer>> {
        let Inner { shape, map, .. } = &*self.0;
        let Some(dropout) = dropout else { return Ok(Arc::clone(&map.buffer)) };
        let dropped = device.activations(shape.maps() * shape.l * shape.l)?;
        self.drop(device, &dropped, &map.buffer, dropout)?;
        Ok(Arc::new(dropped))
    }

    /// `[R, H]`.
    fn context(&self, device: &Device, dropout: Option<Dropout>) -> Result<Tensor> {
        let Inner { shape, parts, .. } = &*self.0;
        let y = Tensor::new(device.activations(shape.rows * shape.hidden())?, shape.rows, shape.hidden());
        let to = shape.lay(device, &y, 0)?;
        let weights = self.weights(device, dropout)?;
        let weights = shape.squares_of(device, &weights, shape.l)?;
        device.products(&to.heads, [shape.l, shape.w, shape.l], &weights, &parts[2].heads)?;
        shape.merge(device, &to, &y, 0)?;
        Ok(y)
    }

    /// Adds the gradients of query, key and value, given that of the context, with the dropout that made it, that of the
    /// map, or both.
    fn backward(
        &self,
        device: &Device,
        context: Option<(&Tensor, Option<Dropout>)>,
        map_grad: Option<&Tensor>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let Inner { shape, parts, map, source } = &*self.0;
        let (l, w, hidden) = (shape.l, shape.w, shape.hidden());
        let bytes = device.precision().bytes();
        let (n, size) = (shape.maps() * l * l, shape.rows * 3 * hidden);
        // Without a context the value gets no gradient.
        let out = if context.is_some() { device.activations(size) } else { device.zeros(size * bytes) };
        let out = Tensor::new(out?, shape.rows, 3 * hidden);
        let slope = if context.is_some() { device.activations(n) } else { device.zeros(n * bytes) }?;
        let slopes = shape.squares_of(device, &slope, l)?;
        if let Some((context, dropout)) = context {
            let weights = self.weights(device, dropout)?;
            let (grad, maps) = (shape.split(device, context, 0)?, shape.squares_of(device, &weights, l)?);
            let value = shape.lay(device, &out, 2 * hidden)?;
            device.products(&value.heads, [l, w, l], maps.turned(), &grad.heads)?;
            shape.merge(device, &value, &out, 2 * hidden)?;
            device.products(&slopes, [l, l, w], &grad.heads, parts[2].heads.turned())?;
            if let Some(dropout) = dropout {
                self.drop(device, &slope, &slope, dropout)?;
            }
        }
        let extra = map_grad.map(|grad| self.fill(device, grad)).transpose()?;
        let extra = Arg::U64(extra.as_ref().map_or(0, |extra| extra.buffer.at()));
        let rows = shape.maps() * l;
        let args = [(&slope).into(), map.arg(), extra, rows.into(), l.into(), shape.scale().into()];
        device.launch(shape.kernel(lengths!("softmax_backward")), Grid::warps(rows), &args)?;
        let query = shape.lay(device, &out, 0)?;
        device.products(&query.heads, [l, w, l], &slopes, &parts[1].heads)?;
        shape.merge(device, &query, &out, 0)?;
        let key = shape.lay(device, &out, hidden)?;
        device.products(&key.heads, [l, w, l], slopes.turned(), &parts[0].heads)?;
        shape.merge(device, &key, &out, hidden)?;
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
    pub(super) fn run_attention(&self, source: Source, heads: usize, lengths: &Lengths, p: f32) -> Result<Tensor> {
        let dropout = self.dropped(p).map(|stream| Dropout::new(p, stream));
        let asked = lock(&self.attention).take();
        let known = asked.filter(|(state, _)| state.0.source.ids() == source.ids());
        let (state, map) = match known {
            Some((state, map)) => (state, Some(map)),
            None => (State::new(&self.device, source, heads, lengths)?, None),
        };
        let y = state.context(&self.device, dropout)?;
        if self.recording() {
            let device = Arc::clone(&self.device);
            let backward = move |grad: Tensor, gradients: &mut Gradients| {
                let map_grad = map.and_then(|map| gradients.take(&map));
                state.backward(&device, Some((&grad, dropout)), map_grad.as_ref(), gradients)
            };
            self.record(&y, Box::new(backward));
        }
        Ok(y)
    }

    /// `[Σ heads · L²]`, one number a row.
    pub(super) fn run_attention_map(&self, source: Source, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        let state = State::new(&self.device, source, heads, lengths)?;
        let y = state.packed_map(&self.device)?;
        *lock(&self.attention) = Some((state.clone(), y.id()));
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

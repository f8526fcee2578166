//! candle: the engine of training, and the reference.
//!
//! [`CandleBackend`] runs in three ways. For inference and training on the CPU it uses the fused [`kernels`]; training
//! records a tape and walks it backwards. On another device, and as the judge of the kernels, it composes candle's
//! elementary operations, whose gradients candle computes itself.

mod adamw;
mod composed;
mod fused;
mod gradients;
pub mod kernels;
mod losses;
mod low_rank;
mod parameter;
mod qkv;
mod training;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Storage, Tensor};

use self::gradients::{Backward, Gradients};
use self::kernels::random::{Dropout, Stream};
use self::kernels::{attention, random, rows};
pub use self::parameter::{Gradient, Parameter};
use self::qkv::attention_shape;
use super::shapes::{check_columns, check_embed, check_range, check_residual, check_rows, check_trigram};
use super::tape::Tape;
use super::training::{Kind, Report};
use super::tuning::{Pair, Tuning};
use super::watched::Watched;
use super::{Activation, Backend, Lengths, Linear, Norm, Qkv, Site, Stored};
use crate::error::{Error, ErrorKind, Result};

/// The engine over candle tensors.
pub struct CandleBackend {
    device: Device,
    /// Fused kernels rather than candle's elementary operations.
    fused: bool,
    /// Weights are kept by name and get gradients.
    trainable: bool,
    /// Now: dropout is active, and operations are recorded.
    training: AtomicBool,
    /// Now: a weight that learns has been used, so that gradients are wanted of what follows.
    reached: AtomicBool,
    tuning: Mutex<Arc<Tuning>>,
    seed: u64,
    step: AtomicU64,
    site: AtomicU64,
    parameters: Mutex<BTreeMap<String, Arc<Parameter>>>,
    tape: Mutex<Tape<Gradients>>,
    /// What losses have added so far.
    seeds: Mutex<Gradients>,
    report: Mutex<Report>,
    watched: Mutex<Watched<Tensor>>,
}

impl CandleBackend {
    /// For answers only: no names kept, no gradients, no dropout.
    pub fn inference(device: Device) -> Self {
        let fused = matches!(device, Device::Cpu);
        Self::new(device, fused, false, 0)
    }

    /// For training on the CPU with the fused kernels. The seed decides what dropout drops.
    pub fn training(seed: u64) -> Self {
        Self::new(Device::Cpu, true, true, seed)
    }

    /// For answers on the CPU of a model that drops values as if it learnt, from `begin` to `evaluate`: no names kept, no
    /// gradients. The seed decides what is dropped.
    pub fn dropping(seed: u64) -> Self {
        Self::new(Device::Cpu, true, false, seed)
    }

    /// For training through candle's own operations and gradients (`Tensor::backward`): slow, and the judge of
    /// [`Self::training`].
    pub fn composed(device: Device, seed: u64) -> Self {
        Self::new(device, false, true, seed)
    }

    fn new(device: Device, fused: bool, trainable: bool, seed: u64) -> Self {
        Self {
            device,
            fused,
            trainable,
            training: AtomicBool::new(false),
            reached: AtomicBool::new(false),
            tuning: Mutex::default(),
            seed,
            step: AtomicU64::new(0),
            site: AtomicU64::new(0),
            parameters: Mutex::default(),
            tape: Mutex::default(),
            seeds: Mutex::default(),
            report: Mutex::default(),
            watched: Mutex::default(),
        }
    }

    /// The weights that models took over from their files, by the name of their first part.
    pub fn parameters(&self) -> BTreeMap<String, Arc<Parameter>> {
        lock(&self.parameters).clone()
    }

    fn parameter(&self, kind: Kind, parts: &[Stored], pairs: Vec<Arc<Pair<Parameter>>>) -> Result<Arc<Parameter>> {
        let parameter = Parameter::new(kind, parts, &self.device, self.trainable && !self.fused)?;
        if !self.trainable {
            return Ok(Arc::new(parameter));
        }
        let name = parameter.name().to_owned();
        let learns = (lock(&self.tuning).learns)(&name);
        let parameter = Arc::new(parameter.tuned(learns, pairs));
        // A weight that two places share (a tied decoder) is one parameter.
        Ok(lock(&self.parameters).entry(name).or_insert(parameter).clone())
    }

    fn recording(&self) -> bool {
        self.fused && self.trainable && self.training.load(Ordering::Relaxed) && self.reached.load(Ordering::Relaxed)
    }

    /// Notes that these weights are used: nothing before the first that learns needs to be recorded.
    fn reach<'a>(&self, weights: impl IntoIterator<Item = &'a Arc<Parameter>>) {
        let learns = |weight: &Parameter| weight.learns() || !weight.pairs().is_empty();
        if weights.into_iter().any(|weight| learns(weight)) {
            self.reached.store(true, Ordering::Relaxed);
        }
    }

    /// What the next dropout of this step and part draws from; nothing where none is to happen.
    fn dropped(&self, p: f32) -> Option<Stream> {
        (self.training.load(Ordering::Relaxed) && p > 0.0).then(|| {
            let site = self.site.fetch_add(1, Ordering::Relaxed);
            Stream::new(self.seed, self.step.load(Ordering::Relaxed), site)
        })
    }

    fn record(&self, output: &Tensor, backward: Backward) {
        lock(&self.tape).record(output.id(), &[], backward);
    }

    /// Records an operation over weights, and over what stands beside them.
    fn record_use<'a>(
        &self,
        output: &Tensor,
        weights: impl IntoIterator<Item = &'a Arc<Parameter>>,
        backward: Backward,
    ) {
        let beside = |weight: &'a Arc<Parameter>| weight.pairs().iter().flat_map(|pair| [&pair.a, &pair.b]);
        let used = weights.into_iter().flat_map(|weight| std::iter::once(weight).chain(beside(weight)));
        let names: Vec<&str> = used.filter(|weight| weight.learns()).map(|weight| weight.name()).collect();
        lock(&self.tape).record(output.id(), &names, backward);
    }

    /// Records an operation that only moves numbers about.
    fn record_moved(&self, x: &Tensor, y: &Tensor, back: impl Fn(&[f32]) -> Vec<f32> + Send + 'static) {
        if self.recording() {
            let x = x.id();
            let backward = move |grad: Vec<f32>, gradients: &mut Gradients| {
                gradients.add(x, back(&grad));
                Ok(())
            };
            self.record(y, Box::new(backward));
        }
    }

    fn tensor(&self, data: Vec<f32>, columns: usize) -> Result<Tensor> {
        let rows = data.len().checked_div(columns).unwrap_or(0);
        Tensor::from_vec(data, (rows, columns), &self.device).map_err(engine)
    }
}

impl Backend for CandleBackend {
    type Tensor = Tensor;
    type Matrix = Arc<Parameter>;
    type Table = Arc<Parameter>;
    type Vector = Arc<Parameter>;

    fn name(&self) -> &'static str {
        "candle"
    }

    fn table(&self, stored: Stored) -> Result<Self::Table> {
        self.parameter(Kind::Table, &[stored], Vec::new())
    }

    fn matrix(&self, parts: &[Stored]) -> Result<Self::Matrix> {
        let pairs = self.pairs(parts)?;
        self.parameter(Kind::Matrix, parts, pairs)
    }

    fn vector(&self, parts: &[Stored]) -> Result<Self::Vector> {
        self.parameter(Kind::Vector, parts, Vec::new())
    }

    fn embed(&self, sources: &[(&Self::Table, &[u32])]) -> Result<Tensor> {
        check_embed(sources.iter().map(|(table, ids)| (table.layout(), *ids)))?;
        if !self.fused {
            let sources: Vec<_> = sources.iter().map(|(table, ids)| (table.value(), *ids)).collect();
            return composed::embed(&sources).map_err(engine);
        }
        self.fused_embed(sources)
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Self>, act: Activation) -> Result<Tensor> {
        let (n, k) = layer.weight.value().dims2().map_err(engine)?;
        check_columns(dims(x)?, k, layer.weight.name())?;
        if !self.fused {
            return self.composed_linear(x, layer, act);
        }
        self.fused_linear(x, layer, act, [n, k])
    }

    fn add_norm(&self, x: &Tensor, residual: Option<&Tensor>, layer: &Norm<Self>) -> Result<Tensor> {
        let h = layer.weight.len();
        check_columns(dims(x)?, h, layer.weight.name())?;
        check_residual(dims(x)?, residual.map(dims).transpose()?)?;
        if !self.fused {
            let (weight, bias) = (layer.weight.value(), layer.bias.value());
            return composed::add_norm(x, residual, weight, bias, layer.kind).map_err(engine);
        }
        self.fused_add_norm(x, residual, layer)
    }

    fn attention(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        self.attention_with_dropout(qkv, heads, lengths, 0.0)
    }

    fn attention_with_dropout(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths, p: f32) -> Result<Tensor> {
        let shape = attention_shape(qkv, heads, lengths)?;
        let stream = self.dropped(p);
        if !self.fused {
            let n = heads * lengths.ranges().map(|rows| rows.len() * rows.len()).sum::<usize>();
            let mask = stream.map(|stream| self.tensor(random::dropout(&vec![1.0; n], p, stream), 1)).transpose()?;
            return composed::attention(qkv, heads, lengths, mask.as_ref()).map_err(engine);
        }
        let dropout = stream.map(|stream| Dropout::new(p, stream));
        self.fused_attention(qkv, attention::Shape { dropout, ..shape })
    }

    fn add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let sum = (x + y).map_err(engine)?;
        if self.recording() {
            let (x, y) = (x.id(), y.id());
            let backward = move |grad: Vec<f32>, gradients: &mut Gradients| {
                gradients.add(x, grad.clone());
                gradients.add(y, grad);
                Ok(())
            };
            self.record(&sum, Box::new(backward));
        }
        Ok(sum)
    }

    fn rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        let (len, h) = x.dims2().map_err(engine)?;
        check_rows(len, rows)?;
        if !self.fused {
            let rows = Tensor::new(rows, &self.device).map_err(engine)?;
            return x.index_select(&rows, 0).map_err(engine);
        }
        let y = self.tensor(host(x, |x| rows::select(x, rows, h))?, h)?;
        let rows = rows.to_vec();
        self.record_moved(x, &y, move |grad| rows::select_backward(grad, &rows, len * h, h));
        Ok(y)
    }

    fn columns(&self, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
        let h = x.dim(1).map_err(engine)?;
        check_range(h, &columns)?;
        if !self.fused {
            let some = x.narrow(1, columns.start, columns.len());
            return some.and_then(|some| some.contiguous()).map_err(engine);
        }
        let y = self.tensor(host(x, |x| rows::columns(x, columns.clone(), h))?, columns.len())?;
        self.record_moved(x, &y, move |grad| rows::columns_backward(grad, columns.clone(), h));
        Ok(y)
    }

    fn trigram(&self, x: &Tensor, lengths: &Lengths) -> Result<Tensor> {
        let (len, h) = x.dims2().map_err(engine)?;
        check_trigram(len, lengths)?;
        if !self.fused {
            return composed::trigram(x, lengths).map_err(engine);
        }
        let y = self.tensor(host(x, |x| rows::trigram(x, lengths, h))?, 3 * h)?;
        let lengths = lengths.clone();
        self.record_moved(x, &y, move |grad| rows::trigram_backward(grad, &lengths, h));
        Ok(y)
    }

    fn dropout(&self, x: Tensor, p: f32) -> Result<Tensor> {
        let Some(stream) = self.dropped(p) else { return Ok(x) };
        let columns = x.dim(1).map_err(engine)?;
        if !self.fused {
            let mask = self.tensor(random::dropout(&vec![1.0; x.elem_count()], p, stream), columns)?;
            return (x * mask).map_err(engine);
        }
        let y = self.tensor(host(&x, |x| random::dropout(x, p, stream))?, columns)?;
        if self.recording() {
            let x = x.id();
            let backward = move |grad: Vec<f32>, gradients: &mut Gradients| {
                gradients.add(x, random::dropout(&grad, p, stream));
                Ok(())
            };
            self.record(&y, Box::new(backward));
        }
        Ok(y)
    }

    fn observe(&self, at: Site, x: &Tensor) {
        lock(&self.watched).show(at, x);
    }

    fn observe_attention(&self, layer: usize, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<()> {
        let at = Site::AttentionMap(layer);
        if !lock(&self.watched).asks_for(at) {
            return Ok(());
        }
        let shape = attention_shape(qkv, heads, lengths)?;
        let maps = if self.fused {
            self.fused_attention_maps(qkv, shape)?
        } else {
            composed::attention_maps(qkv, heads, lengths).map_err(engine)?
        };
        self.observe(at, &maps);
        Ok(())
    }

    async fn to_host(&self, x: &Tensor) -> Result<Vec<f32>> {
        x.flatten_all().and_then(|x| x.to_vec1()).map_err(engine)
    }
}

/// Reads a contiguous `f32` tensor where it lies.
///
/// # Errors
/// When it is not one, or not on the CPU.
pub fn host<R>(x: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = x.storage_and_layout();
    let (Storage::Cpu(storage), Some((from, to))) = (&*storage, layout.contiguous_offsets()) else {
        return Err(Error::new(ErrorKind::Backend, "the fused kernels take contiguous tensors on the CPU"));
    };
    Ok(read(&storage.as_slice::<f32>().map_err(engine)?[from..to]))
}

/// Rows and columns.
fn dims(x: &Tensor) -> Result<[usize; 2]> {
    x.dims2().map(|(rows, columns)| [rows, columns]).map_err(engine)
}

fn engine(error: candle_core::Error) -> Error {
    Error::new(ErrorKind::Backend, format!("candle: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! candle: the engine of training, and the reference.
//!
//! [`CandleBackend`] runs in three ways. For inference and training on the CPU it uses the fused [`kernels`]; training
//! records a tape and walks it backwards. On another device, and as the judge of the kernels, it composes candle's
//! elementary operations, whose gradients candle computes itself.

mod composed;
mod fused;
pub mod kernels;
mod parameter;
mod qkv;
mod tape;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Storage, Tensor};

use self::kernels::random::Stream;
use self::kernels::{attention, random, rows};
pub use self::parameter::{Gradient, Kind, Parameter, Part};
use self::qkv::{attention_shape, with_parts};
use self::tape::{Backward, Gradients, Tape};
use super::{Activation, Backend, Lengths, Linear, Norm, Qkv, Site, Stored};
use crate::error::{Error, ErrorKind, Result};

/// Looks at inner states, see [`CandleBackend::with_observer`].
pub type Observer = Box<dyn Fn(Site, &Tensor) + Send + Sync>;

/// The engine over candle tensors.
pub struct CandleBackend {
    device: Device,
    /// Fused kernels rather than candle's elementary operations.
    fused: bool,
    /// Weights are kept by name and get gradients.
    trainable: bool,
    /// Now: dropout is active, and operations are recorded.
    training: AtomicBool,
    seed: u64,
    step: AtomicU64,
    site: AtomicU64,
    parameters: Mutex<BTreeMap<String, Arc<Parameter>>>,
    tape: Mutex<Tape>,
    observer: Option<Observer>,
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
            seed,
            step: AtomicU64::new(0),
            site: AtomicU64::new(0),
            parameters: Mutex::default(),
            tape: Mutex::default(),
            observer: None,
        }
    }

    /// Shows every [`Site`] that a model reports to `observer`.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The weights that models took over from their files, by the name of their first part.
    pub fn parameters(&self) -> BTreeMap<String, Arc<Parameter>> {
        lock(&self.parameters).clone()
    }

    /// Begins a part of a training step: dropout is active from here on and draws what belongs to this step and part,
    /// and operations are recorded until [`Self::backward`].
    pub fn begin(&self, step: u64, part: u32) {
        lock(&self.tape).clear();
        self.training.store(true, Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
        self.site.store(u64::from(part) << 32, Ordering::Relaxed);
    }

    /// Back to answers only, over the same weights.
    pub fn evaluate(&self) {
        lock(&self.tape).clear();
        self.training.store(false, Ordering::Relaxed);
    }

    /// Adds the gradients of all parameters to [`Parameter::gradient`], given those of some tensors of the forward
    /// pass (of the logits as a rule), row by row.
    ///
    /// # Errors
    /// When a gradient has another length than its tensor, or this backend composes candle's operations: then
    /// candle's own `Tensor::backward` is the way.
    pub fn backward(&self, seeds: Vec<(&Tensor, Vec<f32>)>) -> Result<()> {
        if !self.fused || !self.trainable {
            return Err(Error::new(ErrorKind::Backend, "this candle backend records nothing to walk back"));
        }
        let mut gradients = Gradients::default();
        for (tensor, grad) in seeds {
            if grad.len() != tensor.elem_count() {
                let message = format!("a gradient of {} values for {:?}", grad.len(), tensor.dims());
                return Err(Error::new(ErrorKind::Backend, message));
            }
            gradients.add(tensor.id(), grad);
        }
        let result = lock(&self.tape).backward(gradients);
        self.evaluate();
        result
    }

    fn parameter(&self, kind: Kind, parts: &[Stored]) -> Result<Arc<Parameter>> {
        let parameter = Arc::new(Parameter::new(kind, parts, &self.device, self.trainable && !self.fused)?);
        if self.trainable {
            let name = parameter.name().to_owned();
            // A weight that two places share (a tied decoder) is one parameter.
            return Ok(lock(&self.parameters).entry(name).or_insert(parameter).clone());
        }
        Ok(parameter)
    }

    fn recording(&self) -> bool {
        self.fused && self.trainable && self.training.load(Ordering::Relaxed)
    }

    fn record(&self, output: &Tensor, backward: Backward) {
        lock(&self.tape).record(output, backward);
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
        self.parameter(Kind::Table, &[stored])
    }

    fn matrix(&self, parts: &[Stored]) -> Result<Self::Matrix> {
        self.parameter(Kind::Matrix, parts)
    }

    fn vector(&self, parts: &[Stored]) -> Result<Self::Vector> {
        self.parameter(Kind::Vector, parts)
    }

    fn embed(&self, sources: &[(&Self::Table, &[u32])]) -> Result<Tensor> {
        check_ids(sources)?;
        if !self.fused {
            let sources: Vec<_> = sources.iter().map(|(table, ids)| (table.value(), *ids)).collect();
            return composed::embed(&sources).map_err(engine);
        }
        self.fused_embed(sources)
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Self>, act: Activation) -> Result<Tensor> {
        let (n, k) = layer.weight.value().dims2().map_err(engine)?;
        check_columns(x, k, layer.weight.name())?;
        if !self.fused {
            let bias = layer.bias.as_ref().map(|bias| bias.value());
            return composed::linear(x, layer.weight.value(), bias, act).map_err(engine);
        }
        self.fused_linear(x, layer, act, [n, k])
    }

    fn add_norm(&self, x: &Tensor, residual: Option<&Tensor>, layer: &Norm<Self>) -> Result<Tensor> {
        let h = layer.weight.len();
        check_columns(x, h, layer.weight.name())?;
        if let Some(residual) = residual.filter(|residual| residual.dims() != x.dims()) {
            let message = format!("a residual {:?} beside {:?}", residual.dims(), x.dims());
            return Err(Error::new(ErrorKind::Backend, message));
        }
        if !self.fused {
            let (weight, bias) = (layer.weight.value(), layer.bias.value());
            return composed::add_norm(x, residual, weight, bias, layer.kind).map_err(engine);
        }
        self.fused_add_norm(x, residual, layer)
    }

    fn attention(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        let shape = attention_shape(qkv, heads, lengths)?;
        if !self.fused {
            return composed::attention(qkv, heads, lengths).map_err(engine);
        }
        self.fused_attention(qkv, shape)
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
        if let Some(row) = rows.iter().find(|&&row| row as usize >= len) {
            return Err(Error::new(ErrorKind::Backend, format!("row {row} of {len}")));
        }
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
        if columns.is_empty() || columns.end > h {
            return Err(Error::new(ErrorKind::Backend, format!("columns {columns:?} of {h}")));
        }
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
        if lengths.rows() != len {
            return Err(Error::new(
                ErrorKind::Backend,
                format!("trigrams of {len} rows, lengths of {}", lengths.rows()),
            ));
        }
        if !self.fused {
            return composed::trigram(x, lengths).map_err(engine);
        }
        let y = self.tensor(host(x, |x| rows::trigram(x, lengths, h))?, 3 * h)?;
        let lengths = lengths.clone();
        self.record_moved(x, &y, move |grad| rows::trigram_backward(grad, &lengths, h));
        Ok(y)
    }

    fn dropout(&self, x: Tensor, p: f32) -> Result<Tensor> {
        if !self.training.load(Ordering::Relaxed) || p <= 0.0 {
            return Ok(x);
        }
        let site = self.site.fetch_add(1, Ordering::Relaxed);
        let stream = Stream::new(self.seed, self.step.load(Ordering::Relaxed), site);
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
        if let Some(observer) = &self.observer {
            observer(at, x);
        }
    }

    fn observe_attention(&self, layer: usize, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<()> {
        let Some(observer) = &self.observer else { return Ok(()) };
        let shape = attention_shape(qkv, heads, lengths)?;
        let maps = if self.fused {
            let maps = with_parts(qkv, shape.hidden, |parts| attention::maps(&parts, &shape))?;
            self.tensor(maps, 1)?
        } else {
            composed::attention_maps(qkv, heads, lengths).map_err(engine)?
        };
        observer(Site::AttentionMap(layer), &maps);
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

fn check_ids(sources: &[(&Arc<Parameter>, &[u32])]) -> Result<()> {
    let rows = sources.first().map_or(0, |(_, ids)| ids.len());
    for (table, ids) in sources {
        let size = table.len() / table.columns();
        if ids.len() != rows {
            let message = format!("{}: {} ids beside {rows}", table.name(), ids.len());
            return Err(Error::new(ErrorKind::Backend, message));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= size) {
            let message = format!("{}: id {id} in a table of {size} rows", table.name());
            return Err(Error::new(ErrorKind::Input, message));
        }
    }
    Ok(())
}

fn check_columns(x: &Tensor, columns: usize, name: &str) -> Result<()> {
    if x.rank() == 2 && x.dims()[1] == columns {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Backend, format!("{name}: expected [rows, {columns}], found {:?}", x.dims())))
}

fn engine(error: candle_core::Error) -> Error {
    Error::new(ErrorKind::Backend, format!("candle: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

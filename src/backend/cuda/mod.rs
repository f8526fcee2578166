//! CUDA: the engine of training on NVIDIA devices.
//!
//! Activations and the weights in products are bfloat16, or `f32` for comparison; weights that learn, their gradients and
//! moments are `f32`. Products are cuBLAS's; everything between them is a kernel of our own in `kernels/*.cu`, compiled when a
//! device is opened. Nothing waits for the device but [`Backend::to_host`] and the reading half of [`Training`].
//!
//! Every operation is judged by the CPU kernels of [`super::candle`], number by number, in `tests.rs`.

mod attention;
mod clock;
mod compile;
mod device;
mod gradients;
mod launch;
mod loss;
mod low_rank;
mod memory;
mod nccl;
mod operations;
mod parameter;
mod product;
mod qkv;
mod runs;
mod staging;
mod tensor;
#[cfg(test)]
mod tests;
mod training;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::device::{Device, Precision, count};
use self::gradients::{Backward, Gradients};
pub use self::nccl::{Id, Nccl, nccl_version};
pub use self::parameter::Parameter;
use self::qkv::Source;
pub use self::tensor::Tensor;
use self::training::{Losses, Optimizer};
use super::candle::kernels::random::{Dropout, Stream};
use super::shapes::{check_columns, check_embed, check_range, check_residual, check_rows, check_trigram};
use super::tape::Tape;
use super::training::Kind;
use super::tuning::{Pair, Tuning};
use super::watched::Watched;
use super::{Activation, Backend, Lengths, Linear, Norm, Qkv, Site, Stored};
use crate::error::Result;

/// The engine over one device.
pub struct CudaBackend {
    device: Arc<Device>,
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
    watched: Mutex<Watched<Tensor>>,
    /// Attention worked out for its map, and the map: it is about to be asked for itself.
    attention: Mutex<Option<(attention::State, u64)>>,
    losses: Mutex<Losses>,
    optimizer: Mutex<Option<Optimizer>>,
}

impl CudaBackend {
    /// For answers only: no names kept, no gradients, no dropout.
    ///
    /// # Errors
    /// Memory.
    pub fn inference(device: &Arc<Device>) -> Result<Self> {
        Self::new(device, false, 0)
    }

    /// For answers of a model that drops values as if it learnt, from `begin` to `evaluate`: no names kept, no gradients.
    /// The seed decides what is dropped.
    ///
    /// # Errors
    /// Memory.
    pub fn dropping(device: &Arc<Device>, seed: u64) -> Result<Self> {
        Self::new(device, false, seed)
    }

    /// For training. The seed decides what dropout drops.
    ///
    /// # Errors
    /// Memory.
    pub fn training(device: &Arc<Device>, seed: u64) -> Result<Self> {
        Self::new(device, true, seed)
    }

    fn new(device: &Arc<Device>, trainable: bool, seed: u64) -> Result<Self> {
        Ok(Self {
            device: Arc::clone(device),
            trainable,
            training: AtomicBool::new(false),
            reached: AtomicBool::new(false),
            tuning: Mutex::default(),
            seed,
            step: AtomicU64::new(0),
            site: AtomicU64::new(0),
            parameters: Mutex::default(),
            tape: Mutex::default(),
            seeds: Mutex::new(Gradients::new(Arc::clone(device))),
            watched: Mutex::default(),
            attention: Mutex::default(),
            losses: Mutex::new(Losses::new(device)?),
            optimizer: Mutex::default(),
        })
    }

    fn parameter(&self, kind: Kind, parts: &[Stored], pairs: Vec<Arc<Pair<Parameter>>>) -> Result<Arc<Parameter>> {
        let name = parts.first().map_or("", |part| &part.name);
        let learns = self.trainable && (lock(&self.tuning).learns)(name);
        let parameter = Parameter::new(&self.device, kind, parts, self.trainable, learns)?;
        let parameter = Arc::new(parameter.with_pairs(pairs));
        if self.trainable {
            let name = parameter.name().to_owned();
            // A weight that two places share (a tied decoder) is one parameter.
            return Ok(lock(&self.parameters).entry(name).or_insert(parameter).clone());
        }
        Ok(parameter)
    }

    fn recording(&self) -> bool {
        self.trainable && self.training.load(Ordering::Relaxed) && self.reached.load(Ordering::Relaxed)
    }

    /// Notes that these weights are used: nothing before the first that learns needs to be recorded.
    fn reach<'a>(&self, weights: impl IntoIterator<Item = &'a Arc<Parameter>>) {
        if weights.into_iter().any(|weight| weight.layout.learns || !weight.pairs.is_empty()) {
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
        let beside = |weight: &'a Arc<Parameter>| weight.pairs.iter().flat_map(|pair| [&pair.a, &pair.b]);
        let used = weights.into_iter().flat_map(|weight| std::iter::once(weight).chain(beside(weight)));
        let names: Vec<&str> = used.filter(|weight| weight.layout.learns).map(|weight| weight.name()).collect();
        lock(&self.tape).record(output.id(), &names, backward);
    }
}

impl Backend for CudaBackend {
    type Tensor = Tensor;
    type Matrix = Arc<Parameter>;
    type Table = Arc<Parameter>;
    type Vector = Arc<Parameter>;

    fn name(&self) -> &'static str {
        "cuda"
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
        check_embed(sources.iter().map(|(table, ids)| (&table.layout, *ids)))?;
        self.run_embed(sources)
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Self>, act: Activation) -> Result<Tensor> {
        let layout = &layer.weight.layout;
        check_columns([x.rows, x.columns], layout.columns, layout.name())?;
        self.run_linear(&self.packed(x)?, layer, act)
    }

    fn add_norm(&self, x: &Tensor, residual: Option<&Tensor>, layer: &Norm<Self>) -> Result<Tensor> {
        check_columns([x.rows, x.columns], layer.weight.layout.len(), layer.weight.name())?;
        check_residual([x.rows, x.columns], residual.map(|residual| [residual.rows, residual.columns]))?;
        let residual = residual.map(|residual| self.packed(residual)).transpose()?;
        self.run_add_norm(&self.packed(x)?, residual.as_ref(), layer)
    }

    fn attention(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        self.attention_with_dropout(qkv, heads, lengths, 0.0)
    }

    fn attention_with_dropout(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths, p: f32) -> Result<Tensor> {
        let source = Source::new(self, qkv)?;
        self.run_attention(source, heads, lengths, p)
    }

    fn add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        check_residual([x.rows, x.columns], Some([y.rows, y.columns]))?;
        self.run_add(x, y)
    }

    fn rows(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor> {
        check_rows(x.rows, rows)?;
        self.run_rows(&self.packed(x)?, rows)
    }

    fn columns(&self, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
        check_range(x.columns, &columns)?;
        self.run_columns(&self.packed(x)?, columns)
    }

    fn trigram(&self, x: &Tensor, lengths: &Lengths) -> Result<Tensor> {
        check_trigram(x.rows, lengths)?;
        self.run_trigram(&self.packed(x)?, lengths)
    }

    fn dropout(&self, x: Tensor, p: f32) -> Result<Tensor> {
        match self.dropped(p) {
            Some(stream) => self.run_dropout(&self.packed(&x)?, Dropout::new(p, stream)),
            None => Ok(x),
        }
    }

    fn observe(&self, at: Site, x: &Tensor) {
        lock(&self.watched).show(at, x);
    }

    fn observe_attention(&self, layer: usize, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<()> {
        let at = Site::AttentionMap(layer);
        if lock(&self.watched).asks_for(at) {
            self.observe(at, &self.run_attention_map(Source::new(self, qkv)?, heads, lengths)?);
        }
        Ok(())
    }

    async fn to_host(&self, x: &Tensor) -> Result<Vec<f32>> {
        x.to_host(&self.device)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

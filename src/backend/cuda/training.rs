//! [`Training`] on a device: the tape walked back, losses, and the optimizer in two launches.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::device::Device;
use super::gradients::Gradients;
use super::launch::Grid;
use super::loss::Loser;
pub(super) use super::loss::Losses;
use super::memory::Buffer;
use super::parameter::Moments;
use super::{CudaBackend, Parameter, Tensor, lock};
use crate::backend::Site;
use crate::backend::adamw::Settings;
use crate::backend::training::{Layout, Quantity, Report, Skipped, Term, Training};
use crate::backend::tuning::Tuning;
use crate::error::{Error, ErrorKind, Result};

/// Numbers of one chunk.
const CHUNK: usize = 1 << 12;

/// All weights that learn as chunks for `kernels/adamw.cu`.
pub(super) struct Optimizer {
    parameters: Vec<Arc<Parameter>>,
    /// `Chunk` of the kernel: six pointers and two numbers each.
    chunks: Buffer,
    count: usize,
    partial: Buffer,
    /// The norm of the gradients and what they are multiplied with.
    norm: Buffer,
    /// How many steps moved nothing, and the first of them: two `u32`.
    skipped: Buffer,
}

impl Optimizer {
    fn new(device: &Device, parameters: Vec<Arc<Parameter>>) -> Result<Self> {
        let bytes = device.precision().bytes();
        let mut table: Vec<u64> = Vec::new();
        for (number, parameter) in parameters.iter().enumerate() {
            let at = |buffer: Option<&Buffer>| buffer.map_or(0, Buffer::at);
            let moments = parameter.moments();
            let (first, second) = (moments.as_ref().map(|m| &m.first), moments.as_ref().map(|m| &m.second));
            let average = moments.as_ref().and_then(|m| m.average.as_ref());
            let floats = [parameter.value.as_ref(), parameter.gradient.as_ref(), first, second, average].map(at);
            let shadow = at(parameter.shadow.as_ref());
            let len = parameter.layout.len();
            for from in (0..len).step_by(CHUNK) {
                let step = |at: u64, size: usize| if at == 0 { 0 } else { at + (from * size) as u64 };
                let [value, gradient, first, second, average] = floats.map(|at| step(at, 4));
                let numbers = (len - from).min(CHUNK) as u64 | (number as u64) << 32;
                table.extend([value, step(shadow, bytes), gradient, first, second, average, numbers]);
            }
        }
        let count = table.len() / 7;
        Ok(Self {
            parameters,
            chunks: device.upload(&table)?,
            count,
            partial: device.alloc(count * 4)?,
            norm: device.zeros(8)?,
            skipped: device.zeros(8)?,
        })
    }
}

impl Training for CudaBackend {
    fn layouts(&self) -> Vec<Layout> {
        lock(&self.parameters).values().map(|parameter| parameter.layout.clone()).collect()
    }

    fn tune(&self, tuning: Tuning) {
        *lock(&self.tuning) = Arc::new(tuning);
    }

    fn read(&self, name: &str, what: Quantity) -> Result<Vec<f32>> {
        let parameter = self.named(name)?;
        let moments = parameter.moments();
        let buffer = kept(&parameter, moments.as_ref(), what);
        buffer.map_or(Ok(Vec::new()), |buffer| self.device.download(buffer, parameter.layout.len()))
    }

    fn write(&self, name: &str, what: Quantity, values: &[f32]) -> Result<()> {
        let parameter = self.named(name)?;
        let moments = parameter.moments();
        let buffer = kept(&parameter, moments.as_ref(), what);
        let expected = buffer.map_or(0, |_| parameter.layout.len());
        if values.len() != expected {
            let message = format!("{name}: expected {expected} values, found {}", values.len());
            return Err(Error::new(ErrorKind::Format, message));
        }
        let Some(buffer) = buffer else { return Ok(()) };
        let device = &self.device;
        device.copy(&device.upload(values)?, buffer, values.len() * 4)?;
        if let (Quantity::Value, Some(shadow)) = (what, &parameter.shadow) {
            device.copy(&device.narrowed(values)?, shadow, values.len() * device.precision().bytes())?;
        }
        Ok(())
    }

    fn begin(&self, step: u64, part: u32) {
        self.forget();
        self.training.store(true, Ordering::Relaxed);
        self.reached.store(false, Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
        self.site.store(u64::from(part) << 32, Ordering::Relaxed);
        if part == 0 {
            lock(&self.losses).restart();
        }
    }

    fn evaluate(&self) {
        self.forget();
        self.training.store(false, Ordering::Relaxed);
    }

    fn seed(&self, x: &Tensor, gradient: Vec<f32>) -> Result<()> {
        if gradient.len() != x.rows * x.columns {
            let message = format!("a gradient of {} values for {:?}", gradient.len(), [x.rows, x.columns]);
            return Err(Error::new(ErrorKind::Backend, message));
        }
        let mut spread = vec![0f32; x.span()];
        for (to, from) in spread.chunks_exact_mut(x.stride.max(1)).zip(gradient.chunks_exact(x.columns.max(1))) {
            to[..x.columns].copy_from_slice(from);
        }
        let buffer = self.device.narrowed(&spread)?;
        lock(&self.seeds).add(x.id(), Tensor::strided(buffer, x.rows, x.columns, x.stride))
    }

    fn lose(&self, name: &'static str, term: Term<'_, Tensor>, weight: f32) -> Result<()> {
        let (mut losses, mut seeds) = (lock(&self.losses), lock(&self.seeds));
        Loser { device: &self.device, losses: &mut losses, seeds: &mut seeds, name, weight }.lose(term)
    }

    fn watch(&self, sites: &[Site]) {
        lock(&self.watched).ask(sites);
        *lock(&self.attention) = None;
    }

    fn seen(&self, at: Site) -> Option<Tensor> {
        lock(&self.watched).take(at)
    }

    fn backward_telling(&self, complete: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        if !self.trainable {
            return Err(Error::new(ErrorKind::Backend, "this CUDA backend records nothing to walk back"));
        }
        let fresh = Gradients::new(Arc::clone(&self.device));
        let mut seeds = std::mem::replace(&mut *lock(&self.seeds), fresh);
        let result = lock(&self.tape).backward(&mut seeds, complete);
        self.evaluate();
        result
    }

    fn restart(&self, average: bool) -> Result<()> {
        let device = &self.device;
        let learning = |parameter: &&Arc<Parameter>| parameter.layout.learns;
        let parameters: Vec<_> = lock(&self.parameters).values().filter(learning).cloned().collect();
        for parameter in &parameters {
            let bytes = parameter.layout.len() * 4;
            let average = match &parameter.value {
                Some(value) if average => {
                    let copy = device.alloc(bytes)?;
                    device.copy(value, &copy, bytes)?;
                    Some(copy)
                }
                _ => None,
            };
            *parameter.moments() = Some(Moments { first: device.zeros(bytes)?, second: device.zeros(bytes)?, average });
        }
        *lock(&self.optimizer) = Some(Optimizer::new(device, parameters)?);
        Ok(())
    }

    fn update(&self, settings: &Settings, step: u64, rate: &dyn Fn(&str) -> f64) -> Result<()> {
        let (device, optimizer) = (&self.device, lock(&self.optimizer));
        let Some(Optimizer { parameters, chunks, count, partial, norm, skipped }) = &*optimizer else {
            return Err(Error::new(ErrorKind::Backend, "the optimizer was never started"));
        };
        let pass = |p: &Arc<Parameter>| settings.pass(step, p.layout.kind, rate(p.name()));
        let passes = device.upload(&parameters.iter().map(pass).collect::<Vec<_>>())?;
        let each = Grid::blocks(*count, 256);
        device.launch("gradient_squares", each, &[partial.into(), chunks.into()])?;
        let (clip, number) = (settings.clip as f32, step as u32); // no run has 2³² steps
        let args = [norm.into(), skipped.into(), partial.into(), (*count).into(), clip.into(), number.into()];
        device.launch("gradient_norm", Grid::blocks(1, 1024), &args)?;
        device.launch("adamw", each, &[chunks.into(), (&passes).into(), norm.into()])
    }

    fn report(&self) -> Result<Report> {
        let losses = lock(&self.losses).read(&self.device)?.into_iter().collect();
        let optimizer = lock(&self.optimizer);
        let Some(optimizer) = &*optimizer else { return Ok(Report { losses, ..Report::default() }) };
        let norm = self.device.download(&optimizer.norm, 1)?;
        let skipped = self.device.download(&optimizer.skipped, 2)?;
        let [count, first] = [0, 1].map(|i| u64::from(skipped[i].to_bits()));
        let skipped = (count > 0).then_some(Skipped { first, count });
        Ok(Report { losses, gradient_norm: f64::from(norm[0]), skipped })
    }

    fn swap_average(&self) -> Result<()> {
        let parameters: Vec<_> = lock(&self.parameters).values().cloned().collect();
        for parameter in parameters {
            let name = parameter.name();
            let average = self.read(name, Quantity::Average)?;
            if !average.is_empty() {
                let value = self.read(name, Quantity::Value)?;
                self.write(name, Quantity::Value, &average)?;
                self.write(name, Quantity::Average, &value)?;
            }
        }
        Ok(())
    }
}

/// What is kept of a weight, if it is.
fn kept<'a>(parameter: &'a Parameter, moments: Option<&'a Moments>, what: Quantity) -> Option<&'a Buffer> {
    match what {
        Quantity::Value => parameter.value.as_ref(),
        Quantity::Gradient => parameter.gradient.as_ref(),
        Quantity::First => moments.map(|m| &m.first),
        Quantity::Second => moments.map(|m| &m.second),
        Quantity::Average => moments.and_then(|m| m.average.as_ref()),
    }
}

impl CudaBackend {
    fn named(&self, name: &str) -> Result<Arc<Parameter>> {
        let found = lock(&self.parameters).get(name).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::Backend, format!("no model loaded a weight {name:?}")))
    }

    fn forget(&self) {
        lock(&self.tape).clear();
        *lock(&self.seeds) = Gradients::new(Arc::clone(&self.device));
        *lock(&self.attention) = None;
    }
}

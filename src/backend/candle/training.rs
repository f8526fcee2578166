//! [`Training`] on the CPU: the tape walked back, losses, and the optimizer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use candle_core::Tensor;

use super::adamw::{self, Moments};
use super::gradients::Gradients;
use super::{CandleBackend, Parameter, lock, losses};
use crate::backend::Site;
use crate::backend::adamw::Settings;
use crate::backend::training::{Layout, Quantity, Report, Skipped, Term, Training};
use crate::backend::tuning::Tuning;
use crate::error::{Error, ErrorKind, Result};

impl Training for CandleBackend {
    fn layouts(&self) -> Vec<Layout> {
        lock(&self.parameters).values().map(|parameter| parameter.layout().clone()).collect()
    }

    fn tune(&self, tuning: Tuning) {
        *lock(&self.tuning) = Arc::new(tuning);
    }

    fn read(&self, name: &str, what: Quantity) -> Result<Vec<f32>> {
        let parameter = self.named(name)?;
        let values = match what {
            Quantity::Value => return parameter.read(<[f32]>::to_vec),
            Quantity::Gradient => parameter.gradient().get().map(<[f32]>::to_vec),
            Quantity::First => Some(parameter.moments().first.clone()),
            Quantity::Second => Some(parameter.moments().second.clone()),
            Quantity::Average => Some(parameter.moments().average.clone()),
        };
        Ok(values.unwrap_or_else(|| vec![0.0; parameter.len()]))
    }

    fn write(&self, name: &str, what: Quantity, values: &[f32]) -> Result<()> {
        let parameter = self.named(name)?;
        let moments = &mut *parameter.moments();
        let expected = if what == Quantity::Average { moments.average.len() } else { parameter.len() };
        if values.len() != expected {
            let message = format!("{name}: expected {expected} values, found {}", values.len());
            return Err(Error::new(ErrorKind::Format, message));
        }
        match what {
            Quantity::Value => return parameter.write(|kept| kept.copy_from_slice(values)),
            Quantity::Gradient => parameter.gradient().dense(expected).copy_from_slice(values),
            Quantity::First => moments.first = values.to_vec(),
            Quantity::Second => {
                moments.second = values.to_vec();
                moments.revive(parameter.columns());
            }
            Quantity::Average => moments.average = values.to_vec(),
        }
        Ok(())
    }

    fn begin(&self, step: u64, part: u32) {
        self.forget();
        if part == 0 {
            let mut report = lock(&self.report);
            *report = Report { skipped: report.skipped, ..Report::default() };
        }
        self.training.store(true, Ordering::Relaxed);
        self.reached.store(false, Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
        self.site.store(u64::from(part) << 32, Ordering::Relaxed);
    }

    fn evaluate(&self) {
        self.forget();
        self.training.store(false, Ordering::Relaxed);
    }

    fn seed(&self, x: &Tensor, gradient: Vec<f32>) -> Result<()> {
        if gradient.len() != x.elem_count() {
            let message = format!("a gradient of {} values for {:?}", gradient.len(), x.dims());
            return Err(Error::new(ErrorKind::Backend, message));
        }
        lock(&self.seeds).add(x.id(), gradient);
        Ok(())
    }

    fn lose(&self, name: &'static str, term: Term<'_, Tensor>, weight: f32) -> Result<()> {
        let loss = losses::lose(term, weight, &mut lock(&self.seeds))?;
        *lock(&self.report).losses.entry(name).or_default() += loss;
        Ok(())
    }

    fn watch(&self, sites: &[Site]) {
        lock(&self.watched).ask(sites);
    }

    fn seen(&self, at: Site) -> Option<Tensor> {
        lock(&self.watched).take(at)
    }

    fn backward_telling(&self, complete: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        if !self.fused || !self.trainable {
            return Err(Error::new(ErrorKind::Backend, "this candle backend records nothing to walk back"));
        }
        let mut seeds = std::mem::take(&mut *lock(&self.seeds));
        let result = lock(&self.tape).backward(&mut seeds, complete);
        self.evaluate();
        result
    }

    fn restart(&self, average: bool) -> Result<()> {
        lock(&self.report).skipped = None;
        for parameter in lock(&self.parameters).values().filter(|parameter| parameter.learns()) {
            *parameter.moments() = Moments::new(parameter, average)?;
        }
        Ok(())
    }

    fn update(&self, settings: &Settings, step: u64, rate: &dyn Fn(&str) -> f64) -> Result<()> {
        let parameters = lock(&self.parameters);
        let squares = parameters.values().map(|p| p.gradient().squared_norm(p.columns()));
        let norm = squares.sum::<f64>().sqrt();
        let report = &mut *lock(&self.report);
        report.gradient_norm = norm;
        if !norm.is_finite() {
            report.skipped.get_or_insert(Skipped { first: step, count: 0 }).count += 1;
        }
        let scale = settings.scale(norm) as f32;
        for (name, parameter) in parameters.iter().filter(|(_, parameter)| parameter.learns()) {
            let mut gradient = parameter.gradient();
            if norm.is_finite() {
                let pass = settings.pass(step, parameter.layout().kind, rate(name));
                adamw::step(parameter, &gradient, pass, scale)?;
            }
            gradient.clear(parameter.columns());
        }
        Ok(())
    }

    fn report(&self) -> Result<Report> {
        Ok(lock(&self.report).clone())
    }

    fn swap_average(&self) -> Result<()> {
        for parameter in lock(&self.parameters).values() {
            let moments = &mut *parameter.moments();
            if !moments.average.is_empty() {
                parameter.write(|values| values.swap_with_slice(&mut moments.average))?;
            }
        }
        Ok(())
    }
}

impl CandleBackend {
    fn named(&self, name: &str) -> Result<Arc<Parameter>> {
        let found = lock(&self.parameters).get(name).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::Backend, format!("no model loaded a weight {name:?}")))
    }

    fn forget(&self) {
        lock(&self.tape).clear();
        *lock(&self.seeds) = Gradients::default();
    }
}

//! The operations of the model over the fused kernels: forward, and what the tape walks back. Shapes have been checked.

use std::sync::Arc;

use candle_core::Tensor;

use super::gradients::Gradients;
use super::kernels::{attention, embedding, linear, norm};
use super::qkv::{Kept, with_parts};
use super::{CandleBackend, Parameter, host};
use crate::backend::{Activation, Linear, Norm, Qkv};
use crate::error::Result;

impl CandleBackend {
    /// `[R, H]`.
    pub(super) fn fused_embed(&self, sources: &[(&Arc<Parameter>, &[u32])]) -> Result<Tensor> {
        let columns = sources.first().map_or(0, |(table, _)| table.columns());
        let mut y = vec![0f32; sources.first().map_or(0, |(_, ids)| ids.len()) * columns];
        for (table, ids) in sources {
            table.read(|table| embedding::forward(&mut y, table, ids, columns))?;
        }
        let y = self.tensor(y, columns)?; // [R, H]
        self.reach(sources.iter().map(|(table, _)| *table));
        if self.recording() {
            let tables = sources;
            let learn = tables.iter().filter(|(table, _)| table.learns());
            let sources: Vec<_> = learn.map(|(table, ids)| (Arc::clone(table), ids.to_vec())).collect();
            let backward = move |grad: Vec<f32>, _: &mut Gradients| {
                for (table, ids) in &sources {
                    let mut gradient = table.gradient();
                    embedding::backward(&grad, ids, gradient.rows(table.len(), columns, ids), columns);
                }
                Ok(())
            };
            self.record_use(&y, tables.iter().map(|(table, _)| *table), Box::new(backward));
        }
        Ok(y)
    }

    /// `[R, N]` of a weight `[N, K]`.
    pub(super) fn fused_linear(
        &self,
        x: &Tensor,
        layer: &Linear<Self>,
        act: Activation,
        [n, k]: [usize; 2],
    ) -> Result<Tensor> {
        let bias = layer.bias.as_ref().map(|bias| bias.read(<[f32]>::to_vec)).transpose()?;
        let mut y = host(x, |x| layer.weight.read(|weight| linear::multiply(x, weight, n, k)))??;
        let low_rank = self.add_low_rank(x, &layer.weight, &mut y)?;
        let linear::Forward { y, before } = linear::activate(y, bias.as_deref(), n, act);
        let y = self.tensor(y, n)?; // [R, N]
        let below = self.recording();
        self.reach(std::iter::once(&layer.weight).chain(&layer.bias));
        if self.recording() {
            let (x, weight, bias) = (x.clone(), Arc::clone(&layer.weight), layer.bias.clone());
            let backward = move |mut grad: Vec<f32>, gradients: &mut Gradients| {
                let mut bias = bias.as_ref().filter(|bias| bias.learns()).map(|bias| bias.gradient());
                let bias_grad = bias.as_mut().map(|gradient| gradient.dense(n));
                linear::backward_activation(&mut grad, before.as_deref(), act, n, bias_grad);
                if weight.learns() {
                    host(&x, |x| linear::backward_weight(&grad, x, weight.gradient().dense(n * k), n, k))?;
                }
                low_rank.iter().try_for_each(|low_rank| low_rank.backward(&grad, below, gradients))?;
                if !below {
                    return Ok(());
                }
                weight.read(|values| {
                    gradients.write(x.id(), x.elem_count(), |x_grad, into| {
                        linear::backward_input(&grad, values, x_grad, n, k, into);
                    });
                })
            };
            self.record_use(&y, std::iter::once(&layer.weight).chain(&layer.bias), Box::new(backward));
        }
        Ok(y)
    }

    /// `[R, H]`.
    pub(super) fn fused_add_norm(&self, x: &Tensor, residual: Option<&Tensor>, layer: &Norm<Self>) -> Result<Tensor> {
        let h = layer.weight.len();
        let run = |x: &[f32], residual: Option<&[f32]>| {
            layer.weight.read(|weight| layer.bias.read(|bias| norm::forward(x, residual, weight, bias, layer.kind)))
        };
        let norm::Forward { y, normalised, rstd } = match residual {
            Some(residual) => host(x, |x| host(residual, |residual| run(x, Some(residual))))???,
            None => host(x, |x| run(x, None))??,
        }?;
        let y = self.tensor(y, h)?; // [R, H]
        self.reach([&layer.weight, &layer.bias]);
        if self.recording() {
            let (x, residual) = (x.id(), residual.map(Tensor::id));
            let (weight, bias) = (Arc::clone(&layer.weight), Arc::clone(&layer.bias));
            let backward = move |mut grad: Vec<f32>, gradients: &mut Gradients| {
                let (mut weight_grad, mut bias_grad) = (weight.gradient(), bias.gradient());
                weight.read(|values| {
                    let weight_grad = weight.learns().then(|| weight_grad.dense(h));
                    let bias_grad = bias.learns().then(|| bias_grad.dense(h));
                    norm::backward(&mut grad, &normalised, &rstd, values, weight_grad, bias_grad);
                })?;
                if let Some(residual) = residual {
                    gradients.add(residual, grad.clone());
                }
                gradients.add(x, grad);
                Ok(())
            };
            self.record_use(&y, [&layer.weight, &layer.bias], Box::new(backward));
        }
        Ok(y)
    }

    /// `[R, H]`.
    pub(super) fn fused_attention(&self, qkv: Qkv<'_, Tensor>, shape: attention::Shape) -> Result<Tensor> {
        let hidden = shape.hidden;
        let y = with_parts(qkv, hidden, |parts| attention::forward(&parts, &shape))?;
        let y = self.tensor(y, hidden)?; // [R, H]
        if self.recording() {
            let kept = Kept::from(qkv);
            let backward = move |grad: Vec<f32>, gradients: &mut Gradients| {
                let grad = with_parts(kept.qkv(), hidden, |parts| attention::backward(&grad, &parts, &shape))?;
                kept.spread(grad, hidden, gradients);
                Ok(())
            };
            self.record(&y, Box::new(backward));
        }
        Ok(y)
    }

    /// The attention maps, one after the other, `[Σ heads · L²]`.
    pub(super) fn fused_attention_maps(&self, qkv: Qkv<'_, Tensor>, shape: attention::Shape) -> Result<Tensor> {
        let hidden = shape.hidden;
        let maps = with_parts(qkv, hidden, |parts| attention::maps(&parts, &shape))?;
        let maps = self.tensor(maps, 1)?;
        if self.recording() {
            let kept = Kept::from(qkv);
            let backward = move |grad: Vec<f32>, gradients: &mut Gradients| {
                let grad = with_parts(kept.qkv(), hidden, |parts| attention::maps_backward(&grad, &parts, &shape))?;
                kept.spread(grad, hidden, gradients);
                Ok(())
            };
            self.record(&maps, Box::new(backward));
        }
        Ok(maps)
    }
}

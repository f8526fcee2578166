//! The losses of [`Term`] over the CPU kernels.

use candle_core::Tensor;

use super::gradients::Gradients;
use super::kernels::cached_loss::cached_loss;
use super::kernels::cosine_loss::cosine_loss;
use super::kernels::map_loss::map_loss;
use super::kernels::square_loss::square_loss;
use super::kernels::vocabulary_loss::{SoftLoss, hard_loss, soft_loss};
use super::{dims, host};
use crate::backend::top_words::TopWords;
use crate::backend::training::Term;
use crate::error::{Error, ErrorKind, Result};

/// `weight · term`; its slope is added to the gradient of what is judged.
pub(super) fn lose(term: Term<'_, Tensor>, weight: f32, gradients: &mut Gradients) -> Result<f64> {
    let weight = f64::from(weight);
    match term {
        Term::CrossEntropy { logits, labels } => {
            let [rows, columns] = dims(logits)?;
            if labels.len() != rows || labels.iter().any(|&label| label as usize >= columns) {
                let message = format!("{} labels for logits {:?}", labels.len(), [rows, columns]);
                return Err(Error::new(ErrorKind::Backend, message));
            }
            let grad = gradients.sum(logits);
            host(logits, |z| hard_loss(z, columns, labels, mean(weight, rows), grad))
        }
        Term::Divergence { logits, teacher, temperature } => {
            let [rows, columns] = dims(logits)?;
            compare(logits, teacher, gradients, |z, t, grad| {
                soft_loss(z, t, columns, temperature, mean(weight, rows), grad).divergence
            })
        }
        Term::SoftCrossEntropy { logits, teacher } => {
            let [rows, columns] = dims(logits)?;
            compare(logits, teacher, gradients, |z, t, grad| {
                soft_loss(z, t, columns, 1.0, mean(weight, rows), grad).cross_entropy()
            })
        }
        Term::TopDivergence { logits, teacher } => Ok(cached(logits, teacher, weight, gradients)?.divergence),
        Term::TopSoftCrossEntropy { logits, teacher } => {
            Ok(cached(logits, teacher, weight, gradients)?.cross_entropy())
        }
        Term::Cosine { x, teacher } => {
            let [rows, columns] = dims(x)?;
            compare(x, teacher, gradients, |x, t, grad| cosine_loss(x, t, columns, mean(weight, rows), grad))
        }
        Term::MeanSquares { x, teacher } => {
            let scale = mean(weight, x.elem_count());
            compare(x, teacher, gradients, |x, t, grad| square_loss(x, t, scale, grad))
        }
        Term::MapDivergence { map, teacher } => {
            let scale = mean(weight, map.elem_count());
            compare(map, teacher, gradients, |x, t, grad| map_loss(x, t, scale, grad))
        }
    }
}

/// The loss against the likeliest words of a teacher.
fn cached(logits: &Tensor, teacher: &TopWords, weight: f64, gradients: &mut Gradients) -> Result<SoftLoss> {
    let [rows, columns] = dims(logits)?;
    teacher.check(rows, columns)?;
    let grad = gradients.sum(logits);
    host(logits, |z| cached_loss(z, columns, teacher, mean(weight, rows), grad))
}

fn mean(weight: f64, of: usize) -> f64 {
    weight / of.max(1) as f64
}

/// Runs a kernel on what is judged, the teacher's and the gradient.
fn compare(
    x: &Tensor,
    teacher: &Tensor,
    gradients: &mut Gradients,
    run: impl FnOnce(&[f32], &[f32], &mut [f32]) -> f64,
) -> Result<f64> {
    if x.dims() != teacher.dims() {
        let message = format!("a teacher of {:?} beside {:?}", teacher.dims(), x.dims());
        return Err(Error::new(ErrorKind::Backend, message));
    }
    let grad = gradients.sum(x);
    host(x, |x| host(teacher, |teacher| run(x, teacher, grad)))?
}

//! A student, and the teacher that it learns from, on one kind of engine.

use super::objective::{LayerLoss, Measure, Objective};
use crate::backend::candle::kernels::random::Stream;
use crate::backend::training::{Term, Training};
use crate::backend::{Activation, Linear, Site, Stored, Values};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Batch, MaskedLm};

/// Who is learnt from: an engine that does not learn, and its model.
pub struct Teacher<B: Training> {
    /// Answers only.
    pub engine: B,
    /// Its model.
    pub model: MaskedLm<B>,
    /// Its `hidden_size`.
    pub width: usize,
}

/// A student with its teacher, if it has one.
pub struct Pair<B: Training> {
    /// The student's engine.
    pub engine: B,
    student: MaskedLm<B>,
    teacher: Option<Teacher<B>>,
    projector: Option<Linear<B>>,
    objective: Objective,
}

/// The name under which the projector is kept: the model that is saved has no weight below it.
pub(super) const PROJECTOR: &str = "projector";

impl<B: Training> Pair<B> {
    /// Of a student of `width` and a teacher. The seed draws the projector, as PyTorch's `nn.Linear` does: uniform within
    /// `1 / √width`.
    ///
    /// # Errors
    /// States of different width without a projector.
    pub fn new(
        engine: B,
        student: MaskedLm<B>,
        width: usize,
        teacher: Option<Teacher<B>>,
        objective: Objective,
        seed: u64,
    ) -> Result<Self> {
        let projector = match (&objective.hidden, &teacher) {
            (Some(LayerLoss { projector: true, .. }), Some(teacher)) => {
                Some(projector(&engine, width, teacher.width, seed)?)
            }
            (Some(_), Some(teacher)) if teacher.width != width => {
                let message = format!("hidden: states of {width} and {} columns want projector = true", teacher.width);
                return Err(Error::new(ErrorKind::Input, message).at("loss"));
            }
            _ => None,
        };
        let [student_sites, teacher_sites] = objective.sites();
        engine.watch(&student_sites);
        if let Some(teacher) = &teacher {
            teacher.engine.watch(&teacher_sites);
        }
        Ok(Self { engine, student, teacher, projector, objective })
    }

    /// Forward, losses and backward for one part of a step: `labels` are the words behind the masks, which stand in
    /// `rows`. Losses count `share`, which is one over the number of parts.
    ///
    /// # Errors
    /// As [`MaskedLm::forward`] and [`Training::lose`].
    pub fn learn(&self, [step, part]: [u64; 2], batch: &Batch, rows: &[u32], labels: &[u32], share: f32) -> Result<()> {
        let teacher = self.teacher.as_ref();
        let taught = teacher.map(|teacher| teacher.model.forward(&teacher.engine, batch, Some(rows))).transpose()?;
        self.engine.begin(step, part as u32);
        let logits = self.student.forward(&self.engine, batch, Some(rows))?; // [M, V]
        self.lose_words(&logits, taught.as_ref(), labels, share)?;
        if let Some(teacher) = teacher {
            self.lose_hidden(teacher, share)?;
            self.lose_attention(teacher, share)?;
        }
        self.engine.backward()
    }

    /// The losses at the masks.
    fn lose_words(&self, logits: &B::Tensor, taught: Option<&B::Tensor>, labels: &[u32], share: f32) -> Result<()> {
        let Objective { masked_lm, divergence, temperature, soft_cross_entropy, .. } = self.objective;
        if masked_lm > 0.0 {
            self.engine.lose("masked_lm", Term::CrossEntropy { logits, labels }, share * masked_lm)?;
        }
        let Some(teacher) = taught else { return Ok(()) };
        if divergence > 0.0 {
            let weight = share * divergence * temperature * temperature;
            self.engine.lose("divergence", Term::Divergence { logits, teacher, temperature }, weight)?;
        }
        if soft_cross_entropy > 0.0 {
            let term = Term::SoftCrossEntropy { logits, teacher };
            self.engine.lose("soft_cross_entropy", term, share * soft_cross_entropy)?;
        }
        Ok(())
    }

    fn lose_hidden(&self, teacher: &Teacher<B>, share: f32) -> Result<()> {
        let Some(loss) = &self.objective.hidden else { return Ok(()) };
        for [s, t] in &loss.layers {
            let (x, taught) =
                (seen(&self.engine, Site::HiddenState(*s))?, seen(&teacher.engine, Site::HiddenState(*t))?);
            let x = match &self.projector {
                Some(projector) => self.engine.linear(&x, projector, Activation::None)?, // [R, the teacher's width]
                None => x,
            };
            let (x, teacher) = (&x, &taught);
            let term = match loss.measure {
                Measure::Cosine => Term::Cosine { x, teacher },
                _ => Term::MeanSquares { x, teacher },
            };
            self.engine.lose("hidden", term, share * loss.weight)?;
        }
        Ok(())
    }

    fn lose_attention(&self, teacher: &Teacher<B>, share: f32) -> Result<()> {
        let Some(loss) = &self.objective.attention else { return Ok(()) };
        for [s, t] in &loss.layers {
            let (map, taught) =
                (seen(&self.engine, Site::AttentionMap(*s))?, seen(&teacher.engine, Site::AttentionMap(*t))?);
            let term = match loss.measure {
                Measure::Divergence => Term::MapDivergence { map: &map, teacher: &taught },
                _ => Term::MeanSquares { x: &map, teacher: &taught },
            };
            self.engine.lose("attention", term, share * loss.weight)?;
        }
        Ok(())
    }
}

fn seen<B: Training>(engine: &B, site: Site) -> Result<B::Tensor> {
    engine.seen(site).ok_or_else(|| Error::new(ErrorKind::Backend, format!("the model has no {site:?}")))
}

fn projector<B: Training>(engine: &B, from: usize, to: usize, seed: u64) -> Result<Linear<B>> {
    const SITE: u64 = 0x7072_6f6a;
    let stream = Stream::new(seed, 0, SITE);
    let bound = 1.0 / (from as f32).sqrt();
    let draw =
        |first: usize, n: usize| (first..first + n).map(|i| bound * (2.0 * stream.uniform(i as u32) - 1.0)).collect();
    let stored = |leaf: &str, rows: usize, columns: usize, values| Stored {
        name: format!("{PROJECTOR}.{leaf}"),
        rows,
        columns,
        values: Values::F32(values),
        transposed: false,
    };
    Ok(Linear {
        weight: engine.matrix(&[stored("weight", to, from, draw(0, to * from))])?,
        bias: Some(engine.vector(&[stored("bias", 1, to, draw(to * from, to))])?),
    })
}

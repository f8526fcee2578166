//! A student, and the teacher that it learns from, on one kind of engine.

use std::collections::{BTreeMap, BTreeSet};

use super::objective::{LayerLoss, Measure, Objective};
use crate::backend::candle::kernels::random::Stream;
use crate::backend::top_words::TopWords;
use crate::backend::training::{Term, Training};
use crate::backend::{Activation, Backend, Linear, Site, Stored, Values};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Batch, MaskedLm};
use crate::train::corpus::MaskedBatch;

/// Who is learnt from: an engine that does not learn, and its model.
pub struct Teacher<B: Training> {
    /// Answers only.
    pub engine: B,
    /// Its model.
    pub model: MaskedLm<B>,
    /// Its `hidden_size`.
    pub width: usize,
    /// Whether it drops values while it answers, as its model says and its engine draws: one made to drop, with a seed that
    /// is not the student's.
    pub drops: bool,
}

impl<B: Training> Teacher<B> {
    /// What it says at these rows, `[M, V]`, of a part of a step.
    fn answer(&self, step: u64, part: u32, input: &Batch, rows: &[u32]) -> Result<B::Tensor> {
        if self.drops {
            self.engine.begin(step, part);
        }
        self.model.forward(&self.engine, input, Some(rows))
    }
}

/// What the teacher says at the masks of a part of a step.
enum Said<'a, T> {
    /// There is none.
    Nothing,
    /// Now, of all words: logits `[M, V]`.
    All(&'a T),
    /// Before, of the likeliest.
    Likeliest(&'a TopWords),
}

/// What a model showed of one batch.
type Seen<B> = BTreeMap<Site, <B as Backend>::Tensor>;

/// How much a part of a step counts: its share of the masks, of the rows and of the elements of attention maps of the whole
/// step. So a step is the same in however many parts it is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Of the losses at the masks.
    pub words: f32,
    /// Of those of hidden states.
    pub states: f32,
    /// Of those of attention maps.
    pub maps: f32,
}

impl Share {
    /// Of a step in one part.
    pub const WHOLE: Self = Self { words: 1.0, states: 1.0, maps: 1.0 };

    /// Of each part of a step.
    pub fn of(parts: &[MaskedBatch]) -> Vec<Self> {
        Self::among(&parts.iter().map(Self::counts).collect::<Vec<_>>())
    }

    /// The masks, rows and elements of attention maps of a part.
    pub fn counts(part: &MaskedBatch) -> [f64; 3] {
        let squares = part.input.lengths.ranges().map(|rows| rows.len() * rows.len()).sum::<usize>();
        [part.rows.len(), part.input.lengths.rows(), squares].map(|count| count as f64)
    }

    /// Of each part of a step, by the counts of all its parts, whoever does them.
    pub fn among(counts: &[[f64; 3]]) -> Vec<Self> {
        let whole = counts.iter().fold([0.0; 3], |sum, part| [sum[0] + part[0], sum[1] + part[1], sum[2] + part[2]]);
        let share = |part: &[f64; 3], i: usize| (part[i] / whole[i].max(1.0)) as f32;
        counts.iter().map(|part| Self { words: share(part, 0), states: share(part, 1), maps: share(part, 2) }).collect()
    }
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

/// Where the projector is kept: the model that is saved has no weight below it.
pub const PROJECTOR: &str = "projector.";

/// The name of the cross-entropy with the words behind the masks, weighted while learning and plain when held out.
pub const MASKED_LM: &str = "masked_lm";

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

    /// Forward, losses and backward for one part of a step.
    ///
    /// # Errors
    /// As [`MaskedLm::forward`] and [`Training::lose`].
    pub fn learn(&self, step: u64, part: u32, batch: &MaskedBatch, share: Share) -> Result<()> {
        self.lose(step, part, batch, share)?;
        self.engine.backward()
    }

    /// [`Self::learn`] up to the losses: the backward pass is still to come.
    ///
    /// # Errors
    /// As [`MaskedLm::forward`] and [`Training::lose`].
    pub fn lose(&self, step: u64, part: u32, batch: &MaskedBatch, share: Share) -> Result<()> {
        let teacher = self.teacher.as_ref();
        let taught = teacher.map(|teacher| teacher.answer(step, part, &batch.input, &batch.rows)).transpose()?;
        self.lose_from(step, part, batch, share, taught.as_ref().map_or(Said::Nothing, Said::All))
    }

    /// [`Self::lose`] from what a teacher said before at the masks of this part, and from no other.
    ///
    /// # Errors
    /// As [`Self::lose`]; words of other rows.
    pub fn lose_again(&self, step: u64, part: u32, batch: &MaskedBatch, share: Share, said: &TopWords) -> Result<()> {
        self.lose_from(step, part, batch, share, Said::Likeliest(said))
    }

    fn lose_from(
        &self,
        step: u64,
        part: u32,
        batch: &MaskedBatch,
        share: Share,
        said: Said<'_, B::Tensor>,
    ) -> Result<()> {
        let MaskedBatch { input, rows, labels } = batch;
        self.engine.begin(step, part);
        let logits = self.student.forward(&self.engine, input, Some(rows))?; // [M, V]
        if !rows.is_empty() {
            self.lose_words(&logits, &said, labels, share.words)?;
        }
        if let (Some(teacher), Said::All(_)) = (&self.teacher, &said) {
            let [own, taught] = self.seen(teacher)?;
            self.lose_hidden(&own, &taught, share.states)?;
            self.lose_attention(&own, &taught, share.maps)?;
        }
        Ok(())
    }

    /// The mean cross-entropy with the words behind the masks, over all batches, without learning anything; nothing
    /// without masks. Asked for after [`Training::update`], before the next step begins.
    ///
    /// # Errors
    /// As [`MaskedLm::forward`] and [`Training::lose`].
    pub fn held_out(&self, batches: &[MaskedBatch]) -> Result<Option<f64>> {
        let masks: usize = batches.iter().map(|batch| batch.rows.len()).sum();
        // Forgets the losses of the last step, then answers without dropout and without a record.
        self.engine.begin(0, 0);
        self.engine.evaluate();
        for MaskedBatch { input, rows, labels } in batches.iter().filter(|batch| !batch.rows.is_empty()) {
            let logits = self.student.forward(&self.engine, input, Some(rows))?; // [M, V]
            let weight = rows.len() as f32 / masks as f32;
            self.engine.lose(MASKED_LM, Term::CrossEntropy { logits: &logits, labels }, weight)?;
            self.engine.evaluate();
        }
        Ok(self.engine.report()?.losses.get(MASKED_LM).copied())
    }

    /// What both models showed. A state may be compared with several others, so all are taken before any loss.
    fn seen(&self, teacher: &Teacher<B>) -> Result<[Seen<B>; 2]> {
        let [own, taught] = self.objective.sites();
        let of = |engine: &B, sites: Vec<Site>| -> Result<Seen<B>> {
            let sites: BTreeSet<Site> = sites.into_iter().collect();
            let missing = |site: Site| Error::new(ErrorKind::Backend, format!("the model showed no {site:?}"));
            sites.into_iter().map(|site| Ok((site, engine.seen(site).ok_or_else(|| missing(site))?))).collect()
        };
        Ok([of(&self.engine, own)?, of(&teacher.engine, taught)?])
    }

    /// The losses at the masks.
    fn lose_words(&self, logits: &B::Tensor, said: &Said<'_, B::Tensor>, labels: &[u32], share: f32) -> Result<()> {
        let Objective { masked_lm, divergence, temperature, soft_cross_entropy, .. } = self.objective;
        if masked_lm > 0.0 {
            self.engine.lose(MASKED_LM, Term::CrossEntropy { logits, labels }, share * masked_lm)?;
        }
        let [soft, cross] = match said {
            Said::Nothing => return Ok(()),
            Said::All(teacher) => {
                [Term::Divergence { logits, teacher, temperature }, Term::SoftCrossEntropy { logits, teacher }]
            }
            Said::Likeliest(teacher) => {
                [Term::TopDivergence { logits, teacher }, Term::TopSoftCrossEntropy { logits, teacher }]
            }
        };
        if divergence > 0.0 {
            self.engine.lose("divergence", soft, share * divergence * temperature * temperature)?;
        }
        if soft_cross_entropy > 0.0 {
            self.engine.lose("soft_cross_entropy", cross, share * soft_cross_entropy)?;
        }
        Ok(())
    }

    fn lose_hidden(&self, own: &Seen<B>, taught: &Seen<B>, share: f32) -> Result<()> {
        let Some(loss) = &self.objective.hidden else { return Ok(()) };
        for [s, t] in &loss.layers {
            let (x, teacher) = (&own[&Site::HiddenState(*s)], &taught[&Site::HiddenState(*t)]);
            let projected = self.projector.as_ref().map(|layer| self.engine.linear(x, layer, Activation::None));
            let projected = projected.transpose()?; // [R, the teacher's width]
            let x = projected.as_ref().unwrap_or(x);
            let term = match loss.measure {
                Measure::Cosine => Term::Cosine { x, teacher },
                _ => Term::MeanSquares { x, teacher },
            };
            self.engine.lose("hidden", term, share * loss.weight)?;
        }
        Ok(())
    }

    fn lose_attention(&self, own: &Seen<B>, taught: &Seen<B>, share: f32) -> Result<()> {
        let Some(loss) = &self.objective.attention else { return Ok(()) };
        for [s, t] in &loss.layers {
            let (map, teacher) = (&own[&Site::AttentionMap(*s)], &taught[&Site::AttentionMap(*t)]);
            let term = match loss.measure {
                Measure::Divergence => Term::MapDivergence { map, teacher },
                _ => Term::MeanSquares { x: map, teacher },
            };
            self.engine.lose("attention", term, share * loss.weight)?;
        }
        Ok(())
    }
}

fn projector<B: Training>(engine: &B, from: usize, to: usize, seed: u64) -> Result<Linear<B>> {
    const SITE: u64 = 0x7072_6f6a;
    let stream = Stream::new(seed, 0, SITE);
    let bound = 1.0 / (from as f32).sqrt();
    let draw =
        |first: usize, n: usize| (first..first + n).map(|i| bound * (2.0 * stream.uniform(i as u32) - 1.0)).collect();
    let stored = |leaf: &str, rows: usize, columns: usize, values| Stored {
        name: format!("{PROJECTOR}{leaf}"),
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

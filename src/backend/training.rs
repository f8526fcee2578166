//! What training asks of an engine: a forward pass that can be walked back, losses, and weights that move.
//!
//! An engine that trains keeps its weights by name. A step is [`Training::begin`], a forward pass, some
//! [`Training::lose`] or [`Training::seed`], [`Training::backward`] (these four again for each part of an accumulated
//! step), [`Training::update`], and, when somebody wants to know, [`Training::report`].

use std::collections::BTreeMap;
use std::ops::Range;

use super::adamw::Settings;
use super::top_words::TopWords;
use super::tuning::{Beside, Tuning};
use super::{Backend, Site, Stored};
use crate::error::{Error, ErrorKind, Result};

/// An engine that can learn.
pub trait Training: Backend {
    /// The weights that models took over from their files, in the order of their names.
    fn layouts(&self) -> Vec<Layout>;

    /// Says which of the weights that models take over from here on learn, and what stands beside them. Without it all learn.
    /// What does not learn has no gradient, no moments and no average, and no step changes it.
    fn tune(&self, tuning: Tuning);

    /// What is kept of a weight, row by row.
    ///
    /// # Errors
    /// A name that no model loaded.
    fn read(&self, name: &str, what: Quantity) -> Result<Vec<f32>>;

    /// Replaces what is kept of a weight.
    ///
    /// # Errors
    /// A name that no model loaded, another number of values.
    fn write(&self, name: &str, what: Quantity, values: &[f32]) -> Result<()>;

    /// Begins a part of a training step: dropout is active from here on and draws what belongs to this step and part,
    /// and operations are recorded until [`Self::backward`].
    fn begin(&self, step: u64, part: u32);

    /// Back to answers only, over the same weights.
    fn evaluate(&self);

    /// Adds to the gradient of a tensor of the forward pass what was worked out elsewhere, row by row.
    ///
    /// # Errors
    /// Another length than the tensor's.
    fn seed(&self, x: &Self::Tensor, gradient: Vec<f32>) -> Result<()>;

    /// Adds `weight · term` to the loss `name` of this step, and its slope to the gradients.
    ///
    /// # Errors
    /// Tensors that do not fit together.
    fn lose(&self, name: &'static str, term: Term<'_, Self::Tensor>, weight: f32) -> Result<()>;

    /// Keeps what forward passes show at these sites, from here on. A loss on what was kept reaches the weights.
    fn watch(&self, sites: &[Site]);

    /// Takes what the last forward pass showed at a site.
    fn seen(&self, at: Site) -> Option<Self::Tensor>;

    /// Walks the forward pass back and adds to the gradients of all weights that learn. Leaves the engine in evaluation.
    ///
    /// # Errors
    /// A failure of the engine.
    fn backward(&self) -> Result<()> {
        self.backward_telling(&mut |_| Ok(()))
    }

    /// [`Self::backward`] that names each weight once this pass adds nothing more to its gradient, while it goes on with
    /// the others. The order follows from the operations of the forward pass, not from the batch.
    ///
    /// # Errors
    /// A failure of the engine; what `complete` says.
    fn backward_telling(&self, complete: &mut dyn FnMut(&str) -> Result<()>) -> Result<()>;

    /// Forgets the moments of the optimizer. With `average` a moving average of the weights is kept from here on.
    ///
    /// # Errors
    /// A failure of the engine.
    fn restart(&self, average: bool) -> Result<()>;

    /// Moves all weights that learn against their gradients and clears these. `step` counts from 1 since [`Self::restart`]; `rate`
    /// gives the learning rate of a weight by its name. Gradients that are not finite move nothing.
    ///
    /// # Errors
    /// A failure of the engine.
    fn update(&self, settings: &Settings, step: u64, rate: &dyn Fn(&str) -> f64) -> Result<()>;

    /// Waits for the last step and tells how it went.
    ///
    /// # Errors
    /// A failure of the engine.
    fn report(&self) -> Result<Report>;

    /// Exchanges the weights with their moving average, if there is one; a second call undoes it.
    ///
    /// # Errors
    /// A failure of the engine.
    fn swap_average(&self) -> Result<()>;
}

/// What an engine keeps of each weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The weight itself.
    Value,
    /// The sum of the gradients since the last update.
    Gradient,
    /// The optimizer's mean of gradients.
    First,
    /// The optimizer's mean of their squares.
    Second,
    /// The moving average of the weight; of no values where none is kept.
    Average,
}

/// One loss, a number of no unit. What is compared with a teacher's comes from the same engine and gets no gradient.
#[derive(Clone, Copy, Debug)]
pub enum Term<'a, T> {
    /// Mean over rows of `logsumexp(z) − z[label]`. Logits `[M, V]`, labels `[M]`.
    CrossEntropy {
        /// `[M, V]`.
        logits: &'a T,
        /// `[M]`.
        labels: &'a [u32],
    },
    /// Mean over rows of `KL(softmax(teacher / T) ‖ softmax(logits / T))`, summed over the vocabulary.
    Divergence {
        /// `[M, V]`.
        logits: &'a T,
        /// `[M, V]`.
        teacher: &'a T,
        /// `T`.
        temperature: f32,
    },
    /// Mean over rows of the cross-entropy with the teacher's distribution: [`Term::Divergence`] at temperature 1 and the
    /// entropy of the teacher, which has no slope.
    SoftCrossEntropy {
        /// `[M, V]`.
        logits: &'a T,
        /// `[M, V]`.
        teacher: &'a T,
    },
    /// [`Term::Divergence`] against a teacher of whom only the likeliest words were kept, at their temperature.
    TopDivergence {
        /// `[M, V]`.
        logits: &'a T,
        /// Of `M` rows.
        teacher: &'a TopWords,
    },
    /// [`Term::SoftCrossEntropy`] against such a teacher, at the temperature of what was kept.
    TopSoftCrossEntropy {
        /// `[M, V]`.
        logits: &'a T,
        /// Of `M` rows.
        teacher: &'a TopWords,
    },
    /// Mean over rows of `1 − cos(x, teacher)`.
    Cosine {
        /// `[R, H]`.
        x: &'a T,
        /// `[R, H]`.
        teacher: &'a T,
    },
    /// Mean over all elements of `(x − teacher)²`: of hidden states and of attention maps.
    MeanSquares {
        /// Any shape.
        x: &'a T,
        /// The same shape.
        teacher: &'a T,
    },
    /// Mean over all elements of `p · ln(p / q)` with `1e-12` added to both: `p` the teacher's attention map, `q` this one.
    MapDivergence {
        /// As [`Site::AttentionMap`].
        map: &'a T,
        /// The same shape.
        teacher: &'a T,
    },
}

/// How a step went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// `Σ weight · term` of each name.
    pub losses: BTreeMap<&'static str, f64>,
    /// The norm of all gradients together, before clipping.
    pub gradient_norm: f64,
    /// The steps since [`Training::restart`] that moved nothing; absent where all moved.
    pub skipped: Option<Skipped>,
}

/// Steps whose gradients were not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The first of them, as [`Training::update`] was told.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What a weight is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A dense layer's weight, `[outputs, inputs]`.
    Matrix,
    /// Rows to look up; only the rows that a step looks up get a gradient.
    Table,
    /// A bias, or the scale or shift of a norm.
    Vector,
}

/// Rows of a weight that one name in a file stands for: query, key and value are three parts of one matrix.
#[derive(Clone, Debug)]
pub struct Part {
    /// The full Hugging Face name.
    pub name: String,
    /// Rows of the weight; for a vector its elements.
    pub rows: Range<usize>,
    /// The file holds it transposed.
    pub transposed: bool,
}

/// What a weight is used as, and where its parts lie in it.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What it is used as.
    pub kind: Kind,
    /// In the order of their rows; at least one.
    pub parts: Vec<Part>,
    /// The width of a row; 1 for a vector.
    pub columns: usize,
    /// Whether it learns.
    pub learns: bool,
    /// Low-rank matrices beside its parts, which are weights of their own.
    pub beside: Vec<Beside>,
}

impl Layout {
    /// Of parts that lie one after the other.
    ///
    /// # Errors
    /// No parts.
    pub fn new(kind: Kind, stored: &[Stored]) -> Result<Self> {
        let Some(first) = stored.first() else {
            return Err(Error::new(ErrorKind::Backend, "a weight of no parts"));
        };
        let (mut parts, mut rows) = (Vec::new(), 0);
        for part in stored {
            let here = if kind == Kind::Vector { part.columns } else { part.rows };
            parts.push(Part { name: part.name.clone(), rows: rows..rows + here, transposed: part.transposed });
            rows += here;
        }
        let columns = if kind == Kind::Vector { 1 } else { first.columns };
        Ok(Self { kind, parts, columns, learns: true, beside: Vec::new() })
    }

    /// The name of the first part: unique, and the key under which everything about this weight is kept.
    pub fn name(&self) -> &str {
        self.parts.first().map_or("", |part| &part.name)
    }

    /// Rows of all parts.
    pub fn rows(&self) -> usize {
        self.parts.last().map_or(0, |part| part.rows.end)
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.rows() * self.columns
    }

    /// Whether it holds no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

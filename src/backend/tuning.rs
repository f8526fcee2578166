//! Which weights learn, and low-rank matrices beside those that do not.
//!
//! LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022 (arXiv 2106.09685). A part `W` `[n, K]` of
//! a matrix gets `A` `[r, K]` and `B` `[n, r]`, and its outputs become `x · Wᵀ + scale · dropout(x) · Aᵀ · Bᵀ`. No gradient of
//! the size of `W` is made.

use std::ops::Range;
use std::sync::Arc;

use super::Stored;
use super::training::Layout;
use crate::error::{Error, ErrorKind, Result};

/// Says of a weight, by its name, whether it learns; of a stack by the name of its first part.
pub type Learns = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Says of a part of a matrix what stands beside it, if anything.
pub type Companions = Box<dyn Fn(&Stored) -> Option<LowRank> + Send + Sync>;

/// What an engine makes of the weights that models take over.
pub struct Tuning {
    /// Which weights learn.
    pub learns: Learns,
    /// What stands beside them.
    pub beside: Companions,
}

impl Default for Tuning {
    /// All weights learn, and nothing stands beside them.
    fn default() -> Self {
        Self { learns: Box::new(|_| true), beside: Box::new(|_| None) }
    }
}

/// The low-rank matrices beside a part of a matrix.
#[derive(Clone)]
pub struct LowRank {
    /// `A`, `[r, K]`.
    pub a: Stored,
    /// `B`, `[n, r]`.
    pub b: Stored,
    /// What their product counts.
    pub scale: f32,
    /// The share of inputs that training drops on their way to `A`.
    pub dropout: f32,
}

/// Where a [`LowRank`] stands, in a [`Layout`].
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// Rows of the weight: outputs of the layer.
    pub rows: Range<usize>,
    /// The name of `A`.
    pub a: String,
    /// The name of `B`.
    pub b: String,
    /// What their product counts.
    pub scale: f32,
}

/// A [`LowRank`] as an engine holds it.
pub(super) struct Pair<P> {
    /// Outputs of the layer.
    pub(super) rows: Range<usize>,
    pub(super) a: Arc<P>,
    pub(super) b: Arc<P>,
    pub(super) scale: f32,
    pub(super) dropout: f32,
}

impl Beside {
    /// The names of both matrices.
    pub fn names(&self) -> [&str; 2] {
        [&self.a, &self.b]
    }
}

impl Tuning {
    /// What stands beside the parts of a matrix; `take` makes a weight of the engine.
    ///
    /// # Errors
    /// Shapes that do not fit the part; what `take` says.
    pub(super) fn pairs<P>(
        &self,
        parts: &[Stored],
        take: impl Fn(Stored) -> Result<Arc<P>>,
    ) -> Result<Vec<Arc<Pair<P>>>> {
        let (mut pairs, mut row) = (Vec::new(), 0);
        for part in parts {
            let rows = row..row + part.rows;
            row = rows.end;
            if let Some(LowRank { a, b, scale, dropout }) = (self.beside)(part) {
                let found = ([a.rows, a.columns], [b.rows, b.columns]);
                let expected = ([b.columns, part.columns], [part.rows, a.rows]);
                if found != expected || a.rows == 0 {
                    let message = format!("{}: expected low-rank matrices {expected:?}, found {found:?}", part.name);
                    return Err(Error::new(ErrorKind::Backend, message));
                }
                pairs.push(Arc::new(Pair { rows, a: take(a)?, b: take(b)?, scale, dropout }));
            }
        }
        Ok(pairs)
    }
}

impl<P> Pair<P> {
    /// What a layout says of it.
    pub(super) fn beside<'a>(&'a self, layout: impl Fn(&'a P) -> &'a Layout) -> Beside {
        let name = |weight| layout(weight).name().to_owned();
        Beside { rows: self.rows.clone(), a: name(&self.a), b: name(&self.b), scale: self.scale }
    }
}

//! Two engines for one model: a fast one that may fail, and a sure one that goes on from there.
//!
//! Every weight is held in both forms, tables in the one that both look up in, so that a pass which the fast engine could not
//! end is done again at once, in the middle of a note. Which engine computes is decided anew by every [`Backend::embed`], the
//! first operation of a pass.

use std::ops::Range;
use std::sync::Mutex;

use super::{Activation, Backend, Lengths, Linear, Norm, Qkv, Stored};
use crate::error::{Error, ErrorKind, Result};

/// The fast engine while it works and is preferred, the sure one else.
pub struct Fallback<F: Backend, S: Backend> {
    fast: Option<F>,
    sure: S,
    choice: Mutex<Choice>,
    listener: Option<Listener>,
}

/// Hears what is chosen when the fast engine is given up.
type Listener = Box<dyn Fn(&Choice) + Send + Sync>;

/// Which engine computes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whether it is the fast one.
    pub fast: bool,
    /// For a reader: `no adapter`, `faster than simd in a trial`; empty where it goes without saying.
    pub reason: String,
}

/// A weight in the form of each engine.
#[derive(Clone)]
pub struct Both<F, S> {
    fast: Option<F>,
    sure: S,
}

/// An activation of one of the engines.
#[derive(Clone)]
pub enum Either<F, S> {
    /// Of the fast one.
    Fast(F),
    /// Of the sure one.
    Sure(S),
}

impl<F: Backend, S: Backend> Fallback<F, S> {
    /// The fast engine until it fails; `reason` says why it is taken.
    pub fn new(fast: F, sure: S, reason: impl Into<String>) -> Self {
        Self::with(Some(fast), sure, Choice { fast: true, reason: reason.into() })
    }

    /// The sure engine alone; `reason` says what is wrong with the other.
    pub fn without(sure: S, reason: impl Into<String>) -> Self {
        Self::with(None, sure, Choice { fast: false, reason: reason.into() })
    }

    fn with(fast: Option<F>, sure: S, choice: Choice) -> Self {
        Self { fast, sure, choice: Mutex::new(choice), listener: None }
    }

    /// Tells it at once when the fast engine fails and is given up, by the thread that it fails.
    #[must_use]
    pub fn telling(self, listener: impl Fn(&Choice) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..self }
    }

    /// The fast engine, if there is one, chosen or not.
    pub fn fast(&self) -> Option<&F> {
        self.fast.as_ref()
    }

    /// Which engine computes from now on. A fast engine that there is none of is not taken.
    pub fn prefer(&self, fast: bool, reason: impl Into<String>) {
        self.choose(Choice { fast: fast && self.fast.is_some(), reason: reason.into() });
    }

    /// Which engine computes, and why.
    pub fn choice(&self) -> Choice {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Choice> {
        self.choice.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn choose(&self, choice: Choice) {
        *self.lock() = choice;
    }

    fn chosen(&self) -> Option<&F> {
        self.fast.as_ref().filter(|_| self.lock().fast)
    }

    /// What the fast engine makes of a weight, unless it cannot take it: then it is done without.
    fn on_fast<T>(&self, make: impl FnOnce(&F) -> Result<T>) -> Option<T> {
        let fast = self.chosen()?;
        make(fast).map_err(|error| self.give_up(fast, &error)).ok()
    }

    /// Several threads may fail at once: the first says why.
    fn give_up(&self, fast: &F, error: &Error) {
        let mut choice = self.lock();
        if !choice.fast {
            return;
        }
        *choice = Choice { fast: false, reason: format!("{}: {error}", fast.name()) };
        let told = choice.clone();
        drop(choice);
        self.listener.iter().for_each(|listener| listener(&told));
    }
}

/// Weights and activations of a model that was loaded while there was no fast engine, or of two models.
fn mixed() -> Error {
    Error::new(ErrorKind::Backend, "fallback: a weight or an activation is of another engine")
}

impl<F, S> Both<F, S> {
    fn fast(&self) -> Result<&F> {
        self.fast.as_ref().ok_or_else(mixed)
    }
}

impl<F, S> Either<F, S> {
    fn fast(&self) -> Result<&F> {
        match self {
            Self::Fast(x) => Ok(x),
            Self::Sure(_) => Err(mixed()),
        }
    }

    fn sure(&self) -> Result<&S> {
        match self {
            Self::Sure(x) => Ok(x),
            Self::Fast(_) => Err(mixed()),
        }
    }
}

impl<F: Backend, S: Backend> Fallback<F, S> {
    /// An operation on one activation, by its own engine.
    fn on<O: FnOnce(&F, &F::Tensor) -> Result<F::Tensor>, P: FnOnce(&S, &S::Tensor) -> Result<S::Tensor>>(
        &self,
        x: &Either<F::Tensor, S::Tensor>,
        fast: O,
        sure: P,
    ) -> Result<Either<F::Tensor, S::Tensor>> {
        match x {
            Either::Fast(x) => fast(self.fast.as_ref().ok_or_else(mixed)?, x).map(Either::Fast),
            Either::Sure(x) => sure(&self.sure, x).map(Either::Sure),
        }
    }
}

impl<F, S> Backend for Fallback<F, S>
where
    F: Backend<Matrix: Clone, Vector: Clone>,
    S: Backend<Matrix: Clone, Vector: Clone, Table = F::Table>,
{
    type Tensor = Either<F::Tensor, S::Tensor>;
    type Matrix = Both<F::Matrix, S::Matrix>;
    type Table = S::Table;
    type Vector = Both<F::Vector, S::Vector>;

    fn name(&self) -> &'static str {
        self.chosen().map_or(self.sure.name(), F::name)
    }

    fn reason(&self) -> Option<String> {
        Some(self.choice().reason).filter(|reason| !reason.is_empty())
    }

    fn table(&self, stored: Stored) -> Result<Self::Table> {
        self.sure.table(stored)
    }

    fn matrix(&self, parts: &[Stored]) -> Result<Self::Matrix> {
        Ok(Both { fast: self.on_fast(|fast| fast.matrix(parts)), sure: self.sure.matrix(parts)? })
    }

    fn vector(&self, parts: &[Stored]) -> Result<Self::Vector> {
        Ok(Both { fast: self.on_fast(|fast| fast.vector(parts)), sure: self.sure.vector(parts)? })
    }

    fn embed(&self, sources: &[(&Self::Table, &[u32])]) -> Result<Self::Tensor> {
        match self.chosen() {
            Some(fast) => fast.embed(sources).map(Either::Fast),
            None => self.sure.embed(sources).map(Either::Sure),
        }
    }

    fn linear(&self, x: &Self::Tensor, linear: &Linear<Self>, act: Activation) -> Result<Self::Tensor> {
        let Linear { weight, bias } = linear;
        self.on(
            x,
            |engine, x| {
                let bias = bias.as_ref().map(|bias| bias.fast().cloned()).transpose()?;
                engine.linear(x, &Linear { weight: weight.fast()?.clone(), bias }, act)
            },
            |engine, x| {
                let bias = bias.as_ref().map(|bias| bias.sure.clone());
                engine.linear(x, &Linear { weight: weight.sure.clone(), bias }, act)
            },
        )
    }

    fn add_norm(&self, x: &Self::Tensor, residual: Option<&Self::Tensor>, norm: &Norm<Self>) -> Result<Self::Tensor> {
        let Norm { weight, bias, kind } = norm;
        self.on(
            x,
            |engine, x| {
                let norm = Norm { weight: weight.fast()?.clone(), bias: bias.fast()?.clone(), kind: *kind };
                engine.add_norm(x, residual.map(Either::fast).transpose()?, &norm)
            },
            |engine, x| {
                let norm = Norm { weight: weight.sure.clone(), bias: bias.sure.clone(), kind: *kind };
                engine.add_norm(x, residual.map(Either::sure).transpose()?, &norm)
            },
        )
    }

    fn attention(&self, qkv: Qkv<'_, Self::Tensor>, heads: usize, lengths: &Lengths) -> Result<Self::Tensor> {
        let (Qkv::Joined(first) | Qkv::Apart { query_key: first, .. }) = qkv;
        self.on(
            first,
            |engine, x| match qkv {
                Qkv::Joined(_) => engine.attention(Qkv::Joined(x), heads, lengths),
                Qkv::Apart { value, .. } => {
                    engine.attention(Qkv::Apart { query_key: x, value: value.fast()? }, heads, lengths)
                }
            },
            |engine, x| match qkv {
                Qkv::Joined(_) => engine.attention(Qkv::Joined(x), heads, lengths),
                Qkv::Apart { value, .. } => {
                    engine.attention(Qkv::Apart { query_key: x, value: value.sure()? }, heads, lengths)
                }
            },
        )
    }

    fn add(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor> {
        self.on(x, |engine, x| engine.add(x, y.fast()?), |engine, x| engine.add(x, y.sure()?))
    }

    fn rows(&self, x: &Self::Tensor, rows: &[u32]) -> Result<Self::Tensor> {
        self.on(x, |engine, x| engine.rows(x, rows), |engine, x| engine.rows(x, rows))
    }

    fn columns(&self, x: &Self::Tensor, columns: Range<usize>) -> Result<Self::Tensor> {
        self.on(x, |engine, x| engine.columns(x, columns.clone()), |engine, x| engine.columns(x, columns.clone()))
    }

    fn trigram(&self, x: &Self::Tensor, lengths: &Lengths) -> Result<Self::Tensor> {
        self.on(x, |engine, x| engine.trigram(x, lengths), |engine, x| engine.trigram(x, lengths))
    }

    async fn to_host(&self, x: &Self::Tensor) -> Result<Vec<f32>> {
        match x {
            Either::Fast(x) => self.fast.as_ref().ok_or_else(mixed)?.to_host(x).await,
            Either::Sure(x) => self.sure.to_host(x).await,
        }
    }

    fn busy_rows(&self) -> usize {
        self.chosen().map_or(self.sure.busy_rows(), F::busy_rows)
    }

    /// Whatever went wrong on the fast engine: the sure one does the pass again, though another thread may have given the fast
    /// one up before. Input that one refuses, both would.
    fn recovers(&self, error: &Error) -> bool {
        let Some(fast) = self.fast.as_ref().filter(|_| error.kind() != ErrorKind::Input) else { return false };
        self.give_up(fast, error);
        true
    }
}

//! Which of two engines reads a model: a short trial after it is loaded.
//!
//! Windows of the usual length, one on the sure engine and as many as keep it busy on the fast one, which must give the same
//! answers and be faster.

use std::future::Future;

use super::ner::Tagger;
use super::pass::Pass;
use super::sequences::SequenceClassifier;
use crate::backend::Backend;
use crate::backend::fallback::Fallback;
use crate::error::Result;

/// Largest difference of two logits, relative to the largest logit, that is rounding and not another answer.
const SAME: f32 = 0.01;
/// Passes of each engine of which the faster counts; what is made at the first use is made in the first.
const TIMED: usize = 2;

/// A model that can be asked anything, to see how its engine does.
pub trait Trial<B: Backend> {
    /// What it computes on.
    fn engine(&self) -> &B;
    /// The most rows of a sequence.
    fn max_length(&self) -> usize;
    /// So many sequences of that length, of any words.
    fn trial(&self, sequences: usize) -> Pass;
    /// The logits of each step of a pass.
    fn logits(&self, pass: &Pass) -> impl Future<Output = Result<Vec<Vec<f32>>>>;
}

impl<B: Backend> Trial<B> for Tagger<B> {
    fn engine(&self) -> &B {
        self.backend()
    }

    fn max_length(&self) -> usize {
        self.window().max_length
    }

    fn trial(&self, sequences: usize) -> Pass {
        self.trial(sequences)
    }

    async fn logits(&self, pass: &Pass) -> Result<Vec<Vec<f32>>> {
        Ok(self.judge(pass).await?.into_iter().map(super::ner::Judged::into_logits).collect())
    }
}

impl<B: Backend> Trial<B> for SequenceClassifier<B> {
    fn engine(&self) -> &B {
        self.backend()
    }

    fn max_length(&self) -> usize {
        self.window().max_length
    }

    fn trial(&self, sequences: usize) -> Pass {
        self.trial(sequences)
    }

    async fn logits(&self, pass: &Pass) -> Result<Vec<Vec<f32>>> {
        Ok(self.judge(pass).await?.into_iter().map(super::sequences::Judged::into_logits).collect())
    }
}

/// Takes the faster of two engines. `side_by_side`: passes that the sure one does at a time, each as fast as one alone.
/// `now` counts in any unit. Where there is no fast engine, or it has failed, nothing is tried.
///
/// # Errors
/// A failure of the sure engine.
pub async fn choose<F, S, T>(model: &T, side_by_side: usize, now: impl Fn() -> f64) -> Result<()>
where
    F: Backend<Matrix: Clone, Vector: Clone>,
    S: Backend<Matrix: Clone, Vector: Clone, Table = F::Table>,
    T: Trial<Fallback<F, S>> + ?Sized,
{
    let engine = model.engine();
    if !engine.choice().fast {
        return Ok(());
    }
    let fast_name = engine.name();
    let many = model.trial(engine.busy_rows().div_ceil(model.max_length()));
    let one = model.trial(1);
    engine.prefer(false, "");
    let sure_name = engine.name();
    let sure = fastest(model, &one, &now).await? / (one.rows() * side_by_side) as f64;
    let expected = model.logits(&one).await?;
    engine.prefer(true, "");
    let found = model.logits(&one).await?;
    let fast = fastest(model, &many, &now).await? / many.rows() as f64;
    match () {
        () if !engine.choice().fast => (), // it failed, and the engine says how
        () if !agree(&expected.concat(), &found.concat()) => {
            engine.prefer(false, format!("{fast_name} gave other answers in a trial"))
        }
        // Results name the reason and hold no time: the same question twice gives the same bytes.
        () if fast < sure => engine.prefer(true, format!("faster than {sure_name} in a trial")),
        () => engine.prefer(false, format!("faster than {fast_name} in a trial")),
    }
    Ok(())
}

/// What a pass takes.
async fn fastest<B: Backend>(model: &(impl Trial<B> + ?Sized), pass: &Pass, now: impl Fn() -> f64) -> Result<f64> {
    let mut fastest = f64::INFINITY;
    for _ in 0..TIMED {
        let before = now();
        model.logits(pass).await?;
        fastest = fastest.min(now() - before);
    }
    Ok(fastest)
}

fn agree(expected: &[f32], found: &[f32]) -> bool {
    let largest = expected.iter().fold(0.0, |most: f32, logit| most.max(logit.abs()));
    expected.len() == found.len() && expected.iter().zip(found).all(|(x, y)| (x - y).abs() <= SAME * largest)
}

//! The course of a run, alone or as one of several processes: from its beginning to its end.

use super::progress::Progress;
use super::recipe::Recipe;
use super::run::Run;
use super::start::Start;
use super::{Options, Outcome, Places, Role};
use crate::backend::training::Training;
use crate::error::Result;
use crate::train::parallel::Ranks;

/// Trains by a recipe, on engines that the caller opens.
///
/// # Errors
/// A recipe, a student, a teacher or blocks that do not fit; a file that cannot be read or written; weights that get no
/// gradient; a loss or a gradient that is not finite.
pub fn pretrain<B: Training>(
    recipe: &str,
    places: &Places,
    options: &Options<'_>,
    engine: impl Fn(Role) -> Result<B>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    pretrain_among(&Ranks::alone(), recipe, places, options, engine, progress)
}

/// [`pretrain`] as one of several processes, of which rank 0 writes. All of them need the same files.
///
/// # Errors
/// As [`pretrain`]; a rank that is gone. The others hear of it.
pub fn pretrain_among<B: Training>(
    ranks: &Ranks<B>,
    recipe: &str,
    places: &Places,
    options: &Options<'_>,
    engine: impl Fn(Role) -> Result<B>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    let result = train(ranks, recipe, places, options, engine, progress);
    result.inspect_err(|error| ranks.fail(error))
}

fn train<B: Training>(
    ranks: &Ranks<B>,
    recipe: &str,
    places: &Places,
    options: &Options<'_>,
    engine: impl Fn(Role) -> Result<B>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    let parsed = Recipe::parse(recipe)?;
    let start = Start::new(&parsed, places)?;
    let mut run = Run::prepare(ranks, parsed, recipe, &start, places, &engine, progress)?;
    let finished = run.finished(options)?;
    ranks.agree("recipe, student, teacher, blocks or run folder", &format!("{} {finished:?}", run.position.run))?;
    if let Some(outcome) = finished {
        progress.note("this run has come to its end: there is nothing to go on with");
        return Ok(outcome);
    }
    if !run.ask_once(&engine, options, progress)? {
        return Ok(run.outcome(true));
    }
    run.open(recipe, options)?;
    progress.begins(run.position.step, run.steps);
    let before = ranks.waited();
    while run.goes_on() {
        run.one_step(progress)?;
        if run.pause(options)? {
            return Ok(run.outcome(true));
        }
    }
    if ranks.leads() {
        run.close()?;
    }
    if ranks.size() > 1 {
        let waited = ranks.waited() - before;
        progress.note(&format!("rank 0 of {} waited for the others for {}", ranks.size(), run.clock.share(waited)));
    }
    Ok(run.outcome(false))
}

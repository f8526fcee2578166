//! The steps of several questions on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use clinlite::tasks::pass::Pass;
use clinlite::{Error, Result};
use indicatif::ProgressBar;

use crate::work::Work;

/// A step of a job, by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    job: usize,
    step: usize,
}

/// Of so many threads those that keep the engine busy: while one that takes many rows at once works on a batch, a second one
/// is prepared. The engine may be another than before.
pub(crate) fn busy_threads<W: Work>(work: &W, threads: usize) -> usize {
    if work.busy_rows() > 1 { 2 } else { threads }
}

/// Does all steps of all jobs; the results stand in the order of the jobs and of their steps. Each thread takes the next
/// step that nobody has, so that one long text and many short ones keep all cores busy alike; for an engine that wants
/// more at once it takes several.
pub(crate) fn judge<W: Work>(
    work: &W,
    jobs: &[&W::Job],
    threads: usize,
    bar: &ProgressBar,
) -> Vec<Result<Vec<W::Judged>>> {
    let steps: Vec<Step> =
        jobs.iter().enumerate().flat_map(|(job, of)| (0..W::passes(of)).map(move |step| Step { job, step })).collect();
    let next = AtomicUsize::new(0);
    let take = || steps.get(next.fetch_add(1, Ordering::Relaxed)).copied();
    let worker = || {
        let mut done = Vec::new();
        while let Some(first) = take() {
            let (taken, outcome) = together(work, jobs, first, take);
            bar.inc(taken.len() as u64);
            done.extend(answers(taken, outcome));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..busy_threads(work, threads).min(steps.len())).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            done.extend(other.join().expect("the panic hook ends the process"));
        }
        done
    });
    done.sort_by_key(|(step, _)| *step);
    let mut results: Vec<Result<Vec<W::Judged>>> = jobs.iter().map(|_| Ok(Vec::new())).collect();
    for (Step { job, .. }, judged) in done {
        match (&mut results[job], judged) {
            (Ok(steps), Ok(judged)) => steps.push(judged),
            (result @ Ok(_), Err(error)) => *result = Err(error),
            (Err(_), _) => (),
        }
    }
    results
}

/// One pass over a step, and over the next ones until the engine has enough to do.
fn together<W: Work>(
    work: &W,
    jobs: &[&W::Job],
    first: Step,
    take: impl Fn() -> Option<Step>,
) -> (Vec<Step>, Result<Vec<W::Judged>>) {
    let pass_of = |Step { job, step }| work.pass(jobs[job], step);
    let mut taken = vec![first];
    let mut gather = || {
        let mut pass: Pass = pass_of(first)?;
        while pass.rows() < work.busy_rows()
            && let Some(step) = take()
        {
            taken.push(step);
            pass.append(pass_of(step)?);
        }
        Ok(pass)
    };
    let outcome = gather().and_then(|pass| work.judge(&pass));
    (taken, outcome)
}

/// The answer of each step; a failure is that of all steps of its pass.
fn answers<J>(taken: Vec<Step>, outcome: Result<Vec<J>>) -> Vec<(Step, Result<J>)> {
    match outcome {
        Ok(judged) => taken.into_iter().zip(judged.into_iter().map(Ok)).collect(),
        Err(error) => {
            let again = |step| (step, Err(Error::new(error.kind(), error.to_string())));
            taken.into_iter().map(again).collect()
        }
    }
}

//! Many questions to one model: read, answered on several threads, written in their order. What fails is reported and
//! counted, the rest is done.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use clinlite::backend::Backend;
use clinlite::tasks::pass::Pass;
use indicatif::{ProgressBar, ProgressStyle};

use crate::inputs::{Origin, Question};
use crate::output::{Format, Output};
use crate::{files, pool};

/// An engine whose models several threads may ask at once.
pub(crate) trait Shared:
    Backend<Table: Send + Sync, Matrix: Send + Sync, Vector: Send + Sync> + Send + Sync
{
}

impl<B> Shared for B where B: Backend<Table: Send + Sync, Matrix: Send + Sync, Vector: Send + Sync> + Send + Sync {}

/// How a task is asked and answered.
pub(crate) trait Work: Sync {
    /// What a question is: a text, a pair of texts.
    type Input;
    /// A question on its way through the model.
    type Job: Sync;
    /// What one step gives.
    type Judged: Send;
    /// What is written.
    type Answer;

    fn start(&self, input: &Self::Input) -> Result<Self::Job>;
    fn passes(job: &Self::Job) -> usize;
    /// What the model reads in one step.
    fn pass(&self, job: &Self::Job, step: usize) -> clinlite::Result<Pass>;
    /// One answer a step of the pass.
    fn judge(&self, pass: &Pass) -> clinlite::Result<Vec<Self::Judged>>;
    /// See [`Backend::busy_rows`].
    fn busy_rows(&self) -> usize;
    fn finish(&self, job: Self::Job, judged: Vec<Self::Judged>) -> clinlite::Result<Self::Answer>;
    fn write(&self, out: &mut Output, origin: &Origin, input: &Self::Input, answer: &Self::Answer) -> Result<()>;
}

/// What every subcommand that asks a model lets one choose.
#[derive(Args)]
pub(crate) struct How<F: ValueEnum + Send + Sync + 'static = Format> {
    /// The engine
    #[arg(long, value_enum, default_value = "simd")]
    pub(crate) backend: Engine,
    /// What to write [default: text, or jsonl with --jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<F>,
    /// Threads of the simd engine [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Engine {
    /// int8 or f32 kernels, as the model is stored
    Simd,
    /// f32, the reference
    Candle,
    /// The GPU, through Vulkan or Metal, in builds with the feature webgpu
    Webgpu,
}

impl<F: ValueEnum + Send + Sync + 'static> How<F> {
    /// Questions that are answered side by side. candle spreads one of them over all cores by itself.
    pub(crate) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        match self.backend {
            Engine::Simd => self.threads.map_or_else(cores, NonZeroUsize::get),
            Engine::Candle => 1,
            // One prepares a batch while the GPU works on another.
            Engine::Webgpu => 2,
        }
    }
}

/// Reads questions until there is enough work for all threads, does it, writes the answers in order, and goes on.
pub(crate) fn answer_all<W: Work>(
    work: &W,
    questions: impl Iterator<Item = Result<Question<W::Input>>>,
    threads: usize,
    out: &mut Output,
) -> Result<ExitCode> {
    let (mut waiting, mut passes, mut failures, mut all) = (Vec::new(), 0, 0, 0);
    // Eight for each thread; an engine that wants many rows joins passes of some hundred.
    let enough = 8 * threads * work.busy_rows().div_ceil(128);
    for question in questions {
        all += 1;
        let started = question.and_then(|question| {
            let job = work.start(&question.input).with_context(|| question.origin.shown())?;
            Ok((question, job))
        });
        match started {
            Ok((question, job)) => {
                passes += W::passes(&job);
                waiting.push((question, job));
            }
            Err(error) => {
                files::report(&error);
                failures += 1;
            }
        }
        if passes >= enough || waiting.len() >= 256 {
            failures += finish(work, std::mem::take(&mut waiting), threads, out)?;
            passes = 0;
        }
    }
    failures += finish(work, waiting, threads, out)?;
    if failures > 0 && out.lines {
        eprintln!("clinlite: {failures} of {all} lines failed");
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Answers and writes; the number of questions that failed.
fn finish<W: Work>(
    work: &W,
    started: Vec<(Question<W::Input>, W::Job)>,
    threads: usize,
    out: &mut Output,
) -> Result<usize> {
    let jobs: Vec<&W::Job> = started.iter().map(|(_, job)| job).collect();
    let bar = progress_bar(jobs.iter().map(|job| W::passes(job)).sum());
    let judged = pool::judge(work, &jobs, threads, &bar);
    bar.finish_and_clear();
    let mut failures = 0;
    for ((Question { origin, input }, job), judged) in started.into_iter().zip(judged) {
        match judged.and_then(|judged| work.finish(job, judged)) {
            Ok(answer) => work.write(out, &origin, &input, &answer)?,
            Err(error) => {
                files::report(&anyhow::Error::new(error).context(origin.shown()));
                failures += 1;
            }
        }
    }
    Ok(failures)
}

/// Shows itself on a terminal when the work takes longer than a moment.
fn progress_bar(passes: usize) -> ProgressBar {
    if !io::stderr().is_terminal() || passes < 32 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(passes as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} windows, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

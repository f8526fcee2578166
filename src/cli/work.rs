//! Many questions to one model: read, answered on several threads, written in their order. What fails is reported and
//! counted, the rest is done.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::tasks::pass::Pass;
use clinlite::tasks::trial::Trial;
use indicatif::{ProgressBar, ProgressStyle};

use crate::inputs::{Origin, Question};
use crate::output::{Format, Output};
use crate::{files, pool};

/// An engine whose models several threads may ask at once.
pub(crate) trait Shared:
    Backend<Table: Send + Sync, Matrix: Send + Sync, Vector: Send + Sync> + Send + Sync + Sized
{
    /// Chooses for a model that was loaded between what the engine is made of, where it is two and that was asked for.
    fn settle(_model: &impl Trial<Self>, _how: Asked) -> clinlite::Result<()> {
        Ok(())
    }
}

impl Shared for SimdBackend {}
impl Shared for CandleBackend {}

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
    pub(crate) backend: Choice,
    /// What to write [default: text, or jsonl with --jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<F>,
    /// Threads of the simd engine [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// The engine of what is asked about its numbers.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Engine {
    /// int8 or f32 kernels, as the model is stored
    Simd,
    /// f32, the reference
    Candle,
    /// The GPU, through Vulkan or Metal, in builds with the feature webgpu
    Webgpu,
}

/// The engine that answers questions.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// int8 or f32 kernels, as the model is stored
    Simd,
    /// f32, the reference
    Candle,
    /// The GPU, through Vulkan or Metal, in builds with the feature webgpu; if it is lost, simd goes on
    Webgpu,
    /// webgpu where there is a GPU and a trial of some hundred milliseconds shows that many notes take it less time, else simd
    Auto,
}

/// How an engine is to be used.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) backend: Choice,
    /// Questions that are answered side by side.
    pub(crate) threads: usize,
}

impl<F: ValueEnum + Send + Sync + 'static> How<F> {
    /// candle spreads one question over all cores by itself.
    pub(crate) fn asked(&self) -> Asked {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = match self.backend {
            Choice::Candle => 1,
            Choice::Simd | Choice::Webgpu | Choice::Auto => self.threads.map_or_else(cores, NonZeroUsize::get),
        };
        Asked { backend: self.backend, threads }
    }
}

/// Answers questions and writes the answers in their order.
pub(crate) fn answer_all<W: Work>(
    work: &W,
    questions: impl Iterator<Item = Result<Question<W::Input>>>,
    threads: usize,
    out: &mut Output,
) -> Result<ExitCode> {
    let (mut failures, mut all) = (0, 0);
    answer_each(work, questions.map(|question| ((), question)), threads, progress_bar, |(), answered| {
        all += 1;
        match answered {
            Ok((Question { origin, input }, answer)) => work.write(out, &origin, &input, &answer)?,
            Err(error) => {
                files::report(&error);
                failures += 1;
            }
        }
        Ok(())
    })?;
    if failures > 0 && out.lines {
        eprintln!("clinlite: {failures} of {all} lines failed");
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A question that was answered.
pub(crate) type Answered<W> = (Question<<W as Work>::Input>, <W as Work>::Answer);
/// A question that is waiting for its passes.
type Waiting<W> = (Question<<W as Work>::Input>, <W as Work>::Job);

/// Reads questions until there is enough work for all threads, does it, hands each on in its order, with what came with
/// it or the reason why it has no answer, and goes on. `bar` makes one for so many passes.
pub(crate) fn answer_each<W: Work, T>(
    work: &W,
    questions: impl Iterator<Item = (T, Result<Question<W::Input>>)>,
    threads: usize,
    bar: impl Fn(usize) -> ProgressBar,
    mut each: impl FnMut(T, Result<Answered<W>>) -> Result<()>,
) -> Result<()> {
    let (mut waiting, mut passes) = (Vec::new(), 0);
    // Eight for each thread; an engine that wants many rows joins passes of some hundred.
    let enough = || 8 * pool::busy_threads(work, threads) * work.busy_rows().div_ceil(128);
    let mut finish =
        |waiting: Vec<(T, Result<Waiting<W>>)>, passes| finish(work, waiting, threads, bar(passes), &mut each);
    for (with, question) in questions {
        let started = question.and_then(|question| {
            let job = work.start(&question.input).with_context(|| question.origin.shown())?;
            Ok((question, job))
        });
        passes += started.as_ref().map_or(0, |(_, job)| W::passes(job));
        waiting.push((with, started));
        if passes >= enough() || waiting.len() >= 256 {
            finish(std::mem::take(&mut waiting), std::mem::take(&mut passes))?;
        }
    }
    finish(waiting, passes)
}

/// Answers what is waiting.
fn finish<W: Work, T>(
    work: &W,
    waiting: Vec<(T, Result<Waiting<W>>)>,
    threads: usize,
    bar: ProgressBar,
    each: &mut impl FnMut(T, Result<Answered<W>>) -> Result<()>,
) -> Result<()> {
    let jobs: Vec<&W::Job> = waiting.iter().filter_map(|(_, started)| Some(&started.as_ref().ok()?.1)).collect();
    let judged = pool::judge(work, &jobs, threads, &bar);
    bar.finish_and_clear();
    let mut judged = judged.into_iter();
    for (with, started) in waiting {
        let answered = started.and_then(|(question, job)| {
            let judged = judged.next().unwrap_or_else(|| Ok(Vec::new())); // one a job
            let answer = judged.and_then(|judged| work.finish(job, judged)).with_context(|| question.origin.shown())?;
            Ok((question, answer))
        });
        each(with, answered)?;
    }
    Ok(())
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

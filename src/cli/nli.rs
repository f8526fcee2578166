//! `clinlite nli`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::export::nli;
use clinlite::tasks::nli::Nli;
use clinlite::tasks::pass::Pass;
use clinlite::tasks::sequences::{Answer, Job, Judged};
use serde::Deserialize;

use crate::classify::windows;
use crate::files;
use crate::gpu;
use crate::inputs::{self, Origin, Question};
use crate::output::{Format, Output, printable};
use crate::work::{Choice, How, Shared, Work, answer_all};

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite nli --model runs/nli/model note.txt --hypothesis 'The patient has a fever.'
  clinlite nli --model runs/nli/model --jsonl pairs.jsonl > judged.jsonl

The hypothesis stands whole beside each window of a long premise; nothing is cut off.
A file or line that cannot be judged is named on standard error, the others are still done, and the exit code is 1.
No such model ships: make one with clinlite finetune.")]
pub(crate) struct Arguments {
    /// Premises, texts in UTF-8, one a file; `-` or nothing reads one from standard input
    #[arg(value_name = "FILE")]
    premises: Vec<PathBuf>,
    /// The hypothesis that every premise is asked about
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["hypothesis_file", "jsonl"])]
    hypothesis: Option<String>,
    /// The same from a file: what is typed may stay in the history of a shell
    #[arg(long, value_name = "FILE", conflicts_with = "hypothesis")]
    hypothesis_file: Option<PathBuf>,
    /// Pairs as JSON objects, one a line, with `premise`, `hypothesis` and perhaps `id`; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["premises", "hypothesis", "hypothesis_file"])]
    jsonl: Option<PathBuf>,
    /// The model folder
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    how: How,
}

/// What is asked.
#[derive(Deserialize)]
pub(crate) struct Pair {
    premise: String,
    hypothesis: String,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let folder = files::read_folder(&arguments.model)?;
    let context = || arguments.model.display().to_string();
    match arguments.how.backend {
        Choice::Simd => ask(Nli::load(SimdBackend::new(), &folder).with_context(context)?, &arguments),
        Choice::Candle => {
            let backend = CandleBackend::inference(candle_core::Device::Cpu);
            ask(Nli::load(backend, &folder).with_context(context)?, &arguments)
        }
        Choice::Webgpu => ask(Nli::load(gpu::open()?, &folder).with_context(context)?, &arguments),
        Choice::Auto => ask(Nli::load(gpu::open_if_any()?, &folder).with_context(context)?, &arguments),
    }
}

fn ask<B: Shared>(nli: Nli<B>, arguments: &Arguments) -> Result<ExitCode> {
    let (format, asked) = (arguments.how.format, arguments.how.asked());
    let threads = asked.threads;
    B::settle(nli.sequences(), asked)?;
    if let Some(path) = &arguments.jsonl {
        let questions = inputs::lines::<Pair>(path, r#"{"premise": …, "hypothesis": …}"#)?;
        return answer_all(&nli, questions, threads, &mut Output::new(format, 1, true));
    }
    let hypothesis = match (&arguments.hypothesis, &arguments.hypothesis_file) {
        (Some(hypothesis), _) => hypothesis.clone(),
        (None, Some(path)) => inputs::read_text(path).with_context(|| path.display().to_string())?,
        (None, None) => String::new(), // refused by the parser
    };
    let pair = |question: Question<String>| {
        let pair = Pair { premise: question.input, hypothesis: hypothesis.clone() };
        Question { origin: question.origin, input: pair }
    };
    let questions = inputs::texts(&arguments.premises).map(|premise| premise.map(pair));
    answer_all(&nli, questions, threads, &mut Output::new(format, arguments.premises.len(), false))
}

impl<B: Shared> Work for Nli<B> {
    type Input = Pair;
    type Job = Job;
    type Judged = Judged;
    type Answer = Answer;

    fn start(&self, pair: &Pair) -> Result<Job> {
        Ok(Nli::start(self, &pair.premise, &pair.hypothesis)?)
    }

    fn passes(job: &Job) -> usize {
        job.progress().1
    }

    fn pass(&self, job: &Job, step: usize) -> clinlite::Result<Pass> {
        self.sequences().pass(job, step)
    }

    fn judge(&self, pass: &Pass) -> clinlite::Result<Vec<Judged>> {
        pollster::block_on(self.sequences().judge(pass))
    }

    fn busy_rows(&self) -> usize {
        self.sequences().busy_rows()
    }

    fn finish(&self, mut job: Job, judged: Vec<Judged>) -> clinlite::Result<Answer> {
        judged.into_iter().try_for_each(|pass| job.accept(pass))?;
        Nli::finish(self, job)
    }

    fn write(&self, out: &mut Output, origin: &Origin, pair: &Pair, answer: &Answer) -> Result<()> {
        let document = nli::document(answer, &pair.premise, &pair.hypothesis);
        if out.format != Format::Text {
            return out.document(origin, &document);
        }
        if out.several {
            write!(out.out, "{}: ", printable(&origin.shown()))?;
        }
        writeln!(out.out, "{} {:.3}{}", document.label, document.score, windows(answer))?;
        Ok(out.out.flush()?)
    }
}

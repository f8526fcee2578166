//! `clinlite classify`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::export::classification;
use clinlite::tasks::classify::{Classifier, ClassifyOptions};
use clinlite::tasks::pass::Pass;
use clinlite::tasks::sequences::{Answer, Job, Judged};
use clinlite::tasks::settings;
use serde::Deserialize;

use crate::files;
use crate::gpu;
use crate::inputs::{self, Origin, Question};
use crate::output::{Format, Output, printable};
use crate::work::{Choice, How, Shared, Work, answer_all};

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite classify --model runs/section/model note.txt
  clinlite classify --model runs/section/model --jsonl notes.jsonl > labelled.jsonl

A text longer than a window becomes several that overlap, and their logits one answer; nothing is cut off.
A file or line that cannot be classified is named on standard error, the others are still done, and the exit code is 1.
No such model ships: make one with clinlite finetune.")]
pub(crate) struct Arguments {
    /// Texts in UTF-8, one a file; `-` or nothing reads one text from standard input
    #[arg(value_name = "FILE")]
    texts: Vec<PathBuf>,
    /// Texts as JSON objects, one a line, with `text` and perhaps `id`; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    jsonl: Option<PathBuf>,
    /// The model folder
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    how: How,
    /// How the windows of a long text become one answer [default: as the model was taught, else mean]
    #[arg(long, value_enum)]
    pooling: Option<Pooling>,
    /// The least score of a label that holds, of a model whose labels do not exclude each other
    #[arg(long, value_name = "SCORE", default_value_t = 0.5)]
    threshold: f32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pooling {
    /// of the logits
    Mean,
    /// of the logits, each label by itself
    Max,
}

impl From<Pooling> for settings::Pooling {
    fn from(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Mean => Self::Mean,
            Pooling::Max => Self::Max,
        }
    }
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let folder = files::read_folder(&arguments.model)?;
    let context = || arguments.model.display().to_string();
    match arguments.how.backend {
        Choice::Simd => ask(Classifier::load(SimdBackend::new(), &folder).with_context(context)?, &arguments),
        Choice::Candle => {
            let backend = CandleBackend::inference(candle_core::Device::Cpu);
            ask(Classifier::load(backend, &folder).with_context(context)?, &arguments)
        }
        Choice::Webgpu => ask(Classifier::load(gpu::open()?, &folder).with_context(context)?, &arguments),
        Choice::Auto => ask(Classifier::load(gpu::open_if_any()?, &folder).with_context(context)?, &arguments),
    }
}

fn ask<B: Shared>(classifier: Classifier<B>, arguments: &Arguments) -> Result<ExitCode> {
    let options = ClassifyOptions { pooling: arguments.pooling.map(Into::into), threshold: arguments.threshold };
    let work = Classify { classifier, options };
    let (format, asked) = (arguments.how.format, arguments.how.asked());
    let threads = asked.threads;
    B::settle(work.classifier.sequences(), asked)?;
    if let Some(path) = &arguments.jsonl {
        let questions = inputs::lines::<Text>(path, r#"{"text": …}"#)?;
        let questions =
            questions.map(|line| line.map(|Question { origin, input }| Question { origin, input: input.text }));
        return answer_all(&work, questions, threads, &mut Output::new(format, 1, true));
    }
    let mut out = Output::new(format, arguments.texts.len(), false);
    answer_all(&work, inputs::texts(&arguments.texts), threads, &mut out)
}

/// Texts to a classifier.
struct Classify<B: Shared> {
    classifier: Classifier<B>,
    options: ClassifyOptions,
}

impl<B: Shared> Work for Classify<B> {
    type Input = String;
    type Job = Job;
    type Judged = Judged;
    type Answer = Answer;

    fn start(&self, text: &String) -> Result<Job> {
        Ok(self.classifier.start(text)?)
    }

    fn passes(job: &Job) -> usize {
        job.progress().1
    }

    fn pass(&self, job: &Job, step: usize) -> clinlite::Result<Pass> {
        self.classifier.sequences().pass(job, step)
    }

    fn judge(&self, pass: &Pass) -> clinlite::Result<Vec<Judged>> {
        pollster::block_on(self.classifier.sequences().judge(pass))
    }

    fn busy_rows(&self) -> usize {
        self.classifier.sequences().busy_rows()
    }

    fn finish(&self, mut job: Job, judged: Vec<Judged>) -> clinlite::Result<Answer> {
        judged.into_iter().try_for_each(|pass| job.accept(pass))?;
        self.classifier.finish(job, self.options)
    }

    fn write(&self, out: &mut Output, origin: &Origin, text: &String, answer: &Answer) -> Result<()> {
        let document = classification::document(answer, text);
        if out.format != Format::Text {
            return out.document(origin, &document);
        }
        if out.several {
            write!(out.out, "{}: ", printable(&origin.shown()))?;
        }
        let held = document.labels.iter().map(|held| format!("{} {:.3}", held.label, held.score));
        let held = held.collect::<Vec<_>>().join(", ");
        let held = if held.is_empty() { "no label".into() } else { held };
        writeln!(out.out, "{held}{}", windows(answer))?;
        Ok(out.out.flush()?)
    }
}

/// How a long text was read.
pub(crate) fn windows(answer: &Answer) -> String {
    match answer.coverage.windows {
        1 => String::new(),
        windows => format!("  ({} of {windows} windows)", answer.pooling.name()),
    }
}

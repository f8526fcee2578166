//! `clinlite tag`, also called `ner`.

mod batch;
mod form;
mod knowledge;
mod show;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::export::json;
use clinlite::tasks::ner::{Job, Judged, TagOptions, Tagger, Tagging};
use clinlite::tasks::pass::Pass;
use clinlite::text::{Aggregation, OffsetUnit};
use serde::Deserialize;

use crate::files;
use crate::gpu;
use crate::inputs::{self, Origin, Question};
use crate::output::{Output, Unit};
use crate::work::{Choice, How, Shared, Work, answer_all};

use batch::{Batch, Keys};
pub(crate) use form::Written;
use form::{Fhir, Form};
use knowledge::{Given, Known};

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite tag note.txt                                    read on a terminal
  clinlite tag --format jsonl notes/*.txt > tagged.jsonl   one line a note
  clinlite tag --jsonl notes.jsonl > tagged.jsonl          from one object a line, {\"id\": …, \"text\": …}
  cat note.txt | clinlite tag --format json                one note from standard input
  clinlite tag --format html note.txt > note.html          a page that prints
  clinlite tag notes/ --out tagged/                        a file for each .txt, .jsonl and .parquet below notes/
  clinlite tag notes/ --out tagged.parquet                 all in one table; or tagged.jsonl, tagged.csv

With --out files keep their place and name; the ending says the format. What is there already is kept: the same command
goes on with a run that was stopped, and writes what a run that nothing stopped would have written. Files that are not
whole end in .partial. Links to folders are not followed. Columns of a table: docs/data-formats.md.

A file or line that cannot be tagged is named on standard error, the others are still done, and the exit code is 1.
An empty note is no error: its result has no entities.")]
pub(crate) struct Arguments {
    /// Notes, plain text in UTF-8, one a file; `-` or nothing reads one note from standard input. With --out also folders,
    /// and .jsonl and .parquet files of notes
    #[arg(value_name = "FILE")]
    notes: Vec<PathBuf>,
    /// The folder to write, or one .jsonl, .parquet or .csv file for all notes
    #[arg(long, value_name = "DIR", requires = "notes")]
    out: Option<PathBuf>,
    /// The field or column that holds the text of a note, with --out
    #[arg(long, value_name = "KEY", default_value = "text", requires = "out")]
    text_key: String,
    /// The field or column that holds its id, with --out
    #[arg(long, value_name = "KEY", default_value = "id", requires = "out")]
    id_key: String,
    /// Notes as JSON objects, one a line, with `text` and perhaps `id`; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["notes", "out"])]
    jsonl: Option<PathBuf>,
    /// The model folder [default: $CLINLITE_MODEL, else the model that ships]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    how: How<Form>,
    /// How pieces of words are joined: none, simple, first, average, max
    #[arg(long, value_name = "HOW", default_value = "average", value_parser = aggregation)]
    aggregation: Aggregation,
    /// What start and end count
    #[arg(long, value_enum, default_value = "codepoint")]
    offsets: Unit,
    #[command(flatten)]
    fhir: Fhir,
    #[command(flatten)]
    given: Given,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

fn aggregation(name: &str) -> Result<Aggregation, String> {
    let known = Aggregation::ALL.into_iter().find(|aggregation| aggregation.name() == name);
    known.ok_or_else(|| "expected none, simple, first, average or max".into())
}

pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode> {
    let place = files::find_model(arguments.model.take())?;
    let folder = files::read_folder(&place)?;
    let context = || place.display().to_string();
    match arguments.how.backend {
        Choice::Simd => tag_all(Tagger::load(SimdBackend::new(), &folder).with_context(context)?, &arguments),
        Choice::Candle => {
            let backend = CandleBackend::inference(candle_core::Device::Cpu);
            tag_all(Tagger::load(backend, &folder).with_context(context)?, &arguments)
        }
        Choice::Webgpu => tag_all(Tagger::load(gpu::open()?, &folder).with_context(context)?, &arguments),
        Choice::Auto => tag_all(Tagger::load(gpu::open_if_any()?, &folder).with_context(context)?, &arguments),
    }
}

fn tag_all<B: Shared>(tagger: Tagger<B>, arguments: &Arguments) -> Result<ExitCode> {
    let options = TagOptions { aggregation: arguments.aggregation, ..TagOptions::default() };
    let (lines, files, asked) = (arguments.jsonl.is_some(), arguments.notes.len(), arguments.how.asked());
    let threads = asked.threads;
    B::settle(&tagger, asked)?;
    let form = Form::of(arguments.how.format, lines);
    let written = Written { form, fhir: arguments.fhir.clone().into() };
    let Known { knowledge, hash } = arguments.given.read()?;
    let tagger = tagger.with_knowledge(knowledge);
    let work = Tag { tagger, options, unit: arguments.offsets.into(), written };
    if let Some(out) = &arguments.out {
        let keys = Keys { text: arguments.text_key.clone(), id: arguments.id_key.clone() };
        let (inputs, form) = (&arguments.notes, arguments.how.format);
        let batch = Batch { inputs, out, form, keys, rules: hash, threads };
        return batch::run(&work, &batch);
    }
    form.check(lines || files > 1)?;
    let mut out = Output::new(Some(form.output()), files, lines);
    if let Some(path) = &arguments.jsonl {
        let questions = inputs::lines::<Text>(path, r#"{"text": …}"#)?;
        let questions =
            questions.map(|line| line.map(|Question { origin, input }| Question { origin, input: input.text }));
        return answer_all(&work, questions.map(told), threads, &mut out);
    }
    let questions = inputs::texts(&arguments.notes).map(told);
    answer_all(&work, questions, threads, &mut out)
}

/// Says that a note is empty, which is no error.
fn told(note: Result<Question<String>>) -> Result<Question<String>> {
    note.inspect(|note| {
        if note.input.trim().is_empty() {
            eprintln!("clinlite: {}: the note is empty", note.origin.shown());
        }
    })
}

/// Notes to a tagger.
pub(crate) struct Tag<B: Shared> {
    pub(crate) tagger: Tagger<B>,
    pub(crate) options: TagOptions,
    pub(crate) unit: OffsetUnit,
    pub(crate) written: Written,
}

impl<B: Shared> Work for Tag<B> {
    type Input = String;
    type Job = Job;
    type Judged = Judged;
    type Answer = Tagging;

    fn start(&self, note: &String) -> Result<Job> {
        Ok(self.tagger.start(note, self.options)?)
    }

    fn passes(job: &Job) -> usize {
        job.progress().1
    }

    fn pass(&self, job: &Job, step: usize) -> clinlite::Result<Pass> {
        self.tagger.pass(job, step)
    }

    fn judge(&self, pass: &Pass) -> clinlite::Result<Vec<Judged>> {
        pollster::block_on(self.tagger.judge(pass))
    }

    fn busy_rows(&self) -> usize {
        self.tagger.busy_rows()
    }

    fn finish(&self, mut job: Job, judged: Vec<Judged>) -> clinlite::Result<Tagging> {
        judged.into_iter().try_for_each(|window| job.accept(window))?;
        self.tagger.finish(job)
    }

    fn write(&self, out: &mut Output, origin: &Origin, note: &String, tagging: &Tagging) -> Result<()> {
        let document = json::document(tagging, note, self.unit).with_context(|| origin.shown())?;
        if self.written.form != Form::Text {
            return self.written.write(out, origin, note, &document);
        }
        let title = out.several.then(|| origin.shown());
        show::write(&mut out.out, title.as_deref(), note, tagging, &document, out.colour)?;
        Ok(out.out.flush()?)
    }
}

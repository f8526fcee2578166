//! `clinlite tag`.

mod pool;
mod show;

use std::io::{self, IsTerminal, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::export::json;
use clinlite::tasks::ner::{Job, TagOptions, Tagger, Tagging};
use clinlite::text::{Aggregation, OffsetUnit};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::files;

/// A longer note is refused: it would take gigabytes of memory, and is hardly one note.
const MAX_NOTE: u64 = 100_000_000;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite tag note.txt                                    read on a terminal
  clinlite tag --format jsonl notes/*.txt > tagged.jsonl   one line a note
  cat note.txt | clinlite tag --format json                one note from standard input

A file that cannot be tagged is named on standard error, the others are still done, and the exit code is 1.
An empty note is no error: its result has no entities.")]
pub(crate) struct Arguments {
    /// Notes, plain text in UTF-8, one a file; `-` or nothing reads one note from standard input
    #[arg(value_name = "FILE")]
    notes: Vec<PathBuf>,
    /// The model folder [default: $CLINLITE_MODEL, else the model that ships]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// The engine
    #[arg(long, value_enum, default_value = "simd")]
    backend: Engine,
    /// What to write
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// How pieces of words are joined: none, simple, first, average, max
    #[arg(long, value_name = "HOW", default_value = "average", value_parser = aggregation)]
    aggregation: Aggregation,
    /// What start and end count
    #[arg(long, value_enum, default_value = "codepoint")]
    offsets: Unit,
    /// Threads of the simd engine [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// int8 or f32 kernels, as the model is stored
    Simd,
    /// f32, the reference
    Candle,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// the note with its entities marked, and a table
    Text,
    /// one indented document a note
    Json,
    /// one line a note
    Jsonl,
}

#[derive(Clone, Copy, ValueEnum)]
enum Unit {
    /// Unicode code points, as Python counts
    Codepoint,
    /// UTF-16 units, as JavaScript counts
    Utf16,
    /// bytes, as Rust counts
    Utf8,
}

impl From<Unit> for OffsetUnit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Codepoint => Self::CodePoint,
            Unit::Utf16 => Self::Utf16,
            Unit::Utf8 => Self::Utf8,
        }
    }
}

fn aggregation(name: &str) -> Result<Aggregation, String> {
    let known = Aggregation::ALL.into_iter().find(|aggregation| aggregation.name() == name);
    known.ok_or_else(|| "expected none, simple, first, average or max".into())
}

pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode> {
    if arguments.notes.is_empty() {
        arguments.notes.push("-".into());
    }
    let place = files::find_model(arguments.model.take())?;
    let folder = files::read_folder(&place)?;
    let context = || place.display().to_string();
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    match arguments.backend {
        Engine::Simd => {
            let tagger = Tagger::load(SimdBackend::new(), &folder).with_context(context)?;
            tag_all(&tagger, &arguments, arguments.threads.map_or_else(cores, NonZeroUsize::get))
        }
        Engine::Candle => {
            // candle spreads one window over all cores by itself.
            let backend = CandleBackend::inference(candle_core::Device::Cpu);
            tag_all(&Tagger::load(backend, &folder).with_context(context)?, &arguments, 1)
        }
    }
}

/// A note that was read and cut into windows.
struct Note {
    name: String,
    text: String,
    job: Job,
}

/// Reads notes until there is enough work for all threads, does it, writes the results in order, and goes on.
fn tag_all<B: Backend>(tagger: &Tagger<B>, arguments: &Arguments, threads: usize) -> Result<ExitCode>
where
    Tagger<B>: Sync,
{
    let mut out = Output::new(arguments);
    let options = TagOptions { aggregation: arguments.aggregation, ..TagOptions::default() };
    let (mut waiting, mut windows, mut failures) = (Vec::new(), 0, 0);
    for (i, path) in arguments.notes.iter().enumerate() {
        match read(tagger, path, options) {
            Ok(note) => {
                windows += note.job.progress().1;
                waiting.push(note);
            }
            Err(error) => {
                files::report(&error);
                failures += 1;
            }
        }
        if i + 1 == arguments.notes.len() || windows >= 8 * threads || waiting.len() >= 256 {
            failures += finish(tagger, std::mem::take(&mut waiting), threads, &mut out)?;
            windows = 0;
        }
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Judges and writes notes; the number of those that failed.
fn finish<B: Backend>(tagger: &Tagger<B>, notes: Vec<Note>, threads: usize, out: &mut Output) -> Result<usize>
where
    Tagger<B>: Sync,
{
    let bar = progress_bar(notes.iter().map(|note| note.job.progress().1).sum());
    let judged = pool::judge(tagger, notes.iter().map(|note| &note.job), threads, &bar);
    bar.finish_and_clear();
    let mut failures = 0;
    for (Note { name, text, mut job }, judged) in notes.into_iter().zip(judged) {
        let tagging = judged.and_then(|windows| {
            windows.into_iter().try_for_each(|window| job.accept(window))?;
            tagger.finish(job)
        });
        match tagging {
            Ok(tagging) => out.write(&name, &text, &tagging)?,
            Err(error) => {
                files::report(&anyhow::Error::new(error).context(name));
                failures += 1;
            }
        }
    }
    Ok(failures)
}

fn read<B: Backend>(tagger: &Tagger<B>, path: &PathBuf, options: TagOptions) -> Result<Note> {
    let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    let text = read_text(path).with_context(|| name.clone())?;
    if text.trim().is_empty() {
        eprintln!("clinlite: {name}: the note is empty");
    }
    let job = tagger.start(&text, options).with_context(|| name.clone())?;
    Ok(Note { name, text, job })
}

fn read_text(path: &PathBuf) -> Result<String> {
    let mut bytes = Vec::new();
    let limit = MAX_NOTE + 1;
    if path.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            eprintln!("clinlite: reading a note from standard input, end it with Ctrl-D");
        }
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_NOTE {
        bail!("longer than {} MB; split it into notes", MAX_NOTE / 1_000_000);
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let utf16 = error.as_bytes().starts_with(&[0xFF, 0xFE]) || error.as_bytes().starts_with(&[0xFE, 0xFF]);
        let hint = if utf16 { "; it looks like UTF-16" } else { "" };
        anyhow::anyhow!("not UTF-8 at byte {at}{hint}")
    })
}

/// Shows itself on a terminal when the work takes longer than a moment.
fn progress_bar(windows: usize) -> ProgressBar {
    if !io::stderr().is_terminal() || windows < 32 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(windows as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} windows, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Where results go, and in which form.
struct Output {
    out: io::StdoutLock<'static>,
    format: Format,
    unit: OffsetUnit,
    colour: bool,
    several: bool,
}

/// A document with the file that it is about.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(flatten)]
    document: json::Document<'a>,
}

impl Output {
    fn new(arguments: &Arguments) -> Self {
        let out = io::stdout().lock();
        // https://no-color.org: set and not empty.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = out.is_terminal() && !no_colour;
        let (format, unit) = (arguments.format, arguments.offsets.into());
        Self { out, format, unit, colour, several: arguments.notes.len() > 1 }
    }

    fn write(&mut self, name: &str, note: &str, tagging: &Tagging) -> Result<()> {
        let document = json::document(tagging, note, self.unit).with_context(|| name.to_owned())?;
        if self.format == Format::Text {
            let title = self.several.then_some(name);
            show::write(&mut self.out, title, note, tagging, &document, self.colour)?;
            return Ok(self.out.flush()?);
        }
        let file = if name == "standard input" { "-" } else { name };
        let line = Line { file, document };
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(&line)?,
            _ => serde_json::to_string(&line)?,
        };
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }
}

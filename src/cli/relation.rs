//! `clinlite relation`.

mod entities;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::export::relations::{self, Document};
use clinlite::tasks::pass::Pass;
use clinlite::tasks::relation::given::in_bytes;
use clinlite::tasks::relation::{Entity, Extraction, Extractor, Job, RelationOptions};
use clinlite::tasks::sequences::Judged;
use clinlite::text::{OffsetUnit, markers};
use clinlite::weights::folder::Folder;

use self::entities::{Noted, Source};
use crate::files;
use crate::gpu;
use crate::inputs::{self, Origin, Question};
use crate::output::{Format, Output, Unit, printable, short};
use crate::work::{Choice, How, Shared, Work, answer_all};

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite relation --model runs/phee/model note.txt                     entities by the model that ships
  clinlite relation --model runs/phee/model --tagger runs/ner/model note.txt
  clinlite tag --format json note.txt > tagged.json
  clinlite relation --model runs/phee/model --entities tagged.json note.txt
  clinlite relation --model runs/phee/model --jsonl notes.jsonl > related.jsonl

Every ordered pair of entities whose types the model was taught is judged in one sequence. Pairs that do not fit one are
counted in the result (pairs_too_far). No relation model ships: make one with clinlite finetune.
A file or line that cannot be done is named on standard error, the others are still done, and the exit code is 1.")]
pub(crate) struct Arguments {
    /// Notes, plain text in UTF-8, one a file; `-` or nothing reads one note from standard input
    #[arg(value_name = "FILE")]
    notes: Vec<PathBuf>,
    /// Notes as JSON objects, one a line, with `text` and perhaps `id` and `entities` (`start`, `end`, `label`, counted as
    /// --offsets says); without entities, they are found; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "notes")]
    jsonl: Option<PathBuf>,
    /// The entities: what `clinlite tag` wrote as json or jsonl about the same notes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jsonl", "tagger"])]
    entities: Option<PathBuf>,
    /// The model folder that finds the entities [default: $CLINLITE_MODEL, else the model that ships]
    #[arg(long, value_name = "DIR")]
    tagger: Option<PathBuf>,
    /// The model folder
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    how: How,
    /// What start and end count
    #[arg(long, value_enum, default_value = "codepoint")]
    offsets: Unit,
    /// Tell pairs without a relation too
    #[arg(long)]
    none: bool,
    /// Leave out pairs with more word pieces between them
    #[arg(long, value_name = "N")]
    max_pieces: Option<usize>,
    /// Leave out pairs with more line breaks between them; 0 is the same line (sentences are not told apart)
    #[arg(long, value_name = "N")]
    max_lines: Option<usize>,
    /// How pairs are marked, for a model folder that does not say so
    #[arg(long, value_enum)]
    markers: Option<Markers>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Markers {
    /// `<S:DRUG> aspirin </S:DRUG>`
    Typed,
    /// `@DRUG$` in place of the entity
    Replaced,
}

impl From<Markers> for markers::Markers {
    fn from(markers: Markers) -> Self {
        match markers {
            Markers::Typed => Self::Typed,
            Markers::Replaced => Self::Replaced,
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let folder = files::read_folder(&arguments.model)?;
    match arguments.how.backend {
        Choice::Simd => ask(|| Ok(SimdBackend::new()), &folder, &arguments),
        Choice::Candle => ask(|| Ok(CandleBackend::inference(candle_core::Device::Cpu)), &folder, &arguments),
        Choice::Webgpu => ask(gpu::open, &folder, &arguments),
        Choice::Auto => ask(gpu::open_if_any, &folder, &arguments),
    }
}

fn ask<B: Shared>(engine: fn() -> Result<B>, folder: &Folder, arguments: &Arguments) -> Result<ExitCode> {
    let extractor = Extractor::load(engine()?, folder, arguments.markers.map(Into::into));
    let extractor = extractor.with_context(|| arguments.model.display().to_string())?;
    let asked = arguments.how.asked();
    let threads = asked.threads;
    B::settle(extractor.sequences(), asked)?;
    let source = match &arguments.entities {
        Some(path) => Source::read(path)?,
        None => Source::tagger(engine, arguments.tagger.clone(), asked),
    };
    let options =
        RelationOptions { none: arguments.none, max_pieces: arguments.max_pieces, max_lines: arguments.max_lines };
    let work = Relate { extractor, source, options, unit: arguments.offsets.into() };
    let format = arguments.how.format;
    if let Some(path) = &arguments.jsonl {
        let form = r#"{"text": …, "entities": [{"start": …, "end": …, "label": …}]}"#;
        return answer_all(&work, inputs::lines::<Noted>(path, form)?, threads, &mut Output::new(format, 1, true));
    }
    let noted = |Question { origin, input }| Question { origin, input: Noted { text: input, entities: None } };
    let questions = inputs::texts(&arguments.notes).map(|note| note.map(noted));
    answer_all(&work, questions, threads, &mut Output::new(format, arguments.notes.len(), false))
}

/// Notes to a relation model.
struct Relate<B: Shared> {
    extractor: Extractor<B>,
    source: Source<B>,
    options: RelationOptions,
    unit: OffsetUnit,
}

impl<B: Shared> Relate<B> {
    fn entities(&self, note: &Noted) -> Result<Vec<Entity>> {
        match &note.entities {
            Some(given) => Ok(in_bytes(&note.text, given, self.unit)?),
            None => self.source.entities(&note.text),
        }
    }
}

impl<B: Shared> Work for Relate<B> {
    type Input = Noted;
    type Job = Job;
    type Judged = Judged;
    type Answer = Extraction;

    fn start(&self, note: &Noted) -> Result<Job> {
        Ok(self.extractor.start(&note.text, self.entities(note)?, self.options)?)
    }

    fn passes(job: &Job) -> usize {
        job.progress().1
    }

    fn pass(&self, job: &Job, step: usize) -> clinlite::Result<Pass> {
        self.extractor.sequences().pass(job.sequences(), step)
    }

    fn judge(&self, pass: &Pass) -> clinlite::Result<Vec<Judged>> {
        pollster::block_on(self.extractor.sequences().judge(pass))
    }

    fn busy_rows(&self) -> usize {
        self.extractor.sequences().busy_rows()
    }

    fn finish(&self, mut job: Job, judged: Vec<Judged>) -> clinlite::Result<Extraction> {
        judged.into_iter().try_for_each(|pass| job.accept(pass))?;
        self.extractor.finish(job)
    }

    fn write(&self, out: &mut Output, origin: &Origin, note: &Noted, found: &Extraction) -> Result<()> {
        let document = relations::document(found, &note.text, self.unit).with_context(|| origin.shown())?;
        if out.format != Format::Text {
            return out.document(origin, &document);
        }
        if out.several {
            writeln!(out.out, "== {} ==", printable(&origin.shown()))?;
        }
        show(&mut out.out, &document)?;
        Ok(out.out.flush()?)
    }
}

/// A table of the relations, and what was not judged.
fn show(out: &mut impl Write, document: &Document<'_>) -> Result<()> {
    let entity = |id: &str| {
        let entity = document.entities.iter().find(|entity| entity.id == id);
        entity.map_or_else(String::new, |entity| {
            format!("{} [{} {}-{}]", short(entity.text), entity.label, entity.start, entity.end)
        })
    };
    let labels = document.relations.iter().map(|relation| relation.label.len()).max().unwrap_or(0);
    for relation in &document.relations {
        let (head, tail) = (entity(&relation.head), entity(&relation.tail));
        writeln!(out, "{:labels$}  {:5.3}  {head} -> {tail}", relation.label, relation.score)?;
    }
    let coverage = &document.coverage;
    write!(
        out,
        "\n{} relations in {} pairs of {} entities",
        document.relations.len(),
        coverage.pairs,
        document.entities.len()
    )?;
    let left_out = [
        (coverage.pairs_too_far, "too far apart for one sequence"),
        (coverage.pairs_overlapping, "overlapping"),
        (coverage.pairs_beyond, "beyond the limit"),
    ];
    for (count, why) in left_out.into_iter().filter(|(count, _)| *count > 0) {
        write!(out, "; {count} {why}")?;
    }
    Ok(writeln!(out, "; {} on {}\n", document.model.id, document.engine.backend)?)
}

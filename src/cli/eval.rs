//! `clinlite eval`.

mod report;
mod sequences;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::Head;
use clinlite::tasks::ner::{Coverage, TagOptions, Tagger};
use clinlite::tasks::settings::Settings;
use clinlite::train::bootstrap::RESAMPLES;
use clinlite::train::metrics::protocols::{Protocols, Scored};
use clinlite::train::metrics::{Mode, words};
use clinlite::train::readers::{DataSet, Document};
use clinlite::weights::folder::Folder;
use clinlite::weights::manifest::Window;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use self::report::{Bootstrap, Data, Evaluation};
use crate::files;
use crate::gpu;
use crate::work::Engine;

/// Of the bootstrap.
const SEED: u64 = 1;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite eval runs/a/model --recipe recipes/maccrobat.toml --split test --json test.json
  clinlite eval models/mine --data conll:data/devel.tsv --backend candle
  clinlite eval models/mine --data brat:notes/annotated

With --recipe the sets of [dev] are read, with --split in place of their own split; types that a set does not mark are
not scored on it. With --data the labels of the set must be the model's types.

Windows are those of --window and --stride, else those of the model's manifest, else those of the recipe's [evaluate]:
a model is worse in windows of another length than it learnt from.

An entity is right when label, first word and last word are right (seqeval, strict, IOB2). A word is what the tokenizer
splits at white space and punctuation. Below that table stand the other ways to count: seqeval's default, nervaluate's
four, i2b2's exact and inexact spans, and the pieces of the seed. --protocol seed puts the last into the table: every
piece has the label of its word, which scores higher and compares with the figures of the seed only. Intervals are
percentiles of a bootstrap over documents.")]
pub(crate) struct Arguments {
    /// A Hugging Face folder or a packed one [default: the default model]
    model: Option<PathBuf>,
    /// A data set with entities: its format (brat, conll, …: docs/data-formats.md), its folder or file, and a split
    #[arg(long, value_name = "FORMAT:PATH[:SPLIT]", required_unless_present = "recipe", conflicts_with = "recipe")]
    data: Option<DataSet>,
    /// The recipe whose [dev] sets are read
    #[arg(long, value_name = "FILE.toml")]
    recipe: Option<PathBuf>,
    /// The split to read in place of the one that the recipe names: dev, test
    #[arg(long, requires = "recipe", conflicts_with = "data")]
    split: Option<String>,
    /// The folder below which the sets of the recipe lie
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    root: PathBuf,
    /// What computes
    #[arg(long, value_enum, default_value = "simd")]
    backend: Engine,
    /// The longest window in pieces, special tokens included
    #[arg(long, value_name = "N", requires = "stride")]
    window: Option<usize>,
    /// The least overlap of two windows in pieces
    #[arg(long, value_name = "M", requires = "window")]
    stride: Option<usize>,
    /// What the table shows: words, or pieces as the seed paper counts them
    #[arg(long, value_enum, default_value = "word")]
    protocol: Protocol,
    /// Write the figures as JSON, too; those of every protocol
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Strict entities over words
    Word,
    /// seqeval's default over word pieces, labels repeated
    Seed,
}

/// What is read of a recipe.
#[derive(Deserialize)]
struct Sets {
    #[serde(default)]
    dev: BTreeMap<String, DataSet>,
    #[serde(default)]
    evaluate: Evaluate,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Evaluate {
    max_length: Option<usize>,
    stride: Option<usize>,
}

/// What is scored on, and in which windows if the model does not say.
struct Task {
    parts: Vec<Part>,
    window: Option<Window>,
}

/// A set and its documents.
struct Part {
    set: DataSet,
    documents: Vec<Document>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let place = files::find_model(arguments.model.clone())?;
    let folder = files::read_folder(&place)?;
    if Head::of(&folder).with_context(|| place.display().to_string())? == Head::SequenceClassification {
        let (sets, root) = sets(&arguments)?;
        let exam = sequences::exam(&folder, sets.dev.into_values(), root)?;
        let evaluation = match arguments.backend {
            Engine::Simd => exam.evaluate(SimdBackend::new()),
            Engine::Candle => exam.evaluate(CandleBackend::inference(candle_core::Device::Cpu)),
            Engine::Webgpu => exam.evaluate(gpu::open()?),
        };
        let evaluation = evaluation.with_context(|| place.display().to_string())?;
        sequences::print(&evaluation)?;
        return write_json(arguments.json.as_deref(), &evaluation);
    }
    let task = task(&arguments, &folder)?;
    let evaluation = match arguments.backend {
        Engine::Simd => evaluate(SimdBackend::new(), &folder, &task, arguments.protocol),
        Engine::Candle => {
            evaluate(CandleBackend::inference(candle_core::Device::Cpu), &folder, &task, arguments.protocol)
        }
        Engine::Webgpu => evaluate(gpu::open()?, &folder, &task, arguments.protocol),
    };
    let evaluation = evaluation.with_context(|| place.display().to_string())?;
    report::print(&evaluation)?;
    write_json(arguments.json.as_deref(), &evaluation)
}

fn write_json(path: Option<&Path>, evaluation: &impl Serialize) -> Result<ExitCode> {
    if let Some(path) = path {
        let json = serde_json::to_string_pretty(evaluation)? + "\n";
        fs::write(path, json).with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The sets to score on, in the split that was asked for, and the folder below which they lie.
fn sets(arguments: &Arguments) -> Result<(Sets, &Path)> {
    let (mut sets, root) = match (&arguments.data, &arguments.recipe) {
        (Some(set), _) => {
            (Sets { dev: BTreeMap::from([(String::new(), set.clone())]), evaluate: Evaluate::default() }, Path::new(""))
        }
        (None, Some(path)) => (recipe(path)?, arguments.root.as_path()),
        (None, None) => bail!("name the data with --data, or with --recipe and --split"),
    };
    if let Some(name) = &arguments.split {
        sets.dev = sets.dev.into_iter().map(|(key, set)| (key, set.with_split(name))).collect();
    }
    Ok((sets, root))
}

fn task(arguments: &Arguments, folder: &Folder) -> Result<Task> {
    let (sets, root) = sets(arguments)?;
    let window = |max_length: Option<usize>, stride: Option<usize>| {
        max_length.zip(stride).map(|(max_length, stride)| Window { max_length, stride })
    };
    let stated = Settings::of(folder)?.window;
    let learnt = window(sets.evaluate.max_length, sets.evaluate.stride);
    let window = window(arguments.window, arguments.stride).or(stated).or(learnt);
    let read = |set: DataSet| Ok(Part { documents: set.read(root)?, set });
    let parts = sets.dev.into_values().map(read).collect::<Result<_>>()?;
    Ok(Task { parts, window })
}

/// The message of a TOML error without the lines that it quotes.
fn recipe(path: &Path) -> Result<Sets> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let sets: Sets = toml::from_str(&text).map_err(|e| {
        let line = text[..e.span().map_or(0, |span| span.start)].lines().count().max(1);
        anyhow::anyhow!("{}:{line}: {}", path.display(), e.message())
    })?;
    if sets.dev.is_empty() {
        bail!("{}: has no [dev] sets", path.display());
    }
    Ok(sets)
}

fn evaluate<B: Backend>(backend: B, folder: &Folder, task: &Task, protocol: Protocol) -> Result<Evaluation> {
    let Task { parts, window } = task;
    let mut tagger = Tagger::load(backend, folder)?;
    if let Some(Window { max_length, stride }) = *window {
        tagger = tagger.with_window(max_length, stride);
    }
    let types = tagger.model().labels.types();
    check_types(types, parts)?;
    let bar = ProgressBar::new(parts.iter().map(|part| part.documents.len() as u64).sum());
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} documents, {eta} left")?);
    let mut run = Run { tagger: &tagger, protocols: Protocols::default(), words: 0, coverage: None, backend: "" };
    let start = Instant::now();
    for part in parts {
        for document in &part.documents {
            run.add(document, &part.set)?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    eprintln!(
        "{} documents, {} words in {:.1} s",
        run.protocols.strict().documents(),
        run.words,
        start.elapsed().as_secs_f64()
    );
    Ok(run.evaluation(parts, protocol))
}

struct Run<'a, B: Backend> {
    tagger: &'a Tagger<B>,
    protocols: Protocols,
    words: usize,
    coverage: Option<Coverage>,
    backend: &'static str,
}

impl<B: Backend> Run<'_, B> {
    fn add(&mut self, document: &Document, set: &DataSet) -> Result<()> {
        let mut job = self.tagger.start(&document.text, TagOptions::default())?;
        while !job.is_done() {
            pollster::block_on(self.tagger.step(&mut job))?;
        }
        let pieces = self.tagger.piece_labels(&job);
        let encoding = job.encoding().clone();
        let tagging = self.tagger.finish(job)?;
        (self.backend, self.coverage) = (tagging.engine.backend, Some(tagging.coverage));
        let types = self.tagger.model().labels.types();
        let found: Vec<_> =
            tagging.entities.iter().map(|span| (span.start..span.end, types[span.label].as_str())).collect();
        self.words += words(&encoding).len();
        Ok(self.protocols.add(&encoding, &document.spans, &found, &pieces, |label| set.marks(label))?)
    }

    fn evaluation(&self, parts: &[Part], protocol: Protocol) -> Evaluation {
        let info = self.tagger.model();
        let data = |part: &Part| Data {
            path: part.set.path.display().to_string(),
            split: part.set.split.clone(),
            documents: part.documents.len(),
            spans: part.documents.iter().map(|document| document.spans.len()).sum(),
        };
        let protocols = self.protocols.report(SEED);
        let (protocol, unit, mode, Scored { report, intervals }) = match protocol {
            Protocol::Word => ("word", "word", Mode::StrictIob2, protocols.seqeval_strict.clone()),
            Protocol::Seed => ("seed", "piece", Mode::Default, protocols.seed.clone()),
        };
        Evaluation {
            model: info.id.clone(),
            version: info.version.clone(),
            model_sha256: info.sha256.clone(),
            backend: self.backend,
            aggregation: TagOptions::default().aggregation.name(),
            window: self.coverage.map(|c| Window { max_length: c.max_length, stride: c.stride }),
            data: parts.iter().map(data).collect(),
            protocol,
            unit,
            mode: mode.to_string(),
            documents: self.protocols.strict().documents(),
            words: self.words,
            gold_without_words: self.protocols.strict().lost(),
            figures: report,
            bootstrap: Bootstrap { over: "documents", resamples: RESAMPLES, seed: SEED, f1: intervals },
            protocols,
        }
    }
}

/// A set whose labels are all unknown to the model would score 0 and mean nothing.
fn check_types(types: &[String], parts: &[Part]) -> Result<()> {
    let mut labels: Vec<&String> =
        parts.iter().flat_map(|part| &part.documents).flat_map(|d| &d.spans).flat_map(|gold| &gold.labels).collect();
    labels.sort();
    labels.dedup();
    if !labels.is_empty() && !labels.iter().any(|label| types.contains(label)) {
        let some = labels.get(..5).unwrap_or(&labels);
        let count = labels.len();
        bail!(
            "none of the {count} labels of the data ({some:?}, …) is a type of the model ({types:?}): map them with a recipe"
        );
    }
    Ok(())
}

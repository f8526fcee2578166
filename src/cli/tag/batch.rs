//! `clinlite tag … --out`: many files to many files, or to one.

mod display;
mod notes;
mod plan;
mod table;
mod target;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clinlite::export::fhir::FhirOptions;
use clinlite::export::json;
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use self::display::Display;
use self::notes::Trouble;
use self::plan::{Kind, Source, Target};
use self::target::Growing;
use super::Tag;
use super::form::Form;
use super::knowledge::short;
use crate::finetune::STOPPED;
use crate::inputs::{Origin, Question};
use crate::work::{Answered, Shared, answer_each};

pub(crate) use notes::Keys;

/// Says of a folder which run its files are of.
const RUN: &str = "clinlite-run.json";

/// What is asked.
pub(super) struct Batch<'a> {
    pub(super) inputs: &'a [PathBuf],
    pub(super) out: &'a Path,
    pub(super) form: Option<Form>,
    pub(super) keys: Keys,
    /// Of the files that add to the rules.
    pub(super) rules: String,
    pub(super) threads: usize,
}

/// Tags everything that is not there yet.
pub(super) fn run<B: Shared>(work: &Tag<B>, batch: &Batch<'_>) -> Result<ExitCode> {
    let (sources, mut failed) = plan::sources(batch.inputs, batch.out)?;
    let targets = plan::targets(sources, batch.out, batch.form, &mut failed)?;
    let run = name(work, batch);
    if plan::one_file(batch.out, batch.form).is_none() {
        claim(batch.out, &run)?;
    }
    let (there, targets): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.path.exists());
    there.iter().for_each(|target| target::tidy(&target.path));
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("signals")?;
    let sources = targets.iter().flat_map(|target| target.sources.iter().map(|source| source.bytes));
    let mut writing = Writing {
        work,
        run: &run,
        targets: &targets,
        at: 0,
        growing: None,
        broken: false,
        display: Display::new(sources.collect(), there.len()),
    };
    failed.iter().for_each(|error| writing.display.report(error));
    let questions = questions(&targets, &batch.keys, &run).take_while(|_| !stop.load(Ordering::Relaxed));
    let hidden = |_| ProgressBar::hidden();
    answer_each(work, questions, batch.threads, hidden, |place, answered| writing.take(place, answered))?;
    let stopped = stop.load(Ordering::Relaxed);
    if stopped {
        writing.growing.as_mut().map(Growing::settle).transpose()?;
    } else {
        writing.finish_before(targets.len())?;
    }
    let failures = writing.display.close(stopped);
    Ok(match (stopped, failures) {
        (true, _) => ExitCode::from(STOPPED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

/// What results depend on besides the notes: two runs of one name write the same bytes.
fn name<B: Shared>(work: &Tag<B>, batch: &Batch<'_>) -> String {
    let model = work.tagger.model();
    let format = batch.form.map_or("by input".into(), Form::name);
    let Keys { text, id } = &batch.keys;
    let (unit, aggregation) = (work.unit.name(), work.options.aggregation.name());
    let version = env!("CARGO_PKG_VERSION");
    // Who the patient is need not be read there.
    let FhirOptions { subject, without_note, recorded, resources } = &work.written.fhir;
    let fhir = short(Sha256::new_with_prefix(format!("{subject:?} {without_note} {recorded:?} {resources:?}")));
    let backend = work.tagger.engine().backend;
    let (model, rules) = (&model.sha256, &batch.rules);
    format!(
        "clinlite {version}, {backend}, model {model}, {format}, {unit}, {aggregation}, {text:?}, {id:?}, fhir {fhir}, rules {rules}"
    )
}

/// Takes a folder for a run: a new one, an empty one, or that of the same run.
fn claim(out: &Path, run: &str) -> Result<()> {
    let (path, shown) = (out.join(RUN), out.display());
    let stated = serde_json::to_string_pretty(&serde_json::json!({ "schema": "clinlite/batch/1", "run": run }))? + "\n";
    match fs::read_to_string(&path) {
        Ok(found) if found == stated => return Ok(()),
        Ok(_) => bail!("{shown}: holds results of another model or of other options ({RUN}); name another folder"),
        Err(_) => (),
    }
    fs::create_dir_all(out).with_context(|| shown.to_string())?;
    if fs::read_dir(out)
        .with_context(|| shown.to_string())?
        .any(|entry| entry.is_ok_and(|e| !e.file_name().to_string_lossy().starts_with(RUN)))
    {
        bail!("{shown}: is not empty, and no folder of clinlite tag; name an empty one");
    }
    target::write(&path, &stated)
}

/// Where a question stands: its target, its source of all, and whether the source ends here because it is broken.
struct Place {
    target: usize,
    source: usize,
    broken: bool,
}

/// The notes of all targets, without those that an earlier run did.
fn questions<'a>(
    targets: &'a [Target],
    keys: &'a Keys,
    run: &'a str,
) -> impl Iterator<Item = (Place, Result<Question<String>>)> + 'a {
    let mut first = 0;
    targets.iter().enumerate().flat_map(move |(at, target)| {
        let before = first;
        first += target.sources.len();
        let done = if target.many { target::notes_done(&target.path, &of(run, target)) } else { 0 };
        let done = usize::try_from(done).unwrap_or(usize::MAX);
        // A file that is a note need not be read to be left out.
        let (sources_done, done) = match target.sources.iter().all(|source| source.kind == Kind::Text) {
            true => (done, 0),
            false => (0, done),
        };
        let sources = target.sources.iter().enumerate().skip(sources_done);
        let notes = sources.flat_map(move |(i, source)| notes::of(source, keys).map(move |note| (before + i, note)));
        notes.skip(done).map(move |(source, note)| match note {
            Ok(question) => (Place { target: at, source, broken: false }, Ok(question)),
            Err(Trouble::Note(error)) => (Place { target: at, source, broken: false }, Err(error)),
            Err(Trouble::Source(error)) => (Place { target: at, source, broken: true }, Err(error)),
        })
    })
}

/// The name of a run and of what one of its files is made of: not the same when a source has changed.
fn of(run: &str, target: &Target) -> String {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let named = |Source { path, bytes, .. }: &Source| format!("{path:?} {bytes} {:?}\n", changed(path));
    format!("{run}, sources {}", short(Sha256::new_with_prefix(target.sources.iter().map(named).collect::<String>())))
}

/// Results on their way into files, in the order of the targets.
struct Writing<'a, B: Shared> {
    work: &'a Tag<B>,
    run: &'a str,
    targets: &'a [Target],
    /// The target that is being written.
    at: usize,
    growing: Option<Growing>,
    /// Whether its source could not be read to the end.
    broken: bool,
    display: Display,
}

impl<B: Shared> Writing<'_, B> {
    /// Takes one answer, or the reason why there is none.
    fn take(&mut self, place: Place, answered: Result<Answered<Tag<B>>>) -> Result<()> {
        self.finish_before(place.target)?;
        let target = &self.targets[place.target];
        if let (true, Err(error)) = (place.broken, &answered) {
            // What comes of a part of a source must not look whole.
            if target.sources.len() > 1 {
                self.growing.as_mut().map(Growing::settle).transpose()?;
                return answered.map(drop).with_context(|| format!("{} is not finished", target.path.display()));
            }
            self.display.report(error);
            self.broken = true;
            return Ok(());
        }
        let length = answered.as_ref().map_or(0, |(question, _)| question.input.len());
        let body = answered.and_then(|(Question { origin, input }, tagging)| {
            let document = json::document(&tagging, &input, self.work.unit).with_context(|| origin.shown())?;
            Ok((self.body(target, &origin, &input, &document)?, input))
        });
        if let Err(error) = &body {
            self.display.report(error);
        }
        if target.many {
            self.grow()?.push(body.as_ref().ok().map(|(body, _)| body.as_str()))?;
        } else if let Ok((body, note)) = &body {
            if target.form == Form::Brat {
                target::write(&target.path.with_extension("txt"), note)?;
            }
            target::write(&target.path, body)?;
        }
        self.display.advance(place.source, length as u64);
        Ok(())
    }

    fn body(&self, target: &Target, origin: &Origin, note: &str, document: &json::Document) -> Result<String> {
        let body = target.form.body(&self.work.written.fhir, origin, note, document)?;
        Ok(if target.many { body } else { [target.form.header(), &body].concat() })
    }

    /// The file of many notes that is being written.
    fn grow(&mut self) -> Result<&mut Growing> {
        if self.growing.is_none() {
            let target = &self.targets[self.at];
            let growing = Growing::open(&target.path, target.form, &of(self.run, target))?;
            self.display.goes_on(growing.done.notes, growing.done.failures);
            self.growing = Some(growing);
        }
        self.growing.as_mut().context("opened above")
    }

    /// Finishes the targets before one, those without any note, too.
    fn finish_before(&mut self, target: usize) -> Result<()> {
        while self.at < target {
            if std::mem::take(&mut self.broken) {
                self.growing.take().map(|mut growing| growing.settle()).transpose()?;
            } else if self.targets[self.at].many {
                self.grow()?;
                self.growing.take().map(Growing::finish).transpose()?;
            }
            self.at += 1;
        }
        Ok(())
    }
}

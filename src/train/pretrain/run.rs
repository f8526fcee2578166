//! A run: everything read, one step, and what is left in the end.

mod patience;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Value, json};

use super::cache::Cache;
use super::material::{Material, Part};
use super::progress::{Logged, Progress};
use super::recipe::Recipe;
use super::start::{Source, Start};
use super::{Options, Outcome, Places, Role};
use crate::backend::candle::kernels::random::Stream;
use crate::backend::training::{Report, Skipped, Training};
use crate::error::{Error, ErrorKind, Result};
use crate::train::checkpoint::{self, Checkpoint, Position};
use crate::train::clock::Clock;
use crate::train::curve::picture;
use crate::train::distil::{Pair, Share, Teacher};
use crate::train::journal::Journal;
use crate::train::parallel::Ranks;
use crate::train::{coverage, whole};

const CHECKPOINT: &str = "checkpoint.safetensors";

/// A run with everything read.
pub(super) struct Run<'s, B: Training> {
    ranks: &'s Ranks<B>,
    recipe: Recipe,
    start: &'s Start,
    out: PathBuf,
    pair: Pair<B>,
    blocks: Material,
    cache: Option<Cache>,
    pub(super) steps: u64,
    warmup: u64,
    pub(super) position: Position,
    journal: Option<Journal>,
    pub(super) clock: Clock,
}

impl<'s, B: Training> Run<'s, B> {
    pub(super) fn prepare(
        ranks: &'s Ranks<B>,
        recipe: Recipe,
        text: &str,
        start: &'s Start,
        places: &Places,
        engine: &impl Fn(Role) -> Result<B>,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        if ranks.size() > recipe.blocks.batch_size {
            let message =
                format!("{} processes share {} blocks of a step: start fewer", ranks.size(), recipe.blocks.batch_size);
            return Err(Error::new(ErrorKind::Input, message).at("blocks.batch_size"));
        }
        let blocks = Material::open(&recipe, start, &places.blocks)?;
        let steps = recipe.steps(blocks.len());
        let warmup = recipe.warmup(steps);
        if warmup >= steps {
            progress
                .note(&format!("the learning rate rises over {warmup} steps, the run has {steps}: it never arrives"));
        }
        let (weights, drawn) = start.weights(recipe.seed)?;
        if !drawn.is_empty() {
            progress.note(&format!("these weights of the student start at random: {}", coverage::first_few(&drawn)));
        }
        let student = engine(Role::Learn { seed: recipe.seed })?;
        let model = start.student.load(&student, &weights, Some(recipe.dropout()))?;
        drop(weights);
        let cache = Cache::of(&recipe, start, &blocks, &places.blocks)?;
        let teacher = start.teacher.as_ref().filter(|_| recipe.loss.needs_teacher() && cache.is_none());
        let drops = recipe.teacher.dropout;
        let role = if drops { Role::Drop { seed: teacher_seed(recipe.seed) } } else { Role::Answer };
        let teacher = teacher.map(|source| answering(source, engine(role)?, drops)).transpose()?;
        let width = start.student.model.shape().hidden_size;
        let pair = Pair::new(student, model, width, teacher, recipe.loss.clone(), recipe.seed)?;
        let run = blocks.identity(text, start);
        let position = Position { run, stage: 0, stage_step: 0, step: 0, best: None };
        let (out, clock) = (places.out.clone(), Clock::new());
        Ok(Self { ranks, recipe, start, out, pair, blocks, cache, steps, warmup, position, journal: None, clock })
    }

    /// How this run ended, if it is to go on and the folder holds its result.
    pub(super) fn finished(&self, options: &Options<'_>) -> Result<Option<Outcome>> {
        let path = self.at("metrics.json");
        if !path.exists() || self.at(CHECKPOINT).exists() {
            return Ok(None);
        }
        let text = fs::read(&path).map_err(|e| io(&e, &path))?;
        let metrics: Value = serde_json::from_slice(&text).unwrap_or_default();
        if !options.resume || metrics["run"].as_str() != Some(&self.position.run) {
            return Err(refuse(&self.out, "holds the result of a run: choose another folder"));
        }
        let held_out = metrics["held_out_masked_lm"].as_f64();
        Ok(Some(Outcome { step: metrics["steps"].as_u64().unwrap_or(self.steps), held_out, stopped: false }))
    }

    /// Asks the teacher for what the cache does not hold yet; says whether it came to the end.
    pub(super) fn ask_once(
        &mut self,
        engine: &impl Fn(Role) -> Result<B>,
        options: &Options<'_>,
        progress: &mut dyn Progress,
    ) -> Result<bool> {
        let (Some(cache), Some(source)) = (&mut self.cache, &self.start.teacher) else { return Ok(true) };
        if !cache.is_complete() {
            if self.ranks.size() > 1 {
                return Err(
                    Error::new(ErrorKind::Input, "not complete: let one process make it first").at("teacher.cache")
                );
            }
            progress.note(&format!("the teacher is asked first, into {}", cache.folder().display()));
            let teacher = answering(source, engine(Role::Answer)?, false)?;
            let stop = || options.stop.load(Ordering::Relaxed);
            if !cache.fill(&teacher, &self.recipe, &self.blocks, stop, |done, of| progress.asked(done, of))? {
                return Ok(false);
            }
        }
        cache.open().map_err(|e| e.at("teacher.cache")).map(|()| true)
    }

    /// Makes the run folder ready, or finds where to go on.
    pub(super) fn open(&mut self, recipe: &str, options: &Options<'_>) -> Result<()> {
        self.pair.engine.restart(false)?;
        let path = self.at(CHECKPOINT);
        if path.exists() {
            if !options.resume {
                return Err(refuse(&path, "there is an unfinished run here: resume it, or choose another folder"));
            }
            let found = Checkpoint::read(&path)?;
            if found.position.run != self.position.run {
                let message =
                    "the checkpoint is of another recipe, student, teacher or blocks: start anew in another folder";
                return Err(refuse(&path, message));
            }
            found.restore(&self.pair.engine)?;
            self.position = found.position;
        }
        self.ranks.agree("checkpoint", &format!("{} {:?}", path.exists(), self.position))?;
        if !self.ranks.leads() {
            return Ok(());
        }
        fs::create_dir_all(&self.out).map_err(|e| io(&e, &self.out))?;
        whole::write(&self.at("recipe.toml"), recipe.as_bytes())?;
        self.journal = Some(Journal::open(&self.out, self.position.step)?);
        Ok(())
    }

    pub(super) fn one_step(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let begun = Instant::now();
        let step = self.position.step;
        let parts = self.blocks.step(&self.recipe, step, [self.ranks.rank(), self.ranks.size()])?;
        let tokens = self.learn(step, &parts)?;
        if step == 0 {
            coverage::check(&self.pair.engine)?;
        }
        let lr = self.recipe.train.lr * self.recipe.train.schedule.factor(step, self.steps, self.warmup);
        self.pair.engine.update(&self.recipe.settings(), step + 1, &|_| lr)?;
        self.position.step += 1;
        self.position.stage_step = self.position.step;
        progress.stepped(self.position.step);
        let (done, last) = (self.position.step, self.position.step == self.steps);
        let read = done == 1 || last || done.is_multiple_of(self.recipe.train.log_every);
        let report = if read { Some(self.healthy(step)?) } else { None };
        self.clock.count(tokens, begun);
        if let Some(report) = report {
            let at = self.logged(report, lr, tokens);
            progress.logged(&at);
            self.journal.iter_mut().try_for_each(|journal| journal.write(at.line()))?;
        }
        if last || done.is_multiple_of(self.recipe.evaluate.every) { self.look_together(progress) } else { Ok(()) }
    }

    /// Forward, losses and backward for the parts of this rank; in the end all ranks have the gradients of the whole step.
    /// Returns the tokens of the whole step.
    fn learn(&self, step: u64, parts: &[Part]) -> Result<usize> {
        let own: Vec<f64> = parts.iter().flat_map(|part| Share::counts(&part.batch)).collect();
        let counts = self.ranks.gather(&own)?.concat();
        let counts = counts.as_chunks::<3>().0;
        let shares = Share::among(counts);
        let said = self.cache.as_ref().map(|cache| (cache, self.blocks.places(&self.recipe, step)));
        self.pair.engine.begin(step, 0); // forgets the losses of the step before
        for (at, Part { number, rows, batch }) in parts.iter().enumerate() {
            let share = shares.get(*number as usize).copied().unwrap_or(Share::WHOLE);
            match &said {
                None => self.pair.lose(step, *number, batch, share)?,
                Some((cache, places)) => {
                    let said = cache.read(&places[rows.clone()], batch.rows.len())?;
                    self.pair.lose_again(step, *number, batch, share, &said)?;
                }
            }
            if at + 1 == parts.len() { self.ranks.backward(&self.pair.engine) } else { self.pair.engine.backward() }?;
        }
        Ok(counts.iter().map(|[_, rows, _]| *rows as usize).sum())
    }

    /// How the last step went, which must be a number, as all steps before it must have been.
    fn healthy(&self, step: u64) -> Result<Report> {
        let report = self.ranks.whole(self.pair.engine.report()?)?;
        let finite = report.gradient_norm.is_finite() && report.losses.values().all(|loss| loss.is_finite());
        match report.skipped {
            Some(skipped) => Err(self.not_finite(skipped)?),
            None if finite => Ok(report),
            None => Err(self.not_finite(Skipped { first: step + 1, count: 1 })?),
        }
    }

    /// Refuses a run of which some step moved nothing.
    fn all_moved(&self) -> Result<()> {
        match self.pair.engine.report()?.skipped {
            Some(skipped) => Err(self.not_finite(skipped)?),
            None => Ok(()),
        }
    }

    /// What to say of steps that moved nothing.
    fn not_finite(&self, Skipped { first, count }: Skipped) -> Result<Error> {
        let mut what = "a gradient".to_owned();
        if self.ranks.size() == 1 {
            // The first is done again to see where they come from. Where later ones have moved weights, it may go well now.
            let step = first - 1;
            self.learn(step, &self.blocks.step(&self.recipe, step, [0, 1])?)?;
            what = coverage::cause(&self.pair.engine)?;
        }
        let later = if count > 1 { format!(" and {} later ones", count - 1) } else { String::new() };
        let message = format!(
            "{what} is not finite at step {first}{later}: lower the learning rate; the last checkpoint is as it was"
        );
        Ok(Error::new(ErrorKind::Backend, message))
    }

    fn logged(&self, report: Report, lr: f64, tokens: usize) -> Logged {
        let step = self.position.step;
        let seen = step as f64 * self.recipe.blocks.batch_size as f64;
        Logged {
            step,
            steps: self.steps,
            epoch: seen / self.blocks.len() as f64,
            losses: report.losses,
            lr,
            gradient_norm: report.gradient_norm,
            tokens,
            tokens_per_second: self.clock.tokens_per_second(),
            seconds_left: self.clock.seconds_left(self.steps - step),
        }
    }

    /// Writes a checkpoint when it is time, and says whether to stop.
    pub(super) fn pause(&mut self, options: &Options<'_>) -> Result<bool> {
        let stop = self.ranks.any(options.stop.load(Ordering::Relaxed))?;
        if !self.goes_on() {
            return Ok(false);
        }
        if self.ranks.leads() && (stop || self.clock.saved.elapsed() >= options.checkpoint_every) {
            self.all_moved()?; // a run that goes on from here would not hear of it
            checkpoint::save(&self.at(CHECKPOINT), &self.position, &self.pair.engine)?;
            self.clock.saved = Instant::now();
        }
        Ok(stop)
    }

    /// Writes the result; the checkpoint goes last, so that a run that is killed here comes to the same end again.
    pub(super) fn close(&mut self) -> Result<()> {
        self.all_moved()?;
        let patient = self.recipe.evaluate.patience.is_some();
        if !patient {
            self.keep()?;
        }
        let (held_out, kept) = self.kept();
        let panels = self.journal()?.panels(patient.then_some(kept));
        whole::write(&self.at("curve.svg"), picture(&self.recipe.name, &panels).as_bytes())?;
        let metrics = json!({
            "recipe": self.recipe.name,
            "run": self.position.run,
            "steps": self.position.step,
            "kept_step": kept,
            "held_out_masked_lm": held_out,
            "sources": self.start.provenance(),
        });
        let text = serde_json::to_vec_pretty(&metrics).unwrap_or_default();
        whole::write(&self.at("metrics.json"), &text)?;
        let path = self.at(CHECKPOINT);
        if path.exists() { fs::remove_file(&path).map_err(|e| io(&e, &path)) } else { Ok(()) }
    }

    pub(super) fn outcome(&self, stopped: bool) -> Outcome {
        Outcome { step: self.position.step, held_out: self.kept().0, stopped }
    }

    fn journal(&mut self) -> Result<&mut Journal> {
        self.journal.as_mut().ok_or_else(|| Error::new(ErrorKind::Backend, "the run was not opened"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }
}

/// The teacher on its engine.
fn answering<B: Training>(source: &Source, engine: B, drops: bool) -> Result<Teacher<B>> {
    let model = source.load(&engine, &source.folder.weights()?, (!drops).then_some([0.0; 2]))?;
    Ok(Teacher { engine, model, width: source.model.shape().hidden_size, drops })
}

/// What the teacher drops has nothing to do with what the student drops.
fn teacher_seed(seed: u64) -> u64 {
    const SITE: u64 = 0x7465_6163_6865_7200;
    let (low, high) = Stream::new(seed, 0, SITE).key();
    u64::from(high) << 32 | u64::from(low)
}

fn refuse(place: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Input, message).at(place.display())
}

fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

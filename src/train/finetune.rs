//! Fine-tuning a classifier of tokens or sequences by a recipe.
//!
//! The run folder holds `recipe.toml`, `log.jsonl`, an event file for TensorBoard, `checkpoint.safetensors` while it runs,
//! and `model/` with the best weights so far as a Hugging Face folder, beside which in the end `metrics.json` says how good
//! they are and `curve.svg` shows how they became so. With LoRA `adapter/` holds what was learnt as peft stores it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::checkpoint;
use super::coverage;
use super::examples;
use super::journal::Journal;
use super::progress::{Progress, Step};
use super::recipe::Stage;
pub use super::role::Role;
use super::run::Run;
use super::tune;
use crate::backend::training::{Report, Training};
use crate::error::{Error, ErrorKind, Result};

/// Where a run finds and leaves things.
#[derive(Clone, Debug)]
pub struct Places {
    /// The root below which the sets of the recipe lie.
    pub data: PathBuf,
    /// The Hugging Face folder to start from.
    pub base: PathBuf,
    /// The folder of the teacher, for a recipe that wants one.
    pub teacher: Option<PathBuf>,
    /// The run folder.
    pub out: PathBuf,
}

/// How a run is run; none of it changes what comes out.
pub struct Options<'a> {
    /// Go on from the checkpoint in the run folder.
    pub resume: bool,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Becomes true when the run is to stop at the next step, with a checkpoint.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Steps done.
    pub step: u64,
    /// The best score, of 1, and its step; nothing without a development split.
    pub best: Option<(f64, u64)>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// [`finetune_on`] the CPU.
///
/// # Errors
/// As [`finetune_on`].
pub fn finetune(recipe: &str, places: &Places, options: &Options<'_>, progress: &mut dyn Progress) -> Result<Outcome> {
    finetune_on(&|role| Ok(role.on_cpu()), recipe, places, options, progress)
}

/// Trains by a recipe: `engines` makes one for the model, and one for its teacher if it has one.
///
/// # Errors
/// A recipe, a base, a teacher or data that do not fit; a file that cannot be read or written; weights that get no
/// gradient; what `engines` says.
pub fn finetune_on<B: Training>(
    engines: &dyn Fn(Role) -> Result<B>,
    recipe: &str,
    places: &Places,
    options: &Options<'_>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    let mut run = Run::prepare(recipe, places, engines)?;
    if run.start.head_kept {
        progress.note("the base has a head for these labels: it is kept");
    }
    let (learning, all) = tune::share(&run.backend);
    progress.note(&format!("{learning} of {all} weights learn ({:.2} %)", 100.0 * learning as f64 / all as f64));
    let mut journal = run.open(recipe, options)?;
    for index in run.position.stage..run.stages.len() {
        run.position.stage = index;
        if !run.train_stage(index, options, &mut journal, progress)? {
            return Ok(run.outcome(true));
        }
        run.position.stage_step = 0;
    }
    run.close(&journal)?;
    Ok(run.outcome(false))
}

impl<B: Training> Run<B> {
    /// Whether the stage came to its end.
    fn train_stage(
        &mut self,
        index: usize,
        options: &Options<'_>,
        journal: &mut Journal,
        progress: &mut dyn Progress,
    ) -> Result<bool> {
        let plan = &self.stages[index];
        let (stage, steps) = (plan.stage.clone(), plan.steps);
        self.backend.restart(stage.train.ema > 0.0)?;
        if let Some(checkpoint) = self.resumed.take() {
            checkpoint.restore(&self.backend)?;
        }
        progress.stage(&stage.name, plan.before, self.total_steps());
        let (mut epoch, mut seen) = (0, 0);
        while self.goes_on(&stage, steps) {
            let batches = self.epoch(index, &stage, epoch);
            let here = self.position.stage_step - seen;
            (epoch, seen) = (epoch + 1, seen + batches.len() as u64);
            for batch in batches.iter().skip(usize::try_from(here).unwrap_or(usize::MAX)) {
                let at = self.one_step(index, &stage, batch)?;
                progress.step(&at);
                journal.write(step_line(&stage.name, &at))?;
                self.score_if_due(&stage, steps, journal, progress)?;
                if self.pause(&stage, steps, options)? {
                    return Ok(false);
                }
                if !self.goes_on(&stage, steps) {
                    break;
                }
            }
        }
        self.backend.swap_average()?;
        Ok(true)
    }

    fn one_step(&mut self, index: usize, stage: &Stage, batch: &examples::Step) -> Result<Step> {
        let begun = Instant::now();
        let (plan, done) = (&self.stages[index], self.position.stage_step);
        let hard = self.learn(batch)?;
        if self.position.step == 0 {
            coverage::check(&self.backend)?;
        }
        let warmup = (plan.steps as f64 * stage.train.warmup).round() as u64;
        let factor = stage.train.schedule.factor(done, plan.steps, warmup);
        let layers = self.start.model.shape().num_hidden_layers;
        self.backend.update(&stage.train.settings(), done + 1, &|name| rate(name, stage, layers) * factor)?;
        let Report { mut losses, gradient_norm, .. } = self.backend.report()?;
        if self.teacher.is_some() && self.hard() > 0.0 {
            losses.insert("hard", hard);
        }
        let loss = if losses.is_empty() { hard } else { losses.values().sum() };
        self.healthy(loss, gradient_norm)?;
        self.position.stage_step += 1;
        self.position.step += 1;
        let tokens = batch.batch.input_ids.len();
        self.clock.count(tokens, begun);
        Ok(Step {
            step: self.position.step,
            steps: self.total_steps(),
            epoch: self.position.stage_step as f64 / self.stages[index].per_epoch as f64,
            loss,
            losses,
            lr: stage.train.lr * factor,
            gradient_norm,
            tokens,
            tokens_per_second: self.clock.tokens_per_second(),
            seconds_left: self.clock.seconds_left(self.total_steps() - self.position.step),
        })
    }

    /// Refuses what no next step can mend.
    fn healthy(&self, loss: f64, gradient_norm: f64) -> Result<()> {
        for (what, number) in [("loss", loss), ("norm of the gradients", gradient_norm)] {
            if !number.is_finite() {
                let step = self.position.step + 1;
                let message = format!("the {what} of step {step} is not finite: lower the learning rate");
                return Err(Error::new(ErrorKind::Backend, message));
            }
        }
        Ok(())
    }

    /// Forward, losses and backward. Returns the loss on the labels; what the teacher adds is in the engine's report.
    fn learn(&self, batch: &examples::Step) -> Result<f64> {
        self.backend.begin(self.position.step, 0);
        let logits = self.model.forward(&self.backend, &batch.batch)?; // [R, labels]
        let mut loss = 0.0;
        let hard = self.hard();
        if hard > 0.0 {
            let host = pollster::block_on(self.backend.to_host(&logits))?;
            let labels = self.material.loss(&self.recipe, &host, self.num_labels, batch, hard);
            loss = labels.loss;
            self.backend.seed(&logits, labels.grad)?;
        }
        if let Some(teacher) = &self.teacher {
            let rows = self.material.taught(self.special, batch);
            teacher.lose(&self.backend, &logits, &batch.batch, rows.as_deref())?;
        }
        self.backend.backward()?;
        Ok(loss)
    }

    /// How much the labels count.
    fn hard(&self) -> f32 {
        self.recipe.teacher.as_ref().map_or(1.0, |teacher| teacher.hard)
    }

    /// Whether a stage has steps left, and patience. Both follow from where the run stands, so a resumed run knows too.
    fn goes_on(&self, stage: &Stage, steps: u64) -> bool {
        let done = self.position.stage_step;
        let Some(patience) = stage.patience else { return done < steps };
        let begun = self.position.step - done;
        let best = self.position.best.map_or(0, |(_, step)| step.saturating_sub(begun));
        let since = scores(stage, steps).filter(|step| (best + 1..=done).contains(step)).count() as u64;
        done < steps && since < patience
    }

    fn score_if_due(
        &mut self,
        stage: &Stage,
        steps: u64,
        journal: &mut Journal,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let done = self.position.stage_step;
        let due = scores(stage, steps).any(|step| step == done);
        if !due || (self.material.no_exam() && done < steps) {
            return Ok(());
        }
        self.backend.swap_average()?;
        let result = self.score(progress, journal);
        self.backend.swap_average()?;
        result
    }

    /// Writes a checkpoint when it is time, and says whether to stop.
    fn pause(&mut self, stage: &Stage, steps: u64, options: &Options<'_>) -> Result<bool> {
        let stop = options.stop.load(Ordering::Relaxed);
        let last = !self.goes_on(stage, steps);
        if !last && (stop || self.clock.saved.elapsed() >= options.checkpoint_every) {
            checkpoint::save(&self.checkpoint_path(), &self.position, &self.backend)?;
            self.clock.saved = Instant::now();
            return Ok(stop);
        }
        Ok(false)
    }
}

/// The steps of a stage after which it is scored.
fn scores(stage: &Stage, steps: u64) -> impl Iterator<Item = u64> {
    let times = stage.evaluations.max(1).min(steps);
    (1..=times).map(move |k| (steps * k).div_ceil(times))
}

/// The learning rate of a parameter at the top of the schedule.
fn rate(name: &str, stage: &Stage, layers: usize) -> f64 {
    if ["classifier.", "pre_classifier.", "bert.pooler."].iter().any(|head| name.starts_with(head)) {
        return stage.train.head_lr.unwrap_or(stage.train.lr);
    }
    let after = name.split_once(".layer.").map(|(_, rest)| rest.split('.').next().unwrap_or_default());
    let depth = after.and_then(|index| index.parse::<usize>().ok()).map_or(0, |index| index + 1);
    stage.train.lr * stage.train.layer_decay.powi(i32::try_from(layers.saturating_sub(depth)).unwrap_or(0))
}

fn step_line(stage: &str, at: &Step) -> serde_json::Value {
    let mut line = json!({
        "stage": stage, "step": at.step, "epoch": at.epoch, "loss": at.loss, "lr": at.lr,
        "gradient_norm": at.gradient_norm, "tokens": at.tokens, "tokens_per_second": at.tokens_per_second,
    });
    if !at.losses.is_empty() {
        line["losses"] = json!(at.losses);
    }
    line
}

//! Fine-tuning a token classifier by a recipe.
//!
//! The run folder holds `recipe.toml`, `log.jsonl`, `checkpoint.safetensors` while it runs, and `model/` with the best
//! weights so far as a Hugging Face folder, beside which `metrics.json` says how good they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::checkpoint::{self, Checkpoint, Position};
use super::evaluate::Exam;
use super::examples::{self, Cut, Example, Tags};
use super::loss::token_loss;
use super::model::{self, Start};
use super::optimizer::AdamW;
use super::progress::{Progress, Scored, Step};
use super::recipe::{Recipe, Stage};
use crate::backend::candle::kernels::random::Stream;
use crate::backend::candle::{CandleBackend, Parameter, host};
use crate::error::{Error, ErrorKind, Result};
use crate::models::TokenClassification;
use crate::text::Tokenizer;
use crate::text::labels::Labels;
use crate::weights::Weights;

/// Where a run finds and leaves things.
#[derive(Clone, Debug)]
pub struct Places {
    /// The root below which the sets of the recipe lie.
    pub data: PathBuf,
    /// The Hugging Face folder to start from.
    pub base: PathBuf,
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

/// Trains by a recipe.
///
/// # Errors
/// A recipe, a base or data that do not fit; a file that cannot be read or written; weights that get no gradient.
pub fn finetune(recipe: &str, places: &Places, options: &Options<'_>, progress: &mut dyn Progress) -> Result<Outcome> {
    let mut run = Run::prepare(recipe, places)?;
    if run.start.head_kept {
        progress.note("the base has a head for these labels: it is kept");
    }
    run.open(recipe, options)?;
    for index in run.position.stage..run.stages.len() {
        run.position.stage = index;
        if !run.train_stage(index, options, progress)? {
            return Ok(run.outcome(true));
        }
        run.position.stage_step = 0;
    }
    run.close()?;
    Ok(run.outcome(false))
}

/// A run with everything read.
struct Run {
    places: Places,
    recipe: Recipe,
    stages: Vec<Plan>,
    labels: Vec<String>,
    sets: BTreeMap<String, Vec<Example>>,
    exam: Exam,
    start: Start,
    special: (u32, u32),
    backend: CandleBackend,
    model: TokenClassification<CandleBackend>,
    parameters: BTreeMap<String, Arc<Parameter>>,
    position: Position,
    resumed: Option<Checkpoint>,
    clock: Clock,
}

/// A stage and how long it is.
struct Plan {
    stage: Stage,
    steps: u64,
    per_epoch: u64,
    before: u64,
}

/// Tokens over time, scoring left out.
struct Clock {
    tokens: u64,
    spent: Duration,
    saved: Instant,
}

impl Run {
    fn prepare(text: &str, places: &Places) -> Result<Self> {
        let recipe = Recipe::parse(text)?;
        let labels = recipe.labels();
        let tags = Tags::new(&labels)?;
        let mut start = Start::read(&places.base, &labels, recipe.seed).map_err(|e| e.at(places.base.display()))?;
        start.bert.hidden_dropout_prob = recipe.train.dropout;
        check_lengths(&recipe, start.bert.max_position_embeddings)?;
        let tokenizer = Tokenizer::from_json(&start.tokenizer)?;
        let mut hash = Sha256::new();
        for bytes in [text.as_bytes(), &start.tokenizer, &start.weights] {
            hash.update(bytes);
        }
        let mut sets = BTreeMap::new();
        for (name, set) in &recipe.data {
            let documents = set.read(&places.data).map_err(|e| e.at(format!("data.{name}")))?;
            documents.iter().for_each(|document| hash.update(document.text.as_bytes()));
            let example = |d| Example::new(d, set, &tokenizer, &tags, recipe.window.pieces).map_err(|e| e.at(name));
            sets.insert(name.clone(), documents.iter().map(example).collect::<Result<Vec<_>>>()?);
        }
        let whole = recipe.data.iter().filter(|(_, set)| set.annotates.is_none());
        let known = whole.flat_map(|(name, _)| &sets[name]);
        let transitions = examples::transitions(known, labels.len(), recipe.evaluate.transitions);
        let read = Labels::new(labels.clone())?.with_transitions(transitions.clone())?;
        start.set_labels(&labels, &transitions);
        let mut exam = Exam::new(&tokenizer, read, recipe.evaluate.max_length, recipe.evaluate.stride);
        for (name, set) in &recipe.dev {
            exam.add(set.read(&places.data).map_err(|e| e.at(format!("dev.{name}")))?, set, &tokenizer);
        }
        let backend = CandleBackend::training(recipe.seed);
        let weights = Weights::from_safetensors(&start.weights)?;
        let model = TokenClassification::load(&backend, &weights.root(), &start.bert, labels.len())?;
        let run = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let position = Position { run, stage: 0, stage_step: 0, step: 0, best: None };
        let clock = Clock { tokens: 0, spent: Duration::ZERO, saved: Instant::now() };
        let (parameters, special) = (backend.parameters(), (tokenizer.cls_id(), tokenizer.sep_id()));
        start.weights = Vec::new();
        let (places, resumed, stages) = (places.clone(), None, Vec::new());
        let mut run = Self {
            places,
            recipe,
            stages,
            labels,
            sets,
            exam,
            start,
            special,
            backend,
            model,
            parameters,
            position,
            resumed,
            clock,
        };
        run.plan();
        Ok(run)
    }

    /// How long each stage is: what an epoch holds differs by a step or two, so the first one is the measure.
    fn plan(&mut self) {
        let mut before = 0;
        for (index, stage) in self.recipe.stages().into_iter().enumerate() {
            let per_epoch = self.epoch(index, &stage, 0).len() as u64;
            let steps = ((per_epoch as f64 * stage.train.epochs).round() as u64).max(1);
            self.stages.push(Plan { stage, steps, per_epoch, before });
            before += steps;
        }
    }

    fn total_steps(&self) -> u64 {
        self.stages.iter().map(|plan| plan.steps).sum()
    }

    /// The steps of an epoch: a function of the seed, the stage and the epoch.
    fn epoch(&self, index: usize, stage: &Stage, epoch: u64) -> Vec<examples::Step> {
        let (cls_id, sep_id) = self.special;
        let (max_length, batch_tokens) = (self.recipe.window.max_length, stage.train.batch_tokens);
        let cut = Cut { max_length, batch_tokens, cls_id, sep_id };
        let stream = |site: u64| Stream::new(self.recipe.seed, epoch, site << 32 | index as u64);
        let mut chosen = Vec::new();
        for (name, share) in &stage.sets {
            let weight = stage.weights.get(name).copied().unwrap_or(1.0);
            chosen.extend(self.sets[name].iter().map(|example| (example, *share, weight)));
        }
        examples::steps(examples::windows(&chosen, &cut, stream(1)), &cut, stream(2))
    }

    /// Makes the run folder ready, or finds where to go on.
    fn open(&mut self, recipe: &str, options: &Options<'_>) -> Result<()> {
        let out = &self.places.out;
        let checkpoint = self.checkpoint_path();
        fs::create_dir_all(out).map_err(|e| io(&e, out))?;
        let mut kept = Vec::new();
        if options.resume && checkpoint.exists() {
            let found = Checkpoint::read(&checkpoint)?;
            if found.position.run != self.position.run {
                let message = "the checkpoint is of another recipe, base or data: start anew without resuming";
                return Err(Error::new(ErrorKind::Input, message).at(checkpoint.display()));
            }
            self.position = found.position.clone();
            self.resumed = Some(found);
            kept = log_until(&self.log_path(), self.position.step)?;
        } else if checkpoint.exists() {
            let message = "there is an unfinished run here: resume it, or choose another folder";
            return Err(Error::new(ErrorKind::Input, message).at(checkpoint.display()));
        }
        model::write(&out.join("recipe.toml"), recipe.as_bytes())?;
        model::write(&self.log_path(), kept.as_slice())
    }

    fn log_path(&self) -> PathBuf {
        self.places.out.join("log.jsonl")
    }

    fn checkpoint_path(&self) -> PathBuf {
        self.places.out.join("checkpoint.safetensors")
    }

    /// Whether the stage came to its end.
    fn train_stage(&mut self, index: usize, options: &Options<'_>, progress: &mut dyn Progress) -> Result<bool> {
        let plan = &self.stages[index];
        let (stage, steps) = (plan.stage.clone(), plan.steps);
        let mut optimizer = AdamW::new(stage.train.settings(), self.parameters.clone())?;
        if let Some(checkpoint) = self.resumed.take() {
            checkpoint.restore(&self.parameters, &mut optimizer)?;
        }
        progress.stage(&stage.name, plan.before, self.total_steps());
        let mut log =
            fs::OpenOptions::new().append(true).open(self.log_path()).map_err(|e| io(&e, &self.log_path()))?;
        let (mut epoch, mut seen) = (0, 0);
        while self.position.stage_step < steps {
            let batches = self.epoch(index, &stage, epoch);
            let here = self.position.stage_step - seen;
            (epoch, seen) = (epoch + 1, seen + batches.len() as u64);
            for batch in batches.iter().skip(usize::try_from(here).unwrap_or(usize::MAX)) {
                let at = self.one_step(index, &stage, batch, &mut optimizer)?;
                progress.step(&at);
                record(&mut log, &self.log_path(), &step_line(&stage.name, &at))?;
                self.score_if_due(&stage, steps, &mut optimizer, &mut log, progress)?;
                if self.pause(steps, &optimizer, options)? {
                    return Ok(false);
                }
                if self.position.stage_step == steps {
                    break;
                }
            }
        }
        optimizer.swap_average()?;
        Ok(true)
    }

    fn one_step(&mut self, index: usize, stage: &Stage, batch: &examples::Step, optimizer: &mut AdamW) -> Result<Step> {
        let begun = Instant::now();
        let plan = &self.stages[index];
        let (done, n) = (self.position.stage_step, self.labels.len());
        self.backend.begin(self.position.step, 0);
        let logits = self.model.forward(&self.backend, &batch.batch)?; // [R, labels]
        let norm = batch.targets.norm(n).max(1.0);
        let loss = host(&logits, |logits| token_loss(logits, n, &batch.targets.allowed, &batch.targets.weight, norm))?;
        if !loss.loss.is_finite() {
            let message = format!("the loss of step {} is not finite: lower the learning rate", self.position.step + 1);
            return Err(Error::new(ErrorKind::Backend, message));
        }
        self.backend.backward(vec![(&logits, loss.grad)])?;
        if self.position.step == 0 {
            self.check_coverage()?;
        }
        let warmup = (plan.steps as f64 * stage.train.warmup).round() as u64;
        let factor = stage.train.schedule.factor(done, plan.steps, warmup);
        let layers = self.start.bert.num_hidden_layers;
        let gradient_norm = optimizer.step(|name| rate(name, stage, layers) * factor)?;
        self.position.stage_step += 1;
        self.position.step += 1;
        let tokens = batch.batch.input_ids.len();
        self.clock.tokens += tokens as u64;
        self.clock.spent += begun.elapsed();
        Ok(Step {
            step: self.position.step,
            steps: self.total_steps(),
            epoch: self.position.stage_step as f64 / self.stages[index].per_epoch as f64,
            loss: loss.loss,
            lr: stage.train.lr * factor,
            gradient_norm,
            tokens,
            tokens_per_second: self.clock.tokens as f64 / self.clock.spent.as_secs_f64().max(1e-9),
        })
    }

    /// Every weight must learn: a gradient that is missing, zero or not finite is a mistake somewhere.
    fn check_coverage(&self) -> Result<()> {
        let learns = |parameter: &Parameter| {
            let gradient = parameter.gradient();
            let norm = gradient.squared_norm(parameter.columns());
            gradient.get().is_some() && norm.is_finite() && norm > 0.0
        };
        let idle: Vec<_> = self.parameters.iter().filter(|(_, p)| !learns(p)).map(|(name, _)| name.as_str()).collect();
        if idle.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Backend, format!("no finite gradient other than zero reaches {}", idle.join(", "))))
    }

    fn score_if_due(
        &mut self,
        stage: &Stage,
        steps: u64,
        optimizer: &mut AdamW,
        log: &mut fs::File,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let (done, times) = (self.position.stage_step, stage.evaluations.max(1));
        let due = (1..=times).any(|k| done == (steps * k).div_ceil(times));
        if !due || (self.exam.is_empty() && done < steps) {
            return Ok(());
        }
        optimizer.swap_average()?;
        let result = self.score(progress, log);
        optimizer.swap_average()?;
        result
    }

    /// Scores the weights as they stand and keeps them if none were better.
    fn score(&mut self, progress: &mut dyn Progress, log: &mut fs::File) -> Result<()> {
        let folder = self.places.out.join("model");
        if self.exam.is_empty() {
            return self.start.write(&folder, &self.parameters);
        }
        let scores = self.exam.score(&self.backend, &self.model)?;
        let f1 = scores.decoded.micro.f1;
        let best = self.position.best.is_none_or(|(best, _)| f1 > best);
        if best {
            self.position.best = Some((f1, self.position.step));
            self.start.write(&folder, &self.parameters)?;
        }
        let (step, plain_f1) = (self.position.step, scores.plain.micro.f1);
        progress.scored(&Scored { step, f1, plain_f1, best });
        record(log, &self.log_path(), &json!({"step": step, "dev": scores.decoded, "plain_f1": plain_f1, "best": best}))
    }

    /// Writes a checkpoint when it is time, and says whether to stop.
    fn pause(&mut self, steps: u64, optimizer: &AdamW, options: &Options<'_>) -> Result<bool> {
        let stop = options.stop.load(Ordering::Relaxed);
        let last = self.position.stage_step == steps;
        if !last && (stop || self.clock.saved.elapsed() >= options.checkpoint_every) {
            checkpoint::save(&self.checkpoint_path(), &self.position, &self.parameters, optimizer)?;
            self.clock.saved = Instant::now();
            return Ok(stop);
        }
        Ok(false)
    }

    fn close(&self) -> Result<()> {
        let metrics = json!({
            "recipe": self.recipe.name,
            "run": self.position.run,
            "steps": self.position.step,
            "dev_f1": self.position.best.map(|(f1, _)| f1),
            "best_step": self.position.best.map(|(_, step)| step),
        });
        let text = serde_json::to_vec_pretty(&metrics).unwrap_or_default();
        model::write(&self.places.out.join("metrics.json"), &text)?;
        let checkpoint = self.checkpoint_path();
        if checkpoint.exists() { fs::remove_file(&checkpoint).map_err(|e| io(&e, &checkpoint)) } else { Ok(()) }
    }

    fn outcome(&self, stopped: bool) -> Outcome {
        Outcome { step: self.position.step, best: self.position.best, stopped }
    }
}

/// The learning rate of a parameter at the top of the schedule.
fn rate(name: &str, stage: &Stage, layers: usize) -> f64 {
    if name.starts_with("classifier.") {
        return stage.train.head_lr.unwrap_or(stage.train.lr);
    }
    let after = name.split_once(".layer.").map(|(_, rest)| rest.split('.').next().unwrap_or_default());
    let depth = after.and_then(|index| index.parse::<usize>().ok()).map_or(0, |index| index + 1);
    stage.train.lr * stage.train.layer_decay.powi(i32::try_from(layers.saturating_sub(depth)).unwrap_or(0))
}

fn check_lengths(recipe: &Recipe, most: usize) -> Result<()> {
    for (key, length) in [("window", recipe.window.max_length), ("evaluate", recipe.evaluate.max_length)] {
        if length > most {
            let message =
                format!("recipe: {key}.max_length: expected at most {most}, which the base takes, found {length}");
            return Err(Error::new(ErrorKind::Input, message));
        }
    }
    Ok(())
}

fn step_line(stage: &str, at: &Step) -> serde_json::Value {
    json!({
        "stage": stage, "step": at.step, "epoch": at.epoch, "loss": at.loss, "lr": at.lr,
        "gradient_norm": at.gradient_norm, "tokens": at.tokens, "tokens_per_second": at.tokens_per_second,
    })
}

fn record(log: &mut fs::File, path: &Path, line: &serde_json::Value) -> Result<()> {
    writeln!(log, "{line}").map_err(|e| io(&e, path))
}

/// The lines of a log up to a step: what came after the checkpoint happens again.
fn log_until(path: &Path, step: u64) -> Result<Vec<u8>> {
    let text = fs::read_to_string(path).map_err(|e| io(&e, path))?;
    let before = |line: &&str| {
        let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
        value.and_then(|value| value["step"].as_u64()).is_some_and(|at| at <= step)
    };
    Ok(text.lines().filter(before).flat_map(|line| [line, "\n"]).collect::<String>().into_bytes())
}

fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

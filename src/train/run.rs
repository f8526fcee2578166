//! The state of a run: what was read, where it stands, and its folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::adapter::Adapter;
use super::checkpoint::{Checkpoint, Position};
use super::clock::Clock;
use super::curve::picture;
use super::evaluate::Score;
use super::examples;
use super::finetune::{Options, Outcome, Places, Role};
use super::hash::hex;
use super::journal::Journal;
use super::material::Material;
use super::model::{self, Start, head};
use super::progress::{Progress, Scored};
use super::recipe::{Recipe, Stage, Tune};
use super::teacher::Teacher;
use super::{tune, whole};
use crate::backend::training::Training;
use crate::error::{Error, ErrorKind, Result};
use crate::models::Model;
use crate::tasks::read_tokenizer;
use crate::text::Tokenizer;
use crate::weights::folder::Folder;

/// A run with everything read.
pub(super) struct Run<B: Training> {
    pub(super) places: Places,
    pub(super) recipe: Recipe,
    pub(super) stages: Vec<Plan>,
    pub(super) num_labels: usize,
    pub(super) material: Material,
    pub(super) start: Start,
    pub(super) special: (u32, u32),
    pub(super) backend: B,
    pub(super) model: Model<B>,
    pub(super) teacher: Option<Teacher<B>>,
    pub(super) position: Position,
    pub(super) resumed: Option<Checkpoint>,
    pub(super) clock: Clock,
}

/// A stage and how long it is.
pub(super) struct Plan {
    pub(super) stage: Stage,
    pub(super) steps: u64,
    pub(super) per_epoch: u64,
    pub(super) before: u64,
}

impl<B: Training> Run<B> {
    /// Reads recipe, base, teacher and data for the engines that are made for them, and counts the steps.
    pub(super) fn prepare(text: &str, places: &Places, engines: &dyn Fn(Role) -> Result<B>) -> Result<Self> {
        let recipe = Recipe::parse(text)?;
        let labels = recipe.labels();
        let at_base = |e: Error| e.at(places.base.display());
        let base = model::open(&places.base).map_err(at_base)?;
        let mut start = begin(&recipe, &base, &places.base).map_err(at_base)?;
        check_lengths(&recipe, start.model.shape().max_position_embeddings)?;
        let tokenizer = read_tokenizer(&base).map_err(at_base)?;
        let mut hash = Sha256::new();
        hash.update(text);
        hash.update(base.sha256());
        let teacher = teacher(&recipe, places, &tokenizer, engines, &mut hash)?;
        let most = start.model.shape().max_position_embeddings;
        let material = Material::read(&recipe, &places.data, &tokenizer, most, &mut hash)?;
        start.state(&recipe, material.transitions());
        let backend = engines(Role::Learn { seed: recipe.seed })?;
        backend.tune(tune::tuning(&recipe.tune, recipe.seed, &start.model, start.head)?);
        let weights = start.weights(&base, labels.len(), recipe.seed).map_err(at_base)?;
        let model = start.load(&backend, &weights.root(), labels.len())?;
        tune::check(&recipe.tune, &start.model, &backend)?;
        let run = hex(hash);
        let mut run = Self {
            places: places.clone(),
            stages: Vec::new(),
            num_labels: labels.len(),
            material,
            start,
            special: (tokenizer.cls_id(), tokenizer.sep_id()),
            backend,
            model,
            teacher,
            position: Position { run, stage: 0, stage_step: 0, step: 0, best: None },
            resumed: None,
            clock: Clock::new(),
            recipe,
        };
        run.plan();
        Ok(run)
    }

    /// How long each stage is: what an epoch holds differs by a step or two, so the first one is the measure.
    fn plan(&mut self) {
        let mut before = 0;
        for (index, stage) in self.recipe.stages().into_iter().enumerate() {
            let per_epoch = self.epoch(index, &stage, 0).len() as u64;
            let epochs = (per_epoch as f64 * stage.train.epochs).round() as u64;
            let steps = stage.train.steps.unwrap_or(epochs).max(1);
            self.stages.push(Plan { stage, steps, per_epoch, before });
            before += steps;
        }
    }

    pub(super) fn total_steps(&self) -> u64 {
        self.stages.iter().map(|plan| plan.steps).sum()
    }

    /// The steps of an epoch: a function of the seed, the stage and the epoch.
    pub(super) fn epoch(&self, index: usize, stage: &Stage, epoch: u64) -> Vec<examples::Step> {
        let hidden_size = self.start.model.shape().hidden_size;
        self.material.epoch(&self.recipe, (self.special, hidden_size), index, stage, epoch)
    }

    /// Makes the run folder ready, or finds where to go on. Returns the log.
    pub(super) fn open(&mut self, recipe: &str, options: &Options<'_>) -> Result<Journal> {
        let out = &self.places.out;
        let checkpoint = self.checkpoint_path();
        fs::create_dir_all(out).map_err(|e| io(&e, out))?;
        if options.resume && checkpoint.exists() {
            let found = Checkpoint::read(&checkpoint)?;
            if found.position.run != self.position.run {
                let message = "the checkpoint is of another recipe, base or data: start anew without resuming";
                return Err(Error::new(ErrorKind::Input, message).at(checkpoint.display()));
            }
            self.position = found.position.clone();
            self.resumed = Some(found);
        } else if checkpoint.exists() {
            let message = "there is an unfinished run here: resume it, or choose another folder";
            return Err(Error::new(ErrorKind::Input, message).at(checkpoint.display()));
        }
        whole::write(&out.join("recipe.toml"), recipe.as_bytes())?;
        Journal::open(out, self.position.step)
    }

    pub(super) fn checkpoint_path(&self) -> PathBuf {
        self.places.out.join("checkpoint.safetensors")
    }

    /// Scores the weights as they stand and keeps them if none were better.
    pub(super) fn score(&mut self, progress: &mut dyn Progress, journal: &mut Journal) -> Result<()> {
        if self.material.no_exam() {
            return self.keep();
        }
        let Score { metric, value, plain, details } = self.material.score(&self.recipe, &self.backend, &self.model)?;
        let best = self.position.best.is_none_or(|(best, _)| value > best);
        let step = self.position.step;
        if best {
            self.position.best = Some((value, step));
            self.keep()?;
        }
        progress.scored(&Scored { step, metric, score: value, plain, best });
        journal.write(
            json!({"step": step, "metric": metric, "score": value, "plain": plain, "best": best, "dev": details}),
        )
    }

    /// Writes the weights as they stand as a model, and what LoRA has learnt beside it.
    fn keep(&self) -> Result<()> {
        let Self { start, backend, recipe, .. } = self;
        start.write(&self.places.out.join("model"), backend)?;
        let Tune::Lora(lora) = &recipe.tune else { return Ok(()) };
        let adapter = Adapter { lora, model: &start.model, head: start.head, base: recipe.model.base.as_deref() };
        adapter.write(&self.places.out.join("adapter"), backend)
    }

    /// Writes the picture and what came out; the checkpoint goes last.
    pub(super) fn close(&self, journal: &Journal) -> Result<()> {
        let panels = journal.panels(self.position.best.map(|(_, step)| step));
        whole::write(&self.places.out.join("curve.svg"), picture(&self.recipe.name, &panels).as_bytes())?;
        let metrics = json!({
            "recipe": self.recipe.name,
            "run": self.position.run,
            "steps": self.position.step,
            "metric": self.recipe.metric().name(),
            "dev_score": self.position.best.map(|(score, _)| score),
            "best_step": self.position.best.map(|(_, step)| step),
        });
        let text = serde_json::to_vec_pretty(&metrics).unwrap_or_default();
        whole::write(&self.places.out.join("metrics.json"), &text)?;
        let checkpoint = self.checkpoint_path();
        if checkpoint.exists() { fs::remove_file(&checkpoint).map_err(|e| io(&e, &checkpoint)) } else { Ok(()) }
    }

    pub(super) fn outcome(&self, stopped: bool) -> Outcome {
        Outcome { step: self.position.step, best: self.position.best, stopped }
    }
}

/// What the recipe makes of its base.
fn begin(recipe: &Recipe, base: &Folder, place: &Path) -> Result<Start> {
    let mut start = Start::new(base, place, head(recipe.model.task), &recipe.labels())?;
    if let Some(layers) = &recipe.model.layers {
        start.take_layers(layers)?;
    }
    let [hidden, attention] = [recipe.train.dropout, recipe.train.attention_dropout];
    start.model = start.model.with_dropout(hidden).with_attention_dropout(attention);
    Ok(start)
}

/// Whom the recipe wants to learn from, if anybody. What it was goes into `hash`.
fn teacher<B: Training>(
    recipe: &Recipe,
    places: &Places,
    tokenizer: &Tokenizer,
    engines: &dyn Fn(Role) -> Result<B>,
    hash: &mut Sha256,
) -> Result<Option<Teacher<B>>> {
    let place = match (&recipe.teacher, &places.teacher) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            let message = "recipe: a teacher is named, but there is no [teacher] that says what it counts";
            return Err(Error::new(ErrorKind::Input, message));
        }
        (Some(_), Some(place)) => place,
        (Some(_), None) => {
            let message = "recipe: no teacher: name a folder with --teacher or in the recipe's teacher.base";
            return Err(Error::new(ErrorKind::Input, message));
        }
    };
    let mut open = || {
        let folder = model::open(place)?;
        hash.update(folder.sha256());
        Teacher::open(&folder, recipe, tokenizer, engines(Role::Answer)?)
    };
    open().map(Some).map_err(|e| e.at(format!("teacher {}", place.display())))
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

pub(super) fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

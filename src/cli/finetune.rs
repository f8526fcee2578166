//! `clinlite finetune`.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use clinlite::train::finetune::{Options, Places, finetune};
use clinlite::train::progress::{Progress, Scored, Step};
use clinlite::train::recipe::Recipe;
use indicatif::{ProgressBar, ProgressStyle};

/// The exit code of a run that was stopped: what a shell gives for SIGTERM.
pub(crate) const STOPPED: u8 = 143;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The recipe, TOML.
    recipe: PathBuf,
    /// The run folder: log, checkpoint, and the model as a Hugging Face folder in `model/`.
    #[arg(long)]
    out: PathBuf,
    /// Go on from the checkpoint in the run folder, if there is one.
    #[arg(long)]
    resume: bool,
    /// The folder below which the sets of the recipe lie.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// The Hugging Face folder to start from, in place of the recipe's `model.base`.
    #[arg(long)]
    base: Option<PathBuf>,
    /// Minutes between checkpoints.
    #[arg(long, default_value_t = 10.0)]
    checkpoint_minutes: f64,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let path = arguments.recipe.display().to_string();
    let text = fs::read_to_string(&arguments.recipe).with_context(|| path.clone())?;
    let recipe = Recipe::parse(&text).with_context(|| path)?;
    let base = arguments.base.or(recipe.model.base.map(PathBuf::from));
    let base = base.context("no base model: name a folder with --base or in the recipe's model.base")?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("signals")?;
    let places = Places { data: arguments.data, base, out: arguments.out };
    let checkpoint_every = Duration::from_secs_f64(arguments.checkpoint_minutes.clamp(0.01, 1e6) * 60.0);
    keep_pages();
    let options = Options { resume: arguments.resume, checkpoint_every, stop: &stop };
    let mut display = Display::new();
    let outcome = finetune(&text, &places, &options, &mut display)?;
    display.bar.finish_and_clear();
    if outcome.stopped {
        eprintln!("stopped after step {}; go on with --resume", outcome.step);
        return Ok(ExitCode::from(STOPPED));
    }
    let place = places.out.join("model");
    match outcome.best {
        Some((score, step)) => eprintln!("best dev score {:.2} at step {step}: {}", 100.0 * score, place.display()),
        None => eprintln!("{} steps done: {}", outcome.step, place.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells the allocator to keep what a step frees: the next step wants the same again, and pages that come back from the
/// system are zeroed first. 1,130 to 1,330 tokens per CPU second, one run each.
pub(crate) fn keep_pages() {
    /// `mi_option_purge_delay` of mimalloc.h, of which the crate names only the first three options.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // Safety: sets one number of the allocator that this binary uses; -1 is "never".
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

/// A bar on a terminal, a line every ten seconds elsewhere.
struct Display {
    bar: ProgressBar,
    terminal: bool,
    line: Option<Instant>,
    loss: f64,
    score: Option<(&'static str, f64)>,
}

impl Display {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template = "{prefix} {wide_bar} {pos}/{len} {msg} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, terminal, line: None, loss: 0.0, score: None }
    }

    fn say(&self, line: &str) {
        if self.terminal { self.bar.println(line) } else { eprintln!("{line}") }
    }

    fn message(&self, at: &Step) -> String {
        let shown = |(metric, score)| format!(", dev {metric} {:.2}", 100.0 * score);
        let score = self.score.map_or(String::new(), shown);
        format!("loss {:.4}, {:.0} tokens/s{score}", self.loss, at.tokens_per_second)
    }
}

impl Progress for Display {
    fn stage(&mut self, name: &str, step: u64, steps: u64) {
        self.bar.set_length(steps);
        self.bar.set_prefix(name.to_owned());
        self.say(&format!("stage {name}: from step {step} of {steps}"));
    }

    fn step(&mut self, at: &Step) {
        // The loss of one step is noise: show the mean of the last fifty or so.
        let share = if at.step < 50 { 1.0 / at.step as f64 } else { 0.02 };
        self.loss += share * (at.loss - self.loss);
        self.bar.set_position(at.step);
        self.bar.set_message(self.message(at));
        if !self.terminal && self.line.is_none_or(|line| line.elapsed() > Duration::from_secs(10)) {
            self.line = Some(Instant::now());
            let left = (at.steps - at.step) as f64 * at.tokens as f64 / at.tokens_per_second;
            eprintln!("step {}/{} {}, {:.1} min left", at.step, at.steps, self.message(at), left / 60.0);
        }
    }

    fn scored(&mut self, at: &Scored) {
        self.score = Some((at.metric, at.score));
        let best = if at.best { ", the best so far" } else { "" };
        let plain = at.plain.map_or(String::new(), |plain| format!(" (plain {:.2})", 100.0 * plain));
        self.say(&format!("step {}: dev {} {:.2}{best}{plain}", at.step, at.metric, 100.0 * at.score));
    }

    fn note(&mut self, line: &str) {
        self.say(line);
    }
}

//! `clinlite finetune`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use clinlite::train::finetune::{Options, Outcome, Places, finetune};
#[cfg(feature = "cuda")]
use clinlite::train::finetune::{Role, finetune_on};
use clinlite::train::recipe::Recipe;
use clinlite::train::series::{self, Ran, Variant};

use crate::device::{Device, DeviceArguments};
use crate::display::Display;
use crate::ranks;

/// The exit code of a run that was stopped: what a shell gives for SIGTERM.
pub(crate) const STOPPED: u8 = 143;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite finetune recipes/maccrobat.toml --base runs/base --out runs/maccrobat
  clinlite finetune student.toml --teacher runs/teacher/model --out runs/student --seeds 1,2,3 --device cuda
  clinlite finetune student.toml --out runs/grid --grid

With --seeds or --grid every run has a folder of its own below --out; what is finished is not run again, and what was
stopped goes on.")]
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
    /// The folder of the teacher, in place of the recipe's `teacher.base`.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Run once for each of these in place of the recipe's seed; `seeds.json` gets mean and standard deviation.
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    seeds: Vec<u64>,
    /// Run once for each learning rate of the recipe's `grid.lr`; `grid.json` names the best, `best.toml` is its recipe.
    #[arg(long, conflicts_with = "seeds")]
    grid: bool,
    #[command(flatten)]
    device: DeviceArguments,
    /// Minutes between checkpoints.
    #[arg(long, default_value_t = 10.0)]
    checkpoint_minutes: f64,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    ranks::refuse("finetune")?;
    let path = arguments.recipe.display().to_string();
    let text = fs::read_to_string(&arguments.recipe).with_context(|| path.clone())?;
    let recipe = Recipe::parse(&text).with_context(|| path)?;
    let base = arguments.base.or(recipe.model.base.map(PathBuf::from));
    let base = base.context("no base model: name a folder with --base or in the recipe's model.base")?;
    let teacher = arguments.teacher.or(recipe.teacher.and_then(|teacher| teacher.base).map(PathBuf::from));
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("signals")?;
    let places = Places { data: arguments.data, base, teacher, out: arguments.out };
    let checkpoint_every = Duration::from_secs_f64(arguments.checkpoint_minutes.clamp(0.001, 1e6) * 60.0);
    keep_pages();
    let job = Job { places, checkpoint_every, stop, ground: arguments.device.open(0)? };
    if arguments.grid {
        job.grid(&text)
    } else if arguments.seeds.is_empty() {
        Ok(match job.train(&text, &job.places.out, arguments.resume)?.stopped {
            true => ExitCode::from(STOPPED),
            false => ExitCode::SUCCESS,
        })
    } else {
        job.seeds(&text, &arguments.seeds)
    }
}

/// What all runs of a command share.
struct Job {
    places: Places,
    checkpoint_every: Duration,
    stop: Arc<AtomicBool>,
    ground: Device,
}

impl Job {
    /// One run, and how it ended on standard error.
    fn train(&self, recipe: &str, out: &Path, resume: bool) -> clinlite::Result<Outcome> {
        let places = Places { out: out.to_owned(), ..self.places.clone() };
        let options = Options { resume, checkpoint_every: self.checkpoint_every, stop: &self.stop };
        let mut display = Display::new();
        let outcome = match &self.ground {
            Device::Cpu => finetune(recipe, &places, &options, &mut display),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                let engines = |role: Role| role.on_cuda(device);
                finetune_on(&engines, recipe, &places, &options, &mut display)
            }
        }?;
        display.clear();
        let place = places.out.join("model");
        match outcome.best {
            _ if outcome.stopped => eprintln!("stopped after step {}; go on with --resume", outcome.step),
            Some((score, step)) => {
                eprintln!("best dev score {:.2} at step {step}: {}", 100.0 * score, place.display());
            }
            None => eprintln!("{} steps done: {}", outcome.step, place.display()),
        }
        Ok(outcome)
    }

    /// Runs what is not finished. Nothing when a run was stopped.
    fn series(&self, variants: &[Variant]) -> Result<Option<Vec<Ran>>> {
        let mut one = |variant: &Variant, folder: &Path| {
            eprintln!("{}: {}", variant.name, folder.display());
            self.train(&variant.recipe, folder, true)
        };
        Ok(series::run(variants, &self.places.out, &mut one)?)
    }

    fn seeds(&self, recipe: &str, seeds: &[u64]) -> Result<ExitCode> {
        let Some(ran) = self.series(&series::seeds(recipe, &self.places, seeds)?)? else {
            return Ok(ExitCode::from(STOPPED));
        };
        series::write_seeds(&ran, &self.places.out)?;
        print(&ran);
        let (mean, sd) = series::mean_and_sd(&ran.iter().map(|ran| ran.score).collect::<Vec<_>>());
        let sd = sd.map_or(String::new(), |sd| format!(", standard deviation {:.2}", 100.0 * sd));
        println!("mean {:.2}{sd}", 100.0 * mean);
        Ok(ExitCode::SUCCESS)
    }

    fn grid(&self, recipe: &str) -> Result<ExitCode> {
        let variants = series::rates(recipe, &self.places)?;
        let Some(ran) = self.series(&variants)? else { return Ok(ExitCode::from(STOPPED)) };
        let best = series::write_grid(&variants, &ran, &self.places.out)?;
        print(&ran);
        if let Some(best) = best {
            println!("best: {}, as a recipe in {}", best.name, self.places.out.join("best.toml").display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One line a run.
fn print(ran: &[Ran]) {
    let metric = ran.first().map_or("score", |ran| &ran.metric);
    println!("{:<12} dev {metric:<10} step", "run");
    for Ran { name, score, step, .. } in ran {
        println!("{name:<12} {:<14.2} {step}", 100.0 * score);
    }
}

/// Tells the allocator to keep what a step frees: the next step wants the same again, and pages that come back from the
/// system are zeroed first. 1,130 to 1,330 tokens per CPU second, one run each.
pub(crate) fn keep_pages() {
    /// `mi_option_purge_delay` of mimalloc.h, of which the crate names only the first three options.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // Safety: sets one number of the allocator that this binary uses; -1 is "never".
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

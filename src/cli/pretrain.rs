//! `clinlite pretrain`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use clinlite::train::parallel::{BUCKET, HostSums, Ranks, Seat};
#[cfg(feature = "cuda")]
use clinlite::train::parallel::{Group, NcclSums};
use clinlite::train::pretrain::progress::Progress;
use clinlite::train::pretrain::{Options, Outcome, Places, Role, pretrain_among};

use crate::device::{Device, DeviceArguments};
use crate::display::Display;
use crate::finetune::{STOPPED, keep_pages};
use crate::ranks;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite blocks notes/ --tokenizer Bio_ClinicalBERT --out blocks --length 256
  clinlite pretrain recipes/pretrain/tiny-clinical-bert.toml --blocks blocks --teacher Bio_ClinicalBERT --out runs/tiny
  clinlite pretrain recipes/pretrain/clinical-distil-bert.toml --blocks blocks --base bio-distilbert-cased --out runs/distil

Several processes: torchrun --no-python --nproc-per-node 4 clinlite pretrain ... --device cuda, or srun, or mpirun.
A run that is stopped by Ctrl-C or SIGTERM, or killed, goes on with --resume and ends with the same bytes. Docs: docs/training.md.")]
pub(crate) struct Arguments {
    /// The recipe, TOML
    recipe: PathBuf,
    /// The folder of token blocks that `clinlite blocks` wrote
    #[arg(long, value_name = "DIR")]
    blocks: PathBuf,
    /// The run folder: log, checkpoint, and in the end the model as a Hugging Face folder in `model/`
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// The teacher's Hugging Face folder, in place of the recipe's `teacher.base`
    #[arg(long, value_name = "FOLDER")]
    teacher: Option<PathBuf>,
    /// The Hugging Face folder that the student starts from, in place of the recipe's `[student]`
    #[arg(long, value_name = "FOLDER")]
    base: Option<PathBuf>,
    /// Go on from the checkpoint in the run folder, if there is one
    #[arg(long)]
    resume: bool,
    /// Minutes between checkpoints
    #[arg(long, value_name = "M", default_value_t = 10.0)]
    checkpoint_minutes: f64,
    #[command(flatten)]
    device: DeviceArguments,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let path = arguments.recipe.display().to_string();
    let recipe = fs::read_to_string(&arguments.recipe).with_context(|| path.clone())?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("signals")?;
    let Arguments { blocks, teacher, base, out, resume, checkpoint_minutes, device, .. } = arguments;
    let places = Places { blocks, teacher, base, out };
    let checkpoint_every = Duration::from_secs_f64(checkpoint_minutes.clamp(0.001, 1e6) * 60.0);
    let options = Options { resume, checkpoint_every, stop: &stop };
    let seat = Seat::here()?;
    let device = device.open(seat.as_ref().map_or(0, |seat| seat.local_rank))?;
    let (mut display, mut silence) = (Display::new(), ());
    let leads = seat.as_ref().is_none_or(|seat| seat.rank == 0);
    let progress: &mut dyn Progress = if leads { &mut display } else { &mut silence };
    let outcome = train(device, seat.as_ref(), &recipe, &places, &options, progress);
    display.clear();
    let Outcome { step, held_out, stopped } = outcome.with_context(|| path)?;
    if !leads {
        return Ok(if stopped { ExitCode::from(STOPPED) } else { ExitCode::SUCCESS });
    }
    if stopped {
        eprintln!("stopped after step {step}; go on with --resume");
        return Ok(ExitCode::from(STOPPED));
    }
    let held_out = held_out.map_or(String::new(), |loss| format!(", masked loss {loss:.4} on held-out notes"));
    eprintln!("{step} steps done{held_out}: {}", places.out.join("model").display());
    Ok(ExitCode::SUCCESS)
}

/// Alone, or with the others that a launcher started.
fn train(
    device: Device,
    seat: Option<&Seat>,
    recipe: &str,
    places: &Places,
    options: &Options<'_>,
    progress: &mut dyn Progress,
) -> clinlite::Result<Outcome> {
    let group = ranks::join(seat)?;
    match device {
        Device::Cpu => {
            keep_pages();
            let among = |group| Ranks::new(group, Box::new(HostSums::default()), BUCKET);
            let ranks = group.map_or_else(Ranks::alone, among);
            pretrain_among(&ranks, recipe, places, options, |role: Role| Ok(role.on_cpu()), progress)
        }
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let among = |group: Group| {
                let sums = NcclSums::join(&group, &device).inspect_err(|e| group.fail(&e.to_string()))?;
                Ok(Ranks::new(group, Box::new(sums), BUCKET))
            };
            let ranks = group.map_or_else(|| Ok(Ranks::alone()), among)?;
            pretrain_among(&ranks, recipe, places, options, |role: Role| role.on_cuda(&device), progress)
        }
    }
}

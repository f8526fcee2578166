//! The command line: parses, calls the library, maps the result to an exit code.
//!
//! One file a subcommand, each with `Arguments` and `run`. Results go to standard output, everything else to standard
//! error; an error is one line that names the place and never holds note text.

mod blocks;
mod classify;
mod device;
mod display;
mod doctor;
mod eval;
mod eval_assertion;
mod export;
mod files;
mod finetune;
mod gpu;
mod inputs;
mod inspect;
mod logits;
mod nli;
mod output;
mod pack;
mod pool;
mod pretrain;
mod prune;
mod ranks;
mod relation;
mod tag;
mod work;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clinlite::train::corpus::notes::panic_is_contained;

/// Training takes and returns the same large buffers every step; the system's allocator hands them back each time and
/// pays for it in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\n\nNot a medical device. For research, education and software evaluation on de-identified or synthetic text;\n",
    "not for decisions about individual patients."
);

const EXIT_CODES: &str = "\
Exit codes:
  0  all done
  1  something failed; standard error says what, and the other files were still done
  2  the command line cannot be understood
  143  a training, or a tag with --out, was stopped: the same command goes on

Nothing leaves this machine: the program opens no connection. A pretrain that a launcher (torchrun, srun, mpirun) starts as
several processes connects these with each other, and with nothing else.";

/// Lightweight clinical transformers: find problems, tests, treatments, drugs, anatomy and lab values in clinical text.
#[derive(Parser)]
#[command(name = "clinlite", version = VERSION, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find entities in notes
    #[command(visible_alias = "ner")]
    Tag(tag::Arguments),
    /// Find relations between the entities of notes
    Relation(relation::Arguments),
    /// Judge whether premises entail a hypothesis
    Nli(nli::Arguments),
    /// Label texts
    Classify(classify::Arguments),
    /// Score a model on annotated text
    Eval(eval::Arguments),
    /// Score the rules of negation and uncertainty on annotated text
    EvalAssertion(eval_assertion::Arguments),
    /// Leave out the word pieces that a kind of text does not need
    Prune(prune::Arguments),
    /// Make the small int8 folder that ships from a Hugging Face folder
    Pack(pack::Arguments),
    /// Make blocks of tokens from raw notes, to train a masked language model on
    Blocks(blocks::Arguments),
    /// Pre-train a masked language model by a recipe, with or without a teacher
    Pretrain(pretrain::Arguments),
    /// Fine-tune a tagger or classifier by a recipe, with a teacher if it names one
    Finetune(finetune::Arguments),
    /// Show what a model folder is, and whether it is whole
    Inspect(inspect::Arguments),
    /// Write a folder that PyTorch's transformers loads
    Export(export::Arguments),
    /// Print what a model says of a text, number by number
    Logits(logits::Arguments),
    /// Say what this build and this machine can do
    Doctor(doctor::Arguments),
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    let result = match Cli::parse().command {
        Command::Tag(arguments) => tag::run(arguments),
        Command::Relation(arguments) => relation::run(arguments),
        Command::Nli(arguments) => nli::run(arguments),
        Command::Classify(arguments) => classify::run(arguments),
        Command::Eval(arguments) => eval::run(arguments),
        Command::EvalAssertion(arguments) => eval_assertion::run(arguments),
        Command::Prune(arguments) => prune::run(arguments),
        Command::Pack(arguments) => pack::run(arguments),
        Command::Blocks(arguments) => blocks::run(arguments),
        Command::Pretrain(arguments) => pretrain::run(arguments),
        Command::Finetune(arguments) => finetune::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Logits(arguments) => logits::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS, // `clinlite tag … | head`
        Err(error) => {
            files::report(&error);
            ExitCode::FAILURE
        }
    }
}

/// A panic message may quote a string, and strings here are notes: only the place is shown.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    if panic_is_contained() {
        return; // it becomes an error that names the file
    }
    let place = info.location().map_or_else(|| "an unknown place".into(), ToString::to_string);
    eprintln!("clinlite: internal error at {place}, please report it without the note");
    std::process::exit(1);
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

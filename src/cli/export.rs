//! `clinlite export`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clinlite::models::{Config, Encoder, Head, Model};
use clinlite::weights::folder::Folder;
use clinlite::weights::pack::{Exported, to_hugging_face};

use crate::files;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite export models/clinlite-ner-en --to hf --out /tmp/ner    from int8 back to what PyTorch loads
  clinlite export nlpie/tiny-clinicalbert --to hf --out /tmp/tiny  from a pickle to safetensors

Writes config.json, model.safetensors (f32, Hugging Face's names, tied weights once) and the tokenizer. Int8 weights
become the numbers that they stand for. All weights are written, also those that the model does not use.")]
pub(crate) struct Arguments {
    /// A Hugging Face folder or a packed one
    folder: PathBuf,
    /// The form to write
    #[arg(long, value_enum)]
    to: Form,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// what PyTorch's transformers loads
    Hf,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let Form::Hf = arguments.to;
    let out = arguments.out.display();
    if files::same_folder(&arguments.folder, &arguments.out) {
        bail!("{out}: would be overwritten, name another folder with --out");
    }
    if arguments.out.join("manifest.json").exists() {
        bail!("{out}: holds a packed model, name another folder with --out");
    }
    let folder = files::read_folder(&arguments.folder)?;
    let exported = export(&folder).with_context(|| arguments.folder.display().to_string())?;
    files::write_folder(&arguments.out, &exported.files)?;
    for name in &exported.left_out {
        println!("left out: {name}, integers");
    }
    let bytes: usize = exported.files.values().map(Vec::len).sum();
    println!("{out}: {} files, {:.1} MB", exported.files.len(), bytes as f64 / 1e6);
    Ok(ExitCode::SUCCESS)
}

fn export(folder: &Folder) -> clinlite::Result<Exported> {
    let (config, weights, head) = (Config::of(folder)?, folder.weights()?, Head::of(folder).ok());
    // What cannot be loaded is not worth writing.
    match head {
        Some(_) => weights.survey(|recorder, root| Model::load(recorder, root, folder).map(drop)),
        None => weights.survey(|recorder, root| Encoder::load(recorder, root, &config).map(drop)),
    }?
    .into_iter()
    .find_map(|wanted| wanted.trouble)
    .map_or(Ok(()), Err)?;
    let prefix = match config {
        Config::Bert(_) => "Bert",
        Config::DistilBert(_) => "DistilBert",
        Config::MobileBert(_) => "MobileBert",
        Config::MiniAlbert(_) => "MiniAlbert",
    };
    let class = format!("{prefix}{}", head.map_or("Model", Head::class));
    to_hugging_face(folder, &class, config.is_tied(folder))
}

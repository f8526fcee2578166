//! `clinlite inspect`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Config, Shape, TokenClassification};
use clinlite::weights::Weights;
use clinlite::weights::folder::Folder;

use crate::files;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite inspect                        the default model
  clinlite inspect models/clinlite-ner-en a folder

Exits with 1 if a file differs from the manifest or the model cannot be loaded.")]
pub(crate) struct Arguments {
    /// A Hugging Face folder or a packed one [default: the default model]
    folder: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let place = files::find_model(arguments.folder)?;
    let folder = files::read_folder(&place)?;
    let mut out = std::io::stdout().lock();
    let bytes: usize = folder.files().map(|(_, bytes)| bytes).sum();
    writeln!(out, "folder        {} ({:.1} MB)", place.display(), bytes as f64 / 1e6)?;
    writeln!(out, "sha256        {}", folder.sha256())?;
    write_manifest(&mut out, &folder)?;
    let context = || place.display().to_string();
    let config: Config = Config::of(&folder).with_context(context)?;
    let labels = folder.label_names();
    write_config(&mut out, &folder, &config, labels.as_deref().unwrap_or_default())?;
    let weights = folder.weights().with_context(context)?;
    let loaded = labels.and_then(|names| {
        TokenClassification::load(&SimdBackend::new(), &weights.root(), &config, names.len()).map(drop)
    });
    writeln!(out, "parameters    {}", parameters(&weights))?;
    if loaded.is_ok() {
        let unused = weights.unused();
        let list = if unused.is_empty() { "none".into() } else { unused.join(", ") };
        writeln!(out, "unused        {list}")?;
    }
    loaded.with_context(context)?;
    writeln!(out, "loads         yes")?;
    Ok(ExitCode::SUCCESS)
}

fn write_manifest(out: &mut impl Write, folder: &Folder) -> Result<()> {
    let Some(manifest) = folder.manifest() else {
        writeln!(out, "manifest      none")?;
        return Ok(());
    };
    let version = if manifest.version.is_empty() { "no version" } else { &manifest.version };
    writeln!(out, "name          {}, {version}", manifest.name)?;
    writeln!(out, "task          {}", manifest.task)?;
    writeln!(out, "licence       {}", manifest.licence.as_deref().unwrap_or("not stated"))?;
    if let Some(quantization) = &manifest.quantization {
        writeln!(out, "quantization  {}", quantization.scheme)?;
    }
    if let Some(window) = manifest.window {
        writeln!(out, "window        {} pieces, at least {} shared", window.max_length, window.stride)?;
    }
    writeln!(out, "manifest      all {} hashes match", manifest.files.len())?;
    Ok(())
}

fn write_config(out: &mut impl Write, folder: &Folder, config: &Config, labels: &[String]) -> Result<()> {
    let Shape { num_hidden_layers, hidden_size, num_attention_heads, vocab_size, max_position_embeddings, .. } =
        config.shape();
    writeln!(
        out,
        "architecture  {}: {num_hidden_layers} layers, hidden {hidden_size}, \
         {num_attention_heads} heads, vocabulary {vocab_size}, at most {} pieces",
        folder.architecture()?,
        max_position_embeddings
    )?;
    writeln!(out, "labels        {}", if labels.is_empty() { "none".into() } else { labels.join(" ") })?;
    Ok(())
}

/// The numbers of the file, the scales of packed matrices not counted.
fn parameters(weights: &Weights<'_>) -> usize {
    let size = |name: &str| weights.shape(name).map_or(0, |shape| shape.iter().product());
    weights.names().filter(|name| !name.ends_with(".scale")).map(size).sum()
}

//! `clinlite inspect`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Config, Encoder, Head, Model, Shape};
use clinlite::tasks::read_tokenizer;
use clinlite::weights::folder::{Folder, TokenizerFiles};
use clinlite::weights::{Wanted, Weights};

use crate::files;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite inspect                        the default model
  clinlite inspect models/clinlite-ner-en a folder

Parameters are counted exactly, a weight with two uses once. An encoder without a head is no fault: it can be fine-tuned.
Exits with 1 if a file differs from the manifest or the model cannot be used; every reason is listed.")]
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
    write_config(&mut out, &folder, &config)?;
    let weights = folder.weights().with_context(context)?;
    let mut troubles = Vec::new();
    let head = write_head(&mut out, &folder, &weights, &mut troubles)?;
    write_tokenizer(&mut out, &folder, &config, &mut troubles)?;
    let wanted = survey(&folder, &config, &weights, head.is_some() && troubles.is_empty()).with_context(context)?;
    write_weights(&mut out, &folder, &weights, &wanted)?;
    troubles.extend(wanted.into_iter().filter_map(|wanted| Some(wanted.trouble?.to_string())));
    // The numbers themselves are read last.
    if troubles.is_empty() && head.is_some() {
        troubles.extend(Model::of(&SimdBackend::new(), &folder).err().map(|error| error.to_string()));
    }
    for trouble in &troubles {
        writeln!(out, "missing       {trouble}")?;
    }
    writeln!(out, "loads         {}", if troubles.is_empty() { "yes" } else { "no" })?;
    match troubles.len() {
        0 => Ok(ExitCode::SUCCESS),
        1 => anyhow::bail!("{}: {}", place.display(), troubles[0]),
        n => anyhow::bail!("{}: cannot be used: {}, and {} more", place.display(), troubles[0], n - 1),
    }
}

fn write_manifest(out: &mut impl Write, folder: &Folder) -> Result<()> {
    let Some(manifest) = folder.manifest() else {
        writeln!(out, "manifest      none")?;
        return Ok(());
    };
    let version = if manifest.version.is_empty() { "no version" } else { &manifest.version };
    writeln!(out, "name          {}, {version}", manifest.name)?;
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

fn write_config(out: &mut impl Write, folder: &Folder, config: &Config) -> Result<()> {
    let Shape { num_hidden_layers, hidden_size, num_attention_heads, vocab_size, max_position_embeddings, .. } =
        config.shape();
    writeln!(
        out,
        "architecture  {}: {num_hidden_layers} layers, hidden {hidden_size}, \
         {num_attention_heads} heads, vocabulary {vocab_size}, at most {} pieces",
        folder.architecture()?,
        max_position_embeddings
    )?;
    Ok(())
}

/// The task and its labels. A classifier without labels cannot be used.
fn write_head(
    out: &mut impl Write,
    folder: &Folder,
    weights: &Weights<'_>,
    troubles: &mut Vec<String>,
) -> Result<Option<Head>> {
    let head = Head::of(folder).ok();
    writeln!(out, "task          {}", head.map_or("none, an encoder to fine-tune", Head::name))?;
    if matches!(head, Some(Head::TokenClassification | Head::SequenceClassification)) {
        match folder.label_names() {
            Ok(names) => writeln!(out, "labels        {}", names.join(" "))?,
            Err(error) => {
                let count = weights.shape("classifier.bias").and_then(|shape| shape.first().copied());
                let said = count.map_or_else(String::new, |count| format!(", the classifier has {count}"));
                troubles.push(format!("{error}{said}"));
            }
        }
    }
    Ok(head)
}

fn write_tokenizer(out: &mut impl Write, folder: &Folder, config: &Config, troubles: &mut Vec<String>) -> Result<()> {
    let read = || {
        let file = match folder.tokenizer_files()? {
            TokenizerFiles::Json(_) => "tokenizer.json",
            TokenizerFiles::Vocab { .. } => "vocab.txt",
        };
        Ok::<_, clinlite::Error>((file, read_tokenizer(folder)?))
    };
    match read() {
        Ok((file, tokenizer)) => {
            let cased = if tokenizer.normalization().lowercase { "uncased" } else { "cased" };
            let (pieces, rows) = (tokenizer.vocab_size(), config.shape().vocab_size);
            writeln!(out, "tokenizer     WordPiece, {pieces} pieces, {cased} ({file})")?;
            if pieces > rows {
                troubles.push(format!("the tokenizer has {pieces} pieces, the model embeds {rows}"));
            }
        }
        Err(error) => troubles.push(error.to_string()),
    }
    Ok(())
}

/// What the model asks for; without a head that can be built, what its encoder asks for.
fn survey(folder: &Folder, config: &Config, weights: &Weights<'_>, whole: bool) -> clinlite::Result<Vec<Wanted>> {
    weights.survey(|recorder, root| match whole {
        true => Model::load(recorder, root, folder).map(drop),
        false => Encoder::load(recorder, root, config).map(drop),
    })
}

fn write_weights(out: &mut impl Write, folder: &Folder, weights: &Weights<'_>, wanted: &[Wanted]) -> Result<()> {
    let mut parts = [0usize; 3];
    for wanted in wanted {
        let size = wanted.shape.iter().fold(1usize, |size, &n| size.saturating_mul(n));
        let part = &mut parts[part(&wanted.name)];
        *part = part.saturating_add(size);
    }
    let [embeddings, body, head] = parts;
    let all = embeddings.saturating_add(body).saturating_add(head);
    writeln!(out, "parameters    {all}: embeddings {embeddings}, body {body}, head {head}")?;
    let types: Vec<_> = weights.types().into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    writeln!(out, "stored        {}", types.join(", "))?;
    for (name, bytes) in folder.files() {
        writeln!(out, "file          {name}, {bytes} bytes")?;
    }
    let unused = weights.unused();
    writeln!(out, "unused        {}", if unused.is_empty() { "none".into() } else { unused.join(", ") })?;
    Ok(())
}

/// Embeddings with what widens them, body or head.
fn part(name: &str) -> usize {
    let encoder = ["bert.", "distilbert.", "mobilebert.", "albert."].iter().any(|base| name.starts_with(base));
    let embeds = ["embeddings.", ".embedding_transformation.", "albert.projector."];
    match encoder && !name.contains(".pooler.") {
        true if embeds.iter().any(|place| name.contains(place)) => 0,
        true => 1,
        false => 2,
    }
}

//! `clinlite pack`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Head, Model};
use clinlite::tasks::ner::Tagger;
use clinlite::tasks::read_tokenizer;
use clinlite::text::Labels;
use clinlite::weights::folder::Folder;
use clinlite::weights::manifest::Window;
use clinlite::weights::pack::{About, Packed, Report, Says, pack};
use serde::de::DeserializeOwned;

use crate::files;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite pack runs/ner/model --out models/clinlite-ner-en --about about.json --metrics test.json --card CARD.md
  clinlite pack models/clinlite-ner-en --out models/clinlite-ner-en --card CARD.md    another card, the same numbers

The same input gives the same bytes. The result is verified by loading it, from memory and from the disk. A packed
folder may be packed again: its integers are kept, and what is not named is taken from its manifest.")]
pub(crate) struct Arguments {
    /// A Hugging Face folder or a packed one
    folder: PathBuf,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// JSON with any of name, version, licence, base, data, metrics, window, as in the manifest
    #[arg(long, value_name = "FILE.json")]
    about: Option<PathBuf>,
    /// A JSON object of figures, in place of those of --about
    #[arg(long, value_name = "FILE.json")]
    metrics: Option<PathBuf>,
    /// The model card
    #[arg(long, value_name = "README.md")]
    card: Option<PathBuf>,
    /// The id of the model [default: the name of the folder to write]
    #[arg(long)]
    name: Option<String>,
    /// The version of the model
    #[arg(long)]
    version: Option<String>,
    /// The licence of the weights, an SPDX id
    #[arg(long)]
    licence: Option<String>,
    /// The longest window in pieces, special tokens included
    #[arg(long, value_name = "N", requires = "stride")]
    window: Option<usize>,
    /// The least overlap of two windows in pieces
    #[arg(long, value_name = "M", requires = "window")]
    stride: Option<usize>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let folder = files::read_folder(&arguments.folder)?;
    if folder.manifest().is_none() && files::same_folder(&arguments.folder, &arguments.out) {
        bail!("{}: would be overwritten, name another folder with --out", arguments.out.display());
    }
    let card = arguments.card.as_ref().map(|path| fs::read(path).with_context(|| path.display().to_string()));
    let about = about(&arguments, &folder)?;
    let packed =
        pack_folder(&folder, about, card.transpose()?).with_context(|| arguments.folder.display().to_string())?;
    files::write_folder(&arguments.out, &packed.files)?;
    let written = files::read_folder(&arguments.out)?;
    let id = load(&written).with_context(|| arguments.out.display().to_string())?;
    print(&packed, &folder, &written);
    println!("{}: {id} loads, sha256 {}", arguments.out.display(), written.sha256());
    Ok(ExitCode::SUCCESS)
}

fn pack_folder(folder: &Folder, about: About, card: Option<Vec<u8>>) -> clinlite::Result<Packed> {
    let head = Head::of(folder)?;
    let (labels, scheme) = match head {
        Head::TokenClassification => {
            let labels = Labels::new(folder.label_names()?)?;
            (labels.types().to_vec(), Some(labels.scheme().name().into()))
        }
        Head::SequenceClassification => (folder.label_names()?, None),
        Head::MaskedLm => (Vec::new(), None),
    };
    let says = Says { task: head.name().into(), labels, scheme };
    pack(folder, about, says, card, |recorder, root| Model::load(recorder, root, folder).map(drop))
}

/// Loads a packed model as those do who use it; returns its id.
fn load(folder: &Folder) -> clinlite::Result<String> {
    if Head::of(folder)? == Head::TokenClassification {
        return Ok(Tagger::load(SimdBackend::new(), folder)?.model().id.clone());
    }
    read_tokenizer(folder)?;
    Model::of(&SimdBackend::new(), folder)?;
    Ok(folder.manifest().map(|manifest| manifest.name.clone()).unwrap_or_default())
}

/// Options win over `--about`; the name of the output folder is the last resort.
fn about(arguments: &Arguments, folder: &Folder) -> Result<About> {
    let about: About = arguments.about.as_deref().map_or(Ok(About::default()), read_json)?;
    let metrics: Option<_> = arguments.metrics.as_deref().map(read_json).transpose()?;
    let known = folder.manifest().map(|manifest| manifest.name.clone());
    let from_folder = || Some(arguments.out.file_name()?.to_string_lossy().into_owned());
    let window = arguments.window.zip(arguments.stride).map(|(max_length, stride)| Window { max_length, stride });
    Ok(About {
        name: arguments.name.clone().or(about.name).or(known).or_else(from_folder),
        version: arguments.version.clone().or(about.version),
        licence: arguments.licence.clone().or(about.licence),
        metrics: metrics.or(about.metrics),
        window: window.or(about.window),
        ..about
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let shown = || path.display().to_string();
    let bytes = fs::read(path).with_context(shown)?;
    serde_json::from_slice(&bytes).with_context(shown)
}

fn print(packed: &Packed, before: &Folder, after: &Folder) {
    println!("largest error  relative error  tensor");
    for Report { name, shape, int8, largest_error, relative_error } in &packed.tensors {
        if *int8 {
            let percent = 100.0 * relative_error;
            println!("{largest_error:13.6}  {percent:13.3}%  {name} {shape:?}");
        }
    }
    let squared: f64 = packed.tensors.iter().filter(|t| t.int8).map(|t| t.relative_error.powi(2)).sum();
    let count = packed.tensors.iter().filter(|t| t.int8).count().max(1) as f64;
    println!("{:13}  {:13.3}%  all int8 tensors, root mean square", "", 100.0 * (squared / count).sqrt());
    if !packed.unused.is_empty() {
        println!("left out: {}", packed.unused.join(", "));
    }
    let size = |folder: &Folder| folder.files().map(|(_, bytes)| bytes).sum::<usize>() as f64 / 1e6;
    println!("{:.2} MB before, {:.2} MB after", size(before), size(after));
}

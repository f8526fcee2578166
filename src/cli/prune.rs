//! `clinlite prune`.

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use clinlite::train::prune::{Options, Pruned, prune};
use clinlite::train::readers::{DataSet, Document, read_texts};
use clinlite::weights::folder::Folder;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite prune base/all-MiniLM-L6-v2 --texts notes.jsonl brat:data/maccrobat2020:train --min-count 2 --out runs/pruned

A text is cut as before, and its logits stay the same, when all its pieces are kept. A rarer word is cut into shorter
pieces; in Latin script it does not become [UNK]. Prune before fine-tuning and before packing.")]
pub(crate) struct Arguments {
    /// A plain Hugging Face folder
    folder: PathBuf,
    /// Texts whose pieces are kept: a .txt, .jsonl, .json or .csv file, a folder of .txt, or a data set as
    /// FORMAT:PATH[:SPLIT]
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    texts: Vec<String>,
    /// Pieces that occur less often go
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_count: u64,
    /// A piece to keep in any case, such as [unused1]
    #[arg(long, value_name = "PIECE")]
    keep: Vec<String>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let place = arguments.folder.display().to_string();
    if fs::canonicalize(&arguments.folder).ok() == fs::canonicalize(&arguments.out).ok() && arguments.out.exists() {
        bail!("{place}: would be overwritten, name another folder with --out");
    }
    let folder = Folder::from_files(read_all(&arguments.folder)?).with_context(|| place.clone())?;
    let mut texts = Vec::new();
    for source in &arguments.texts {
        texts.extend(read(source)?);
    }
    let options = Options { min_count: arguments.min_count, keep: arguments.keep };
    let pruned = prune(&folder, &texts, &options).context(place)?;
    fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    for (name, bytes) in &pruned.files {
        let path = arguments.out.join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    print(&pruned, texts.len())?;
    Ok(ExitCode::SUCCESS)
}

fn read(source: &str) -> Result<Vec<Document>> {
    match source.parse::<DataSet>() {
        Ok(set) if !Path::new(source).exists() => Ok(set.read(Path::new(""))?),
        _ => Ok(read_texts(Path::new(source))?),
    }
}

/// All files of a folder, not those of folders in it.
fn read_all(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) {
            files.push((name.to_owned(), fs::read(&path).with_context(|| path.display().to_string())?));
        }
    }
    Ok(files)
}

fn print(pruned: &Pruned, texts: usize) -> Result<()> {
    let mut out = stdout().lock();
    let report = pruned.report;
    let [rows, kept] = report.rows;
    writeln!(out, "texts           {texts}, {} words", report.words)?;
    writeln!(out, "rows            {rows} -> {kept} ({:.1} % kept)", 100.0 * kept as f64 / rows as f64)?;
    let per_word = |pieces: usize| pieces as f64 / report.words.max(1) as f64;
    writeln!(out, "pieces a word   {:.4} -> {:.4}", per_word(report.pieces[0]), per_word(report.pieces[1]))?;
    writeln!(out, "unknown         {} -> {}", report.unknown[0], report.unknown[1])?;
    let [before, after] = report.bytes.map(|bytes| bytes as f64 / 1e6);
    writeln!(out, "weights         {before:.1} MB -> {after:.1} MB ({:.1} MB less)", before - after)?;
    if !pruned.left_out.is_empty() {
        writeln!(out, "left out        {} (the same weights in another form)", pruned.left_out.join(", "))?;
    }
    Ok(())
}

//! `clinlite blocks`.

use std::fs;
use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use clinlite::tasks::read_tokenizer;
use clinlite::text::Tokenizer;
use clinlite::train::corpus::blocks::{Manifest, Options, Progress, Split, write};
use clinlite::train::corpus::notes::{Source, sources};
use clinlite::weights::folder::Folder;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite blocks notes/ --tokenizer base/tiny-biobert --out runs/blocks
  clinlite blocks NOTEEVENTS.csv --text-key TEXT --tokenizer base/bert --out runs/blocks --length 256 --dev-share 0.005

A note is a .txt file, a line of .jsonl, or a row of .csv, .tsv or .parquet. Notes are joined with [SEP] between them and
cut at the borders of words; every word of every note is in one block. Whether a note is set apart follows from its text.")]
pub(crate) struct Arguments {
    /// Files of notes, and folders in which they are
    #[arg(required = true, value_name = "NOTES")]
    notes: Vec<PathBuf>,
    /// A folder with the tokenizer of the model to be trained; its weights are not read
    #[arg(long, value_name = "FOLDER")]
    tokenizer: PathBuf,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The most pieces of a block, special ones included
    #[arg(long, value_name = "N", default_value_t = 128)]
    length: usize,
    /// The share of notes that is set apart to measure on
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    dev_share: f64,
    /// The field or column that holds the text
    #[arg(long, value_name = "KEY", default_value = "text")]
    text_key: String,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let place = &arguments.tokenizer;
    let tokenizer = tokenizer(place).with_context(|| place.display().to_string())?;
    let sources = sources(&arguments.notes)?;
    let Arguments { length, dev_share, text_key, out, .. } = arguments;
    let options = Options { length, dev_share, text_key };
    let mut display = Display::new(sources.iter().map(Source::bytes).sum());
    let manifest = write(&sources, &tokenizer, &out, &options, |done| display.advance(done))?;
    display.bar.finish_and_clear();
    print(&manifest, &out, display.begun.elapsed())?;
    Ok(ExitCode::SUCCESS)
}

fn tokenizer(place: &Path) -> Result<Tokenizer> {
    let mut files = vec![("config.json".to_owned(), b"{}".to_vec())]; // a folder has one; the tokenizer needs none
    for name in ["tokenizer.json", "vocab.txt", "tokenizer_config.json"] {
        match fs::read(place.join(name)) {
            Ok(bytes) => files.push((name.to_owned(), bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(name),
        }
    }
    Ok(read_tokenizer(&Folder::from_files(files)?)?)
}

fn print(manifest: &Manifest, out: &Path, took: Duration) -> Result<()> {
    let Manifest { train, dev, length, empty_notes, sources, .. } = manifest;
    let mut to = stdout().lock();
    let split = |split: &Split| {
        let per_block = split.pieces as f64 / split.blocks.max(1) as f64;
        format!("{} notes, {} pieces, {} blocks ({per_block:.1} pieces each)", split.notes, split.pieces, split.blocks)
    };
    writeln!(to, "sources         {}, {empty_notes} notes without a word", sources.len())?;
    writeln!(to, "train           {}", split(train))?;
    writeln!(to, "dev             {}", split(dev))?;
    let rate = (train.pieces + dev.pieces) as f64 / took.as_secs_f64().max(1e-3);
    writeln!(to, "length          {length}, {rate:.0} pieces/s")?;
    writeln!(to, "written         {}", out.display())?;
    Ok(())
}

/// A bar on a terminal, a line every ten seconds elsewhere.
struct Display {
    bar: ProgressBar,
    begun: Instant,
    line: Instant,
    done: Progress,
    terminal: bool,
}

impl Display {
    fn new(bytes: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
        bar.set_length(bytes);
        let template = "{wide_bar} {bytes}/{total_bytes} {msg} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { bar, begun: now, line: now, done: Progress { bytes: 0, pieces: 0 }, terminal }
    }

    fn advance(&mut self, done: Progress) {
        self.done.bytes += done.bytes;
        self.done.pieces += done.pieces;
        let rate = self.done.pieces as f64 / self.begun.elapsed().as_secs_f64().max(1e-3);
        let message = format!("{} pieces, {rate:.0} pieces/s", self.done.pieces);
        if !self.terminal && self.line.elapsed() > Duration::from_secs(10) {
            self.line = Instant::now();
            let [read, all] = [self.done.bytes, self.bar.length().unwrap_or(0)].map(HumanBytes);
            eprintln!("{read} of {all}: {message}");
        }
        self.bar.set_position(self.done.bytes);
        self.bar.set_message(message);
    }
}

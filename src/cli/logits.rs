//! `clinlite logits`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Batch, Config, Head, Model, Shape};
use clinlite::tasks::pass::read;
use clinlite::tasks::read_tokenizer;
use clinlite::text::Tokenizer;
use clinlite::weights::folder::Folder;
use serde::Serialize;

use crate::files;
use crate::gpu;
use crate::work::Engine;

/// What a masked language model is asked about. In a text for other models it is four words.
const MASK: &str = "[MASK]";

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite logits models/clinlite-ner-en --text 'No chest pain.'
  clinlite logits runs/nli --text 'He walks.' --pair 'He is bedridden.' --backend candle
  clinlite logits runs/mlm --text 'The patient denies [MASK].'

Prints one JSON object, for comparison with other tools: task, input_ids, token_type_ids, labels, and logits, a row of
labels a token, a row of word pieces a token, or one row of labels for a classifier of texts.")]
pub(crate) struct Arguments {
    /// A Hugging Face folder or a packed one
    folder: PathBuf,
    /// The text
    #[arg(long, value_name = "T")]
    text: String,
    /// The second text of a pair
    #[arg(long, value_name = "T2")]
    pair: Option<String>,
    /// The engine
    #[arg(long, value_enum, default_value = "simd")]
    backend: Engine,
}

#[derive(Serialize)]
struct Output {
    task: &'static str,
    backend: &'static str,
    input_ids: Vec<u32>,
    token_type_ids: Vec<u32>,
    labels: Vec<String>,
    logits: Logits,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Logits {
    Rows(Vec<Vec<f32>>),
    Row(Vec<f32>),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let folder = files::read_folder(&arguments.folder)?;
    let output = match arguments.backend {
        Engine::Simd => logits(&SimdBackend::new(), &folder, &arguments),
        Engine::Candle => logits(&CandleBackend::inference(candle_core::Device::Cpu), &folder, &arguments),
        Engine::Webgpu => logits(&gpu::open()?, &folder, &arguments),
    };
    let output = output.with_context(|| arguments.folder.display().to_string())?;
    serde_json::to_writer(std::io::stdout().lock(), &output)?;
    println!();
    Ok(ExitCode::SUCCESS)
}

fn logits<B: Backend>(backend: &B, folder: &Folder, arguments: &Arguments) -> Result<Output> {
    let (head, shape, tokenizer) = (Head::of(folder)?, Config::of(folder)?.shape(), read_tokenizer(folder)?);
    let batch = batch(&tokenizer, head, &shape, arguments)?;
    let model = Model::of(backend, folder)?;
    let values = pollster::block_on(read(backend, &|| model.forward(backend, &batch)))?;
    let labels = if head == Head::MaskedLm { Vec::new() } else { folder.label_names()? };
    let logits = match head {
        Head::SequenceClassification => Logits::Row(values),
        Head::TokenClassification | Head::MaskedLm => {
            let columns = values.len() / batch.input_ids.len();
            Logits::Rows(values.chunks_exact(columns).map(<[f32]>::to_vec).collect())
        }
    };
    let Batch { input_ids, token_type_ids, .. } = batch;
    Ok(Output { task: head.name(), backend: backend.name(), input_ids, token_type_ids, labels, logits })
}

/// `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`.
fn batch(tokenizer: &Tokenizer, head: Head, shape: &Shape, arguments: &Arguments) -> Result<Batch> {
    let (cls, sep) = (tokenizer.cls_id(), tokenizer.sep_id());
    let mut ids = [vec![cls], pieces(tokenizer, head, &arguments.text), vec![sep]].concat();
    let first = ids.len();
    if let Some(pair) = &arguments.pair {
        ids.extend(pieces(tokenizer, head, pair));
        ids.push(sep);
    }
    let (found, most) = (ids.len(), shape.max_position_embeddings);
    if found > most {
        bail!("the text has {found} tokens, special ones included, and the model takes at most {most}");
    }
    let mut batch = Batch::of_pairs([(&ids[..], first)]);
    if shape.type_vocab_size < 2 {
        batch.token_type_ids.fill(0); // as the model reads it
    }
    Ok(batch)
}

/// Text never becomes a special token, but a masked language model must be asked somehow.
fn pieces(tokenizer: &Tokenizer, head: Head, text: &str) -> Vec<u32> {
    let mask = tokenizer.pieces().find(|(piece, _)| *piece == MASK).map(|(_, id)| id);
    let (Head::MaskedLm, Some(mask)) = (head, mask) else { return tokenizer.encode(text).input_ids };
    let parts: Vec<_> = text.split(MASK).map(|part| tokenizer.encode(part).input_ids).collect();
    parts.join(&mask)
}

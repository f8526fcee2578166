//! Text in, meaning out: see `lib.rs`.
//!
//! [`ner`] stands on a token classifier; [`classify`], [`nli`] and [`relation`] on the one of [`sequences`]. All of them
//! work in steps, each of which the model reads in a [`pass::Pass`], so that a caller can show progress or stop between two,
//! and join several steps where an engine likes that. [`trial`] chooses between two engines.

pub mod classify;
pub mod ner;
pub mod nli;
pub mod pass;
pub mod relation;
pub mod sequences;
pub mod settings;
pub mod trial;

use self::settings::{Settings, Task};
use crate::backend::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Head, Shape};
use crate::text::{Normalization, Tokenizer};
use crate::weights::folder::{Folder, TokenizerFiles};

/// What computed an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The engine's name.
    pub backend: &'static str,
    /// Why it was this one, where there was a choice.
    pub reason: Option<String>,
}

impl Computed {
    /// What computes on this engine now.
    pub fn on<B: Backend>(backend: &B) -> Self {
        Self { backend: backend.name(), reason: backend.reason() }
    }
}

/// The tokenizer of a model folder.
///
/// # Errors
/// Files that are missing or malformed.
pub fn read_tokenizer(folder: &Folder) -> Result<Tokenizer> {
    match folder.tokenizer_files()? {
        TokenizerFiles::Json(json) => Tokenizer::from_json(json),
        TokenizerFiles::Vocab { vocab, config } => {
            let normalization = config.map_or(Ok(Normalization::uncased()), Normalization::from_tokenizer_config)?;
            Tokenizer::from_vocab(vocab, normalization)
        }
    }
}

/// [`read_tokenizer`], whose every piece must have a row in the model.
fn read_fitting_tokenizer(folder: &Folder, shape: &Shape) -> Result<Tokenizer> {
    let tokenizer = read_tokenizer(folder)?;
    if tokenizer.vocab_size() > shape.vocab_size {
        let (pieces, rows) = (tokenizer.vocab_size(), shape.vocab_size);
        let message = format!("the tokenizer has {pieces} pieces, the model {rows} rows");
        return Err(Error::new(ErrorKind::Format, message));
    }
    Ok(tokenizer)
}

/// Refuses a model that learnt something else: by what its trainer states, or else by its head.
fn check_task(folder: &Folder, settings: &Settings, asked: Task) -> Result<()> {
    let refuse = |found: &str| {
        let message = format!("the model was made for {found}, not for {}", asked.name());
        Err(Error::new(ErrorKind::Task, message).at("config.json"))
    };
    if let Some(stated) = settings.task {
        return if stated == asked { Ok(()) } else { refuse(stated.name()) };
    }
    let head = match asked {
        Task::Ner => Head::TokenClassification,
        Task::Relation | Task::Nli | Task::Classify => Head::SequenceClassification,
    };
    match Head::of(folder)? {
        found if found == head => Ok(()),
        found => refuse(found.name()),
    }
}

//! Text in, meaning out: see `lib.rs`.

pub mod ner;
pub mod settings;

use crate::error::Result;
use crate::text::{Normalization, Tokenizer};
use crate::weights::folder::{Folder, TokenizerFiles};

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

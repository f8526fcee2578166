//! `tokenizer.json`, as far as a BERT WordPiece tokenizer needs it.
//!
//! `truncation` and `padding` are ignored, because a note is never cut off and never padded; `decoder` is ignored,
//! because spans are slices of the note. Any other kind of tokenizer is refused by name.

use super::normalize::Normalization;
use super::vocabulary::{PREFIX, Vocabulary};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Json, Node, count, string, truth};

/// What the file says, checked.
pub(super) struct Parts {
    pub(super) normalization: Normalization,
    pub(super) vocabulary: Vocabulary,
    pub(super) unk_token: String,
    pub(super) max_input_chars_per_word: usize,
    /// Special tokens with their ids.
    pub(super) special: Vec<(String, u32)>,
}

/// Reads and checks the whole file.
pub(super) fn read(json: &[u8]) -> Result<Parts> {
    Json::parse(json).and_then(|json| parts(json.root())).map_err(|e| e.at("tokenizer.json"))
}

fn parts(file: Node<'_>) -> Result<Parts> {
    // Kinds first, so that another kind of tokenizer is named instead of its first missing field.
    let kind = file.field("model", |model| model.field_or("type", "WordPiece".into(), string))?;
    expect("model", Some(kind), &["WordPiece"])?;
    expect("normalizer", section(file, "normalizer")?, &["BertNormalizer"])?;
    expect("pre_tokenizer", section(file, "pre_tokenizer")?, &["BertPreTokenizer"])?;
    if let Some(post) = section(file, "post_processor")? {
        expect("post_processor", Some(post), &["TemplateProcessing", "BertProcessing"])?;
    }
    let special = file.list("added_tokens", special)?;
    let normalization = file.field("normalizer", rules)?;
    file.field("model", |model| {
        let prefix = model.optional("continuing_subword_prefix", string)?;
        expect("continuing_subword_prefix", prefix, &[PREFIX])?;
        let mut vocabulary = Vocabulary::default();
        model.field("vocab", |vocab| vocab.fields(|piece, node| vocabulary.push(piece, id(node)?)))?;
        Ok(Parts {
            normalization,
            vocabulary,
            unk_token: model.field("unk_token", string)?,
            max_input_chars_per_word: model.field("max_input_chars_per_word", count)?,
            special,
        })
    })
}

/// The kind of a section, if there is one.
fn section(file: Node<'_>, name: &str) -> Result<Option<String>> {
    file.optional(name, |section| section.field("type", string))
}

fn expect(section: &str, found: Option<String>, known: &[&str]) -> Result<()> {
    match found {
        Some(kind) if known.contains(&kind.as_str()) => Ok(()),
        found => {
            let found = found.as_deref().unwrap_or("none");
            let message = format!("{section}: expected {}, found {found}", known.join(" or "));
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

fn special(token: Node<'_>) -> Result<(String, u32)> {
    let (content, id) = (token.field("content", string)?, token.field("id", id)?);
    if token.field("special", truth)? {
        return Ok((content, id));
    }
    let message = format!("added token {content:?} (id {id}): only special tokens can be added");
    Err(Error::new(ErrorKind::Unsupported, message))
}

fn id(node: Node<'_>) -> Result<u32> {
    u32::try_from(count(node)?).or_else(|_| node.expected("an id of 32 bits"))
}

fn rules(normalizer: Node<'_>) -> Result<Normalization> {
    Ok(Normalization {
        clean_text: normalizer.field("clean_text", truth)?,
        handle_chinese_chars: normalizer.field("handle_chinese_chars", truth)?,
        strip_accents: normalizer.optional("strip_accents", truth)?,
        lowercase: normalizer.field("lowercase", truth)?,
    })
}

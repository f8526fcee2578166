//! `tokenizer.json`, as far as a BERT WordPiece tokenizer needs it.
//!
//! `truncation` and `padding` are ignored, because a note is never cut off and never padded; `decoder` is ignored,
//! because spans are slices of the note. Any other kind of tokenizer is refused by name.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::normalize::Normalization;
use super::vocabulary::{PREFIX, Vocabulary};
use crate::error::{Error, ErrorKind, Result};

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
    let file: serde_json::Result<File> = serde_json::from_slice(json);
    let file = file.map_err(|e| Error::new(ErrorKind::Format, e.to_string()));
    file.and_then(check).map_err(|e| e.at("tokenizer.json"))
}

fn check(file: File) -> Result<Parts> {
    let Model { kind, unk_token, continuing_subword_prefix, max_input_chars_per_word, vocab } = file.model;
    expect("model", kind.as_deref().or(Some("WordPiece")), &["WordPiece"])?;
    expect("normalizer", file.normalizer.as_ref().map(|n| n.kind.as_str()), &["BertNormalizer"])?;
    expect("pre_tokenizer", file.pre_tokenizer.as_ref().map(|p| p.kind.as_str()), &["BertPreTokenizer"])?;
    if let Some(post) = &file.post_processor {
        expect("post_processor", Some(&post.kind), &["TemplateProcessing", "BertProcessing"])?;
    }
    expect("continuing_subword_prefix", continuing_subword_prefix.as_deref(), &[PREFIX])?;
    let vocabulary = vocab.ok_or_else(|| missing("model.vocab"))?.0;
    let mut special = Vec::new();
    for Added { id, content, special: is_special } in file.added_tokens {
        if !is_special {
            let message = format!("added token {content:?} (id {id}): only special tokens can be added");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        special.push((content, id));
    }
    Ok(Parts {
        normalization: file.normalizer.ok_or_else(|| missing("normalizer"))?.rules()?,
        vocabulary,
        unk_token: unk_token.ok_or_else(|| missing("model.unk_token"))?,
        max_input_chars_per_word: max_input_chars_per_word.ok_or_else(|| missing("model.max_input_chars_per_word"))?,
        special,
    })
}

fn missing(field: &str) -> Error {
    Error::new(ErrorKind::Format, format!("{field}: missing"))
}

fn expect(section: &str, found: Option<&str>, known: &[&str]) -> Result<()> {
    match found {
        Some(kind) if known.contains(&kind) => Ok(()),
        found => {
            let message = format!("{section}: expected {}, found {}", known.join(" or "), found.unwrap_or("none"));
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<Kind>,
    post_processor: Option<Kind>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// Optional throughout, so that another kind is named instead of its first missing field.
#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    clean_text: Option<bool>,
    handle_chinese_chars: Option<bool>,
    strip_accents: Option<bool>,
    lowercase: Option<bool>,
}

impl Normalizer {
    fn rules(&self) -> Result<Normalization> {
        Ok(Normalization {
            clean_text: self.clean_text.ok_or_else(|| missing("normalizer.clean_text"))?,
            handle_chinese_chars: self
                .handle_chinese_chars
                .ok_or_else(|| missing("normalizer.handle_chinese_chars"))?,
            strip_accents: self.strip_accents,
            lowercase: self.lowercase.ok_or_else(|| missing("normalizer.lowercase"))?,
        })
    }
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    vocab: Option<Entries>,
}

/// The vocabulary, read straight into its arena.
struct Entries(Vocabulary);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from piece to id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
        let mut vocabulary = Vocabulary::default();
        while let Some((piece, id)) = map.next_entry::<Cow<'de, str>, u32>()? {
            vocabulary.push(&piece, id).map_err(A::Error::custom)?;
        }
        Ok(Entries(vocabulary))
    }

    /// The list of a Unigram model: read past, because `model.type` says best what is wrong.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Entries, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entries(Vocabulary::default()))
    }
}

//! The files of a folder that name ids.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Renumbering;
use crate::error::{Error, ErrorKind, Result};
use crate::json::count;
use crate::text::Tokenizer;
use crate::weights::folder::Folder;

/// The special tokens of a vocabulary that does not say which they are.
const SPECIAL: &[&str] = &["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, message)
}

/// `vocab_size` of `config.json`.
pub(super) fn vocab_size(folder: &Folder) -> Result<usize> {
    folder.config().field("vocab_size", count).map_err(|e| e.at("config.json"))
}

/// The ids that some file names: added tokens, BERT's own, and each `…_token_id` of `config.json`.
pub(super) fn special_ids(folder: &Folder, tokenizer: &Tokenizer) -> Result<BTreeSet<u32>> {
    let mut ids: BTreeSet<u32> =
        tokenizer.pieces().filter(|(piece, _)| SPECIAL.contains(piece)).map(|(_, id)| id).collect();
    if let Some(json) = folder.get("tokenizer.json") {
        let json = parse(json).map_err(|e| e.at("tokenizer.json"))?;
        for token in json.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
            ids.insert(id(token.get("id").unwrap_or(&Value::Null)).map_err(|e| e.at("tokenizer.json: added_tokens"))?);
        }
    }
    let config = folder.config_json();
    let named = config.as_object().into_iter().flatten();
    for (key, value) in named.filter(|(key, value)| key.ends_with("_token_id") && value.is_u64()) {
        ids.insert(id(value).map_err(|e| e.at(key).at("config.json"))?);
    }
    let rows = vocab_size(folder)?;
    match ids.iter().find(|&&id| id as usize >= rows) {
        Some(id) => Err(refuse(format!("a special token has the id {id}, the model has {rows} rows"))),
        None => Ok(ids),
    }
}

/// Refuses a `vocab.txt` that is not the vocabulary of the `tokenizer.json` beside it.
pub(super) fn check_vocab(folder: &Folder, tokenizer: &Tokenizer) -> Result<()> {
    let Some(vocab) = folder.get("vocab.txt").filter(|_| folder.get("tokenizer.json").is_some()) else { return Ok(()) };
    let lines: Vec<&[u8]> = vocab.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    let differs = |(piece, id): &(&str, u32)| lines.get(*id as usize).is_some_and(|line| *line != piece.as_bytes());
    match tokenizer.pieces().find(differs) {
        Some((_, id)) => {
            Err(refuse(format!("line {} is another piece than in tokenizer.json", id + 1)).at("vocab.txt"))
        }
        None => Ok(()),
    }
}

/// A file with the new ids in place of the old; a file that names none passes through.
pub(super) fn rewrite(name: &str, bytes: &[u8], renumbering: &Renumbering) -> Result<Vec<u8>> {
    match name {
        "vocab.txt" => Ok(lines(bytes, renumbering)),
        "config.json" => edit(bytes, |json| config(json, renumbering)),
        "tokenizer.json" => edit(bytes, |json| tokenizer_json(json, renumbering)),
        "tokenizer_config.json" => edit(bytes, |json| {
            let decoder = json.get_mut("added_tokens_decoder").and_then(Value::as_object_mut);
            decoder.map_or(Ok(()), |decoder| keys(decoder, renumbering))
        }),
        "added_tokens.json" => edit(bytes, |json| entries(json.as_object_mut(), renumbering)),
        _ => Ok(bytes.to_vec()),
    }
}

fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|e| refuse(format!("not JSON at line {}, column {}", e.line(), e.column())))
}

fn edit(bytes: &[u8], change: impl FnOnce(&mut Value) -> Result<()>) -> Result<Vec<u8>> {
    let mut json = parse(bytes)?;
    change(&mut json)?;
    let mut bytes = serde_json::to_vec_pretty(&json).map_err(|e| refuse(e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One piece a line; the line is the id.
fn lines(bytes: &[u8], renumbering: &Renumbering) -> Vec<u8> {
    let lines = (0..).zip(bytes.split_inclusive(|&byte| byte == b'\n'));
    lines.filter(|(id, _)| renumbering.new_id(*id).is_some()).flat_map(|(_, line)| line.iter().copied()).collect()
}

fn config(json: &mut Value, renumbering: &Renumbering) -> Result<()> {
    let fields = json.as_object_mut().ok_or_else(|| refuse("expected an object"))?;
    for (key, value) in fields.iter_mut().filter(|(key, value)| key.ends_with("_token_id") && value.is_u64()) {
        renumber(value, renumbering).map_err(|e| e.at(key))?;
    }
    fields.insert("vocab_size".into(), renumbering.kept.len().into());
    Ok(())
}

fn tokenizer_json(json: &mut Value, renumbering: &Renumbering) -> Result<()> {
    entries(json.pointer_mut("/model/vocab").and_then(Value::as_object_mut), renumbering)?;
    for token in json.get_mut("added_tokens").and_then(Value::as_array_mut).into_iter().flatten() {
        renumber(&mut token["id"], renumbering).map_err(|e| e.at("added_tokens"))?;
    }
    if let Some(pad) = json.pointer_mut("/padding/pad_id") {
        renumber(pad, renumbering).map_err(|e| e.at("padding"))?;
    }
    match json.get_mut("post_processor") {
        None | Some(Value::Null) => Ok(()),
        Some(post) => post_processor(post, renumbering).map_err(|e| e.at("post_processor")),
    }
}

/// `TemplateProcessing` lists the ids of its special tokens, `BertProcessing` has pairs of a token and its id.
fn post_processor(post: &mut Value, renumbering: &Renumbering) -> Result<()> {
    match post.get("type").and_then(Value::as_str) {
        Some("TemplateProcessing") => {
            let tokens = post.get_mut("special_tokens").and_then(Value::as_object_mut);
            for token in tokens.into_iter().flat_map(Map::values_mut) {
                for id in token.get_mut("ids").and_then(Value::as_array_mut).into_iter().flatten() {
                    renumber(id, renumbering)?;
                }
            }
            Ok(())
        }
        Some("BertProcessing") => ["/sep/1", "/cls/1"].iter().try_for_each(|place| {
            let id = post.pointer_mut(place).ok_or_else(|| refuse(format!("{place} is missing")))?;
            renumber(id, renumbering)
        }),
        other => Err(refuse(format!("type {other:?}, expected TemplateProcessing or BertProcessing"))),
    }
}

/// An object from pieces to ids, without the pieces that go.
fn entries(object: Option<&mut Map<String, Value>>, renumbering: &Renumbering) -> Result<()> {
    let object = object.ok_or_else(|| refuse("expected an object of pieces and ids"))?;
    let mut kept = Map::new();
    for (piece, old) in std::mem::take(object) {
        if let Some(new) = renumbering.new_id(id(&old)?) {
            kept.insert(piece, new.into());
        }
    }
    *object = kept;
    Ok(())
}

/// An object whose keys are ids.
fn keys(object: &mut Map<String, Value>, renumbering: &Renumbering) -> Result<()> {
    let mut kept = Map::new();
    for (key, value) in std::mem::take(object) {
        let old = key.parse().map_err(|_| refuse(format!("added_tokens_decoder: {key:?} is not an id")))?;
        if let Some(new) = renumbering.new_id(old) {
            kept.insert(new.to_string(), value);
        }
    }
    *object = kept;
    Ok(())
}

fn id(value: &Value) -> Result<u32> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| refuse("an id is not a number"))
}

fn renumber(value: &mut Value, renumbering: &Renumbering) -> Result<()> {
    let old = id(value)?;
    let new = renumbering.new_id(old).ok_or_else(|| refuse(format!("id {old} is that of no piece that is kept")))?;
    *value = new.into();
    Ok(())
}

//! The names of tensors as files spell them, and as models ask for them.
//!
//! A model asks for `bert.encoder.layer.0.attention.output.LayerNorm.weight`. A file saved from the bare encoder leaves
//! out `bert.`, and old files say `gamma` and `beta`. Which it is, is decided once, when a file is read: a model then
//! finds its tensor or does not, and an error names what was really missing.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};

/// The prefix that Hugging Face puts before an encoder inside a model with a head.
const BASE: &str = "bert.";

/// The parts of a bare encoder.
const BARE: [&str; 3] = ["embeddings.", "encoder.", "pooler."];

/// From the name that a model asks for to the name in the file.
///
/// # Errors
/// [`ErrorKind::Format`] when two tensors of the file mean the same weight.
pub(super) fn canonical<'n>(stored: impl Iterator<Item = &'n str> + Clone) -> Result<BTreeMap<String, String>> {
    let bare = !stored.clone().any(|name| name.starts_with(BASE));
    let mut names = BTreeMap::new();
    for name in stored {
        let asked = one(name, bare);
        if let Some(other) = names.insert(asked.clone(), name.to_owned()) {
            let message = format!("model.safetensors: {name:?} and {other:?} are both {asked:?}");
            return Err(Error::new(ErrorKind::Format, message));
        }
    }
    Ok(names)
}

fn one(name: &str, bare: bool) -> String {
    let prefix = if bare && BARE.iter().any(|part| name.starts_with(part)) { BASE } else { "" };
    let name = match name.rsplit_once('.') {
        Some((stem, "gamma")) if stem.ends_with("LayerNorm") => format!("{stem}.weight"),
        Some((stem, "beta")) if stem.ends_with("LayerNorm") => format!("{stem}.bias"),
        _ => name.to_owned(),
    };
    format!("{prefix}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_and_of_models() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["bert.encoder.layer.0.output.dense.weight"], &["bert.encoder.layer.0.output.dense.weight"]),
            (
                &["embeddings.LayerNorm.gamma", "classifier.bias"],
                &["bert.embeddings.LayerNorm.weight", "classifier.bias"],
            ),
            (&["encoder.x.LayerNorm.beta"], &["bert.encoder.x.LayerNorm.bias"]),
            (
                &["encoder.x.weight", "encoder.x.weight.scale"],
                &["bert.encoder.x.weight", "bert.encoder.x.weight.scale"],
            ),
            // One `bert.` decides for all: what else is there belongs to something else.
            (&["bert.encoder.x.weight", "encoder.x.weight"], &["bert.encoder.x.weight", "encoder.x.weight"]),
            (&["some.gamma"], &["some.gamma"]),
        ];
        for (stored, expected) in cases {
            let names = canonical(stored.iter().copied()).expect("no double");
            assert_eq!(names.keys().map(String::as_str).collect::<Vec<_>>(), *expected);
            assert_eq!(names.values().count(), stored.len());
        }
    }

    #[test]
    fn two_names_for_one_weight_are_refused() {
        let error = canonical(["LayerNorm.gamma", "LayerNorm.weight"].into_iter()).expect_err("a double");
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("LayerNorm.gamma"), "{error}");
    }
}

//! The names of tensors as files spell them, and as models ask for them.
//!
//! A model asks for `bert.encoder.layer.0.attention.output.LayerNorm.weight`. A file saved from the bare encoder leaves
//! out `bert.`, one saved from a data-parallel trainer puts `module.` before everything, and old files say `gamma` and
//! `beta`. Which it is, is decided once, when a file is read: a model then finds its tensor or does not, and an error
//! names what was really missing.

use super::file::{Raw, Tensors};
use crate::error::{Error, ErrorKind, Result};
use crate::sort;

/// How an architecture names its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `bert.embeddings…`, `bert.encoder…`.
    Bert,
    /// `distilbert.embeddings…`, `distilbert.transformer…`.
    DistilBert,
    /// `mobilebert.embeddings…`, `mobilebert.encoder…`.
    MobileBert,
    /// `albert.albert.embeddings…`, `albert.albert.encoder…`, `albert.projector`, `albert.att_adapters…`: a model that
    /// holds `albert`, which holds `albert`.
    MiniAlbert,
}

/// The parts of an encoder, as a file of the encoder alone names them.
const BERT: &[&str] = &["embeddings.", "encoder.", "pooler."];
const DISTILBERT: &[&str] = &["embeddings.", "transformer."];
const MINIALBERT: &[&str] =
    &["albert.embeddings.", "albert.encoder.", "albert.pooler.", "projector.", "att_adapters.", "mlp_adapters."];

/// What the family calls its norms: an old file may call their parameters `gamma` and `beta`.
const NORMS: &[&str] =
    &["LayerNorm", "sa_layer_norm", "output_layer_norm", "vocab_layer_norm", "norm", "full_layer_layer_norm"];

/// Buffers that old versions of transformers saved along: counted up, never learnt.
const BUFFERS: &[&str] = &["embeddings.position_ids", "embeddings.token_type_ids"];

/// The bias of a decoder, and what older versions of transformers call it. A file with both means the first: since version
/// 5 an untied decoder adds its own bias, and the other is a parameter without a use.
const DECODER_BIAS: [&str; 2] = ["cls.predictions.decoder.bias", "cls.predictions.bias"];

impl Names {
    /// The names of an architecture, as [`Folder::architecture`](super::folder::Folder::architecture) calls it.
    pub fn of(architecture: &str) -> Option<Self> {
        match architecture {
            "bert" => Some(Self::Bert),
            "distilbert" => Some(Self::DistilBert),
            "mobilebert" => Some(Self::MobileBert),
            "minialbert" => Some(Self::MiniAlbert),
            _ => None,
        }
    }

    /// What Hugging Face puts before an encoder inside a model with a head.
    pub fn base(self) -> &'static str {
        match self {
            Self::Bert => "bert.",
            Self::DistilBert => "distilbert.",
            Self::MobileBert => "mobilebert.",
            Self::MiniAlbert => "albert.",
        }
    }

    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Bert | Self::MobileBert => BERT,
            Self::DistilBert => DISTILBERT,
            Self::MiniAlbert => MINIALBERT,
        }
    }
}

/// The tensors of a model by the names that it asks for, and in their order. Buffers are left out.
///
/// # Errors
/// [`ErrorKind::Format`] when two tensors mean the same weight.
pub(super) fn canonical(tensors: Tensors<'_>, names: Names) -> Result<Tensors<'_>> {
    let wrapped = !tensors.is_empty() && tensors.iter().all(|(name, _)| name.starts_with("module."));
    let unwrap = |name: &'_ str| if wrapped { name["module.".len()..].to_owned() } else { name.to_owned() };
    let tensors: Vec<_> = tensors.into_iter().map(|(name, raw)| (unwrap(&name), raw)).collect();
    let inside = |name: &str| {
        name.strip_prefix(names.base()).is_some_and(|rest| names.parts().iter().any(|part| rest.starts_with(part)))
    };
    let bare = !tensors.iter().any(|(name, _)| inside(name));
    let mut named: Vec<(String, String, Raw<'_>)> =
        tensors.into_iter().map(|(name, raw)| (one(&name, bare, names), name, raw)).collect();
    named.retain(|(asked, ..)| !BUFFERS.iter().any(|end| asked.ends_with(end)));
    // Of the two biases of a decoder, its own comes first and stays.
    sort::by(&mut named, |(a, a_name, _), (b, b_name, _)| a.cmp(b).then_with(|| b_name.cmp(a_name)));
    for pair in named.windows(2) {
        let [(asked, name, _), (same, other, _)] = pair else { continue };
        if asked == same && [name, other] != DECODER_BIAS {
            return Err(Error::new(ErrorKind::Format, format!("{name:?} and {other:?} are both {asked:?}")));
        }
    }
    named.dedup_by(|(asked, ..), (same, ..)| asked == same);
    Ok(named.into_iter().map(|(asked, _, raw)| (asked, raw)).collect())
}

fn one(name: &str, bare: bool, names: Names) -> String {
    if name == DECODER_BIAS[0] {
        return DECODER_BIAS[1].to_owned();
    }
    let prefix = if bare && names.parts().iter().any(|part| name.starts_with(part)) { names.base() } else { "" };
    let is_norm = |stem: &str| NORMS.contains(&stem.rsplit('.').next().unwrap_or_default());
    let name = match name.rsplit_once('.') {
        Some((stem, "gamma")) if is_norm(stem) => format!("{stem}.weight"),
        Some((stem, "beta")) if is_norm(stem) => format!("{stem}.bias"),
        _ => name.to_owned(),
    };
    format!("{prefix}{name}")
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use safetensors::tensor::Dtype;

    use super::*;

    fn tensors(stored: &[&str]) -> Tensors<'static> {
        let raw = || Raw { dtype: Dtype::F32, shape: vec![1], data: Cow::Borrowed(&[0; 4]) };
        stored.iter().map(|name| ((*name).to_owned(), raw())).collect()
    }

    type Case = (Names, &'static [&'static str], &'static [&'static str]);

    #[test]
    fn names_of_files_and_of_models() {
        let cases: &[Case] = &[
            (Names::Bert, &["bert.encoder.layer.0.output.dense.weight"], &["bert.encoder.layer.0.output.dense.weight"]),
            (
                Names::Bert,
                &["embeddings.LayerNorm.gamma", "classifier.bias"],
                &["bert.embeddings.LayerNorm.weight", "classifier.bias"],
            ),
            (Names::Bert, &["encoder.x.LayerNorm.beta"], &["bert.encoder.x.LayerNorm.bias"]),
            (
                Names::Bert,
                &["encoder.x.weight", "encoder.x.weight.scale"],
                &["bert.encoder.x.weight", "bert.encoder.x.weight.scale"],
            ),
            // One `bert.` decides for all: what else is there belongs to something else.
            (
                Names::Bert,
                &["bert.encoder.x.weight", "encoder.x.weight"],
                &["bert.encoder.x.weight", "encoder.x.weight"],
            ),
            (Names::Bert, &["some.gamma"], &["some.gamma"]),
            (
                Names::Bert,
                &["module.bert.encoder.x.weight", "module.classifier.weight"],
                &["bert.encoder.x.weight", "classifier.weight"],
            ),
            (Names::Bert, &["module.encoder.x.weight"], &["bert.encoder.x.weight"]),
            // Not all of it comes from a data-parallel trainer.
            (Names::Bert, &["module.x", "y"], &["module.x", "y"]),
            (Names::Bert, &["bert.embeddings.position_ids", "embeddings.position_ids"], &[]),
            (Names::Bert, &["cls.predictions.decoder.bias"], &["cls.predictions.bias"]),
            (Names::Bert, &["cls.predictions.bias", "cls.predictions.decoder.bias"], &["cls.predictions.bias"]),
            (
                Names::DistilBert,
                &["transformer.layer.0.sa_layer_norm.gamma", "vocab_layer_norm.beta", "vocab_projector.weight"],
                &[
                    "distilbert.transformer.layer.0.sa_layer_norm.weight",
                    "vocab_layer_norm.bias",
                    "vocab_projector.weight",
                ],
            ),
            (Names::DistilBert, &["distilbert.embeddings.x", "encoder.x"], &["distilbert.embeddings.x", "encoder.x"]),
            (Names::MobileBert, &["encoder.layer.0.x"], &["mobilebert.encoder.layer.0.x"]),
            (
                Names::MiniAlbert,
                &["albert.embeddings.x", "projector.weight", "att_adapters.0.norm.gamma", "classifier.weight"],
                &[
                    "albert.albert.embeddings.x",
                    "albert.att_adapters.0.norm.weight",
                    "albert.projector.weight",
                    "classifier.weight",
                ],
            ),
            (
                Names::MiniAlbert,
                &["albert.albert.embeddings.x", "albert.projector.weight", "albert.embeddings.x"],
                &["albert.albert.embeddings.x", "albert.embeddings.x", "albert.projector.weight"],
            ),
        ];
        for (names, stored, expected) in cases {
            let found = canonical(tensors(stored), *names).expect("no double");
            assert_eq!(
                found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
                *expected,
                "{names:?} {stored:?}"
            );
        }
    }

    #[test]
    fn two_names_for_one_weight_are_refused() {
        let error = |stored| canonical(stored, Names::Bert).err().expect("a double");
        let double = error(tensors(&["LayerNorm.gamma", "LayerNorm.weight"]));
        assert_eq!(double.kind(), ErrorKind::Format);
        assert!(double.to_string().contains("LayerNorm.gamma"), "{double}");
        let both = [DECODER_BIAS, [DECODER_BIAS[1], DECODER_BIAS[0]]];
        for stored in both {
            let mut stored = tensors(&stored);
            stored.iter_mut().filter(|(name, _)| name == DECODER_BIAS[0]).for_each(|(_, raw)| raw.shape = vec![1, 1]);
            let [(name, raw)] = &canonical(stored, Names::Bert).expect("one weight")[..] else { panic!("several") };
            assert_eq!((name.as_str(), &raw.shape[..]), (DECODER_BIAS[1], &[1, 1][..]));
        }
        assert_eq!(error(tensors(&["cls.predictions.bias", "cls.predictions.bias"])).kind(), ErrorKind::Format);
    }
}

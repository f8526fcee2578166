//! What a folder holds: an encoder with one of three heads.

use super::{Batch, Config, MaskedLm, SequenceClassification, TokenClassification};
use crate::backend::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::json::string;
use crate::weights::Scope;
use crate::weights::folder::Folder;

/// What a model says something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A label for each token.
    TokenClassification,
    /// A label, or several, for a sequence.
    SequenceClassification,
    /// A word piece for each token.
    MaskedLm,
}

impl Head {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TokenClassification, Self::SequenceClassification, Self::MaskedLm];

    /// Hugging Face's name: `token-classification`, `text-classification`, `fill-mask`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenClassification => "token-classification",
            Self::SequenceClassification => "text-classification",
            Self::MaskedLm => "fill-mask",
        }
    }

    /// The end of the class in `architectures` of `config.json`.
    pub fn class(self) -> &'static str {
        match self {
            Self::TokenClassification => "ForTokenClassification",
            Self::SequenceClassification => "ForSequenceClassification",
            Self::MaskedLm => "ForMaskedLM",
        }
    }

    /// Hugging Face's class of a model with this head, as `architectures` of its config names it.
    pub fn class_of(self, config: &Config) -> String {
        let architecture = match config {
            Config::Bert(_) => "Bert",
            Config::DistilBert(_) => "DistilBert",
            Config::MobileBert(_) => "MobileBert",
            Config::MiniAlbert(_) => "MiniAlbert",
        };
        format!("{architecture}{}", self.class())
    }

    /// The head of a folder: what `architectures` of its config says; without that, what its weights tell.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the folder holds an encoder without a head that is known.
    pub fn of(folder: &Folder) -> Result<Self> {
        let classes = folder.config().list("architectures", string).map_err(|e| e.at("config.json"))?;
        let named = classes.first().and_then(|class| Self::ALL.into_iter().find(|head| class.ends_with(head.class())));
        if let Some(head) = named {
            return Ok(head);
        }
        let weights = folder.weights()?;
        let has = |name: &str| weights.shape(name).is_some();
        // A file of pre-training has both a pooler and a decoder.
        match () {
            () if has("cls.predictions.transform.dense.weight") || has("vocab_transform.weight") => Ok(Self::MaskedLm),
            () if has("classifier.weight") && (has("bert.pooler.dense.weight") || has("pre_classifier.weight")) => {
                Ok(Self::SequenceClassification)
            }
            () if has("classifier.weight") => Ok(Self::TokenClassification),
            () => {
                let message = "an encoder without a head: fine-tune it, or name its class in architectures";
                Err(Error::new(ErrorKind::Unsupported, message).at("config.json"))
            }
        }
    }
}

/// An encoder with its head.
pub enum Model<B: Backend> {
    /// See [`TokenClassification`].
    TokenClassification(TokenClassification<B>),
    /// See [`SequenceClassification`].
    SequenceClassification(SequenceClassification<B>),
    /// See [`MaskedLm`].
    MaskedLm(MaskedLm<B>),
}

impl<B: Backend> Model<B> {
    /// Loads what the folder holds.
    ///
    /// # Errors
    /// As [`Config::of`], [`Head::of`] and [`super::Encoder::load`]; a classifier without labels.
    pub fn of(backend: &B, folder: &Folder) -> Result<Self> {
        let weights = folder.weights()?;
        Self::load(backend, &weights.root(), folder)
    }

    /// Loads what the folder says from weights that may have been completed.
    ///
    /// # Errors
    /// As [`Model::of`].
    pub fn load(backend: &B, root: &Scope<'_>, folder: &Folder) -> Result<Self> {
        let config = Config::of(folder)?;
        let labels = || folder.label_names().map(|labels| labels.len());
        Ok(match Head::of(folder)? {
            Head::TokenClassification => {
                Self::TokenClassification(TokenClassification::load(backend, root, &config, labels()?)?)
            }
            Head::SequenceClassification => {
                Self::SequenceClassification(SequenceClassification::load(backend, root, &config, labels()?)?)
            }
            Head::MaskedLm => Self::MaskedLm(MaskedLm::load(backend, root, &config, config.is_tied(folder))?),
        })
    }

    /// Logits: `[R, labels]`, `[S, labels]`, or `[R, V]`.
    ///
    /// # Errors
    /// As [`super::Encoder::forward`].
    pub fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        match self {
            Self::TokenClassification(model) => model.forward(backend, batch),
            Self::SequenceClassification(model) => model.forward(backend, batch),
            Self::MaskedLm(model) => model.forward(backend, batch, None),
        }
    }
}

//! The settings of any architecture.

use super::{bert, distilbert, minialbert, mobilebert};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Node, truth};
use crate::weights::folder::Folder;

/// `config.json`, as the architecture reads it.
#[derive(Clone, Debug)]
pub enum Config {
    /// See [`bert`].
    Bert(bert::Config),
    /// See [`distilbert`].
    DistilBert(distilbert::Config),
    /// See [`mobilebert`].
    MobileBert(mobilebert::Config),
    /// See [`minialbert`].
    MiniAlbert(minialbert::Config),
}

/// What can be said of every architecture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// The width of hidden states.
    pub hidden_size: usize,
    /// Layers, or passes of one.
    pub num_hidden_layers: usize,
    /// Heads of each layer.
    pub num_attention_heads: usize,
    /// The longest sequence, special tokens included.
    pub max_position_embeddings: usize,
    /// Segments; 1 where there are none.
    pub type_vocab_size: usize,
}

impl Config {
    /// Reads the config of a folder as what [`Folder::architecture`] says it is.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a field that is missing or of another type; [`ErrorKind::Unsupported`] for an
    /// architecture or a setting that is not implemented.
    pub fn of(folder: &Folder) -> Result<Self> {
        Self::new(&folder.architecture()?, folder.config())
    }

    /// Reads `config.json` as one of `bert`, `distilbert`, `mobilebert`, `minialbert`.
    ///
    /// # Errors
    /// As [`Config::of`].
    pub fn new(architecture: &str, json: Node<'_>) -> Result<Self> {
        let at = |e: Error| e.at("config.json");
        let config = match architecture {
            "bert" => Self::Bert(bert::Config::read(json).map_err(at)?),
            "distilbert" => Self::DistilBert(distilbert::Config::read(json).map_err(at)?),
            "mobilebert" => Self::MobileBert(mobilebert::Config::read(json).map_err(at)?),
            "minialbert" => Self::MiniAlbert(minialbert::Config::read(json).map_err(at)?),
            other => {
                let known = "bert, distilbert, mobilebert, minialbert";
                return Err(unsupported(format!("the architecture {other:?} is not implemented, only {known}")));
            }
        };
        config.validate()?;
        Ok(config)
    }

    /// Refuses settings that would silently compute something else, and sizes that do not fit together.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the setting.
    fn validate(&self) -> Result<()> {
        let shape = self.shape();
        let sizes = [shape.vocab_size, shape.hidden_size, shape.num_attention_heads, shape.type_vocab_size];
        if sizes.contains(&0) || shape.max_position_embeddings < 3 {
            return Err(unsupported(format!("a size is too small: {shape:?}")));
        }
        match self {
            Self::Bert(config) => config.validate(),
            Self::DistilBert(config) => config.validate(),
            Self::MobileBert(config) => config.validate(),
            Self::MiniAlbert(config) => config.validate(),
        }
    }

    /// The sizes.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Bert(config) => config.shape(),
            Self::DistilBert(config) => config.shape(),
            Self::MobileBert(config) => config.shape(),
            Self::MiniAlbert(config) => config.shape(),
        }
    }

    /// The name of the dense layer through which a sequence classifier reads the first token, if there is one.
    pub fn pooler(&self) -> Option<&'static str> {
        match self {
            Self::Bert(_) => Some("bert.pooler.dense"),
            Self::DistilBert(_) => Some("pre_classifier"),
            Self::MobileBert(config) => config.classifier_activation.then_some("mobilebert.pooler.dense"),
            Self::MiniAlbert(_) => None,
        }
    }

    /// Whether the decoder of a masked language model is the table of its word embeddings: `tie_word_embeddings`, which
    /// is true by default. MiniALBERT's never is, because its embeddings are narrower than its states.
    pub fn is_tied(&self, folder: &Folder) -> bool {
        let said = folder.config().field_or("tie_word_embeddings", true, truth);
        !matches!(self, Self::MiniAlbert(_)) && said.unwrap_or(true)
    }

    /// The share of hidden values that training drops.
    pub fn dropout(&self) -> f32 {
        match self {
            Self::Bert(config) => config.hidden_dropout_prob,
            Self::DistilBert(config) => config.dropout,
            Self::MobileBert(config) => config.hidden_dropout_prob,
            Self::MiniAlbert(config) => config.hidden_dropout_prob,
        }
    }

    /// The same with another share of dropped values.
    #[must_use]
    pub fn with_dropout(mut self, p: f32) -> Self {
        match &mut self {
            Self::Bert(config) => config.hidden_dropout_prob = p,
            Self::DistilBert(config) => config.dropout = p,
            Self::MobileBert(config) => config.hidden_dropout_prob = p,
            Self::MiniAlbert(config) => config.hidden_dropout_prob = p,
        }
        self
    }

    /// The same with another share of dropped attention probabilities.
    #[must_use]
    pub fn with_attention_dropout(mut self, p: f32) -> Self {
        match &mut self {
            Self::Bert(config) => config.attention_probs_dropout_prob = p,
            Self::DistilBert(config) => config.attention_dropout = p,
            Self::MobileBert(config) => config.attention_probs_dropout_prob = p,
            Self::MiniAlbert(config) => config.attention_probs_dropout_prob = p,
        }
        self
    }

    /// The same with fewer layers: what stands before the layer of that number.
    #[must_use]
    pub fn with_layers(mut self, layers: usize) -> Self {
        match &mut self {
            Self::Bert(config) => config.num_hidden_layers = layers,
            Self::DistilBert(config) => config.n_layers = layers,
            Self::MobileBert(config) => config.num_hidden_layers = layers,
            Self::MiniAlbert(config) => config.num_hidden_layers = layers,
        }
        self
    }
}

pub(super) fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message).at("config.json")
}

/// Refuses a setting that differs from the one that is implemented.
pub(super) fn only<T: PartialEq + std::fmt::Debug>(key: &str, found: &T, known: T) -> Result<()> {
    if *found == known {
        return Ok(());
    }
    Err(unsupported(format!("{key} {found:?} is not implemented, only {known:?}")))
}

/// Refuses heads of a width that is not whole.
pub(super) fn divides(heads_key: &str, heads: usize, size_key: &str, size: usize) -> Result<()> {
    if heads > 0 && size > 0 && size.is_multiple_of(heads) {
        return Ok(());
    }
    Err(unsupported(format!("{size_key} {size} is not a positive multiple of {heads_key} {heads}")))
}

//! `…ForMaskedLM`: what word piece stands at a place.

use super::{Batch, Config, Encoder, minialbert};
use crate::backend::{Activation, Backend, Linear, Norm, NormKind};
use crate::error::Result;
use crate::weights::Scope;

/// A dense layer with activation and norm, and a decoder to the vocabulary, whose weight is the table of word embeddings
/// where the model ties them: one variable with two uses.
pub struct MaskedLm<B: Backend> {
    encoder: Encoder<B>,
    transform: Linear<B>,
    act: Activation,
    norm: Norm<B>,
    decoder: Decoder<B>,
}

enum Decoder<B: Backend> {
    /// `[V, D]`.
    Whole(Linear<B>),
    /// MobileBERT's: the first columns of a state meet the tied table `[V, E]`, the others `dense` `[V, D - E]`, which the
    /// file holds transposed.
    Split { tied: Linear<B>, dense: Linear<B>, at: usize },
}

impl<B: Backend> MaskedLm<B> {
    /// Loads the encoder and the head. `tied` is `tie_word_embeddings` of the config, which is true by default.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn load(backend: &B, root: &Scope<'_>, config: &Config, tied: bool) -> Result<Self> {
        let (encoder, d) = (Encoder::load(backend, root, config)?, config.shape().hidden_size);
        let norm = |eps| NormKind::LayerNorm { eps };
        let cls = root.pp("cls.predictions");
        let (dense, act, place, kind) = match config {
            Config::Bert(config) => (
                cls.pp("transform.dense"),
                Activation::Gelu,
                cls.pp("transform.LayerNorm"),
                norm(config.layer_norm_eps),
            ),
            Config::MobileBert(config) => (
                cls.pp("transform.dense"),
                Activation::Relu,
                cls.pp("transform.LayerNorm"),
                norm(config.layer_norm_eps),
            ),
            Config::DistilBert(_) => {
                (root.pp("vocab_transform"), Activation::Gelu, root.pp("vocab_layer_norm"), norm(1e-12))
            }
            Config::MiniAlbert(_) => {
                (root.pp("vocab_transform"), Activation::Gelu, root.pp("vocab_layer_norm"), minialbert::OWN_NORM)
            }
        };
        let (transform, norm) = (dense.linear(backend, d, d)?, place.norm(backend, d, kind)?);
        Ok(Self { encoder, transform, act, norm, decoder: decoder(backend, root, config, tied)? })
    }

    /// Logits `[rows.len(), V]` of some rows, or `[R, V]` of all: over a whole batch the decoder costs more than the
    /// encoder.
    ///
    /// # Errors
    /// As [`Encoder::forward`]; a row that is not there.
    pub fn forward(&self, backend: &B, batch: &Batch, rows: Option<&[u32]>) -> Result<B::Tensor> {
        let mut hidden = self.encoder.forward(backend, batch)?; // [R, D]
        if let Some(rows) = rows {
            hidden = backend.rows(&hidden, rows)?; // [rows.len(), D]
        }
        let hidden = backend.linear(&hidden, &self.transform, self.act)?;
        let hidden = backend.add_norm(&hidden, None, &self.norm)?;
        match &self.decoder {
            Decoder::Whole(decoder) => backend.linear(&hidden, decoder, Activation::None),
            Decoder::Split { tied, dense, at } => {
                let d = self.encoder.config().shape().hidden_size;
                let own = backend.linear(&backend.columns(&hidden, 0..*at)?, tied, Activation::None)?;
                let rest = backend.linear(&backend.columns(&hidden, *at..d)?, dense, Activation::None)?;
                backend.add(&own, &rest)
            }
        }
    }
}

fn decoder<B: Backend>(backend: &B, root: &Scope<'_>, config: &Config, tied: bool) -> Result<Decoder<B>> {
    let shape = config.shape();
    let (v, d) = (shape.vocab_size, shape.hidden_size);
    let cls = root.pp("cls.predictions");
    let whole = |weight: Scope<'_>, bias: Scope<'_>| -> Result<_> {
        Ok(Decoder::Whole(Linear { weight: weight.matrix(backend, v, d)?, bias: Some(bias.vector(backend, v)?) }))
    };
    match config {
        Config::Bert(_) => {
            let weight = if tied { "bert.embeddings.word_embeddings" } else { "cls.predictions.decoder" };
            whole(root.pp(weight), cls)
        }
        Config::DistilBert(_) => {
            let weight = if tied { "distilbert.embeddings.word_embeddings" } else { "vocab_projector" };
            whole(root.pp(weight), root.pp("vocab_projector"))
        }
        // E differs from D: its embeddings cannot be tied.
        Config::MiniAlbert(_) => whole(root.pp("vocab_projector"), root.pp("vocab_projector")),
        Config::MobileBert(config) => {
            let weight = if tied { "mobilebert.embeddings.word_embeddings" } else { "cls.predictions.decoder" };
            let (at, bias) = (config.embedding_size, cls.vector(backend, v)?);
            let tied = Linear { weight: root.pp(weight).matrix(backend, v, at)?, bias: Some(bias) };
            let dense = cls.pp("dense").transposed(backend, v, d - at)?;
            Ok(Decoder::Split { tied, dense: Linear { weight: dense, bias: None }, at })
        }
    }
}

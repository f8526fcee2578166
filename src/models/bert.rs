//! BERT: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019.
//!
//! Names and order follow `modeling_bert.py` of Hugging Face transformers. Every other architecture of this folder
//! reads as a difference from this file.
//!
//! Axes: `R` rows (all tokens of all sequences), `D` hidden_size, `F` intermediate_size.

use super::config::{divides, only};
use super::{Batch, Shape};
use crate::backend::{Activation, Backend, Lengths, Linear, Norm, NormKind, Qkv};
use crate::error::Result;
use crate::json::{Node, count, float, string};
use crate::weights::Scope;

/// The fields of `config.json` that a forward pass needs; unknown fields are ignored.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// D.
    pub hidden_size: usize,
    /// Transformer blocks.
    pub num_hidden_layers: usize,
    /// Heads of width `hidden_size / num_attention_heads`.
    pub num_attention_heads: usize,
    /// F.
    pub intermediate_size: usize,
    /// Only `gelu` (the erf form) is implemented.
    pub hidden_act: String,
    /// Used in training only.
    pub hidden_dropout_prob: f32,
    /// Of attention probabilities; used in training only.
    pub attention_probs_dropout_prob: f32,
    /// The longest sequence, special tokens included.
    pub max_position_embeddings: usize,
    /// Segments.
    pub type_vocab_size: usize,
    /// Added to the variance of every layer normalisation.
    pub layer_norm_eps: f32,
    /// `absolute` or absent.
    pub position_embedding_type: Option<String>,
}

impl Config {
    pub(super) fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self {
            vocab_size: json.field("vocab_size", count)?,
            hidden_size: json.field("hidden_size", count)?,
            num_hidden_layers: json.field("num_hidden_layers", count)?,
            num_attention_heads: json.field("num_attention_heads", count)?,
            intermediate_size: json.field("intermediate_size", count)?,
            hidden_act: json.field_or("hidden_act", "gelu".into(), string)?,
            hidden_dropout_prob: json.field_or("hidden_dropout_prob", 0.1, float)?,
            attention_probs_dropout_prob: json.field_or("attention_probs_dropout_prob", 0.1, float)?,
            max_position_embeddings: json.field("max_position_embeddings", count)?,
            type_vocab_size: json.field_or("type_vocab_size", 2, count)?,
            layer_norm_eps: json.field_or("layer_norm_eps", 1e-12, float)?,
            position_embedding_type: json.optional("position_embedding_type", string)?,
        })
    }

    pub(super) fn validate(&self) -> Result<()> {
        only("hidden_act", &self.hidden_act.as_str(), "gelu")?;
        only("position_embedding_type", &self.position_embedding_type.as_deref().unwrap_or("absolute"), "absolute")?;
        only("intermediate_size of zero", &(self.intermediate_size == 0), false)?;
        divides("num_attention_heads", self.num_attention_heads, "hidden_size", self.hidden_size)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: self.type_vocab_size,
        }
    }
}

/// Word, position and token type embeddings, normalised.
pub(super) struct Embeddings<B: Backend> {
    word: B::Table,
    position: B::Table,
    token_type: Option<B::Table>,
    norm: Norm<B>,
}

impl<B: Backend> Embeddings<B> {
    /// Loads tables of `width` columns. Without segments there is no table of token types.
    pub(super) fn load(backend: &B, weights: &Scope<'_>, shape: &Shape, width: usize, norm: NormKind) -> Result<Self> {
        let token_type = weights.pp("token_type_embeddings");
        let token_type =
            (shape.type_vocab_size > 1).then(|| token_type.table(backend, shape.type_vocab_size, width)).transpose()?;
        Ok(Self {
            word: weights.pp("word_embeddings").table(backend, shape.vocab_size, width)?,
            position: weights.pp("position_embeddings").table(backend, shape.max_position_embeddings, width)?,
            token_type,
            norm: weights.pp("LayerNorm").norm(backend, width, norm)?,
        })
    }

    /// `[R, width]`.
    pub(super) fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        let position_ids = batch.position_ids();
        let mut sources = vec![(&self.word, &batch.input_ids[..]), (&self.position, &position_ids)];
        sources.extend(self.token_type.as_ref().map(|table| (table, &batch.token_type_ids[..])));
        backend.add_norm(&backend.embed(&sources)?, None, &self.norm)
    }
}

/// A transformer block with its norms after the residuals.
pub(super) struct Layer<B: Backend> {
    pub(super) qkv: Linear<B>,
    pub(super) attention_output: Linear<B>,
    pub(super) attention_norm: Norm<B>,
    pub(super) intermediate: Linear<B>,
    pub(super) output: Linear<B>,
    pub(super) output_norm: Norm<B>,
    pub(super) heads: usize,
    /// Of attention probabilities.
    pub(super) probability_dropout: f32,
    /// After the attention.
    pub(super) attention_dropout: f32,
    /// After the feed-forward network.
    pub(super) dropout: f32,
}

impl<B: Backend> Layer<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let norm = NormKind::LayerNorm { eps: config.layer_norm_eps };
        let attention = weights.pp("attention");
        Ok(Self {
            qkv: attention.pp("self").linear_stack(backend, &["query", "key", "value"], d, d)?,
            attention_output: attention.pp("output.dense").linear(backend, d, d)?,
            attention_norm: attention.pp("output.LayerNorm").norm(backend, d, norm)?,
            intermediate: weights.pp("intermediate.dense").linear(backend, f, d)?,
            output: weights.pp("output.dense").linear(backend, d, f)?,
            output_norm: weights.pp("output.LayerNorm").norm(backend, d, norm)?,
            heads: config.num_attention_heads,
            probability_dropout: config.attention_probs_dropout_prob,
            attention_dropout: config.hidden_dropout_prob,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// Layer `i`, `[R, D]` to `[R, D]`.
    pub(super) fn forward(&self, backend: &B, i: usize, x: &B::Tensor, lengths: &Lengths) -> Result<B::Tensor> {
        let qkv = backend.linear(x, &self.qkv, Activation::None)?; // [R, 3D]
        backend.observe_attention(i, Qkv::Joined(&qkv), self.heads, lengths)?;
        let p = self.probability_dropout;
        let context = backend.attention_with_dropout(Qkv::Joined(&qkv), self.heads, lengths, p)?; // [R, D]
        let attended = backend.linear(&context, &self.attention_output, Activation::None)?; // [R, D]
        let x = backend.add_norm(&backend.dropout(attended, self.attention_dropout)?, Some(x), &self.attention_norm)?; // [R, D]
        let inner = backend.linear(&x, &self.intermediate, Activation::Gelu)?; // [R, F]
        let outer = backend.linear(&inner, &self.output, Activation::None)?; // [R, D]
        backend.add_norm(&backend.dropout(outer, self.dropout)?, Some(&x), &self.output_norm) // [R, D]
    }
}

/// The encoder, without pooler or head.
pub(super) struct Bert<B: Backend> {
    embeddings: Embeddings<B>,
    layers: Vec<Layer<B>>,
    dropout: f32,
}

impl<B: Backend> Bert<B> {
    /// Loads from `embeddings.…` and `encoder.layer.N.…` below `weights`.
    pub(super) fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let layer = |i| Layer::load(backend, &weights.pp("encoder.layer").pp(i), config);
        let norm = NormKind::LayerNorm { eps: config.layer_norm_eps };
        let embeddings = weights.pp("embeddings");
        Ok(Self {
            embeddings: Embeddings::load(backend, &embeddings, &config.shape(), config.hidden_size, norm)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// `hidden_states[0]`, `[R, D]`.
    pub(super) fn embed(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        backend.dropout(self.embeddings.forward(backend, batch)?, self.dropout)
    }

    /// `hidden_states[i + 1]` from `hidden_states[i]`, `[R, D]`.
    pub(super) fn layer(&self, backend: &B, i: usize, x: &B::Tensor, lengths: &Lengths) -> Result<B::Tensor> {
        self.layers[i].forward(backend, i, x, lengths)
    }
}

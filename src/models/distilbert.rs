//! DistilBERT: Sanh et al., "DistilBERT, a distilled version of BERT", 2019 (arXiv 1910.01108).
//!
//! BERT's block under other names; no token types, no pooler. Names follow `modeling_distilbert.py` of Hugging Face
//! transformers. ClinicalDistilBERT and BioDistilBERT are of this kind. Axes as in [`super::bert`].

use super::bert::{Embeddings, Layer};
use super::config::{divides, only};
use super::{Batch, Shape};
use crate::backend::{Backend, Lengths, NormKind};
use crate::error::Result;
use crate::json::{Node, count, float, string};
use crate::weights::Scope;

/// Not in the config: `modeling_distilbert.py` has it fixed.
const NORM: NormKind = NormKind::LayerNorm { eps: 1e-12 };

/// The fields of `config.json` that a forward pass needs; unknown fields are ignored.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// D.
    pub dim: usize,
    /// Transformer blocks.
    pub n_layers: usize,
    /// Heads of width `dim / n_heads`.
    pub n_heads: usize,
    /// F.
    pub hidden_dim: usize,
    /// Only `gelu` (the erf form) is implemented.
    pub activation: String,
    /// Used in training only.
    pub dropout: f32,
    /// Of attention probabilities; used in training only.
    pub attention_dropout: f32,
    /// The longest sequence, special tokens included.
    pub max_position_embeddings: usize,
}

impl Config {
    pub(super) fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self {
            vocab_size: json.field("vocab_size", count)?,
            dim: json.field("dim", count)?,
            n_layers: json.field("n_layers", count)?,
            n_heads: json.field("n_heads", count)?,
            hidden_dim: json.field("hidden_dim", count)?,
            activation: json.field_or("activation", "gelu".into(), string)?,
            dropout: json.field_or("dropout", 0.1, float)?,
            attention_dropout: json.field_or("attention_dropout", 0.1, float)?,
            max_position_embeddings: json.field("max_position_embeddings", count)?,
        })
    }

    pub(super) fn validate(&self) -> Result<()> {
        only("activation", &self.activation.as_str(), "gelu")?;
        only("hidden_dim of zero", &(self.hidden_dim == 0), false)?;
        divides("n_heads", self.n_heads, "dim", self.dim)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            vocab_size: self.vocab_size,
            hidden_size: self.dim,
            num_hidden_layers: self.n_layers,
            num_attention_heads: self.n_heads,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: 1,
        }
    }
}

/// The encoder, without head.
pub(super) struct DistilBert<B: Backend> {
    embeddings: Embeddings<B>,
    layers: Vec<Layer<B>>,
    dropout: f32,
}

impl<B: Backend> DistilBert<B> {
    /// Loads from `embeddings.…` and `transformer.layer.N.…` below `weights`.
    pub(super) fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let layer = |i| load_layer(backend, &weights.pp("transformer.layer").pp(i), config);
        Ok(Self {
            embeddings: Embeddings::load(backend, &weights.pp("embeddings"), &config.shape(), config.dim, NORM)?,
            layers: (0..config.n_layers).map(layer).collect::<Result<_>>()?,
            dropout: config.dropout,
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

/// BERT's layer, from DistilBERT's names.
fn load_layer<B: Backend>(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Layer<B>> {
    let (d, f) = (config.dim, config.hidden_dim);
    let attention = weights.pp("attention");
    Ok(Layer {
        qkv: attention.linear_stack(backend, &["q_lin", "k_lin", "v_lin"], d, d)?,
        attention_output: attention.pp("out_lin").linear(backend, d, d)?,
        attention_norm: weights.pp("sa_layer_norm").norm(backend, d, NORM)?,
        intermediate: weights.pp("ffn.lin1").linear(backend, f, d)?,
        output: weights.pp("ffn.lin2").linear(backend, d, f)?,
        output_norm: weights.pp("output_layer_norm").norm(backend, d, NORM)?,
        heads: config.n_heads,
        probability_dropout: config.attention_dropout,
        attention_dropout: 0.0, // unlike BERT
        dropout: config.dropout,
    })
}

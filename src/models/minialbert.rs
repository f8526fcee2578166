//! MiniALBERT: Nouriborji et al., "MiniALBERT: Model Distillation via Parameter-Efficient Recursive Transformers", EACL
//! 2023 (arXiv 2210.06425).
//!
//! Against BERT: one layer, the same in every pass; before its attention and before its feed-forward network a small
//! adapter that belongs to the pass; narrow embeddings and a projector. The names are those of the published files: an
//! `albert` inside an `albert`. ClinicalMiniALBERT and BioMiniALBERT are of this kind. Their configs say `model_type`
//! "bert"; [`crate::weights::folder::Folder::architecture`] knows them by their fields.
//!
//! Axes: `R` rows, `E` embedding_size (128 or 312), `D` hidden_size (768), `F` intermediate_size (3072), `A` the width
//! of an adapter (`D / reduction_factor`, 48).

use super::bert::Embeddings;
use super::config::{divides, only};
use super::{Batch, Shape};
use crate::backend::{Activation, Backend, Lengths, Linear, Norm, NormKind, Qkv};
use crate::error::Result;
use crate::json::{Node, count, float, string, truth};
use crate::weights::Scope;

/// That of the adapters and of the masked language model, whatever the config says.
pub(super) const OWN_NORM: NormKind = NormKind::LayerNorm { eps: 1e-12 };

/// The fields of `config.json` that a forward pass needs; unknown fields are ignored.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// E.
    pub embedding_size: usize,
    /// D.
    pub hidden_size: usize,
    /// Passes.
    pub num_hidden_layers: usize,
    /// Heads of width `hidden_size / num_attention_heads`.
    pub num_attention_heads: usize,
    /// F.
    pub intermediate_size: usize,
    /// `D / A`.
    pub reduction_factor: usize,
    /// Whether there are adapters.
    pub use_adapter: bool,
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
    /// Added to the variance of every layer normalisation of the embeddings and the shared layer.
    pub layer_norm_eps: f32,
}

impl Config {
    pub(super) fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self {
            vocab_size: json.field("vocab_size", count)?,
            embedding_size: json.field("embedding_size", count)?,
            hidden_size: json.field("hidden_size", count)?,
            num_hidden_layers: json.field("num_hidden_layers", count)?,
            num_attention_heads: json.field("num_attention_heads", count)?,
            intermediate_size: json.field("intermediate_size", count)?,
            reduction_factor: json.field_or("reduction_factor", 16, count)?,
            use_adapter: json.field_or("use_adapter", true, truth)?,
            hidden_act: json.field_or("hidden_act", "gelu".into(), string)?,
            hidden_dropout_prob: json.field_or("hidden_dropout_prob", 0.1, float)?,
            attention_probs_dropout_prob: json.field_or("attention_probs_dropout_prob", 0.1, float)?,
            max_position_embeddings: json.field("max_position_embeddings", count)?,
            type_vocab_size: json.field_or("type_vocab_size", 2, count)?,
            layer_norm_eps: json.field_or("layer_norm_eps", 1e-12, float)?,
        })
    }

    pub(super) fn validate(&self) -> Result<()> {
        only("hidden_act", &self.hidden_act.as_str(), "gelu")?;
        let zero = [self.embedding_size, self.intermediate_size].contains(&0);
        only("an embedding_size or intermediate_size of zero", &zero, false)?;
        divides("reduction_factor", self.reduction_factor, "hidden_size", self.hidden_size)?;
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

/// `norm(up(gelu(down(x))) + x)`.
struct Adapter<B: Backend> {
    down: Linear<B>,
    up: Linear<B>,
    norm: Norm<B>,
}

impl<B: Backend> Adapter<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let (d, a) = (config.hidden_size, config.hidden_size / config.reduction_factor);
        Ok(Self {
            down: weights.pp("block.0").linear(backend, a, d)?,
            up: weights.pp("block.2").linear(backend, d, a)?,
            norm: weights.pp("norm").norm(backend, d, OWN_NORM)?,
        })
    }

    fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor> {
        let inner = backend.linear(x, &self.down, Activation::Gelu)?; // [R, A]
        let outer = backend.linear(&inner, &self.up, Activation::None)?; // [R, D]
        backend.add_norm(&outer, Some(x), &self.norm) // [R, D]
    }
}

/// The layer of all passes.
struct Layer<B: Backend> {
    qkv: Linear<B>,
    attention_output: Linear<B>,
    attention_norm: Norm<B>,
    ffn: Linear<B>,
    ffn_output: Linear<B>,
    full_norm: Norm<B>,
}

impl<B: Backend> Layer<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let norm = NormKind::LayerNorm { eps: config.layer_norm_eps };
        let attention = weights.pp("attention");
        Ok(Self {
            qkv: attention.linear_stack(backend, &["query", "key", "value"], d, d)?,
            attention_output: attention.pp("dense").linear(backend, d, d)?,
            attention_norm: attention.pp("LayerNorm").norm(backend, d, norm)?,
            ffn: weights.pp("ffn").linear(backend, f, d)?,
            ffn_output: weights.pp("ffn_output").linear(backend, d, f)?,
            full_norm: weights.pp("full_layer_layer_norm").norm(backend, d, norm)?,
        })
    }
}

/// The encoder, without head.
pub(super) struct MiniAlbert<B: Backend> {
    embeddings: Embeddings<B>,
    projector: Option<Linear<B>>,
    layer: Layer<B>,
    adapters: Vec<(Adapter<B>, Adapter<B>)>,
    heads: usize,
    attention_dropout: f32,
    dropout: f32,
}

impl<B: Backend> MiniAlbert<B> {
    /// Loads from `albert.embeddings.…`, `projector`, `albert.encoder.albert_layer_groups.0.albert_layers.0.…` and
    /// `att_adapters.N.…`, `mlp_adapters.N.…` below `weights`.
    pub(super) fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let (d, e) = (config.hidden_size, config.embedding_size);
        let norm = NormKind::LayerNorm { eps: config.layer_norm_eps };
        let adapters = if config.use_adapter { config.num_hidden_layers } else { 0 };
        let adapter = |kind, i| Adapter::load(backend, &weights.pp(kind).pp(i), config);
        let layer = weights.pp("albert.encoder.albert_layer_groups.0.albert_layers.0");
        Ok(Self {
            embeddings: Embeddings::load(backend, &weights.pp("albert.embeddings"), &config.shape(), e, norm)?,
            projector: (e != d).then(|| weights.pp("projector").linear(backend, d, e)).transpose()?,
            layer: Layer::load(backend, &layer, config)?,
            adapters: (0..adapters)
                .map(|i| Ok((adapter("att_adapters", i)?, adapter("mlp_adapters", i)?)))
                .collect::<Result<_>>()?,
            heads: config.num_attention_heads,
            attention_dropout: config.attention_probs_dropout_prob,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// `hidden_states[0]`: what the projector makes of the embeddings, `[R, D]`.
    pub(super) fn embed(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        let x = backend.dropout(self.embeddings.forward(backend, batch)?, self.dropout)?; // [R, E]
        match &self.projector {
            Some(projector) => backend.linear(&x, projector, Activation::None), // [R, D]
            None => Ok(x),
        }
    }

    /// Pass `i`: `hidden_states[i + 1]` from `hidden_states[i]`, `[R, D]`.
    pub(super) fn layer(&self, backend: &B, i: usize, x: &B::Tensor, lengths: &Lengths) -> Result<B::Tensor> {
        let (layer, adapters) = (&self.layer, self.adapters.get(i));
        let adapted = |adapter: Option<&Adapter<B>>, x: &B::Tensor| match adapter {
            Some(adapter) => adapter.forward(backend, x),
            None => Ok(x.clone()),
        };
        let x = adapted(adapters.map(|(attention, _)| attention), x)?; // [R, D]
        let qkv = backend.linear(&x, &layer.qkv, Activation::None)?; // [R, 3D]
        backend.observe_attention(i, Qkv::Joined(&qkv), self.heads, lengths)?;
        let p = self.attention_dropout;
        let context = backend.attention_with_dropout(Qkv::Joined(&qkv), self.heads, lengths, p)?; // [R, D]
        let attended = backend.linear(&context, &layer.attention_output, Activation::None)?; // [R, D]
        let attended = backend.dropout(attended, self.dropout)?;
        let x = backend.add_norm(&attended, Some(&x), &layer.attention_norm)?; // [R, D]
        let x = adapted(adapters.map(|(_, feed_forward)| feed_forward), &x)?; // [R, D]
        let inner = backend.linear(&x, &layer.ffn, Activation::Gelu)?; // [R, F]
        let outer = backend.linear(&inner, &layer.ffn_output, Activation::None)?; // [R, D]
        backend.add_norm(&outer, Some(&x), &layer.full_norm) // [R, D]
    }
}

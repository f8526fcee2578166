//! MobileBERT: Sun et al., "MobileBERT: a Compact Task-Agnostic BERT for Resource-Limited Devices", ACL 2020
//! (arXiv 2004.02984).
//!
//! Against BERT: narrow embeddings that see their neighbours (trigrams), a bottleneck round each layer, several
//! feed-forward networks in it, query and key from another bottleneck than the residual, the value from the wide state
//! itself, ReLU, and `NoNorm` in place of layer normalisation. Names follow `modeling_mobilebert.py` of Hugging Face
//! transformers. ClinicalMobileBERT and BioMobileBERT are of this kind.
//!
//! Axes: `R` rows, `E` embedding_size (128), `D` hidden_size (512), `T` intra_bottleneck_size (128), `F`
//! intermediate_size (512).

use super::config::{divides, only, unsupported};
use super::{Batch, Shape};
use crate::backend::{Activation, Backend, Lengths, Linear, Norm, NormKind, Qkv};
use crate::error::Result;
use crate::json::{Node, count, float, string, truth};
use crate::weights::Scope;

/// The fields of `config.json` that a forward pass needs; unknown fields are ignored. Defaults are Hugging Face's.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// D.
    pub hidden_size: usize,
    /// E.
    pub embedding_size: usize,
    /// T.
    pub intra_bottleneck_size: usize,
    /// F.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of width `intra_bottleneck_size / num_attention_heads`.
    pub num_attention_heads: usize,
    /// Feed-forward networks of a layer, the last of which is `intermediate` and `output`.
    pub num_feedforward_networks: usize,
    /// `no_norm` or `layer_norm`.
    pub normalization_type: String,
    /// Only `relu` is implemented.
    pub hidden_act: String,
    /// Only with trigrams.
    pub trigram_input: bool,
    /// Only with bottlenecks.
    pub use_bottleneck: bool,
    /// Only without.
    pub use_bottleneck_attention: bool,
    /// Only shared.
    pub key_query_shared_bottleneck: bool,
    /// Whether a sequence classifier reads `tanh(dense(token 0))` rather than token 0 itself.
    pub classifier_activation: bool,
    /// Used in training only.
    pub hidden_dropout_prob: f32,
    /// Of attention probabilities; used in training only.
    pub attention_probs_dropout_prob: f32,
    /// The longest sequence, special tokens included.
    pub max_position_embeddings: usize,
    /// Segments.
    pub type_vocab_size: usize,
    /// Added to the variance of layer normalisations. With `no_norm` there is one, in the masked language model.
    pub layer_norm_eps: f32,
}

impl Config {
    pub(super) fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self {
            vocab_size: json.field("vocab_size", count)?,
            hidden_size: json.field("hidden_size", count)?,
            embedding_size: json.field_or("embedding_size", 128, count)?,
            intra_bottleneck_size: json.field_or("intra_bottleneck_size", 128, count)?,
            intermediate_size: json.field("intermediate_size", count)?,
            num_hidden_layers: json.field("num_hidden_layers", count)?,
            num_attention_heads: json.field("num_attention_heads", count)?,
            num_feedforward_networks: json.field_or("num_feedforward_networks", 4, count)?,
            normalization_type: json.field_or("normalization_type", "no_norm".into(), string)?,
            hidden_act: json.field_or("hidden_act", "relu".into(), string)?,
            trigram_input: json.field_or("trigram_input", true, truth)?,
            use_bottleneck: json.field_or("use_bottleneck", true, truth)?,
            use_bottleneck_attention: json.field_or("use_bottleneck_attention", false, truth)?,
            key_query_shared_bottleneck: json.field_or("key_query_shared_bottleneck", true, truth)?,
            classifier_activation: json.field_or("classifier_activation", true, truth)?,
            hidden_dropout_prob: json.field_or("hidden_dropout_prob", 0.0, float)?,
            attention_probs_dropout_prob: json.field_or("attention_probs_dropout_prob", 0.1, float)?,
            max_position_embeddings: json.field("max_position_embeddings", count)?,
            type_vocab_size: json.field_or("type_vocab_size", 2, count)?,
            layer_norm_eps: json.field_or("layer_norm_eps", 1e-12, float)?,
        })
    }

    pub(super) fn validate(&self) -> Result<()> {
        only("hidden_act", &self.hidden_act.as_str(), "relu")?;
        only("trigram_input", &self.trigram_input, true)?;
        only("use_bottleneck", &self.use_bottleneck, true)?;
        only("use_bottleneck_attention", &self.use_bottleneck_attention, false)?;
        only("key_query_shared_bottleneck", &self.key_query_shared_bottleneck, true)?;
        if !["no_norm", "layer_norm"].contains(&self.normalization_type.as_str()) {
            let found = &self.normalization_type;
            return Err(unsupported(format!("normalization_type {found:?}, only \"no_norm\" and \"layer_norm\"")));
        }
        let positive = [self.embedding_size, self.intermediate_size, self.num_feedforward_networks];
        only("a size of zero", &positive.contains(&0), false)?;
        only("embedding_size above hidden_size", &(self.embedding_size >= self.hidden_size), false)?;
        let (heads, inner) = (self.num_attention_heads, self.intra_bottleneck_size);
        divides("num_attention_heads", heads, "intra_bottleneck_size", inner)
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

    fn norm(&self) -> NormKind {
        self.norm_with(self.layer_norm_eps)
    }

    /// Two norms of `modeling_mobilebert.py` are made without the eps of the config: PyTorch's own stands there.
    fn default_norm(&self) -> NormKind {
        self.norm_with(1e-5)
    }

    fn norm_with(&self, eps: f32) -> NormKind {
        match self.normalization_type.as_str() {
            "layer_norm" => NormKind::LayerNorm { eps },
            _ => NormKind::NoNorm,
        }
    }
}

struct Embeddings<B: Backend> {
    word: B::Table,
    transformation: Linear<B>,
    position: B::Table,
    token_type: B::Table,
    norm: Norm<B>,
}

impl<B: Backend> Embeddings<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let (d, e) = (config.hidden_size, config.embedding_size);
        Ok(Self {
            word: weights.pp("word_embeddings").table(backend, config.vocab_size, e)?,
            transformation: weights.pp("embedding_transformation").linear(backend, d, 3 * e)?,
            position: weights.pp("position_embeddings").table(backend, config.max_position_embeddings, d)?,
            token_type: weights.pp("token_type_embeddings").table(backend, config.type_vocab_size, d)?,
            norm: weights.pp("LayerNorm").norm(backend, d, config.default_norm())?,
        })
    }

    fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        let word = backend.embed(&[(&self.word, &batch.input_ids)])?; // [R, E]
        let trigram = backend.trigram(&word, &batch.lengths)?; // [R, 3E]
        let x = backend.linear(&trigram, &self.transformation, Activation::None)?; // [R, D]
        let position_ids = batch.position_ids();
        let rest = backend.embed(&[(&self.position, &position_ids), (&self.token_type, &batch.token_type_ids)])?;
        backend.add_norm(&x, Some(&rest), &self.norm) // [R, D]
    }
}

/// A dense layer and the norm of its result plus a residual.
struct Residual<B: Backend> {
    dense: Linear<B>,
    norm: Norm<B>,
}

impl<B: Backend> Residual<B> {
    /// `dense` and `LayerNorm` below `weights`: `inputs` to `outputs` columns.
    fn load(backend: &B, weights: &Scope<'_>, outputs: usize, inputs: usize, norm: NormKind) -> Result<Self> {
        let dense = weights.pp("dense").linear(backend, outputs, inputs)?;
        Ok(Self { dense, norm: weights.pp("LayerNorm").norm(backend, outputs, norm)? })
    }

    fn forward(&self, backend: &B, x: &B::Tensor, residual: Option<&B::Tensor>) -> Result<B::Tensor> {
        backend.add_norm(&backend.linear(x, &self.dense, Activation::None)?, residual, &self.norm)
    }
}

/// `intermediate` and `output`: T to F to T.
struct FeedForward<B: Backend> {
    intermediate: Linear<B>,
    output: Residual<B>,
}

impl<B: Backend> FeedForward<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config, norm: NormKind) -> Result<Self> {
        let (t, f) = (config.intra_bottleneck_size, config.intermediate_size);
        let intermediate = weights.pp("intermediate.dense").linear(backend, f, t)?;
        Ok(Self { intermediate, output: Residual::load(backend, &weights.pp("output"), t, f, norm)? })
    }

    fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor> {
        let inner = backend.linear(x, &self.intermediate, Activation::Relu)?; // [R, F]
        self.output.forward(backend, &inner, Some(x)) // [R, T]
    }
}

struct Layer<B: Backend> {
    bottleneck_input: Residual<B>,
    bottleneck_attention: Residual<B>,
    query_key: Linear<B>,
    value: Linear<B>,
    attention_output: Residual<B>,
    feed_forward: Vec<FeedForward<B>>,
    bottleneck_output: Residual<B>,
}

impl<B: Backend> Layer<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let (d, t, norm) = (config.hidden_size, config.intra_bottleneck_size, config.norm());
        let attention = weights.pp("attention.self");
        let mut feed_forward = (0..config.num_feedforward_networks - 1)
            .map(|i| FeedForward::load(backend, &weights.pp("ffn").pp(i), config, norm))
            .collect::<Result<Vec<_>>>()?;
        feed_forward.push(FeedForward::load(backend, weights, config, config.default_norm())?);
        Ok(Self {
            bottleneck_input: Residual::load(backend, &weights.pp("bottleneck.input"), t, d, norm)?,
            bottleneck_attention: Residual::load(backend, &weights.pp("bottleneck.attention"), t, d, norm)?,
            query_key: attention.linear_stack(backend, &["query", "key"], t, t)?,
            value: attention.pp("value").linear(backend, t, d)?,
            attention_output: Residual::load(backend, &weights.pp("attention.output"), t, t, norm)?,
            feed_forward,
            bottleneck_output: Residual::load(backend, &weights.pp("output.bottleneck"), d, t, norm)?,
        })
    }
}

/// The encoder, without pooler or head.
pub(super) struct MobileBert<B: Backend> {
    embeddings: Embeddings<B>,
    layers: Vec<Layer<B>>,
    heads: usize,
    attention_dropout: f32,
    dropout: f32,
}

impl<B: Backend> MobileBert<B> {
    /// Loads from `embeddings.…` and `encoder.layer.N.…` below `weights`.
    pub(super) fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let layer = |i| Layer::load(backend, &weights.pp("encoder.layer").pp(i), config);
        Ok(Self {
            embeddings: Embeddings::load(backend, &weights.pp("embeddings"), config)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            heads: config.num_attention_heads,
            attention_dropout: config.attention_probs_dropout_prob,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// `hidden_states[0]`, `[R, D]`.
    pub(super) fn embed(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        backend.dropout(self.embeddings.forward(backend, batch)?, self.dropout)
    }

    /// `hidden_states[i + 1]` from `hidden_states[i]`, `[R, D]`.
    pub(super) fn layer(&self, backend: &B, i: usize, x: &B::Tensor, lengths: &Lengths) -> Result<B::Tensor> {
        let layer = &self.layers[i];
        let residual = layer.bottleneck_input.forward(backend, x, None)?; // [R, T]
        let shared = layer.bottleneck_attention.forward(backend, x, None)?; // [R, T]
        let query_key = backend.linear(&shared, &layer.query_key, Activation::None)?; // [R, 2T]
        let value = backend.linear(x, &layer.value, Activation::None)?; // [R, T]
        let qkv = Qkv::Apart { query_key: &query_key, value: &value };
        backend.observe_attention(i, qkv, self.heads, lengths)?;
        let context = backend.attention_with_dropout(qkv, self.heads, lengths, self.attention_dropout)?; // [R, T]
        let mut inner = layer.attention_output.forward(backend, &context, Some(&residual))?; // [R, T]
        for network in &layer.feed_forward {
            inner = network.forward(backend, &inner)?; // [R, T]
        }
        let outer = backend.linear(&inner, &layer.bottleneck_output.dense, Activation::None)?; // [R, D]
        let outer = backend.dropout(outer, self.dropout)?;
        backend.add_norm(&outer, Some(x), &layer.bottleneck_output.norm) // [R, D]
    }
}

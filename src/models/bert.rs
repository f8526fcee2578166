//! BERT: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019.
//!
//! Names and order follow `modeling_bert.py` of Hugging Face transformers. Every other architecture of this folder
//! reads as a difference from this file.
//!
//! Axes: `R` rows (all tokens of all sequences), `D` hidden_size, `F` intermediate_size.

use serde::Deserialize;

use super::Batch;
use crate::backend::{Activation, Backend, Lengths, Linear, Norm, Site};
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Scope;

/// The fields of `config.json` that a forward pass needs; unknown fields are ignored.
#[derive(Clone, Debug, Deserialize)]
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
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Used in training only.
    #[serde(default = "tenth")]
    pub hidden_dropout_prob: f32,
    /// The longest sequence, special tokens included.
    pub max_position_embeddings: usize,
    /// Segments.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Added to the variance of every layer normalisation.
    #[serde(default = "eps")]
    pub layer_norm_eps: f32,
    /// `absolute` or absent.
    #[serde(default)]
    pub position_embedding_type: Option<String>,
}

fn gelu() -> String {
    "gelu".into()
}
fn tenth() -> f32 {
    0.1
}
fn two() -> usize {
    2
}
fn eps() -> f32 {
    1e-12
}

impl Config {
    /// Refuses settings that would silently compute something else, and sizes that do not fit together.
    pub fn validate(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Unsupported, message).at("config.json"));
        if self.hidden_act != "gelu" {
            return refuse(format!("hidden_act {:?} is not implemented, only \"gelu\"", self.hidden_act));
        }
        if self.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return refuse(format!("position_embedding_type {:?}, only \"absolute\"", self.position_embedding_type));
        }
        if self.num_attention_heads == 0
            || self.hidden_size == 0
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
            return refuse(format!("hidden_size {hidden} is not a positive multiple of num_attention_heads {heads}"));
        }
        if self.vocab_size == 0
            || self.intermediate_size == 0
            || self.type_vocab_size == 0
            || self.max_position_embeddings < 3
        {
            return refuse(
                "vocab_size, intermediate_size, type_vocab_size or max_position_embeddings is too small".into(),
            );
        }
        Ok(())
    }
}

struct Embeddings<B: Backend> {
    word: B::Table,
    position: B::Table,
    token_type: B::Table,
    norm: Norm<B>,
}

impl<B: Backend> Embeddings<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let d = config.hidden_size;
        Ok(Self {
            word: weights.pp("word_embeddings").table(backend, config.vocab_size, d)?,
            position: weights.pp("position_embeddings").table(backend, config.max_position_embeddings, d)?,
            token_type: weights.pp("token_type_embeddings").table(backend, config.type_vocab_size, d)?,
            norm: weights.pp("LayerNorm").norm(backend, d, config.layer_norm_eps)?,
        })
    }

    fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        let position_ids = batch.position_ids();
        let sum = backend.embed(&[
            (&self.word, &batch.input_ids),
            (&self.position, &position_ids),
            (&self.token_type, &batch.token_type_ids),
        ])?; // [R, D]
        backend.add_norm(&sum, None, &self.norm) // [R, D]
    }
}

struct Layer<B: Backend> {
    qkv: Linear<B>,
    attention_output: Linear<B>,
    attention_norm: Norm<B>,
    intermediate: Linear<B>,
    output: Linear<B>,
    output_norm: Norm<B>,
}

impl<B: Backend> Layer<B> {
    fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        let (d, f, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = weights.pp("attention");
        Ok(Self {
            qkv: attention.pp("self").linear_stack(backend, &["query", "key", "value"], d, d)?,
            attention_output: attention.pp("output.dense").linear(backend, d, d)?,
            attention_norm: attention.pp("output.LayerNorm").norm(backend, d, eps)?,
            intermediate: weights.pp("intermediate.dense").linear(backend, f, d)?,
            output: weights.pp("output.dense").linear(backend, d, f)?,
            output_norm: weights.pp("output.LayerNorm").norm(backend, d, eps)?,
        })
    }

    fn forward(&self, backend: &B, x: &B::Tensor, lengths: &Lengths, config: &Config) -> Result<B::Tensor> {
        let p = config.hidden_dropout_prob;
        let qkv = backend.linear(x, &self.qkv, Activation::None)?; // [R, 3D]
        let context = backend.attention(&qkv, config.num_attention_heads, lengths)?; // [R, D]
        let attended = backend.linear(&context, &self.attention_output, Activation::None)?; // [R, D]
        let x = backend.add_norm(&backend.dropout(attended, p)?, Some(x), &self.attention_norm)?; // [R, D]
        let inner = backend.linear(&x, &self.intermediate, Activation::Gelu)?; // [R, F]
        let outer = backend.linear(&inner, &self.output, Activation::None)?; // [R, D]
        backend.add_norm(&backend.dropout(outer, p)?, Some(&x), &self.output_norm) // [R, D]
    }
}

/// The encoder, without pooler or head.
pub struct Bert<B: Backend> {
    config: Config,
    embeddings: Embeddings<B>,
    layers: Vec<Layer<B>>,
}

impl<B: Backend> Bert<B> {
    /// Loads from `embeddings.…` and `encoder.layer.N.…` below `weights`.
    ///
    /// # Errors
    /// A missing tensor or one of another shape, by name, with both shapes.
    pub fn load(backend: &B, weights: &Scope<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let layer = |i| Layer::load(backend, &weights.pp("encoder.layer").pp(i), config);
        Ok(Self {
            embeddings: Embeddings::load(backend, &weights.pp("embeddings"), config)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            config: config.clone(),
        })
    }

    /// `last_hidden_state`, `[R, D]`.
    ///
    /// # Errors
    /// An id outside the vocabulary, a sequence longer than `max_position_embeddings`, or a failure of the engine.
    pub fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        self.check(batch)?;
        let embedded = self.embeddings.forward(backend, batch)?; // [R, D]
        let mut x = backend.dropout(embedded, self.config.hidden_dropout_prob)?; // [R, D]
        backend.observe(Site::HiddenState(0), &x);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(backend, &x, &batch.lengths, &self.config)?; // [R, D]
            backend.observe(Site::HiddenState(i + 1), &x);
        }
        Ok(x)
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Input, message));
        if let Some(id) = batch.input_ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            return refuse(format!("input id {id} is outside the vocabulary of {}", self.config.vocab_size));
        }
        let longest = batch.lengths.ranges().map(|rows| rows.len()).max().unwrap_or(0);
        if longest > self.config.max_position_embeddings {
            let most = self.config.max_position_embeddings;
            return refuse(format!(
                "a sequence of {longest} tokens, the model takes at most {most}: cut it into windows"
            ));
        }
        Ok(())
    }
}

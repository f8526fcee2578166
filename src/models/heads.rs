//! Classifiers of tokens and of sequences.

use super::encoder::pooler;
use super::{Batch, Config, Encoder};
use crate::backend::{Activation, Backend, Linear};
use crate::error::Result;
use crate::weights::Scope;

/// `…ForTokenClassification`: one row of label logits a token.
pub struct TokenClassification<B: Backend> {
    encoder: Encoder<B>,
    classifier: Linear<B>,
}

impl<B: Backend> TokenClassification<B> {
    /// Loads the encoder, and the head from `classifier`.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn load(backend: &B, root: &Scope<'_>, config: &Config, num_labels: usize) -> Result<Self> {
        let encoder = Encoder::load(backend, root, config)?;
        let classifier = root.pp("classifier").linear(backend, num_labels, config.shape().hidden_size)?;
        Ok(Self { encoder, classifier })
    }

    /// Logits `[R, num_labels]`.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        let hidden = self.encoder.forward(backend, batch)?; // [R, D]
        let hidden = backend.dropout(hidden, self.encoder.config().dropout())?; // [R, D]
        backend.linear(&hidden, &self.classifier, Activation::None) // [R, num_labels]
    }
}

/// `…ForSequenceClassification`: one row of label logits a sequence, read off its first token: through BERT's pooler,
/// DistilBERT's pre-classifier, MobileBERT's pooler where its config asks for one, or as it is (MiniALBERT).
pub struct SequenceClassification<B: Backend> {
    encoder: Encoder<B>,
    pooler: Option<(Linear<B>, Activation)>,
    classifier: Linear<B>,
}

impl<B: Backend> SequenceClassification<B> {
    /// Loads the encoder, and the head from its pooler and `classifier`.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn load(backend: &B, root: &Scope<'_>, config: &Config, num_labels: usize) -> Result<Self> {
        let encoder = Encoder::load(backend, root, config)?;
        let pooler = pooler(backend, root, config)?;
        let classifier = root.pp("classifier").linear(backend, num_labels, config.shape().hidden_size)?;
        Ok(Self { encoder, pooler, classifier })
    }

    /// Logits `[S, num_labels]`, one row a sequence of the batch.
    ///
    /// # Errors
    /// As [`Encoder::forward`]; a sequence without tokens.
    pub fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        let first = batch.first_rows()?;
        let hidden = self.encoder.forward(backend, batch)?; // [R, D]
        let mut pooled = backend.rows(&hidden, &first)?; // [S, D]
        if let Some((dense, act)) = &self.pooler {
            pooled = backend.linear(&pooled, dense, *act)?; // [S, D]
        }
        let pooled = backend.dropout(pooled, self.encoder.config().dropout())?; // [S, D]
        backend.linear(&pooled, &self.classifier, Activation::None) // [S, num_labels]
    }
}

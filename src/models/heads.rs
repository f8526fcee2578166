//! What turns hidden states into an answer.

use super::{Batch, Bert, Config};
use crate::backend::{Activation, Backend, Linear};
use crate::error::Result;
use crate::weights::Scope;

/// `BertForTokenClassification`: one row of label logits a token.
pub struct TokenClassification<B: Backend> {
    bert: Bert<B>,
    dropout: f32,
    classifier: Linear<B>,
}

impl<B: Backend> TokenClassification<B> {
    /// Loads the encoder from `bert.…` and the head from `classifier`.
    ///
    /// # Errors
    /// As [`Bert::load`].
    pub fn load(backend: &B, weights: &Scope<'_>, config: &Config, num_labels: usize) -> Result<Self> {
        Ok(Self {
            bert: Bert::load(backend, &weights.pp("bert"), config)?,
            dropout: config.hidden_dropout_prob,
            classifier: weights.pp("classifier").linear(backend, num_labels, config.hidden_size)?,
        })
    }

    /// Logits `[R, num_labels]`.
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        let hidden = self.bert.forward(backend, batch)?; // [R, D]
        let hidden = backend.dropout(hidden, self.dropout)?; // [R, D]
        backend.linear(&hidden, &self.classifier, Activation::None) // [R, num_labels]
    }
}

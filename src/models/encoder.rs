//! Any of the architectures.

use super::{Batch, Config, bert, distilbert, minialbert, mobilebert};
use crate::backend::{Activation, Backend, Linear, Site};
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Scope;

/// An encoder without a head.
pub struct Encoder<B: Backend> {
    config: Config,
    body: Body<B>,
}

enum Body<B: Backend> {
    Bert(bert::Bert<B>),
    DistilBert(distilbert::DistilBert<B>),
    MobileBert(mobilebert::MobileBert<B>),
    MiniAlbert(minialbert::MiniAlbert<B>),
}

impl<B: Backend> Encoder<B> {
    /// Loads from the full names below `root`: `bert.…`, `distilbert.…`, `mobilebert.…` or `albert.…`.
    ///
    /// # Errors
    /// A missing tensor or one of another shape, by name, with both shapes.
    pub fn load(backend: &B, root: &Scope<'_>, config: &Config) -> Result<Self> {
        let body = match config {
            Config::Bert(config) => Body::Bert(bert::Bert::load(backend, &root.pp("bert"), config)?),
            Config::DistilBert(config) => {
                Body::DistilBert(distilbert::DistilBert::load(backend, &root.pp("distilbert"), config)?)
            }
            Config::MobileBert(config) => {
                Body::MobileBert(mobilebert::MobileBert::load(backend, &root.pp("mobilebert"), config)?)
            }
            Config::MiniAlbert(config) => {
                Body::MiniAlbert(minialbert::MiniAlbert::load(backend, &root.pp("albert"), config)?)
            }
        };
        Ok(Self { config: config.clone(), body })
    }

    /// `last_hidden_state`, `[R, D]`. Every hidden state and attention map is shown to [`Backend::observe`].
    ///
    /// # Errors
    /// An id outside the vocabulary, a sequence longer than `max_position_embeddings`, or a failure of the engine.
    pub fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Tensor> {
        self.check(batch)?;
        let mut x = match &self.body {
            Body::Bert(model) => model.embed(backend, batch)?,
            Body::DistilBert(model) => model.embed(backend, batch)?,
            Body::MobileBert(model) => model.embed(backend, batch)?,
            Body::MiniAlbert(model) => model.embed(backend, batch)?,
        }; // [R, D]
        backend.observe(Site::HiddenState(0), &x);
        for i in 0..self.config.shape().num_hidden_layers {
            x = match &self.body {
                Body::Bert(model) => model.layer(backend, i, &x, &batch.lengths)?,
                Body::DistilBert(model) => model.layer(backend, i, &x, &batch.lengths)?,
                Body::MobileBert(model) => model.layer(backend, i, &x, &batch.lengths)?,
                Body::MiniAlbert(model) => model.layer(backend, i, &x, &batch.lengths)?,
            }; // [R, D]
            backend.observe(Site::HiddenState(i + 1), &x);
        }
        Ok(x)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Input, message));
        let shape = self.config.shape();
        if let Some(id) = batch.input_ids.iter().find(|&&id| id as usize >= shape.vocab_size) {
            return refuse(format!("input id {id} is outside the vocabulary of {}", shape.vocab_size));
        }
        let longest = batch.lengths.ranges().map(|rows| rows.len()).max().unwrap_or(0);
        if longest > shape.max_position_embeddings {
            let most = shape.max_position_embeddings;
            return refuse(format!(
                "a sequence of {longest} tokens, the model takes at most {most}: cut it into windows"
            ));
        }
        Ok(())
    }
}

/// What a sequence classifier makes of the first token before its classifier: a dense layer with an activation, or
/// nothing.
pub(super) fn pooler<B: Backend>(
    backend: &B,
    root: &Scope<'_>,
    config: &Config,
) -> Result<Option<(Linear<B>, Activation)>> {
    let Some(place) = config.pooler() else { return Ok(None) };
    let d = config.shape().hidden_size;
    let act = if matches!(config, Config::DistilBert(_)) { Activation::Relu } else { Activation::Tanh };
    Ok(Some((root.pp(place).linear(backend, d, d)?, act)))
}

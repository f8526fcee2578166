//! One forward pass: sequences of one question or of several, and which rows of the logits answer what.

use std::ops::Range;

use crate::backend::Backend;
use crate::error::Result;
use crate::models::Batch;
use crate::text::Tokenizer;
use crate::text::frames::Frame;

/// Sequences that a model reads at once. It holds ids and no text, and needs its questions no more.
#[derive(Clone, Debug)]
pub struct Pass {
    frames: Vec<Frame>,
    parts: Vec<Part>,
    logits: usize, // rows
}

/// The rows of the logits that answer one step of one question.
#[derive(Clone, Debug)]
struct Part {
    step: usize,
    rows: Range<usize>,
}

impl Pass {
    /// One step of a question: `kept` of `logits` rows that the model makes of its sequences.
    pub(super) fn new(step: usize, frames: Vec<Frame>, logits: usize, kept: Range<usize>) -> Self {
        Self { frames, parts: vec![Part { step, rows: kept }], logits }
    }

    /// So many sequences of `length` rows: special tokens around every vocabulary's words in turn. The model makes `logits`
    /// rows of them.
    pub(super) fn trial(tokenizer: &Tokenizer, length: usize, sequences: usize, logits: usize) -> Self {
        let mut words = (0..tokenizer.vocab_size() as u32).cycle();
        let frame = |_| Frame::single(tokenizer, &words.by_ref().take(length - 2).collect::<Vec<_>>());
        Self::new(0, (0..sequences).map(frame).collect(), logits, 0..logits)
    }

    /// Rows that the model reads, special tokens included.
    pub fn rows(&self) -> usize {
        self.frames.iter().map(|frame| frame.input_ids.len()).sum()
    }

    /// Reads another pass of the same model too, after this one.
    pub fn append(&mut self, other: Self) {
        let shifted = |Part { step, rows }| Part { step, rows: self.logits + rows.start..self.logits + rows.end };
        self.parts.extend(other.parts.into_iter().map(shifted));
        self.frames.extend(other.frames);
        self.logits += other.logits;
    }

    /// The step of each part with its logits, `labels` a row. Where another engine takes over, the pass is read again.
    pub(super) async fn judge<B: Backend>(
        &self,
        backend: &B,
        labels: usize,
        forward: &dyn Fn(&Batch) -> Result<B::Tensor>,
    ) -> Result<Vec<(usize, Vec<f32>)>> {
        let batch = Batch::of_pairs(self.frames.iter().map(|frame| (&frame.input_ids[..], frame.first)));
        let logits = read(backend, &|| forward(&batch)).await?;
        let of = |Part { step, rows }: &Part| (*step, logits[rows.start * labels..rows.end * labels].to_vec());
        Ok(self.parts.iter().map(of).collect())
    }
}

/// What `forward` computes, on the host. Where another engine takes over meanwhile, it is computed again, once.
///
/// # Errors
/// A failure of the engine that none takes over from.
pub async fn read<B: Backend>(backend: &B, forward: &dyn Fn() -> Result<B::Tensor>) -> Result<Vec<f32>> {
    let mut is_first = true;
    loop {
        match attempt(backend, forward).await {
            Err(error) if is_first && backend.recovers(&error) => is_first = false,
            outcome => return outcome,
        }
    }
}

async fn attempt<B: Backend>(backend: &B, forward: &dyn Fn() -> Result<B::Tensor>) -> Result<Vec<f32>> {
    backend.to_host(&forward()?).await
}

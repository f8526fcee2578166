//! Who does the arithmetic of a BERT-family encoder.
//!
//! A model is written once, generic over [`Backend`]. Hidden states are packed rows: `[rows, hidden]`, where `rows` is
//! the sum of the lengths of the sequences of a batch. There is no padding and no mask tensor: attention is told the
//! [`Lengths`]. An operation that a fused kernel does well is one operation.

use std::future::Future;
use std::ops::Range;

use crate::error::{Error, Result};

#[cfg(feature = "candle")]
pub mod adamw;
#[cfg(feature = "candle")]
pub mod candle;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod fallback;
#[cfg(all(test, feature = "candle"))]
mod operations;
#[cfg(feature = "candle")]
mod shapes;
pub mod simd;
mod table;
#[cfg(feature = "candle")]
mod tape;
#[cfg(feature = "candle")]
pub mod top_words;
#[cfg(feature = "candle")]
pub mod training;
#[cfg(feature = "candle")]
pub mod tuning;
#[cfg(feature = "candle")]
mod watched;
#[cfg(feature = "webgpu")]
pub mod webgpu;

/// The operations of a BERT-family encoder, and the forms in which an engine likes its weights.
///
/// Shapes: `R` rows of all sequences, `H` hidden size, `N` outputs, `K` inputs.
pub trait Backend {
    /// Activations, `[rows, columns]`, `f32` at the border.
    type Tensor: Clone;
    /// A weight matrix `[N, K]` as this engine likes it: a candle tensor, packed `f32` or int8 panels.
    type Matrix;
    /// Rows to look up, `[vocabulary, H]`.
    type Table;
    /// A bias or a scale, `[N]`.
    type Vector;

    /// The engine's name as it stands in results: `candle`, `simd`, `webgpu`.
    fn name(&self) -> &'static str;

    /// Why this engine computes, where there was a choice.
    fn reason(&self) -> Option<String> {
        None
    }

    /// Takes a table over from a file.
    fn table(&self, stored: Stored) -> Result<Self::Table>;

    /// Takes a matrix over from a file. Several parts of equal width become one matrix, stacked along its outputs, so
    /// that query, key and value are one product.
    fn matrix(&self, parts: &[Stored]) -> Result<Self::Matrix>;

    /// Takes a vector over from a file, several parts joined end to end.
    fn vector(&self, parts: &[Stored]) -> Result<Self::Vector>;

    /// The sum of one row of each table for every id: `[R, H]`. All id slices have length `R`.
    fn embed(&self, sources: &[(&Self::Table, &[u32])]) -> Result<Self::Tensor>;

    /// `act(x · weightᵀ + bias)`: `[R, K]` to `[R, N]`.
    fn linear(&self, x: &Self::Tensor, linear: &Linear<Self>, act: Activation) -> Result<Self::Tensor>;

    /// The [`Norm`] of `x + residual`, row by row: `[R, H]`.
    fn add_norm(&self, x: &Self::Tensor, residual: Option<&Self::Tensor>, norm: &Norm<Self>) -> Result<Self::Tensor>;

    /// Scaled dot-product attention inside each sequence. Query, key and value are `[R, H]` each, split in `heads`; the
    /// result is `[R, H]`.
    fn attention(&self, qkv: Qkv<'_, Self::Tensor>, heads: usize, lengths: &Lengths) -> Result<Self::Tensor>;

    /// [`Self::attention`] of which training zeroes probabilities with probability `p` and scales the rest. Only training
    /// overrides this. What [`Self::observe_attention`] shows is the softmax before it.
    ///
    /// # Errors
    /// As [`Self::attention`].
    fn attention_with_dropout(
        &self,
        qkv: Qkv<'_, Self::Tensor>,
        heads: usize,
        lengths: &Lengths,
        _p: f32,
    ) -> Result<Self::Tensor> {
        self.attention(qkv, heads, lengths)
    }

    /// `x + y`, both `[R, H]`.
    fn add(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor>;

    /// Some rows of `x`, in the order of their numbers: `[R, H]` to `[rows.len(), H]`.
    fn rows(&self, x: &Self::Tensor, rows: &[u32]) -> Result<Self::Tensor>;

    /// Some neighbouring columns of `x`: `[R, H]` to `[R, columns.len()]`.
    fn columns(&self, x: &Self::Tensor, columns: Range<usize>) -> Result<Self::Tensor>;

    /// Each row between its neighbours in its own sequence, zeros beyond the ends: `[next, own, previous]`, `[R, H]` to
    /// `[R, 3H]`.
    fn trigram(&self, x: &Self::Tensor, lengths: &Lengths) -> Result<Self::Tensor>;

    /// Zeroes elements with probability `p` and scales the rest. Only training overrides this.
    fn dropout(&self, x: Self::Tensor, _p: f32) -> Result<Self::Tensor> {
        Ok(x)
    }

    /// Shows an inner state to whoever wants to look: tests compare them, distillation learns from them.
    fn observe(&self, _at: Site, _x: &Self::Tensor) {}

    /// Shows what the attention of a layer reads, see [`Site::AttentionMap`]: an engine makes the map if someone looks.
    ///
    /// # Errors
    /// A failure of the engine.
    fn observe_attention(
        &self,
        _layer: usize,
        _qkv: Qkv<'_, Self::Tensor>,
        _heads: usize,
        _lengths: &Lengths,
    ) -> Result<()> {
        Ok(())
    }

    /// Brings values back to the caller, row by row. The only operation that may wait.
    fn to_host(&self, x: &Self::Tensor) -> impl Future<Output = Result<Vec<f32>>>;

    /// Rows of a pass from which on this engine is busy: shorter passes are joined, where there are several to do.
    fn busy_rows(&self) -> usize {
        1
    }

    /// Whether a pass that failed so should be done again from its ids, once, because another engine has taken over.
    fn recovers(&self, _error: &Error) -> bool {
        false
    }
}

/// A dense layer: weight `[N, K]`, bias `[N]`.
pub struct Linear<B: Backend + ?Sized> {
    /// `[N, K]`, as PyTorch stores it.
    pub weight: B::Matrix,
    /// `[N]`.
    pub bias: Option<B::Vector>,
}

/// What attention reads, each `[R, H]`.
#[derive(Debug)]
pub enum Qkv<'a, T> {
    /// Query, key and value side by side, `[R, 3H]`.
    Joined(&'a T),
    /// The value has another source than query and key.
    Apart {
        /// `[R, 2H]`.
        query_key: &'a T,
        /// `[R, H]`.
        value: &'a T,
    },
}

impl<T> Clone for Qkv<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Qkv<'_, T> {}

/// A normalisation over `H` columns.
pub struct Norm<B: Backend + ?Sized> {
    /// `[H]`.
    pub weight: B::Vector,
    /// `[H]`.
    pub bias: B::Vector,
    /// What happens before scale and shift.
    pub kind: NormKind,
}

/// What a [`Norm`] does before `x · weight + bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormKind {
    /// Layer normalisation: `(x - mean) / sqrt(variance + eps)`.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Nothing: MobileBERT's `NoNorm`.
    NoNorm,
}

/// What a [`Linear`] does to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `x · Φ(x)` with the error function, the `gelu` of BERT (not the tanh approximation).
    Gelu,
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Where [`Backend::observe`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// Hugging Face's `hidden_states[i]`: 0 is the embedding output, `i` the output of layer `i`. `[R, H]`.
    HiddenState(usize),
    /// Hugging Face's `attentions[i]`: `softmax(Q Kᵀ / √d)` of layer `i`, sequence after sequence, head after head,
    /// `[L, L]` each.
    AttentionMap(usize),
}

/// The lengths of the sequences whose rows lie one after the other in a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths(Vec<usize>);

impl Lengths {
    /// One entry a sequence, in order.
    pub fn new(lengths: Vec<usize>) -> Self {
        Self(lengths)
    }

    /// The number of rows of all sequences.
    pub fn rows(&self) -> usize {
        self.0.iter().sum()
    }

    /// The rows of the longest sequence.
    pub fn longest(&self) -> usize {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// The rows of each sequence.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.0.iter().scan(0, |start, &length| {
            let range = *start..*start + length;
            *start = range.end;
            Some(range)
        })
    }
}

/// A weight as it lies in a file: `[rows, columns]`, row-major. A vector has one row.
#[derive(Clone)]
pub struct Stored {
    /// The full Hugging Face name. Training keys its variables by it.
    pub name: String,
    /// Outputs of a matrix, entries of a table, 1 for a vector.
    pub rows: usize,
    /// Inputs of a matrix, width of a table, length of a vector.
    pub columns: usize,
    /// The numbers.
    pub values: Values,
    /// The file holds them as `[columns, rows]`: whoever writes one must turn them back.
    pub transposed: bool,
}

/// The numbers of a [`Stored`] weight.
#[derive(Clone, PartialEq)]
pub enum Values {
    /// `rows · columns` floats.
    F32(Vec<f32>),
    /// Symmetric int8 with one scale a row: `value[r][c] = scales[r] · data[r][c]`.
    Int8 {
        /// `rows · columns` integers in -127..=127.
        data: Vec<i8>,
        /// `rows` positive scales.
        scales: Vec<f32>,
    },
}

impl Stored {
    /// As the file holds it.
    #[must_use]
    pub fn in_file_order(&self) -> Self {
        if self.transposed { self.turned() } else { self.clone() }
    }

    /// The transpose, as floats.
    #[must_use]
    pub fn turned(&self) -> Self {
        let (rows, columns, values) = (self.columns, self.rows, self.to_f32());
        let turned = (0..values.len()).map(|at| values[at % columns * rows + at / columns]).collect();
        let values = Values::F32(turned);
        Self { name: self.name.clone(), rows, columns, values, transposed: !self.transposed }
    }

    /// The numbers as floats, whatever they are stored as.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(data) => data.clone(),
            Values::Int8 { data, scales } => data
                .chunks_exact(self.columns)
                .zip(scales.iter())
                .flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value) * scale))
                .collect(),
        }
    }
}

//! Raw notes become the batches of a masked language model.
//!
//! ```text
//! .txt .jsonl .csv .tsv .parquet ── notes ──> text ── blocks::write ──> a folder of token blocks
//!                                                                          │ once; from here on only ids
//!                                                                          v
//!          MaskedBatch <── masking ── blocks by index <── sampler: which blocks make a step
//! ```
//!
//! Nothing is kept in memory but what is worked on: notes are streamed, and a block is read when a step needs it. Nothing
//! is kept in a checkpoint either: which blocks a step sees and which of their pieces are masked are functions of the
//! run's seed and the step.

pub mod blocks;
pub mod masking;
pub mod notes;
pub mod sampler;
pub mod vocabulary;

pub use blocks::{Block, Corpus};
pub use masking::{MaskedBatch, Masking};
pub use sampler::Sampler;
pub use vocabulary::Vocabulary;

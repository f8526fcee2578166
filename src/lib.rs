//! Lightweight clinical transformers: made natively, run inside a web page.
//!
//! The rooms, and the only directions in which they may know each other (`tests/architecture.rs` keeps them):
//!
//! ```text
//! cli -> train -> tasks -> { models -> weights -> backend, text, clinical }      wasm -> tasks, export
//! ```
//!
//! | room | what it does |
//! |---|---|
//! | [`json`] | JSON parsed once, read by hand |
//! | [`text`] | a note becomes ids and comes back as spans: tokenizer, windows, spans, labels |
//! | [`clinical`] | what is special about notes: placeholders, sentences, sections, negation and its kin |
//! | [`backend`] | who does the arithmetic: the trait [`backend::Backend`] and the engines that implement it |
//! | [`models`] | one architecture a file, in Hugging Face's own names |
//! | [`weights`] | where numbers come from: safetensors, the model folder and its manifest |
//! | [`tasks`] | text in, meaning out |
//! | [`export`] | results in the forms that others read |
//! | `train` | fine-tuning, readers, losses, metrics |
//!
//! Two rooms that all may name keep one copy of what is large: `sort`, and `unicode` with the tables of characters.
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `cli` | the binary | yes |
//! | `train` | candle, optimizer, data readers; implies `candle` | yes |
//! | `candle` | the candle backend | through `train` |
//! | `cuda` | training on NVIDIA devices; builds anywhere, looks for the driver when a device is opened | no |
//! | `webgpu` | the engine on GPUs: Vulkan or Metal natively, a browser's WebGPU in a page | no |
//! | `wasm` | the JavaScript border of models | no |
//! | `wasm-export` | the JavaScript border of exports, a module of its own | no |

pub mod backend;
pub mod clinical;
pub mod error;
pub mod export;
pub mod json;
pub mod models;
mod sort;
pub mod tasks;
pub mod text;
#[cfg(feature = "train")]
pub mod train;
mod unicode;
#[cfg(any(feature = "wasm", feature = "wasm-export"))]
mod wasm;
pub mod weights;

pub use error::{Error, ErrorKind, Result};

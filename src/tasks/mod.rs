//! Text in, meaning out.

pub mod ner;

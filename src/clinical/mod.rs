//! What is special about notes.

pub mod abbreviations;
pub mod attributes;
#[cfg(test)]
mod hostile;
pub mod laboratory;
pub mod medication;
mod table;
pub mod terms;
mod tokens;

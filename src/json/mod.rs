//! JSON, parsed once into one form and read by hand.
//!
//! Every reader that a type derives is the parser once more; here there is one. [`Json`] holds the values of a text one
//! after another, and a [`Node`] is one of them that knows its path: what is wrong with it is said by its path and by
//! what was expected, and never quotes it, because a result holds note text.

mod node;
mod tree;

pub use self::node::{Node, Path, choice, count, float, number, string, truth};
pub use self::tree::Json;

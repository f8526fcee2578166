//! A student learns to fill masked words: from the words alone (continual learning), and from what a teacher thinks.
//!
//! The recipes of Rohanian et al. differ only in their [`Objective`], in where the student starts, and in their numbers.

mod objective;
mod pair;
mod start;

pub use self::objective::{LayerLoss, Measure, Objective};
pub use self::pair::{MASKED_LM, PROJECTOR, Pair, Share, Teacher};
pub use self::start::draw_missing;

//! Scores, equal to those of the tools of the field.
//!
//! | figure | here | judged by |
//! |---|---|---|
//! | entities, word level | [`Scorer`] with a [`Mode`] | seqeval 1.2.2, default and strict in six schemes |
//! | strict, exact, partial, type | [`nervaluate`] | nervaluate 1.2.1 |
//! | exact and inexact spans | [`overlap`] | the definition of i2b2 2010 |
//! | the seed's pieces | [`pieces`] | seqeval 1.2.2, default, over word pieces |
//! | texts of one or many labels | [`classification`] | scikit-learn 1.9 |
//! | relations | [`relations`] | the same without the negative class |
//!
//! All share [`Counts`], [`Score`] and [`Report`], and all give the interval in which their F1 would move with other
//! documents of the same kind. [`protocols`] runs all of those for entities at once.

pub mod classification;
mod counts;
pub mod nervaluate;
pub mod overlap;
pub mod pieces;
pub mod protocols;
pub mod relations;
mod schemes;
mod words;

pub use counts::{Counts, Report, Score};
pub use schemes::{Entity, Mode, entities};
pub use words::{Aligned, Scorer, words};

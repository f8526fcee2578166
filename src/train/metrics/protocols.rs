//! All that the field calls "the F1" of entity recognition, at once and side by side.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use super::pieces::{gold_tags, predicted_tags, word_tags};
use super::{Aligned, Mode, Report, Scorer, nervaluate, overlap, words};
use crate::error::Result;
use crate::text::Encoding;
use crate::train::bootstrap::{Interval, Intervals};
use crate::train::readers::Gold;

/// Collects documents for every protocol.
#[derive(Clone, Debug)]
pub struct Protocols {
    strict: Scorer,
    default: Scorer,
    nervaluate: nervaluate::Scorer,
    exact: overlap::Scorer,
    inexact: overlap::Scorer,
    seed: Scorer,
}

impl Default for Protocols {
    fn default() -> Self {
        Self {
            strict: Scorer::new(Mode::StrictIob2),
            default: Scorer::new(Mode::Default),
            nervaluate: nervaluate::Scorer::default(),
            exact: overlap::Scorer::exact(),
            inexact: overlap::Scorer::inexact(),
            seed: Scorer::new(Mode::Default),
        }
    }
}

/// A report and the intervals of its F1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// The figures.
    #[serde(flatten)]
    pub report: Report,
    /// Of F1.
    pub intervals: Intervals,
}

/// What nervaluate says, and the intervals of its F1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nervaluated {
    /// The figures.
    #[serde(flatten)]
    pub report: nervaluate::Report,
    /// Of F1 over all labels, by the name of the matching.
    pub intervals: BTreeMap<&'static str, Interval>,
}

/// The figures of every protocol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct All {
    /// Words, seqeval strict, IOB2: the figure that counts.
    pub seqeval_strict: Scored,
    /// Words, seqeval default. Spans that were decoded make legal tags, so it equals the strict one but for ties.
    pub seqeval_default: Scored,
    /// Words, nervaluate's four.
    pub nervaluate: Nervaluated,
    /// Words, i2b2.
    pub i2b2_exact: Scored,
    /// Words, i2b2.
    pub i2b2_inexact: Scored,
    /// Word pieces, seqeval default, the label of the word repeated: not comparable with any of the above.
    pub seed: Scored,
}

impl Protocols {
    /// Adds a document: its spans in bytes on both sides, and the label that the model gives each piece by itself. Only
    /// types for which `marks` holds count.
    ///
    /// # Errors
    /// A label of a piece that is no tag, or another number of them than of pieces.
    pub fn add(
        &mut self,
        encoding: &Encoding,
        gold: &[Gold],
        predicted: &[(Range<usize>, &str)],
        pieces: &[&str],
        marks: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let words = words(encoding);
        let document = Aligned::new(&words, gold, predicted, &marks);
        self.strict.add_aligned(&document);
        let tags = word_tags(words.len(), &document.gold);
        self.default.add_tags(&tags, &word_tags(words.len(), &document.predicted))?;
        self.nervaluate.add(&document);
        self.exact.add(&document);
        self.inexact.add(&document);
        self.seed.add_tags(&gold_tags(encoding, &tags), &predicted_tags(encoding, pieces, gold, &marks))
    }

    /// The scorer of the figure that counts.
    pub fn strict(&self) -> &Scorer {
        &self.strict
    }

    /// All figures, with intervals from the draws of a seed.
    pub fn report(&self, seed: u64) -> All {
        let scored = |scorer: &Scorer| Scored { report: scorer.report(), intervals: scorer.intervals(seed) };
        let spans = |scorer: &overlap::Scorer| Scored { report: scorer.report(), intervals: scorer.intervals(seed) };
        All {
            seqeval_strict: scored(&self.strict),
            seqeval_default: scored(&self.default),
            nervaluate: Nervaluated { report: self.nervaluate.report(), intervals: self.nervaluate.intervals(seed) },
            i2b2_exact: spans(&self.exact),
            i2b2_inexact: spans(&self.inexact),
            seed: scored(&self.seed),
        }
    }
}

//! The protocol of the seed, for comparison with its figures and with nothing else.
//!
//! Every word piece has the tag of its word, a repeated `B-` included, and seqeval in its default mode runs over pieces:
//! "pneu ##mon ##ia" is three entities. A long word so counts often, and F1 is half a point to two points above that of
//! words. The seed also drops what lies beyond the longest window; here every piece is scored.

use std::ops::Range;

use super::schemes::Entity;
use super::words::{is_decided, overlap};
use crate::text::Encoding;
use crate::train::readers::Gold;

/// `O`, `B-X` or `I-X` of each of `words` words.
pub fn word_tags(words: usize, entities: &[Entity]) -> Vec<String> {
    let mut tags = vec!["O".to_owned(); words];
    for entity in entities {
        for (at, tag) in tags.iter_mut().enumerate().take(entity.words.end).skip(entity.words.start) {
            let prefix = if at == entity.words.start { 'B' } else { 'I' };
            *tag = format!("{prefix}-{}", entity.label);
        }
    }
    tags
}

/// The tag of each piece: that of its word. `tags` are those of [`super::words()`] of the same encoding.
pub fn gold_tags(encoding: &Encoding, tags: &[String]) -> Vec<String> {
    let mut pieces = vec!["O".to_owned(); encoding.len()];
    for (word, tag) in encoding.words.iter().filter(|word| !word.is_empty()).zip(tags) {
        pieces[word.clone()].fill(tag.clone());
    }
    pieces
}

/// The tag that a model gives each piece, without types that do not count and where the gold is undecided.
pub fn predicted_tags(
    encoding: &Encoding,
    labels: &[&str],
    gold: &[Gold],
    marks: impl Fn(&str) -> bool,
) -> Vec<String> {
    let undecided = |range: &Range<usize>, label: &str| {
        let open = gold.iter().filter(|gold| !is_decided(gold, &marks));
        open.into_iter().any(|gold| overlap(&gold.range, range) && gold.labels.iter().any(|known| known == label))
    };
    let tag = |(label, range): (&&str, &Range<usize>)| match label.split_once('-') {
        Some((_, kind)) if marks(kind) && !undecided(range, kind) => (*label).to_owned(),
        _ => "O".to_owned(),
    };
    labels.iter().zip(&encoding.offsets).map(tag).collect()
}

//! Which mentions have structure around them: drugs and tests, by their labels.

use std::ops::Range;

use super::attributes::{Reader, share};
use super::{Finding, Mention, Reading, laboratory, medication};

/// Gives every drug and every test what its own sentence says of it.
pub(super) fn add(note: &str, reading: &Reading, mentions: &[Mention<'_>], findings: &mut [Finding]) {
    for (labels, reader) in READERS {
        let of_kind: Vec<usize> = (0..mentions.len()).filter(|&i| is_one_of(labels, mentions[i].label)).collect();
        let sentences: Vec<Option<usize>> = findings.iter().map(|finding| finding.sentence).collect();
        for same in of_kind.chunk_by(|&a, &b| sentences[a] == sentences[b]) {
            let sentence = sentences[same[0]].and_then(|sentence| reading.sentences.get(sentence));
            let Some(limit) = sentence else { continue };
            let ranges: Vec<Range<usize>> = same.iter().map(|&i| mentions[i].range.clone()).collect();
            for (&i, attributes) in same.iter().zip(share(note, &ranges, limit.clone(), reader)) {
                findings[i].attributes = attributes;
            }
        }
    }
}

/// Labels as models write them, whatever the case, and what is read around a mention of them.
const READERS: [(&[&str], Reader); 2] = [
    (&["drug", "chemical", "medication", "treatment"], medication::attributes),
    (&["test", "lab_test", "lab", "observation"], laboratory::attributes),
];

fn is_one_of(labels: &[&str], label: &str) -> bool {
    labels.iter().any(|known| known.eq_ignore_ascii_case(label))
}

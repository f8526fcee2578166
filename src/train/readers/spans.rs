//! From marked fragments to spans that do not overlap.

use std::ops::Range;

use super::{Gold, broken};
use crate::error::Result;

/// More words than this between two fragments are not part of one phrase. "Hepatic or renal failure" marks "hepatic …
/// failure" as one span; of 1,443 fragmented spans of MACCROBAT2020 and Chia, 79 % have gaps of up to
/// three words.
const WORDS_IN_A_GAP: usize = 3;

/// A mark of the source.
pub(super) struct RawSpan {
    /// Bytes, in the order of the text, at least one.
    pub fragments: Vec<Range<usize>>,
    /// As the source names it.
    pub label: String,
    /// A wider class that the source names, too.
    pub coarse: Option<String>,
    /// By which relations name it; may be empty.
    pub id: String,
    /// See [`super::Entity::concept`].
    pub concept: Option<String>,
}

impl RawSpan {
    /// A span of which nothing else is known.
    pub(super) fn new(fragments: Vec<Range<usize>>, label: impl Into<String>) -> Self {
        Self { fragments, label: label.into(), coarse: None, id: String::new(), concept: None }
    }

    pub(super) fn with_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }
}

/// Where each code point of a text starts, in bytes, and where the text ends.
pub(super) struct CodePoints(Vec<usize>);

impl CodePoints {
    pub(super) fn new(text: &str) -> Self {
        Self(text.char_indices().map(|(at, _)| at).chain([text.len()]).collect())
    }

    /// Bytes of the code points `start..end`.
    pub(super) fn bytes(&self, start: usize, end: usize) -> Result<Range<usize>> {
        match (self.0.get(start), self.0.get(end)) {
            (Some(&from), Some(&to)) if start < end => Ok(from..to),
            _ => Err(broken(format!("offsets {start}..{end} in a text of {} characters", self.0.len() - 1))),
        }
    }
}

/// Refuses fragments whose text is not the text that the source states. White space is left out of the comparison:
/// sources write a line break as a space or not at all.
pub(super) fn check_text(text: &str, fragments: &[Range<usize>], stated: &str) -> Result<()> {
    let found = fragments.iter().flat_map(|range| text[range.clone()].chars()).filter(|c| !c.is_whitespace());
    if found.eq(stated.chars().filter(|c| !c.is_whitespace())) {
        return Ok(());
    }
    Err(broken(format!("the stated text of {} bytes is not what stands at the offsets", stated.len())))
}

/// One span from several fragments, in the order of the text: all of it from the first to the last, or the longest
/// fragment if many words lie in a gap; the later of two equals, because the head of an English phrase comes last.
fn join(text: &str, fragments: &[Range<usize>]) -> Option<Range<usize>> {
    let far = |pair: &[Range<usize>]| {
        text.get(pair[0].end..pair[1].start).is_some_and(|gap| gap.split_whitespace().count() > WORDS_IN_A_GAP)
    };
    if fragments.windows(2).any(far) {
        return fragments.iter().max_by_key(|range| text[(*range).clone()].chars().count()).cloned();
    }
    Some(fragments.first()?.start..fragments.iter().map(|range| range.end).max()?)
}

/// Without white space at the ends; nothing if nothing is left.
fn trim(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let inside = &text[range.clone()];
    let start = range.start + (inside.len() - inside.trim_start().len());
    let end = range.start + inside.trim_end().len();
    (start < end).then_some(start..end)
}

/// Where a span is: its fragments as one range without white space at the ends; nothing if nothing is left.
pub(super) fn place(text: &str, fragments: &[Range<usize>]) -> Option<Range<usize>> {
    trim(text, join(text, fragments)?)
}

/// Spans that do not overlap, in the order of the text: the longer one stays, then the one that came first.
pub(super) fn flatten(text: &str, marks: impl Iterator<Item = (Vec<Range<usize>>, Vec<String>)>) -> Vec<Gold> {
    let joined = marks.filter_map(|(fragments, labels)| {
        let range = place(text, &fragments)?;
        Some(Gold { range, labels })
    });
    let mut candidates: Vec<Gold> = joined.collect();
    candidates.sort_by_key(|gold| std::cmp::Reverse(text[gold.range.clone()].chars().count()));
    let mut kept: Vec<Gold> = Vec::new();
    for gold in candidates {
        // `kept` stays sorted and free of overlaps, so only the neighbours of the place can overlap
        let place = kept.partition_point(|other| other.range.start < gold.range.start);
        let before = place.checked_sub(1).and_then(|i| kept.get(i)).is_some_and(|o| o.range.end > gold.range.start);
        let after = kept.get(place).is_some_and(|other| other.range.start < gold.range.end);
        if !before && !after {
            kept.insert(place, gold);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_flat() {
        struct Case {
            name: &'static str,
            text: &'static str,
            marks: &'static [(&'static [(usize, usize)], &'static str)],
            expected: &'static [(&'static str, &'static str)],
        }
        let cases = [
            Case {
                name: "the longer stays",
                text: "acute renal failure",
                marks: &[(&[(6, 11)], "A"), (&[(0, 19)], "P")],
                expected: &[("acute renal failure", "P")],
            },
            Case {
                name: "the earlier of equals stays",
                text: "fever",
                marks: &[(&[(0, 5)], "A"), (&[(0, 5)], "B")],
                expected: &[("fever", "A")],
            },
            Case {
                name: "partial overlap",
                text: "one two three",
                marks: &[(&[(0, 7)], "A"), (&[(4, 13)], "B")],
                expected: &[("two three", "B")],
            },
            Case {
                name: "neighbours touch",
                text: "5mg",
                marks: &[(&[(1, 3)], "U"), (&[(0, 1)], "N")],
                expected: &[("5", "N"), ("mg", "U")],
            },
            Case {
                name: "a short gap is filled",
                text: "hepatic or renal failure",
                marks: &[(&[(0, 7), (17, 24)], "P"), (&[(11, 24)], "P")],
                expected: &[("hepatic or renal failure", "P")],
            },
            Case {
                name: "a long gap leaves the longest fragment",
                text: "left, as he told us, lower arm",
                marks: &[(&[(0, 4), (21, 30)], "A")],
                expected: &[("lower arm", "A")],
            },
            Case {
                name: "of equal fragments the later",
                text: "left and 60 on the right arm. right",
                marks: &[(&[(0, 4), (25, 29)], "A")],
                expected: &[("arm.", "A")],
            },
            Case {
                name: "edges are trimmed",
                text: " a\r\nb\u{a0}",
                marks: &[(&[(0, 7)], "A")],
                expected: &[("a\r\nb", "A")],
            },
            Case { name: "white space is no span", text: " \n ", marks: &[(&[(0, 3)], "A")], expected: &[] },
        ];
        let mut wrong = Vec::new();
        for case in cases {
            let marks = case.marks.iter().map(|(fragments, label)| {
                (fragments.iter().map(|&(start, end)| start..end).collect(), vec![(*label).to_owned()])
            });
            let found = flatten(case.text, marks);
            let found: Vec<_> = found.iter().map(|g| (&case.text[g.range.clone()], g.labels[0].as_str())).collect();
            if found != case.expected {
                wrong.push(format!("{}: {found:?}", case.name));
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    #[test]
    fn code_points_become_bytes() {
        let points = CodePoints::new("a😷µ°");
        assert_eq!(points.bytes(0, 2).expect("inside"), 0..5);
        assert_eq!(points.bytes(2, 4).expect("inside"), 5..9);
        for (start, end) in [(4, 5), (2, 2), (3, 1), (9, 12)] {
            let error = points.bytes(start, end).expect_err("outside").to_string();
            assert_eq!(error, format!("offsets {start}..{end} in a text of 4 characters"));
        }
    }
}

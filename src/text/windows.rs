//! Long notes as overlapping windows.
//!
//! A window begins and ends between words and shares at least `stride` pieces with the next. Every piece is judged in
//! exactly one window: the one in which its word stands furthest from a cut edge, because a model sees least of the
//! context there. The start and the end of the note are no cut edges.

use std::ops::Range;

use super::Encoding;
use crate::error::{Error, ErrorKind, Result};

/// A part of the note that goes through the model at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The pieces that are fed, without special tokens.
    pub pieces: Range<usize>,
    /// The pieces, among those, whose logits count. Over all windows these ranges follow each other without gaps.
    pub kept: Range<usize>,
}

/// Cuts a note into windows of at most `max_length` tokens, `[CLS]` and `[SEP]` included, each of which shares at least
/// `stride` pieces with the next, or as many as whole words allow. A word longer than a window is cut between pieces.
///
/// # Errors
/// [`ErrorKind::Input`] when `max_length` leaves no place for a piece or `stride` leaves no way forward.
pub fn cut(encoding: &Encoding, max_length: usize, stride: usize) -> Result<Vec<Window>> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Input, message));
    if max_length < 3 {
        return refuse(format!("max_length: expected at least 3 (two special tokens and a piece), found {max_length}"));
    }
    let most = max_length - 2;
    if stride >= most {
        return refuse(format!("stride: expected less than {most} (max_length - 2), found {stride}"));
    }
    let borders = borders(encoding, most);
    let mut windows = place(&borders, most, stride);
    judge(&mut windows, &borders);
    windows.retain(|window| !window.kept.is_empty());
    Ok(windows)
}

/// Where a window may begin or end, first and last piece included: between words, and inside those that no window
/// holds whole.
fn borders(encoding: &Encoding, most: usize) -> Vec<usize> {
    let mut borders = Vec::with_capacity(encoding.words.len() + 1);
    for word in &encoding.words {
        if word.len() > most {
            borders.extend(word.clone());
        } else {
            borders.push(word.start);
        }
    }
    borders.push(encoding.len());
    borders
}

/// The `pieces` of all windows; `kept` still empty.
fn place(borders: &[usize], most: usize, stride: usize) -> Vec<Window> {
    let Some(&total) = borders.last() else { return Vec::new() };
    let mut windows = Vec::new();
    let mut start = 0;
    while start < total {
        // The first border that does not fit, and the last that does.
        let beyond = borders.partition_point(|&border| border <= start + most);
        let end = borders[beyond - 1];
        windows.push(Window { pieces: start..end, kept: 0..0 });
        let Some(&next_end) = borders.get(beyond) else { break };
        // The next window must reach further than this one; among its possible beginnings the last with the full
        // overlap, or else the first, which overlaps most.
        let first = borders.partition_point(|&border| border <= start || border + most < next_end);
        let full = borders.partition_point(|&border| border + stride <= end);
        start = borders[full.saturating_sub(1).max(first)];
    }
    windows
}

/// Fills `kept`. With starts and ends that both ascend, the distance to the nearest cut edge first rises and then falls
/// from window to window, and the best window never goes back from one word to the next: one walk finds them all.
fn judge(windows: &mut [Window], borders: &[usize]) {
    let total = borders.last().copied().unwrap_or(0);
    let mut at = 0;
    for unit in borders.windows(2).map(|pair| pair[0]..pair[1]) {
        while at + 1 < windows.len()
            && distance(&windows[at + 1].pieces, &unit, total) > distance(&windows[at].pieces, &unit, total)
        {
            at += 1;
        }
        let kept = &mut windows[at].kept;
        *kept = if Range::is_empty(kept) { unit } else { kept.start..unit.end };
    }
}

/// Pieces between a unit and the nearest cut edge of a window; `None`, which is less than any, when it is not in it.
fn distance(window: &Range<usize>, unit: &Range<usize>, total: usize) -> Option<usize> {
    let from_start = unit.start.checked_sub(window.start)?;
    let to_end = window.end.checked_sub(unit.end)?;
    let from_start = if window.start == 0 { usize::MAX } else { from_start };
    Some(from_start.min(if window.end == total { usize::MAX } else { to_end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(words: &[usize]) -> Encoding {
        let mut encoding = Encoding::default();
        for &length in words {
            let from = encoding.len();
            encoding.input_ids.resize(from + length, 7);
            encoding.words.push(from..from + length);
        }
        encoding.offsets = (0..encoding.len()).map(|at| at..at + 1).collect();
        encoding
    }

    #[test]
    fn by_hand() {
        struct Case {
            name: &'static str,
            words: &'static [usize],
            max_length: usize,
            stride: usize,
            expected: &'static [(Range<usize>, Range<usize>)],
        }
        let cases = [
            Case { name: "empty note", words: &[], max_length: 8, stride: 2, expected: &[] },
            Case { name: "fits", words: &[1, 2, 3], max_length: 8, stride: 2, expected: &[(0..6, 0..6)] },
            Case {
                name: "two windows share the overlap",
                words: &[1; 10],
                max_length: 9,
                stride: 4,
                expected: &[(0..7, 0..5), (3..10, 5..10)],
            },
            Case {
                name: "no overlap",
                words: &[2, 2, 2],
                max_length: 4,
                stride: 0,
                expected: &[(0..2, 0..2), (2..4, 2..4), (4..6, 4..6)],
            },
            Case {
                name: "a word is not cut",
                words: &[3, 3, 3],
                max_length: 9,
                stride: 2,
                expected: &[(0..6, 0..6), (3..9, 6..9)],
            },
            Case {
                name: "a word longer than a window is",
                words: &[1, 5, 1],
                max_length: 5,
                stride: 1,
                expected: &[(0..3, 0..3), (2..5, 3..5), (4..7, 5..7)],
            },
        ];
        let mut failed = Vec::new();
        for Case { name, words, max_length, stride, expected } in cases {
            let found = cut(&encoding(words), max_length, stride).unwrap();
            let found: Vec<_> = found.into_iter().map(|window| (window.pieces, window.kept)).collect();
            if found != expected {
                failed.push(format!("{name}: {found:?}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn sizes_that_cannot_work_are_refused() {
        for (max_length, stride) in [(0, 0), (2, 0), (3, 1), (10, 8), (10, usize::MAX)] {
            let error = cut(&encoding(&[1]), max_length, stride).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{max_length} {stride}: {error}");
        }
    }

    /// All promises of the module, checked the slow way on notes of short, long and overlong words.
    #[test]
    fn promises_hold_for_many_sizes() {
        let mut seed = 1u64;
        let mut random = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 33) % bound) as usize
        };
        let mut failed = Vec::new();
        for round in 0..4000 {
            let longest = [1, 3, 6, 20][round % 4];
            let words: Vec<usize> = (0..random(60)).map(|_| 1 + random(longest)).collect();
            let most = 1 + random(24);
            let stride = random(most as u64);
            if let Err(why) = check(&encoding(&words), most, stride) {
                failed.push(format!("{why}: words {words:?}, {most} pieces, stride {stride}"));
            }
        }
        assert!(failed.is_empty(), "{} of 4000 notes, the first: {}", failed.len(), failed[0]);
    }

    fn check(encoding: &Encoding, most: usize, stride: usize) -> std::result::Result<(), String> {
        let windows = cut(encoding, most + 2, stride).map_err(|e| e.to_string())?;
        let borders = borders(encoding, most);
        let total = encoding.len();
        let mut next = 0;
        for window in &windows {
            let Window { pieces, kept } = window;
            if kept.start != next || kept.is_empty() {
                return Err(format!("kept ranges do not partition: {windows:?}"));
            }
            next = kept.end;
            if pieces.len() > most || kept.start < pieces.start || kept.end > pieces.end {
                return Err(format!("{window:?} is too long or keeps what it does not hold"));
            }
            if [pieces.start, pieces.end, kept.start, kept.end].iter().any(|at| !borders.contains(at)) {
                return Err(format!("{window:?} cuts a word"));
            }
        }
        if next != total {
            return Err(format!("{next} of {total} pieces are kept"));
        }
        for unit in borders.windows(2).map(|pair| pair[0]..pair[1]) {
            let here = windows.iter().find(|window| window.kept.contains(&unit.start)).map(|window| &window.pieces);
            let best = windows.iter().filter_map(|window| distance(&window.pieces, &unit, total)).max();
            if here.and_then(|pieces| distance(pieces, &unit, total)) != best {
                return Err(format!("{unit:?} is not judged furthest from an edge in {windows:?}"));
            }
        }
        overlaps(&place(&borders, most, stride), &borders, most, stride)
    }

    /// Less overlap than `stride` only where a whole word more would keep the next window from reaching further.
    fn overlaps(windows: &[Window], borders: &[usize], most: usize, stride: usize) -> std::result::Result<(), String> {
        for pair in windows.windows(2) {
            let (one, two) = (&pair[0].pieces, &pair[1].pieces);
            let beyond = borders.iter().copied().find(|&border| border > one.end).unwrap_or(one.end);
            let earlier = borders.iter().copied().filter(|&border| border > one.start && border < two.start);
            let stuck = earlier.clone().all(|border| border + most < beyond);
            if two.start > one.end || (one.end - two.start < stride && !stuck) {
                return Err(format!("{one:?} and {two:?} overlap less than {stride}"));
            }
        }
        Ok(())
    }
}

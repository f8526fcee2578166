//! A text, or a pair of texts, as the sequences that a classifier reads: `[CLS] text [SEP]` or
//! `[CLS] text [SEP] pair [SEP]`.
//!
//! Nothing is cut off. A text longer than a sequence becomes several, whose windows overlap as those of a note do; the
//! second text of a pair stands whole in each of them.

use std::fmt;
use std::ops::Range;

use super::{Encoding, Tokenizer, windows};
use crate::error::{Error, ErrorKind, Result};

/// One sequence, special tokens included.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// One id a row.
    pub input_ids: Vec<u32>,
    /// Rows of the first segment; all of them for a single text.
    pub first: usize,
}

/// Ids can be turned back into text.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} rows, {} of the first segment)", self.input_ids.len(), self.first)
    }
}

impl Frame {
    /// `[CLS] pieces [SEP]`.
    pub fn single(tokenizer: &Tokenizer, pieces: &[u32]) -> Self {
        let input_ids = [&[tokenizer.cls_id()], pieces, &[tokenizer.sep_id()]].concat();
        Self { first: input_ids.len(), input_ids }
    }

    fn pair(tokenizer: &Tokenizer, pieces: &[u32], pair: &[u32]) -> Self {
        let sep = tokenizer.sep_id();
        let input_ids = [&[tokenizer.cls_id()], pieces, &[sep], pair, &[sep]].concat();
        Self { input_ids, first: pieces.len() + 2 }
    }
}

/// [`frames_of`] a text and its pair.
///
/// # Errors
/// As [`frames_of`].
pub fn frames(
    tokenizer: &Tokenizer,
    text: &str,
    pair: Option<&str>,
    max_length: usize,
    stride: usize,
) -> Result<Vec<Frame>> {
    let pair = pair.map(|pair| tokenizer.encode(pair));
    frames_of(tokenizer, &tokenizer.encode(text), pair.as_ref(), max_length, stride)
}

/// The sequences of at most `max_length` rows of a text; those of a long text overlap by at least `stride` pieces, or
/// half of what is left beside the pair. A text without words is one sequence without pieces.
///
/// # Errors
/// [`ErrorKind::Input`] when the pair takes more than half of a sequence, with both lengths, and as [`windows::cut`].
pub fn frames_of(
    tokenizer: &Tokenizer,
    text: &Encoding,
    pair: Option<&Encoding>,
    max_length: usize,
    stride: usize,
) -> Result<Vec<Frame>> {
    let Some(pair) = pair else {
        let windows = parts(text, max_length, stride)?;
        return Ok(windows.into_iter().map(|rows| Frame::single(tokenizer, &text.input_ids[rows])).collect());
    };
    let most = max_length.saturating_sub(3) / 2;
    if pair.len() > most {
        let message = format!("the second text has {} pieces, beside the first at most {most} fit", pair.len());
        return Err(Error::new(ErrorKind::Input, message));
    }
    let room = max_length - pair.len() - 1;
    let windows = parts(text, room, stride.min((room - 2) / 2))?;
    Ok(windows.into_iter().map(|rows| Frame::pair(tokenizer, &text.input_ids[rows], &pair.input_ids)).collect())
}

/// The one sequence of at most `max_length` rows that holds the pieces of `focus` (bytes of the text) and as much as
/// fits on either side; nothing when the focus itself does not fit.
pub fn frame_around(tokenizer: &Tokenizer, text: &str, focus: &Range<usize>, max_length: usize) -> Option<Frame> {
    let encoding = tokenizer.encode(text);
    let room = max_length.checked_sub(2)?;
    let inside = |at: &usize| encoding.offsets[*at].start < focus.end && focus.start < encoding.offsets[*at].end;
    let start = (0..encoding.len()).find(inside)?;
    let end = (start..encoding.len()).rev().find(inside)? + 1;
    let spare = room.checked_sub(end - start)?;
    // Half on either side, and what one side does not need to the other.
    let after = encoding.len() - end;
    let before = (spare / 2).max(spare.saturating_sub(after)).min(start);
    let last = end + (spare - before).min(after);
    let whole = |word: &Range<usize>| word.start >= start - before && word.end <= last;
    let words = || encoding.words.iter().filter(|word| whole(word) || (word.start < end && word.end > start));
    let first = words().next().map_or(start, |word| word.start.max(start - before));
    let last = words().next_back().map_or(end, |word| word.end.min(last));
    Some(Frame::single(tokenizer, &encoding.input_ids[first..last]))
}

fn parts(text: &Encoding, max_length: usize, stride: usize) -> Result<Vec<Range<usize>>> {
    let windows = windows::cut(text, max_length, stride)?;
    if windows.is_empty() {
        return Ok(std::iter::once(0..0).collect());
    }
    Ok(windows.into_iter().map(|window| window.pieces).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Normalization;

    fn tokenizer() -> Tokenizer {
        let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\n##x\n";
        Tokenizer::from_vocab(vocab.as_bytes(), Normalization::uncased()).unwrap()
    }

    #[test]
    fn framing_by_hand() {
        let tokenizer = tokenizer();
        let ids = |text, pair, most, stride| -> Vec<(Vec<u32>, usize)> {
            let frames = frames(&tokenizer, text, pair, most, stride).unwrap();
            frames.into_iter().map(|frame| (frame.input_ids, frame.first)).collect()
        };
        assert_eq!(ids("", None, 8, 2), [(vec![2, 3], 2)]);
        assert_eq!(ids("a b", None, 8, 2), [(vec![2, 5, 6, 3], 4)]);
        assert_eq!(ids("a b", Some("c"), 8, 2), [(vec![2, 5, 6, 3, 7, 3], 4)]);
        assert_eq!(ids("", Some("c"), 8, 2), [(vec![2, 3, 7, 3], 2)]);
        let long = ids("a b c d a b", Some("ax d"), 10, 1); // three pieces beside, room for four
        assert_eq!(long.len(), 2, "{long:?}");
        assert!(long.iter().all(|(ids, first)| ids.len() <= 10 && ids[*first..] == [5, 9, 8, 3]), "{long:?}");
    }

    #[test]
    fn a_pair_that_leaves_no_room_is_refused() {
        let error = frames(&tokenizer(), "a", Some("a b c d"), 8, 2).unwrap_err();
        assert_eq!(error.to_string(), "the second text has 4 pieces, beside the first at most 2 fit");
    }

    #[test]
    fn around_a_focus() {
        let (tokenizer, text) = (tokenizer(), "a b c d ax b c d");
        let around = |focus, most| frame_around(&tokenizer, text, &focus, most).map(|frame| frame.input_ids);
        assert_eq!(around(4..5, 3), Some(vec![2, 7, 3]));
        assert_eq!(around(4..5, 5), Some(vec![2, 6, 7, 8, 3]));
        assert_eq!(around(4..5, 6), Some(vec![2, 6, 7, 8, 3]), "a word is not cut");
        assert_eq!(around(0..1, 5), Some(vec![2, 5, 6, 7, 3]));
        assert_eq!(around(15..16, 5), Some(vec![2, 6, 7, 8, 3]));
        assert_eq!(around(4..13, 4), None);
        assert_eq!(around(0..16, 20).map(|ids| ids.len()), Some(11));
    }
}

//! What a teacher said of some neighbouring blocks, as a file that is there whole or not at all.
//!
//! | bytes | what, little-endian |
//! |---|---|
//! | 8 | `clwords1` |
//! | 32 | the key: what the words are of |
//! | 8, 8, 4 | the number of the mask, of the first block, how many blocks |
//! | 2 each | rows of each block: its masked pieces |
//! | | for each row: `K` ids of 2 bytes (4 where the vocabulary has more than 65,536 words), ascending; their logits, `f32`; the rest, `f32` |
//! | 32 | the sha256 of all that |

use sha2::{Digest, Sha256};

use crate::backend::top_words::TopWords;
use crate::error::{Error, ErrorKind, Result};

const MAGIC: &[u8; 8] = b"clwords1";
/// Magic, key, and three numbers.
const HEADER: usize = 8 + 32 + 8 + 8 + 4;
const HASH: usize = 32;

/// What all files of a cache have in common.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) key: [u8; 32],
    /// `K`.
    pub(super) top: usize,
    pub(super) temperature: f32,
    /// `V`.
    pub(super) vocabulary: usize,
    /// The most pieces of a block, hence the most rows.
    pub(super) length: usize,
}

/// Which blocks a file speaks of, under which mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) mask: u64,
    pub(super) first: u64,
    pub(super) blocks: u32,
}

/// Where the words of each block lie in a file: one more than there are blocks.
pub(super) type Starts = Vec<u64>;

impl Layout {
    fn id_bytes(&self) -> usize {
        if self.vocabulary <= 1 << 16 { 2 } else { 4 }
    }

    pub(super) fn row_bytes(&self) -> usize {
        self.top * (self.id_bytes() + 4) + 4
    }

    /// No file of so many blocks is longer.
    pub(super) fn most_bytes(&self, blocks: u32) -> u64 {
        (HEADER + HASH) as u64 + u64::from(blocks) * (2 + (self.length * self.row_bytes()) as u64)
    }

    /// A whole file. `rows` are those of each block, `words` of all of them.
    pub(super) fn encode(&self, span: Span, rows: &[u16], words: &TopWords) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 2 * rows.len() + words.rows() * self.row_bytes() + HASH);
        bytes.extend(MAGIC);
        bytes.extend(self.key);
        bytes.extend(span.mask.to_le_bytes());
        bytes.extend(span.first.to_le_bytes());
        bytes.extend(span.blocks.to_le_bytes());
        rows.iter().for_each(|rows| bytes.extend(rows.to_le_bytes()));
        for (row, rest) in words.rest.iter().enumerate() {
            let here = row * self.top..(row + 1) * self.top;
            let mut kept: Vec<(u32, f32)> =
                words.ids[here.clone()].iter().copied().zip(words.logits[here].iter().copied()).collect();
            kept.sort_unstable_by_key(|(id, _)| *id);
            kept.iter().for_each(|(id, _)| bytes.extend(&id.to_le_bytes()[..self.id_bytes()]));
            kept.iter().for_each(|(_, logit)| bytes.extend(logit.to_le_bytes()));
            bytes.extend(rest.to_le_bytes());
        }
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        bytes
    }

    /// Where the blocks of a file begin, once every byte of it is as it was written.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for what is no such file, or of something else; [`ErrorKind::Hash`] for one that was changed.
    pub(super) fn open(&self, span: Span, bytes: &[u8]) -> Result<Starts> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Format, message));
        let table = HEADER + 2 * span.blocks as usize;
        if bytes.len() < table + HASH {
            return refuse(format!("{} bytes: cut off", bytes.len()));
        }
        let (all, stated) = bytes.split_at(bytes.len() - HASH);
        if Sha256::digest(all)[..] != *stated {
            return Err(Error::new(ErrorKind::Hash, "is not as it was written"));
        }
        let number = |at: usize, n: usize| le(&all[at..at + n]);
        if all[..8] != *MAGIC || all[8..40] != self.key {
            return refuse("holds the words of another teacher, of other blocks, or is of another version".into());
        }
        let found = Span { mask: number(40, 8), first: number(48, 8), blocks: number(56, 4) as u32 };
        if found != span {
            return refuse(format!("expected {span:?}, found {found:?}"));
        }
        let mut starts = vec![table as u64];
        for rows in all[HEADER..table].chunks_exact(2).map(le) {
            if rows > self.length as u64 {
                return refuse(format!("{rows} masks in a block of at most {} pieces", self.length));
            }
            starts.push(starts[starts.len() - 1] + rows * self.row_bytes() as u64);
        }
        if starts[starts.len() - 1] != all.len() as u64 {
            return refuse(format!("expected {} bytes, found {}", starts[starts.len() - 1], all.len()));
        }
        Ok(starts)
    }

    /// Adds the rows of a block, as they lie in a file, to others.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for what [`Layout::encode`] does not write.
    pub(super) fn decode(&self, bytes: &[u8], into: &mut TopWords) -> Result<()> {
        let ids = self.top * self.id_bytes();
        for row in bytes.chunks_exact(self.row_bytes()) {
            let (row_ids, numbers) = row.split_at(ids);
            let before = into.ids.len();
            into.ids.extend(row_ids.chunks_exact(self.id_bytes()).map(|id| le(id) as u32));
            let kept = &into.ids[before..];
            if !kept.is_sorted_by(|a, b| a < b) || kept.last().is_some_and(|id| *id as usize >= self.vocabulary) {
                return Err(Error::new(ErrorKind::Format, "ids that are no words, or not in order"));
            }
            let mut floats = numbers.chunks_exact(4).map(|b| f32::from_bits(le(b) as u32));
            into.logits.extend(floats.by_ref().take(self.top));
            let rest = floats.next().unwrap_or(f32::NAN);
            let whole = self.top == self.vocabulary && rest == f32::NEG_INFINITY;
            if !(rest.is_finite() || whole) || into.logits[before..].iter().any(|logit| !logit.is_finite()) {
                return Err(Error::new(ErrorKind::Format, "a logit that is not finite"));
            }
            into.rest.push(rest);
        }
        Ok(())
    }
}

/// Up to eight bytes as a number.
fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(vocabulary: usize, top: usize) -> Layout {
        Layout { key: [7; 32], top, temperature: 2.0, vocabulary, length: 16 }
    }

    /// Three blocks, of two, no and one row.
    fn file(layout: &Layout) -> (Span, TopWords, Vec<u8>) {
        let logits: Vec<f32> = (0..3 * layout.vocabulary).map(|i| ((i * 37 % 101) as f32).sin()).collect();
        let words = TopWords::new(&logits, layout.vocabulary, layout.top, layout.temperature);
        let span = Span { mask: 2, first: 40, blocks: 3 };
        (span, words.clone(), layout.encode(span, &[2, 0, 1], &words))
    }

    /// The words of a row, by id.
    fn sorted(words: &TopWords, row: usize) -> Vec<(u32, f32)> {
        let here = row * words.k..(row + 1) * words.k;
        let mut pairs: Vec<_> = words.ids[here.clone()].iter().copied().zip(words.logits[here].to_vec()).collect();
        pairs.sort_unstable_by_key(|(id, _)| *id);
        pairs
    }

    #[test]
    fn words_come_back_in_ids_of_either_width() {
        for (vocabulary, top) in [(300, 8), (300, 300), (70_000, 3)] {
            let layout = layout(vocabulary, top);
            let (span, words, bytes) = file(&layout);
            assert!(bytes.len() as u64 <= layout.most_bytes(span.blocks));
            let starts = layout.open(span, &bytes).unwrap();
            let mut found = TopWords::none(top, 2.0);
            for block in starts.windows(2) {
                layout.decode(&bytes[block[0] as usize..block[1] as usize], &mut found).unwrap();
            }
            assert_eq!((found.rows(), &found.rest), (3, &words.rest));
            assert!((0..3).all(|row| sorted(&found, row) == sorted(&words, row)), "{vocabulary}");
            assert!(found.check(3, vocabulary).is_ok());
        }
    }

    #[test]
    fn any_byte_that_is_changed_or_missing_is_noticed() {
        let layout = layout(300, 8);
        let (span, _, bytes) = file(&layout);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(layout.open(span, &changed).is_err(), "byte {at}");
            assert!(layout.open(span, &bytes[..at]).is_err(), "cut to {at}");
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let layout = layout(300, 8);
        let (span, words, bytes) = file(&layout);
        let refused = |layout: &Layout, span: Span, bytes: &[u8]| layout.open(span, bytes).unwrap_err().to_string();
        let other = Layout { key: [8; 32], ..layout.clone() };
        assert!(refused(&other, span, &bytes).contains("another teacher"));
        assert!(refused(&layout, Span { mask: 3, ..span }, &bytes).contains("expected Span"));
        // Hashes that are right do not make it fit.
        let most = layout.encode(span, &[2, 0, 17], &words);
        assert!(refused(&layout, span, &most).contains("17 masks in a block of at most 16"));
        let many = layout.encode(span, &[2, 1, 1], &words);
        assert!(refused(&layout, span, &many).contains("bytes, found"));
    }

    #[test]
    fn rows_that_no_teacher_says_are_refused() {
        let layout = layout(300, 2);
        let row = |ids: [u16; 2], logits: [f32; 2], rest: f32| -> Vec<u8> {
            let numbers = logits.into_iter().chain([rest]);
            ids.iter().flat_map(|id| id.to_le_bytes()).chain(numbers.flat_map(f32::to_le_bytes)).collect()
        };
        let decode = |bytes: &[u8]| layout.decode(bytes, &mut TopWords::none(2, 2.0));
        assert!(decode(&row([3, 9], [1.0, 2.0], 0.5)).is_ok());
        let bad = [
            row([9, 3], [1.0, 2.0], 0.5),
            row([3, 3], [1.0, 2.0], 0.5),
            row([3, 300], [1.0, 2.0], 0.5),
            row([3, 9], [f32::NAN, 2.0], 0.5),
            row([3, 9], [1.0, 2.0], f32::INFINITY),
            row([3, 9], [1.0, 2.0], f32::NEG_INFINITY),
        ];
        assert!(bad.iter().all(|row| decode(row).is_err()));
    }
}

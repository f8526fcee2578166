//! One stream of notes with `[SEP]` between them, cut into blocks at the borders of words.
//!
//! Every piece of every note is in exactly one block, in order. What is left over is a short block at the very end; a
//! batch has no padding, so a short block costs what it is long. A `[SEP]` that would end or begin a block is left out,
//! because the block's own stands there.

use super::Block;
use crate::text::Encoding;

/// The stream, as far as it is not yet cut.
pub(super) struct Cutter {
    length: usize,
    cls_id: u32,
    sep_id: u32,
    block: Block,
}

impl Cutter {
    /// For blocks of at most `length` pieces, special ones included.
    pub(super) fn new(length: usize, cls_id: u32, sep_id: u32) -> Self {
        let block = Block { input_ids: vec![cls_id], begins: vec![false] };
        Self { length, cls_id, sep_id, block }
    }

    /// Adds a note and hands over the blocks that it fills.
    pub(super) fn note<E>(&mut self, note: &Encoding, mut full: impl FnMut(Block) -> Result<(), E>) -> Result<(), E> {
        let mut between = self.block.input_ids.len() > 1;
        for word in &note.words {
            let (mut pieces, mut begins) = (&note.input_ids[word.clone()], true);
            if self.room() < pieces.len() + usize::from(between) {
                self.flush(&mut full)?;
            } else if between {
                self.push(self.sep_id, false);
            }
            between = false;
            while !pieces.is_empty() {
                if self.room() == 0 {
                    self.flush(&mut full)?; // a word longer than a block
                }
                let (now, later) = pieces.split_at(pieces.len().min(self.room()));
                for &piece in now {
                    self.push(piece, std::mem::take(&mut begins));
                }
                pieces = later;
            }
        }
        Ok(())
    }

    /// Ends the stream.
    pub(super) fn finish<E>(&mut self, full: impl FnMut(Block) -> Result<(), E>) -> Result<(), E> {
        self.flush(full)
    }

    /// The places that are free, that of the last `[SEP]` not counted.
    fn room(&self) -> usize {
        self.length - 1 - self.block.input_ids.len()
    }

    fn push(&mut self, id: u32, begins: bool) {
        self.block.input_ids.push(id);
        self.block.begins.push(begins);
    }

    fn flush<E>(&mut self, mut full: impl FnMut(Block) -> Result<(), E>) -> Result<(), E> {
        if self.block.input_ids.len() == 1 {
            return Ok(());
        }
        self.push(self.sep_id, false);
        let empty = Self::new(self.length, self.cls_id, self.sep_id).block;
        full(std::mem::replace(&mut self.block, empty))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const CLS: u32 = 100;
    const SEP: u32 = 101;

    /// A note of words of so many pieces, which are numbered from `first`.
    fn note(first: u32, words: &[usize]) -> Encoding {
        let mut note = Encoding::default();
        for &pieces in words {
            let from = note.input_ids.len();
            note.input_ids.extend((0..pieces as u32).map(|i| first + from as u32 + i));
            note.words.push(from..from + pieces);
        }
        note
    }

    fn cut(length: usize, notes: &[Encoding]) -> Vec<Block> {
        let (mut cutter, mut blocks) = (Cutter::new(length, CLS, SEP), Vec::new());
        let mut keep = |block| -> Result<(), Infallible> {
            blocks.push(block);
            Ok(())
        };
        for note in notes {
            cutter.note(note, &mut keep).unwrap();
        }
        cutter.finish(&mut keep).unwrap();
        blocks
    }

    #[test]
    fn blocks_by_hand() {
        struct Case {
            name: &'static str,
            notes: Vec<Encoding>,
            /// Inner pieces; `101` is the `[SEP]` between notes.
            blocks: &'static [&'static [u32]],
        }
        let cases = [
            Case { name: "nothing", notes: vec![note(0, &[])], blocks: &[] },
            Case { name: "one block", notes: vec![note(1, &[1, 2, 1])], blocks: &[&[1, 2, 3, 4]] },
            Case { name: "joined", notes: vec![note(1, &[2]), note(11, &[2])], blocks: &[&[1, 2, SEP, 11, 12]] },
            Case {
                name: "an empty note",
                notes: vec![note(1, &[1]), note(0, &[]), note(11, &[1])],
                blocks: &[&[1, SEP, 11]],
            },
            Case { name: "full", notes: vec![note(1, &[6]), note(11, &[1])], blocks: &[&[1, 2, 3, 4, 5, 6], &[11]] },
            Case {
                name: "room for [SEP] only",
                notes: vec![note(1, &[5]), note(11, &[1])],
                blocks: &[&[1, 2, 3, 4, 5], &[11]],
            },
            Case { name: "at a word", notes: vec![note(1, &[3, 2, 3])], blocks: &[&[1, 2, 3, 4, 5], &[6, 7, 8]] },
            Case { name: "a long word", notes: vec![note(1, &[1, 8])], blocks: &[&[1], &[2, 3, 4, 5, 6, 7], &[8, 9]] },
        ];
        let mut failed = Vec::new();
        for Case { name, notes, blocks } in cases {
            let expected: Vec<Vec<u32>> = blocks.iter().map(|inner| [&[CLS], *inner, &[SEP]].concat()).collect();
            let found: Vec<Vec<u32>> = cut(8, &notes).into_iter().map(|block| block.input_ids).collect();
            if found != expected {
                failed.push(format!("{name}: {found:?}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn a_word_begins_once() {
        let begins = |block: &Block| block.begins.iter().map(|&begins| u8::from(begins)).collect::<Vec<_>>();
        let blocks = cut(8, &[note(1, &[1, 8]), note(21, &[1, 2])]);
        assert_eq!(begins(&blocks[0]), [0, 1, 0]);
        assert_eq!(begins(&blocks[1]), [0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(begins(&blocks[2]), [0, 0, 0, 0, 1, 1, 0, 0], "the rest of a word, [SEP], and two words");
    }

    #[test]
    fn no_piece_is_lost_and_no_block_too_long() {
        for length in 8..40 {
            let notes: Vec<_> =
                (0..50).map(|i| note(1000 * (i + 1), &[1 + i as usize % 7, 3, 1, (i * i) as usize % 23])).collect();
            let blocks = cut(length, &notes);
            assert!(blocks.iter().all(|block| (3..=length).contains(&block.input_ids.len())));
            assert!(blocks.iter().all(|block| block.begins.len() == block.input_ids.len()));
            let found: Vec<u32> =
                blocks.iter().flat_map(|b| &b.input_ids).copied().filter(|&id| id != CLS && id != SEP).collect();
            let expected: Vec<u32> = notes.iter().flat_map(|note| &note.input_ids).copied().collect();
            assert_eq!(found, expected, "length {length}");
            let doubled =
                blocks.iter().any(|b| b.input_ids.windows(2).any(|pair| pair == [SEP, SEP] || pair == [CLS, SEP]));
            assert!(!doubled, "length {length}");
        }
    }
}

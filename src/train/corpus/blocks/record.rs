//! A block as bytes. All records of a corpus have one size, so a block's number is its place.
//!
//! | bytes | what |
//! |---|---|
//! | 2 | the number of pieces, little-endian as all numbers |
//! | `length` times 2 or 4 | the ids: 2 bytes when the vocabulary has at most 65,536 pieces; zero behind the last |
//! | `length` / 8, rounded up | a bit a piece, the lowest first: whether it begins a word |

use super::super::Vocabulary;
use super::Block;
use crate::error::{Error, ErrorKind, Result};

/// What a record of a corpus looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    length: usize,
    vocabulary: u32,
    cls_id: u32,
    sep_id: u32,
}

impl Layout {
    pub(super) fn new(length: usize, vocabulary: &Vocabulary) -> Self {
        let (cls_id, sep_id) = (vocabulary.cls_id(), vocabulary.sep_id());
        Self { length, vocabulary: vocabulary.size, cls_id, sep_id }
    }

    /// Bytes of an id.
    fn width(self) -> usize {
        if self.vocabulary <= 1 << 16 { 2 } else { 4 }
    }

    /// Bytes of a record.
    pub(super) fn bytes(self) -> usize {
        2 + self.length * self.width() + self.length.div_ceil(8)
    }

    /// The record of a block that is no longer than `length`.
    pub(super) fn encode(self, block: &Block) -> Vec<u8> {
        let mut record = vec![0; self.bytes()];
        let (count, rest) = record.split_at_mut(2);
        let (ids, bits) = rest.split_at_mut(self.length * self.width());
        count.copy_from_slice(&(block.input_ids.len() as u16).to_le_bytes());
        for (bytes, id) in ids.chunks_exact_mut(self.width()).zip(&block.input_ids) {
            bytes.copy_from_slice(&id.to_le_bytes()[..self.width()]);
        }
        for (piece, _) in block.begins.iter().enumerate().filter(|(_, begins)| **begins) {
            bits[piece / 8] |= 1 << (piece % 8);
        }
        record
    }

    /// The block of a record of [`Layout::bytes`] bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything that [`Layout::encode`] does not write.
    pub(super) fn decode(self, record: &[u8]) -> Result<Block> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Format, message));
        let (count, rest) = record.split_at(2);
        let (ids, bits) = rest.split_at(self.length * self.width());
        let pieces = usize::from(u16::from_le_bytes([count[0], count[1]]));
        if !(3..=self.length).contains(&pieces) {
            return refuse(format!("expected 3 to {} pieces, found {pieces}", self.length));
        }
        let id = |bytes: &[u8]| bytes.iter().rev().fold(0, |id, &byte| id << 8 | u32::from(byte));
        let mut input_ids: Vec<u32> = ids.chunks_exact(self.width()).map(id).collect();
        let mut begins: Vec<bool> = (0..self.length).map(|piece| bits[piece / 8] >> (piece % 8) & 1 == 1).collect();
        if input_ids[pieces..].iter().any(|&id| id > 0) || begins[pieces..].contains(&true) {
            return refuse("something stands behind the last piece".into());
        }
        input_ids.truncate(pieces);
        begins.truncate(pieces);
        if let Some(id) = input_ids.iter().find(|&&id| id >= self.vocabulary) {
            return refuse(format!("the id {id}, of a vocabulary of {}", self.vocabulary));
        }
        if input_ids[0] != self.cls_id || input_ids[pieces - 1] != self.sep_id {
            return refuse("does not begin with [CLS] and end with [SEP]".into());
        }
        Ok(Block { input_ids, begins })
    }
}

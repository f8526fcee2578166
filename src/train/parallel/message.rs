//! What processes send each other, as `timely_communication` carries it.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | kind |
//! | 4 | rank of the sender |
//! | 8 | round |
//! | 4 | chunk |
//! | any | what it brings |
//!
//! Numbers are little-endian.

use std::io::Write;

use timely_bytes::arc::Bytes;
use timely_communication::Bytesable;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers of a rank, for the rank that sums this chunk.
    Part,
    /// The sum of a chunk.
    Sum,
    /// Bytes that every rank wants to have of every other.
    Note,
    /// Why a rank gives up.
    Failure,
}

const KINDS: [Kind; 4] = [Kind::Part, Kind::Sum, Kind::Note, Kind::Failure];
const HEAD: usize = 17;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) from: usize,
    pub(super) round: u64,
    pub(super) chunk: usize,
    pub(super) body: Vec<u8>,
}

/// What arrived: nothing if it was no message.
pub(super) struct Parcel(pub(super) Option<Message>);

impl Message {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, body) = bytes.split_first_chunk::<HEAD>()?;
        let four = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let kind = *KINDS.get(usize::from(head[0]))?;
        let round = u64::from(four(5)) | u64::from(four(9)) << 32;
        Some(Self { kind, from: four(1) as usize, round, chunk: four(13) as usize, body: body.to_vec() })
    }
}

impl Bytesable for Parcel {
    fn from_bytes(bytes: Bytes) -> Self {
        Self(Message::read(&bytes))
    }

    fn length_in_bytes(&self) -> usize {
        HEAD + self.0.as_ref().map_or(0, |message| message.body.len())
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let Some(Message { kind, from, round, chunk, body }) = &self.0 else { return };
        let kind = KINDS.iter().position(|known| known == kind).unwrap_or_default() as u8;
        let (from, chunk) = ((*from as u32).to_le_bytes(), (*chunk as u32).to_le_bytes());
        let pieces: [&[u8]; 5] = [&[kind], &from, &round.to_le_bytes(), &chunk, body];
        // Goes into memory that `length_in_bytes` asked for, so nothing can fail.
        pieces.iter().for_each(|piece| drop(writer.write_all(piece)));
    }
}

/// Numbers as bytes.
pub(super) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Bytes as numbers.
pub(super) fn values_of(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (kind, body) in KINDS.into_iter().zip([vec![], vec![0; 64], vec![7], bytes_of(&[1.5, f32::NAN])]) {
            let message = Message { kind, from: 300, round: 1 << 40 | 5, chunk: 70_000, body };
            let mut bytes = Vec::new();
            let parcel = Parcel(Some(message.clone()));
            parcel.into_bytes(&mut bytes);
            assert_eq!(bytes.len(), parcel.length_in_bytes());
            assert_eq!(Message::read(&bytes), Some(message));
            assert_eq!(Message::read(&bytes[..HEAD - 1]), None);
            bytes[0] = 9;
            assert_eq!(Message::read(&bytes), None);
        }
        assert_eq!(values_of(&bytes_of(&[0.1, -2.0])), Some(vec![0.1, -2.0]));
        assert_eq!(values_of(&[0; 5]), None);
    }
}

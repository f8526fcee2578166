//! The pieces of a WordPiece model: one arena of text, and an index of hashes into it.

use crate::error::{Error, ErrorKind, Result};

/// What a piece that continues a word begins with.
pub(super) const PREFIX: &str = "##";

/// Longest run of occupied places that a lookup walks. A good hash at half load stays far below; a vocabulary made to
/// collide is refused instead of served slowly.
const MOST_PROBES: usize = 1024;

/// Pieces with their ids, in the order of the file.
#[derive(Default)]
pub(super) struct Vocabulary {
    arena: String,
    /// End of each piece in `arena`.
    ends: Vec<u32>,
    ids: Vec<u32>,
    /// Open addressing over entry numbers plus one; zero is empty. The length is a power of two.
    table: Vec<u32>,
    /// Bytes of the longest piece without its prefix: at the start of a word, and later.
    longest: [usize; 2],
}

impl Vocabulary {
    /// Adds a piece; the index is built later.
    pub(super) fn push(&mut self, piece: &str, id: u32) -> Result<()> {
        self.arena.push_str(piece);
        let end = u32::try_from(self.arena.len());
        self.ends.push(end.map_err(|_| Error::new(ErrorKind::Format, "vocabulary of more than 4 GiB"))?);
        self.ids.push(id);
        Ok(())
    }

    /// Entries.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// All pieces as written, with their ids, in the order of the file.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&str, u32)> {
        (0..self.len()).map(|entry| (self.piece(entry), self.ids[entry]))
    }

    /// The id of a piece as written; a scan, for the few that are asked by name. Of twins the later counts.
    pub(super) fn id_of(&self, piece: &str) -> Option<u32> {
        (0..self.len()).rev().find(|&entry| self.piece(entry) == piece).map(|entry| self.ids[entry])
    }

    /// Makes all pieces but the `special` ones findable: text never becomes a special token.
    pub(super) fn index(&mut self, special: &[(String, u32)]) -> Result<()> {
        self.table = vec![0; (self.len() * 2).next_power_of_two().max(2)];
        for entry in 0..self.len() {
            let piece = self.piece(entry);
            let (continues, text) = split(piece);
            if text.is_empty() || special.iter().any(|(name, _)| name == piece) {
                continue;
            }
            let length = text.len();
            let place = self.vacancy(entry).ok_or_else(|| {
                Error::new(ErrorKind::Format, format!("vocabulary entry {entry}: too many pieces share one hash"))
            })?;
            self.table[place] = entry as u32 + 1;
            let longest = &mut self.longest[usize::from(continues)];
            *longest = (*longest).max(length);
        }
        Ok(())
    }

    /// The longest piece that `text` begins with, ending at a character: its id and its bytes without prefix.
    /// `prefixes` is scratch space.
    pub(super) fn longest_match(
        &self,
        continues: bool,
        text: &str,
        prefixes: &mut Vec<(usize, Hash)>,
    ) -> Option<(u32, usize)> {
        prefixes.clear();
        let mut hash = Hash::new(continues);
        let bytes = text.as_bytes();
        for end in 1..=bytes.len().min(self.longest[usize::from(continues)]) {
            hash.add(bytes[end - 1]);
            if text.is_char_boundary(end) {
                prefixes.push((end, hash));
            }
        }
        prefixes.iter().rev().find_map(|&(end, hash)| Some((self.find(continues, &text[..end], hash)?, end)))
    }

    fn find(&self, continues: bool, text: &str, hash: Hash) -> Option<u32> {
        let mask = self.table.len().checked_sub(1)?;
        let mut place = hash.place(mask);
        loop {
            let entry = (self.table[place] as usize).checked_sub(1)?;
            if split(self.piece(entry)) == (continues, text) {
                return Some(self.ids[entry]);
            }
            place = (place + 1) & mask;
        }
    }

    /// Where an entry goes: a free place, or that of an earlier twin.
    fn vacancy(&self, entry: usize) -> Option<usize> {
        let key = split(self.piece(entry));
        let mask = self.table.len() - 1;
        let mut hash = Hash::new(key.0);
        key.1.bytes().for_each(|byte| hash.add(byte));
        (0..MOST_PROBES).map(|step| (hash.place(mask) + step) & mask).find(|&place| {
            (self.table[place] as usize).checked_sub(1).is_none_or(|taken| split(self.piece(taken)) == key)
        })
    }

    fn piece(&self, entry: usize) -> &str {
        let start = entry.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.arena[start..self.ends[entry] as usize]
    }
}

/// Whether a piece continues a word, and its text without the prefix.
fn split(piece: &str) -> (bool, &str) {
    piece.strip_prefix(PREFIX).map_or((false, piece), |text| (true, text))
}

/// FNV-1a, because the hash of every prefix of a word falls out on the way.
#[derive(Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
    fn new(continues: bool) -> Self {
        Self(if continues { 0x9E37_79B9_7F4A_7C15 } else { 0xCBF2_9CE4_8422_2325 })
    }

    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    }

    fn place(self, mask: usize) -> usize {
        (self.0 ^ self.0 >> 32) as usize & mask
    }
}

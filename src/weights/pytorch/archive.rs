//! The form of torch 1.6 and later: a zip archive of a pickle (`data.pkl`) and one file a storage (`data/KEY`).
//!
//! Only what torch writes is read: entries stored as they are, one after the other, an end record without a comment.
//! The directory is walked in place, so that no number in it is believed before the bytes that it speaks of are found.
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT> describes the records.

use std::collections::BTreeMap;
use std::ops::Range;

use super::value::Storage;
use super::{malformed, pickle, slice, storage, unsupported};
use crate::error::Result;
use crate::weights::file::Tensors;

/// More than the description of any encoder needs.
const MAX_PICKLE: usize = 16 << 20;
/// One a storage and a few more.
const MAX_ENTRIES: u64 = 1 << 16;
const END: &[u8] = b"PK\x05\x06";
const LOCATOR: &[u8] = b"PK\x06\x07";
const END_64: &[u8] = b"PK\x06\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

pub(super) fn read(bytes: &[u8]) -> Result<Tensors<'_>> {
    let entries = entries(bytes)?;
    let mut roots = entries.keys().filter_map(|name| name.strip_suffix("data.pkl").filter(|root| is_root(root)));
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err(malformed("expected one data.pkl in the archive"));
    };
    let entry = |name: &str| entries.get(format!("{root}{name}").as_str()).copied();
    if let Some(order) = entry("byteorder").filter(|order| *order != b"little") {
        return Err(unsupported(format!(
            "byteorder {:?}, expected \"little\"",
            String::from_utf8_lossy(first(order, 16))
        )));
    }
    let program = entry("data.pkl").unwrap_or_default();
    if program.len() > MAX_PICKLE {
        return Err(malformed(format!("a pickle of {} bytes, expected at most {MAX_PICKLE}", program.len())));
    }
    let (pickle, _) = pickle::read(program)?;
    let bytes_of = |storage: &Storage<'_>| {
        entry(&format!("data/{}", storage.key))
            .ok_or_else(|| malformed(format!("there is no storage {:?}", storage.key)))
    };
    storage::tensors(&pickle, bytes_of, bytes.len())
}

/// The folder that all records lie in, named as the file was when it was saved.
fn is_root(root: &str) -> bool {
    root.is_empty() || root.strip_suffix('/').is_some_and(|name| !name.contains('/'))
}

fn first(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

/// The files of the archive by their names.
fn entries(bytes: &[u8]) -> Result<BTreeMap<&str, &[u8]>> {
    let (count, directory) = directory(bytes)?;
    let mut rest = &bytes[directory.clone()];
    let mut found = BTreeMap::new();
    let mut taken: Vec<Range<usize>> = Vec::new();
    while !rest.is_empty() {
        let (entry, after) = Entry::read(rest)?;
        let (place, content) =
            entry.content(bytes, directory.start).map_err(|e| e.at(format!("entry {:?}", entry.name)))?;
        taken.push(place);
        if found.insert(entry.name, content).is_some() {
            return Err(malformed(format!("two entries are named {:?}", entry.name)));
        }
        rest = after;
    }
    if found.len() as u64 != count {
        return Err(malformed(format!("{count} entries, found {}", found.len())));
    }
    taken.sort_by_key(|place| place.start);
    if taken.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return Err(malformed("entries of the archive overlap"));
    }
    Ok(found)
}

/// The number of entries, and where the central directory lies.
fn directory(bytes: &[u8]) -> Result<(u64, Range<usize>)> {
    let damaged = || malformed("damaged or truncated: the archive has no end record");
    let end_at = bytes.len().checked_sub(22).ok_or_else(damaged)?;
    let end = &bytes[end_at..];
    if !end.starts_with(END) || number(end, 20, 2) != Some(0) {
        return Err(damaged());
    }
    let read = |count, len, start| Some((number(end, count, 2)?, number(end, len, 4)?, number(end, start, 4)?));
    let (mut count, mut len, mut start) = read(10, 12, 16).ok_or_else(damaged)?;
    if count == 0xffff || len == 0xffff_ffff || start == 0xffff_ffff {
        let wide = end_64(bytes, end_at).ok_or_else(damaged)?;
        (count, len, start) = wide;
    }
    if count > MAX_ENTRIES {
        return Err(malformed(format!("{count} entries, expected at most {MAX_ENTRIES}")));
    }
    let listed = slice(bytes, start, len).ok_or_else(damaged)?;
    let from = usize::try_from(start).map_err(|_| damaged())?;
    Ok((count, from..from + listed.len()))
}

/// Count, length and start as the record for large archives states them.
fn end_64(bytes: &[u8], end_at: usize) -> Option<(u64, u64, u64)> {
    let locator = bytes.get(end_at.checked_sub(20)?..end_at)?;
    let record = slice(bytes, number(locator, 8, 8)?, 56)?;
    if !locator.starts_with(LOCATOR) || !record.starts_with(END_64) {
        return None;
    }
    Some((number(record, 32, 8)?, number(record, 40, 8)?, number(record, 48, 8)?))
}

/// A little-endian number of a record.
fn number(record: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = record.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// A line of the central directory.
struct Entry<'a> {
    name: &'a str,
    flags: u64,
    method: u64,
    stored: u64,
    len: u64,
    local: u64,
}

impl<'a> Entry<'a> {
    /// The entry at the front, and what follows it.
    fn read(bytes: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let read = || {
            let of = |at, len| number(bytes, at, len);
            let name_len = of(28, 2)?;
            let name = std::str::from_utf8(slice(bytes, 46, name_len)?).ok()?;
            let extra = slice(bytes, 46 + name_len, of(30, 2)?)?;
            let end = 46 + name_len + extra.len() as u64 + of(32, 2)?;
            let mut wide = wide(extra);
            let mut grow = |number: u64| if number == 0xffff_ffff { wide.next() } else { Some(number) };
            // The record for large files has its numbers in this order.
            let (len, stored, local) = (grow(of(24, 4)?)?, grow(of(20, 4)?)?, grow(of(42, 4)?)?);
            let entry = Self { name, flags: of(8, 2)?, method: of(10, 2)?, stored, len, local };
            let after = bytes.get(usize::try_from(end).ok()?..)?;
            bytes.starts_with(ENTRY).then_some((entry, after))
        };
        read().ok_or_else(|| malformed("the directory of the archive is damaged"))
    }

    /// The bytes of the file, and the place of its header and bytes in the archive.
    fn content(&self, bytes: &'a [u8], directory: usize) -> Result<(Range<usize>, &'a [u8])> {
        if self.method != 0 || self.stored != self.len {
            return Err(unsupported("compressed, expected as torch.save stores it"));
        }
        if self.flags & 1 != 0 {
            return Err(unsupported("encrypted"));
        }
        let place = || {
            let header = slice(bytes, self.local, 30).filter(|header| header.starts_with(LOCAL))?;
            let start = self.local.checked_add(30 + number(header, 26, 2)? + number(header, 28, 2)?)?;
            let content = slice(bytes, start, self.len)?;
            let range = usize::try_from(self.local).ok()?..usize::try_from(start).ok()? + content.len();
            (range.end <= directory).then_some((range, content))
        };
        place().ok_or_else(|| malformed(format!("{} bytes at {} are not in the archive", self.len, self.local)))
    }
}

/// The 64-bit numbers of the extra field for large files.
fn wide(mut extra: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut numbers: &[u8] = &[];
    while let (Some(id), Some(len)) = (number(extra, 0, 2), number(extra, 2, 2)) {
        let Some(body) = slice(extra, 4, len) else { break };
        if id == 1 {
            numbers = body;
            break;
        }
        extra = &extra[4 + body.len()..];
    }
    numbers.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

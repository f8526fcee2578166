//! Places in a note as others count them: JavaScript in UTF-16 units, exports in code points, Rust in bytes.
//!
//! The one border where units change. A conversion walks the note once for any number of sorted places.

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::sort;

/// What an offset counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OffsetUnit {
    /// Bytes of UTF-8: Rust.
    Utf8,
    /// UTF-16 code units: JavaScript, Java, C#.
    Utf16,
    /// Unicode code points: Python, most file formats.
    CodePoint,
}

impl OffsetUnit {
    /// Every unit.
    pub const ALL: [Self; 3] = [Self::Utf8, Self::Utf16, Self::CodePoint];

    /// The name in results: `utf8`, `utf16`, `codepoint`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Utf16 => "utf16",
            Self::CodePoint => "codepoint",
        }
    }

    /// The length of a text.
    pub fn length(self, text: &str) -> usize {
        match self {
            Self::Utf8 => text.len(),
            // Every character is one unit, and those of four bytes, which only they begin with 0xF0 and more, are two.
            Self::Utf16 => text.bytes().map(|byte| usize::from(begins(byte)) + usize::from(byte >= 0xF0)).sum(),
            Self::CodePoint => text.bytes().filter(|&byte| begins(byte)).count(),
        }
    }
}

fn begins(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// Byte offsets, ascending, as offsets in `unit`.
///
/// # Errors
/// [`ErrorKind::Input`] for an offset that is smaller than the one before it, inside a character, or beyond the end.
pub fn from_bytes(text: &str, offsets: &[usize], unit: OffsetUnit) -> Result<Vec<usize>> {
    let (mut byte, mut count) = (0, 0);
    let mut converted = Vec::with_capacity(offsets.len());
    for &offset in offsets {
        let Some(between) = text.get(byte..offset) else { return Err(misplaced(offset, byte, text.len())) };
        count += unit.length(between);
        byte = offset;
        converted.push(count);
    }
    Ok(converted)
}

/// Offsets in `unit`, ascending, as byte offsets.
///
/// # Errors
/// As [`from_bytes`].
pub fn to_bytes(text: &str, offsets: &[usize], unit: OffsetUnit) -> Result<Vec<usize>> {
    if unit == OffsetUnit::Utf8 {
        return from_bytes(text, offsets, unit);
    }
    let (mut byte, mut count) = (0, 0);
    let mut converted = Vec::with_capacity(offsets.len());
    for &offset in offsets {
        let before = count;
        let mut rest = text[byte..].chars();
        while count < offset
            && let Some(c) = rest.next()
        {
            count += if unit == OffsetUnit::Utf16 { c.len_utf16() } else { 1 };
            byte += c.len_utf8();
        }
        if count != offset {
            return Err(misplaced(offset, before, unit.length(text)));
        }
        converted.push(byte);
    }
    Ok(converted)
}

/// Offsets in `unit`, ascending, as byte offsets; nothing for one that is no border of a character of the text.
pub fn find_bytes(text: &str, offsets: &[usize], unit: OffsetUnit) -> Vec<Option<usize>> {
    let width = |c: char| match unit {
        OffsetUnit::Utf8 => c.len_utf8(),
        OffsetUnit::Utf16 => c.len_utf16(),
        OffsetUnit::CodePoint => 1,
    };
    let (mut byte, mut count) = (0, 0);
    let mut rest = text.chars();
    let mut find = |&offset: &usize| {
        while count < offset
            && let Some(c) = rest.next()
        {
            count += width(c);
            byte += c.len_utf8();
        }
        (count == offset).then_some(byte)
    };
    offsets.iter().map(&mut find).collect()
}

/// What `convert`, which is one of the above, makes of offsets in any order.
///
/// # Errors
/// As `convert`.
pub fn unordered(offsets: &[usize], convert: impl FnOnce(&[usize]) -> Result<Vec<usize>>) -> Result<Vec<usize>> {
    let mut ascending = offsets.to_vec();
    sort::by(&mut ascending, usize::cmp);
    let converted = convert(&ascending)?;
    let place = |offset| converted[ascending.partition_point(|other| other < offset)];
    Ok(offsets.iter().map(place).collect())
}

fn misplaced(offset: usize, before: usize, length: usize) -> Error {
    let message = format!("offset {offset}: expected the border of a character from {before} to {length}");
    Error::new(ErrorKind::Input, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [OffsetUnit; 3] = [OffsetUnit::Utf8, OffsetUnit::Utf16, OffsetUnit::CodePoint];
    const TEXTS: [&str; 8] = [
        "",
        "plain",
        "T 38.5 °C, 5 µg, ½ tab\r\n\tnext",
        "🤒 fever 👨\u{200D}👩\u{200D}👧 x",
        "e\u{301}a\u{308}\u{323} decomposed",
        "中文 한국어 ᄒ\u{1161}\u{11AB}",
        "\u{FEFF}\u{A0}smart “quotes”\u{200B}\u{FFFD}",
        "\u{10FFFF}\u{FFFF}\u{10000}\u{7FF}\u{800}\u{7F}\u{80}",
    ];

    #[test]
    fn every_border_counts_as_the_standard_library_counts() {
        for text in TEXTS {
            let borders: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            let expected = |count: fn(&str) -> usize| borders.iter().map(|&at| count(&text[..at])).collect::<Vec<_>>();
            let found = UNITS.map(|unit| from_bytes(text, &borders, unit).unwrap());
            let utf16 = expected(|text| text.encode_utf16().count());
            assert_eq!(found, [borders.clone(), utf16, expected(|text| text.chars().count())], "{text:?}");
        }
    }

    #[test]
    fn there_and_back_is_the_identity() {
        for (text, unit) in TEXTS.iter().flat_map(|text| UNITS.map(|unit| (text, unit))) {
            let borders: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            // Every border twice: spans touch, and a place may be asked for again.
            let twice: Vec<usize> = borders.iter().flat_map(|&at| [at, at]).collect();
            let there = from_bytes(text, &twice, unit).unwrap();
            assert_eq!(to_bytes(text, &there, unit).unwrap(), twice, "{text:?} {unit:?}");
            let found: Vec<_> = twice.iter().copied().map(Some).collect();
            assert_eq!(find_bytes(text, &there, unit), found, "{text:?} {unit:?}");
            assert_eq!(there.last().copied(), Some(unit.length(text)), "{text:?} {unit:?}");
        }
    }

    #[test]
    fn the_order_of_the_caller_is_kept() {
        let text = "a°🤒b";
        let bytes = unordered(&[5, 0, 4, 1, 4], |offsets| to_bytes(text, offsets, OffsetUnit::Utf16)).unwrap();
        assert_eq!(bytes, [8, 0, 7, 1, 7]);
        assert_eq!(unordered(&bytes, |bytes| from_bytes(text, bytes, OffsetUnit::Utf16)).unwrap(), [5, 0, 4, 1, 4]);
    }

    #[test]
    fn places_that_are_none_are_refused() {
        let text = "a°🤒";
        let cases: [(&str, OffsetUnit, &[usize]); 6] = [
            ("inside a character", OffsetUnit::Utf8, &[2]),
            ("beyond the end", OffsetUnit::Utf8, &[8]),
            ("between surrogates", OffsetUnit::Utf16, &[3]),
            ("beyond the end", OffsetUnit::Utf16, &[5]),
            ("beyond the end", OffsetUnit::CodePoint, &[4]),
            ("backwards", OffsetUnit::CodePoint, &[2, 1]),
        ];
        for (name, unit, offsets) in cases {
            assert_eq!(to_bytes(text, offsets, unit).unwrap_err().kind(), ErrorKind::Input, "{name} {unit:?}");
            assert!(find_bytes(text, offsets, unit).contains(&None), "{name} {unit:?}");
        }
        for (name, offsets) in [("inside", &[2][..]), ("beyond", &[8]), ("backwards", &[3, 1])] {
            assert_eq!(from_bytes(text, offsets, OffsetUnit::Utf16).unwrap_err().kind(), ErrorKind::Input, "{name}");
        }
    }
}

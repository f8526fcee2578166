//! Numbers by how their digits are grouped, and by the word that names them.

use std::ops::Range;

use super::{IdentifierKind, named};

const PHONES: &[&str] = &["phone", "telephone", "tel", "call", "called", "fax", "pager", "cell", "mobile", "ext"];
const RECORDS: &[&str] = &["mrn", "mr", "record", "chart", "acct", "account", "ssn"];

/// Groups of digits joined by one character each: `617-555-0143` is 3, 3 and 4.
struct Groups {
    lengths: Vec<usize>,
    joints: Vec<u8>,
    values: Vec<u32>,
    end: usize,
}

impl Groups {
    /// Of the digits at `at`, at most five groups.
    fn read(bytes: &[u8], mut at: usize) -> Self {
        let mut groups = Self { lengths: Vec::new(), joints: Vec::new(), values: Vec::new(), end: at };
        loop {
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let value = |value: u32, digit: &u8| value.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'));
            groups.values.push(bytes[at..at + digits].iter().fold(0, value));
            groups.lengths.push(digits);
            groups.end = at + digits;
            let joint = bytes.get(groups.end).copied().unwrap_or(b'\n');
            let more = bytes.get(groups.end + 1).is_some_and(u8::is_ascii_digit);
            if !more || !matches!(joint, b'-' | b'.' | b'/' | b' ') || groups.lengths.len() == 5 {
                return groups;
            }
            groups.joints.push(joint);
            at = groups.end + 1;
        }
    }

    fn kind(&self, note: &str, start: usize) -> Option<IdentifierKind> {
        let dialled = |joints: &[u8]| joints.iter().all(|joint| matches!(joint, b'-' | b'.'));
        match (self.lengths.as_slice(), self.joints.as_slice()) {
            ([3, 2, 4], [b'-', b'-']) => Some(IdentifierKind::Ssn),
            ([3, 3, 4], joints) | ([1, 3, 3, 4], [_, joints @ ..])
                if dialled(joints) && self.values[self.values.len() - 3] >= 200 =>
            {
                Some(IdentifierKind::Phone)
            }
            ([3, 4], [b'-']) if named(note, start, PHONES) => Some(IdentifierKind::Phone),
            ([1 | 2, 1 | 2, 4], [a, b]) if a == b && *a != b' ' => self.date(self.values[2], 0, 1),
            ([4, 1 | 2, 1 | 2], [a, b]) if a == b && *a != b' ' => self.date(self.values[0], 1, 2),
            ([first, ..], _) if *first >= 5 && named(note, start, RECORDS) => Some(IdentifierKind::Mrn),
            _ => None,
        }
    }

    /// Years after 2100 are shifted ones, as MIMIC's.
    fn date(&self, year: u32, first: usize, second: usize) -> Option<IdentifierKind> {
        let [a, b] = [first, second].map(|at| self.values[at]);
        let fits = (1..=12).contains(&a) && (1..=31).contains(&b) || (1..=31).contains(&a) && (1..=12).contains(&b);
        (fits && (1900..=2100).contains(&year)).then_some(IdentifierKind::Date)
    }
}

/// Numbers that look like one of somebody, and full dates in digits.
pub(super) fn find(note: &str) -> Vec<(IdentifierKind, Range<usize>)> {
    let bytes = note.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(skip) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + skip;
        let before = start.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let bracketed = area_code(bytes, start);
        let groups = Groups::read(bytes, start);
        let after = bytes.get(groups.end).copied().unwrap_or(b' ');
        let free =
            !before.is_ascii_alphanumeric() && !matches!(before, b'.' | b'/' | b'-') && !after.is_ascii_alphanumeric();
        if let Some(end) = bracketed {
            found.push((IdentifierKind::Phone, start - 1..end));
            at = end;
            continue;
        }
        if let Some(kind) = groups.kind(note, start).filter(|_| free) {
            found.push((kind, start..groups.end));
            at = groups.end;
            continue;
        }
        // The next group may begin an identifier: "room 12 617-555-0143".
        at = start + groups.lengths[0];
    }
    found
}

/// The end of `(617) 555-0143`, whose digits begin at `start`.
fn area_code(bytes: &[u8], start: usize) -> Option<usize> {
    let code = bytes.get(start.checked_sub(1)?..start + 4)?;
    let plain = code[0] == b'(' && code[4] == b')' && code[1..4].iter().all(u8::is_ascii_digit) && code[1] >= b'2';
    let next = start + 4 + usize::from(bytes.get(start + 4) == Some(&b' '));
    if !plain || !bytes.get(next).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let rest = Groups::read(bytes, next);
    (rest.lengths == [3, 4] && matches!(rest.joints[0], b'-' | b'.' | b' ')).then_some(rest.end)
}

//! What WordPiece and the rules ask about a character, as of the Unicode data that the `tokenizers` crate ships.
//!
//! `tokenizers` takes general categories from `unicode_categories` (Unicode 8) and decompositions from
//! `unicode-normalization-alignments` (Unicode 9). A newer table would be better Unicode and another tokenizer: the ids
//! that a model was trained with count. So [`tables`] is generated from those two crates, and from the standard library
//! for small letters, by the test below, which also proves it for every character. Only what is asked is stored: the categories that matter as ranges, and
//! decompositions with the marks that would be stripped anyway already left out.

mod tables;

use std::sync::LazyLock;

use tables::{CLASSES, CONTROLS, DECOMPOSED, DECOMPOSED_MANY, LOWERCASE, MARKS, PUNCTUATION};

/// Whether `clean_text` drops the character: Cc, Cf or Co, U+0000 and U+FFFD, but not tab, line feed, carriage return.
pub(crate) fn is_dropped(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\u{FFFD}' => true,
        '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}' => true,
        _ if c.is_ascii() => c.is_ascii_control(),
        _ => within(CONTROLS, c),
    }
}

/// ASCII symbols and punctuation, and the categories P of the rest.
pub(crate) fn is_punctuation(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_punctuation() } else { within(PUNCTUATION, c) }
}

/// Category Mn.
pub(crate) fn is_mark(c: char) -> bool {
    c >= '\u{300}' && within(MARKS, c)
}

/// The blocks that BERT cuts into words of one character.
pub(crate) fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' | '\u{20000}'..='\u{2A6DF}' | '\u{2A700}'..='\u{2B73F}'
        | '\u{2B740}'..='\u{2B81F}' | '\u{2B920}'..='\u{2CEAF}' | '\u{F900}'..='\u{FAFF}' | '\u{2F800}'..='\u{2FA1F}')
}

/// The canonical combining class; for a mark that decomposes into marks, that of the first.
pub(crate) fn class(c: char) -> u8 {
    static PAIRS: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| unpacked(CLASSES));
    if c < '\u{300}' { 0 } else { second(&PAIRS, c).map_or(0, |class| class as u8) }
}

/// Calls `part` for each character of the canonical decomposition except the marks (Mn) that follow its first
/// character: those are stripped, and their order changes nothing else.
pub(crate) fn decompose(c: char, mut part: impl FnMut(char)) {
    static PAIRS: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| unpacked(DECOMPOSED));
    if c < '\u{C0}' {
        return part(c);
    }
    if let '\u{AC00}'..='\u{D7A3}' = c {
        return hangul(u32::from(c) - 0xAC00, part);
    }
    if let Some(one) = second(&PAIRS, c) {
        return part(char::from_u32(one).unwrap_or(c));
    }
    match DECOMPOSED_MANY.binary_search_by_key(&u32::from(c), |entry| entry.0) {
        Ok(at) => DECOMPOSED_MANY[at].1.chars().for_each(part),
        Err(_) => part(c),
    }
}

/// As `char::to_lowercase`, whose tables are fourteen kilobytes of WebAssembly.
pub(crate) fn lowercase(c: char) -> impl Iterator<Item = char> {
    static PAIRS: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| unpacked(LOWERCASE));
    let lower = match c {
        _ if c.is_ascii() => c.to_ascii_lowercase(),
        DOTTED_I => 'i',
        _ => second(&PAIRS, c).and_then(char::from_u32).unwrap_or(c),
    };
    std::iter::once(lower).chain((c == DOTTED_I).then_some('\u{307}'))
}

/// The only letter whose lower case is two characters.
const DOTTED_I: char = '\u{130}';

/// Conjoining jamo by arithmetic: The Unicode Standard, section 3.12.
fn hangul(index: u32, mut part: impl FnMut(char)) {
    let trailing = index % 28;
    let jamo = [0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + trailing];
    let count = if trailing == 0 { 2 } else { 3 };
    jamo[..count].iter().copied().filter_map(char::from_u32).for_each(&mut part);
}

/// Ranges are packed as `first << 8 | length - 1`, ascending.
fn within(ranges: &[u32], c: char) -> bool {
    let code = u32::from(c);
    let at = ranges.partition_point(|&packed| packed >> 8 <= code);
    at.checked_sub(1).and_then(|before| ranges.get(before)).is_some_and(|packed| code - (packed >> 8) <= packed & 0xFF)
}

/// Pairs in order of their first number. Both are written as differences from those of the pair before, in groups of seven
/// bits, the lowest first, with the eighth bit where more follow (LEB128); the second ones with their sign in the lowest
/// bit. That is a third of what plain pairs add to a page that compresses what it downloads.
fn unpacked(bytes: &[u8]) -> Vec<(u32, u32)> {
    let mut bytes = bytes.iter();
    let mut number = move || {
        let (mut number, mut shift) = (0, 0);
        for byte in bytes.by_ref() {
            number |= u32::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    };
    let (mut pairs, mut last) = (Vec::new(), (0, 0_u32));
    while let (Some(first), Some(second)) = (number(), number()) {
        let difference = (second >> 1) ^ (second & 1).wrapping_neg();
        last = (last.0 + first, last.1.wrapping_add(difference));
        pairs.push(last);
    }
    pairs
}

/// What stands beside a character.
fn second(pairs: &[(u32, u32)], c: char) -> Option<u32> {
    pairs.binary_search_by_key(&u32::from(c), |pair| pair.0).ok().map(|at| pairs[at].1)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use unicode_categories::UnicodeCategories;
    use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

    use super::*;

    fn all() -> impl Iterator<Item = char> {
        (0..=0x10_FFFF).filter_map(char::from_u32)
    }

    /// The kept parts of the decomposition, and the class that the sort sees.
    fn reference(c: char) -> (String, u8) {
        let mut parts = Vec::new();
        decompose_canonical(c, |part| parts.push(part));
        let kept: String = parts.iter().filter(|part| !part.is_mark_nonspacing()).collect();
        let class = canonical_combining_class(parts[0]);
        if kept.is_empty() { (c.to_string(), class) } else { (kept, canonical_combining_class(c)) }
    }

    #[test]
    fn every_character_agrees_with_the_crates() {
        let mut failed = Vec::new();
        for c in all() {
            let mut parts = String::new();
            decompose(c, |part| parts.push(part));
            let (kept, expected_class) = reference(c);
            let control = !matches!(c, '\t' | '\n' | '\r') && (c == '\0' || c == '\u{FFFD}' || c.is_other());
            let agrees = is_dropped(c) == control
                && is_punctuation(c) == (c.is_ascii_punctuation() || c.is_punctuation())
                && is_mark(c) == c.is_mark_nonspacing()
                && class(c) == expected_class
                && lowercase(c).eq(c.to_lowercase())
                && parts == kept;
            if !agrees {
                failed.push(format!("{:04X}", u32::from(c)));
            }
        }
        assert!(failed.is_empty(), "{} characters differ: {:?}", failed.len(), &failed[..failed.len().min(20)]);
    }

    /// What the stripped decomposition relies on: unless all of it is marks, both its first part and the first part
    /// that is kept are starters, so that leaving marks out moves no character and no place.
    #[test]
    fn a_decomposition_starts_with_a_starter() {
        let mut failed = Vec::new();
        for c in all() {
            let mut parts = Vec::new();
            decompose_canonical(c, |part| parts.push(part));
            let kept = parts.iter().find(|part| !part.is_mark_nonspacing());
            if let (true, Some(&kept)) = (parts.len() > 1, kept)
                && (canonical_combining_class(parts[0]) != 0 || canonical_combining_class(kept) != 0)
            {
                failed.push(c);
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }

    /// `CLINLITE_WRITE_TABLES=1 cargo test --lib unicode` writes the tables anew.
    #[test]
    fn tables_are_what_the_generator_writes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/unicode/tables.rs");
        if std::env::var_os("CLINLITE_WRITE_TABLES").is_some() {
            std::fs::write(path, generate()).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap() == generate(), "run with CLINLITE_WRITE_TABLES=1");
    }

    fn generate() -> String {
        let mut out = String::from(
            "//! Generated by the tests of `super` from `unicode_categories` and `unicode-normalization-alignments`.\n",
        );
        let control = |c: char| !c.is_ascii() && c < '\u{F0000}' && c.is_other();
        ranges(&mut out, "CONTROLS", "Cc, Cf and Co beyond ASCII and below the private planes", control);
        ranges(&mut out, "PUNCTUATION", "P* beyond ASCII", |c| !c.is_ascii() && c.is_punctuation());
        ranges(&mut out, "MARKS", "Mn", |c| c.is_mark_nonspacing());
        let beyond = || all().filter(|&c| !c.is_ascii()).map(|c| (u32::from(c), c));
        let classes = beyond().map(|(code, c)| (code, u32::from(reference(c).1))).filter(|(_, class)| *class > 0);
        packed(&mut out, "CLASSES", "ccc of all that have one", classes);
        let lower = beyond().filter(|(_, c)| c.to_lowercase().len() == 1);
        let lower = lower.filter_map(|(code, c)| Some((code, u32::from(c.to_lowercase().next()?))));
        packed(&mut out, "LOWERCASE", "one small letter for one", lower.filter(|(code, lower)| code != lower));
        let kept = beyond().filter(|(_, c)| !matches!(c, '\u{AC00}'..='\u{D7A3}'));
        let kept: Vec<(u32, String)> = kept.map(|(code, c)| (code, reference(c).0)).collect();
        let one = |(code, kept): &(u32, String)| match kept.chars().collect::<Vec<_>>()[..] {
            [one] if u32::from(one) != *code => Some((*code, u32::from(one))),
            _ => None,
        };
        packed(&mut out, "DECOMPOSED", "one character for one", kept.iter().filter_map(one));
        let several = kept.iter().filter(|(_, kept)| kept.chars().count() > 1);
        let several: Vec<_> =
            several.map(|(code, kept)| format!("(0x{code:X}, \"{}\")", kept.escape_unicode())).collect();
        table(&mut out, "DECOMPOSED_MANY", "several characters for one", "(u32, &str)", &several);
        out
    }

    /// The opposite of [`unpacked`].
    fn packed(out: &mut String, name: &str, doc: &str, pairs: impl Iterator<Item = (u32, u32)>) {
        let (mut bytes, mut last) = (Vec::new(), (0, 0));
        for (first, second) in pairs {
            let difference = second as i32 - last.1 as i32;
            for mut number in [first - last.0, (difference << 1 ^ difference >> 31) as u32] {
                while number > 0x7F {
                    bytes.push((number & 0x7F | 0x80).to_string());
                    number >>= 7;
                }
                bytes.push(number.to_string());
            }
            last = (first, second);
        }
        table(out, name, &format!("{doc}, packed"), "u8", &bytes);
    }

    fn ranges(out: &mut String, name: &str, doc: &str, holds: impl Fn(char) -> bool) {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for code in all().filter(|&c| holds(c)).map(u32::from) {
            match found.last_mut() {
                Some((first, length)) if *first + *length == code && *length < 256 => *length += 1,
                _ => found.push((code, 1)),
            }
        }
        let packed: Vec<_> = found.iter().map(|(first, length)| format!("0x{:X}", first << 8 | (length - 1))).collect();
        table(out, name, &format!("{doc}: `first << 8 | length - 1`"), "u32", &packed);
    }

    fn table(out: &mut String, name: &str, doc: &str, kind: &str, entries: &[String]) {
        write!(out, "\n/// {doc}.\n#[rustfmt::skip]\npub(super) static {name}: &[{kind}] = &[").unwrap();
        let mut column = usize::MAX;
        for entry in entries {
            if column.saturating_add(entry.len() + 2) > 118 {
                out.push_str("\n   ");
                column = 3;
            }
            write!(out, " {entry},").unwrap();
            column += entry.len() + 2;
        }
        out.push_str("\n];\n");
    }
}

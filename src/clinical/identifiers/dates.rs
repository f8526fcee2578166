//! Full dates with the name of their month.

use std::ops::Range;

use super::alphabetic_words;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const LONG_MONTHS: [&str; 10] =
    ["january", "february", "march", "april", "june", "august", "september", "october", "november", "december"];

/// `March 4, 1961` and `4 March 1961`: the month, a day beside it and a year behind.
pub(super) fn find(note: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let bytes = note.as_bytes();
    let digits = move |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let skip = move |at: usize| at + bytes[at..].iter().take(2).take_while(|byte| matches!(byte, b' ' | b',')).count();
    let year = move |at: usize| {
        let known = digits(at) == 4 && (bytes[at..].starts_with(b"19") || bytes[at..].starts_with(b"20"));
        known.then_some(at + 4)
    };
    alphabetic_words(note).filter(|word| is_month(&note[word.clone()])).filter_map(move |word| {
        let (day, day_end) = (skip(word.end), skip(word.end) + digits(skip(word.end)));
        if (1..=2).contains(&(day_end - day)) {
            return year(skip(day_end)).map(|end| word.start..end);
        }
        let before = note[..word.start].trim_end_matches(' ');
        let digits = before.bytes().rev().take(3).take_while(u8::is_ascii_digit).count();
        let year = year(skip(word.end)).filter(|_| (1..=2).contains(&digits))?;
        Some(before.len() - digits..year)
    })
}

/// `Mar`, `Sept`, `september`.
fn is_month(word: &str) -> bool {
    is_any(word.get(..3).unwrap_or_default(), &MONTHS) && (word.len() <= 4 || is_any(word, &LONG_MONTHS))
}

/// Not inlined, so that it is downloaded once.
#[inline(never)]
fn is_any(word: &str, known: &[&str]) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(word))
}

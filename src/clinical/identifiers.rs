//! What looks like a real identifier in a note that should have none.
//!
//! A guard, not a promise: numbers and words are judged by their form and by the word before them. What is found is for
//! a person to look at; what is not found is not thereby de-identified.

mod dates;
mod names;
mod numbers;

use std::ops::Range;

use super::Warning;
use crate::sort;

/// How far before a number the word that names it may stand, in bytes.
const REACH: usize = 24;
/// How far from a name a full date counts, in bytes.
const NEAR: usize = 80;

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierKind {
    /// A social security number.
    Ssn,
    /// A telephone or fax number.
    Phone,
    /// An electronic mail address.
    Email,
    /// A medical record or account number, named as such.
    Mrn,
    /// A day, month and year near a name, or named as a date of birth.
    Date,
    /// A name after its title, or named as a name.
    Name,
}

impl IdentifierKind {
    /// `ssn`, `phone`, `email`, `mrn`, `date`, `name`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssn => "ssn",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Mrn => "mrn",
            Self::Date => "date",
            Self::Name => "name",
        }
    }
}

/// All suspicious places outside placeholders, in order, apart from each other. Time is linear in the note.
pub(super) fn find(note: &str, placeholders: &[Range<usize>]) -> Vec<Warning> {
    let mut found: Vec<(IdentifierKind, Range<usize>)> = numbers::find(note);
    found.extend(dates::find(note).map(|range| (IdentifierKind::Date, range)));
    found.extend(emails(note).map(|range| (IdentifierKind::Email, range)));
    let names = names::find(note);
    let near = |date: &Range<usize>| {
        let first = names.partition_point(|name| name.end + NEAR < date.start);
        names.get(first).is_some_and(|name| name.start < date.end + NEAR)
    };
    found.retain(|(kind, range)| *kind != IdentifierKind::Date || named(note, range.start, BIRTHS) || near(range));
    found.extend(names.iter().map(|range| (IdentifierKind::Name, range.clone())));
    sort::by(&mut found, |(_, a), (_, b)| a.start.cmp(&b.start));
    let mut end = 0;
    let mut hidden = placeholders.iter().peekable();
    found.retain(|(_, range)| {
        while hidden.next_if(|placeholder| placeholder.end <= range.start).is_some() {}
        let free = range.start >= end && hidden.peek().is_none_or(|placeholder| range.end <= placeholder.start);
        end = if free { range.end } else { end };
        free
    });
    found.into_iter().map(|(kind, range)| Warning { code: Warning::POSSIBLE_PHI, kind, range }).collect()
}

/// Runs of letters of ASCII.
fn alphabetic_words(note: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let bytes = note.as_bytes();
        at += bytes[at..].iter().position(u8::is_ascii_alphabetic)?;
        let start = at;
        at += bytes[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        Some(start..at)
    })
}

/// Whether one of the words stands shortly before a place, but for signs and words such as "number".
fn named(note: &str, start: usize, names: &[&str]) -> bool {
    let from = (start.saturating_sub(REACH)..=start).find(|&at| note.is_char_boundary(at)).unwrap_or(start);
    let before = note[from..start].to_ascii_lowercase().replace('.', "");
    if before.trim_end_matches(|c: char| !c.is_alphanumeric()).ends_with(|c: char| c.is_ascii_digit()) {
        return false; // what is named is that number
    }
    let words = before.rsplit(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let mut words = words.skip_while(|word| FILLERS.contains(word));
    words.next().is_some_and(|word| names.contains(&word))
}

const FILLERS: [&str; 6] = ["is", "number", "no", "on", "at", "nr"];
const BIRTHS: &[&str] = &["dob", "birth", "born", "birthdate", "birthday"];

/// Around each `@`.
fn emails(note: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let local = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-');
    note.match_indices('@').filter_map(move |(at, _)| {
        let before = note[..at].chars().rev().take(64).take_while(local).count();
        let domain =
            note[at + 1..].chars().take(253).take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        let end = at + 1 + domain.count();
        let domain = note[at + 1..end].trim_end_matches(['.', '-']);
        let (_, top) = domain.rsplit_once('.')?;
        let fits = before > 0 && top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
        fits.then_some(at - before..at + 1 + domain.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clinical::placeholders;

    #[test]
    fn what_is_suspicious_and_what_is_not() {
        // What is found stands between « and », its kind before it.
        let cases = [
            "SSN ssn«123-45-6789», call phone«617-555-0143» or phone«(617) 555-0143» or phone«1-617-555-0143».",
            "tel phone«617.555.0143», phone: phone«555-0143»; mail email«j.doe+x@mail.example.org».",
            "MRN: mrn«0012345», medical record number is mrn«7654321», MR# mrn«123456», acct no. mrn«99887766»",
            "name«Mr. Alvarez» and name«Mrs. O'Brien-Lee» saw name«Dr. A. B. Carter» and name«Dr Smith»'s nurse",
            "Patient name: name«Maria Lopez», DOB: date«03/04/1961», born on date«1961-04-03», born date«March 4, 1961»",
            "seen by name«Dr. Smith» on date«3/14/2019» and again date«14 March 2019»",
            "seen on 3/14/2019, on March 14, 2019 and on 2019-03-14",
            "BP 120/80, 125-45-6789-1, 12-123-45-67890, INR 2-3, EF 55-60, 7.35/7.45, 1:128, 5-10-15",
            "dose 100-200-3000 mg, NDC 0093-7146-56, ICD E11.65, I21.4, Z79.4, LOINC 10164-2, Na 135-145, 123-456-7890x",
            "seen by Dr. [**Last Name**] on [**2101-3-4**], Dr. ___, Mr. XXXX, MRN: ___, tel (___) ___-____",
            "born in 1961, 3/4, 13/45/2020, 3/4/2131, version 1.2.2020.4, Dr. and Mrs. today",
            "x@y, @home, a@b.c, 5 mg @ 8.00, record of 12, chart 1234, 12345678 platelets, MS Contin, Ms",
            "",
        ];
        let mut failed = Vec::new();
        for marked in cases {
            // The kind is the run of small letters before the mark.
            let unmarked = marked.split('»').map(|part| match part.split_once('«') {
                Some((text, found)) => [text.trim_end_matches(|c: char| c.is_ascii_lowercase()), found].concat(),
                None => part.to_owned(),
            });
            let note: String = unmarked.collect();
            let mut found = String::new();
            let mut at = 0;
            for Warning { kind, range, .. } in super::find(&note, &placeholders::find(&note)) {
                found += &format!("{}{}«{}»", &note[at..range.start], kind.name(), &note[range.clone()]);
                at = range.end;
            }
            found += &note[at..];
            if found != marked {
                failed.push(found);
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn time_is_linear_in_the_note() {
        for unit in ["1", "1-", "(617) ", "@", "a@", "a@b.", "Dr. ", "Name: ", "May 1 ", "123-45-6789 ", "1 "] {
            let note = unit.repeat(1_000_000 / unit.len());
            let start = std::time::Instant::now();
            super::find(&note, &[]);
            assert!(start.elapsed().as_secs() < 10, "{unit:?} took {:?}", start.elapsed());
        }
    }
}

//! What looks like a real identifier in a note that should have none.
//!
//! A guard, not a promise: numbers and words are judged by their form and by the word before them. What is found is for
//! a person to look at; what is not found is not thereby de-identified.

use std::ops::Range;

use super::Warning;

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
    let mut found: Vec<(IdentifierKind, Range<usize>)> = numbers(note);
    found.extend(emails(note).map(|range| (IdentifierKind::Email, range)));
    let names = names(note);
    let near = |date: &Range<usize>| {
        let first = names.partition_point(|name| name.end + NEAR < date.start);
        names.get(first).is_some_and(|name| name.start < date.end + NEAR)
    };
    found.retain(|(kind, range)| *kind != IdentifierKind::Date || named(note, range.start, BIRTHS) || near(range));
    found.extend(names.iter().map(|range| (IdentifierKind::Name, range.clone())));
    found.sort_by_key(|(_, range)| range.start);
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

fn numbers(note: &str) -> Vec<(IdentifierKind, Range<usize>)> {
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
    found.extend(written_dates(note).map(|range| (IdentifierKind::Date, range)));
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

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// `March 4, 1961` and `4 March 1961`: the month, a day beside it and a year behind.
fn written_dates(note: &str) -> impl Iterator<Item = Range<usize>> + '_ {
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
    let start = word.get(..3).unwrap_or_default();
    MONTHS.iter().any(|month| start.eq_ignore_ascii_case(month))
        && (word.len() <= 4 || LONG_MONTHS.iter().any(|month| word.eq_ignore_ascii_case(month)))
}

const LONG_MONTHS: [&str; 10] =
    ["january", "february", "march", "april", "june", "august", "september", "october", "november", "december"];

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
const PHONES: &[&str] = &["phone", "telephone", "tel", "call", "called", "fax", "pager", "cell", "mobile", "ext"];
const RECORDS: &[&str] = &["mrn", "mr", "record", "chart", "acct", "account", "ssn"];
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

/// Capitalised words after a title (`Mrs. Alvarez`), or after `Name:`.
fn names(note: &str) -> Vec<Range<usize>> {
    const TITLES: [&str; 7] = ["Dr", "Drs", "Mr", "Mrs", "Ms", "Miss", "Prof"];
    let mut found: Vec<Range<usize>> = Vec::new();
    for word in alphabetic_words(note) {
        if found.last().is_some_and(|name| word.start < name.end) {
            continue;
        }
        let rest = &note[word.end..];
        let titled = TITLES.contains(&&note[word.clone()]) && !note[..word.start].ends_with(char::is_alphanumeric);
        let labelled = note[word.clone()].eq_ignore_ascii_case("name") && rest.starts_with(':');
        if titled || labelled {
            let signs = rest.len() - rest.trim_start_matches(['.', ':', ' ']).len();
            let first = word.end + signs.min(3);
            let name = capitalised(note, first, 3);
            if name > first {
                found.push(if titled { word.start } else { first }..name);
            }
        }
    }
    found
}

/// The end of up to `most` capitalised words of at least three letters at `at`, or of initials between them.
fn capitalised(note: &str, at: usize, most: usize) -> usize {
    let mut end = at;
    let mut next = at;
    for _ in 0..most {
        let rest = &note[next..];
        let letters =
            rest.len() - rest.trim_start_matches(|c: char| c.is_alphabetic() || matches!(c, '\'' | '-' | '’')).len();
        let word = &rest[..letters];
        let word = word.strip_suffix("'s").or(word.strip_suffix("’s")).unwrap_or(word);
        let letters = word.len();
        if !word.starts_with(char::is_uppercase) {
            break;
        }
        let initial = word.chars().count() == 1 && rest[letters..].starts_with('.');
        if initial {
            next += letters + 1;
        } else if word.chars().count() >= 3 {
            next += letters;
            end = next;
        } else {
            break;
        }
        next += usize::from(note[next..].starts_with(' '));
    }
    end
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

//! Placeholders: what de-identification leaves where a name or a date stood.
//!
//! | form | who writes it |
//! |---|---|
//! | `[**Known lastname 123**]`, `[**2101-3-4**]` | MIMIC-III |
//! | `___` | MIMIC-IV |
//! | `***`, `**/**/****` | Philter; blanks of templates |
//! | `XXXX`, `XX/XX/XXXX` | radiology collections, transcription samples |
//! | `<NAME>`, `[NAME]`, `[PATIENT_1]` | Presidio, i2b2, language models |
//! | `{{name}}` | templates |
//!
//! Rules and check boxes look like them and are none: `-----`, a line of stars, `*** NOTE ***`, `[x]`, `< 3.5 mg`,
//! `46,XX`. What stands in `<…>` and `[…]` must therefore name something that identifies a person.

use std::ops::Range;

/// The longest placeholder in brackets, in bytes: a bracket that is never closed costs no more than this to look at.
const MOST_BYTES: usize = 100;

/// What a placeholder begins with.
const STARTS: &[u8] = b"[<{_*Xx";

/// What may stand between two runs of stars, and between two of crosses.
const STAR_JOINTS: &[u8] = b"/-.@:";
const CROSS_JOINTS: &[u8] = b"/-.";

/// Words of which one must stand in `<…>` or `[…]`.
const IDENTIFYING: &str = "ACCOUNT ADDRESS AGE BANK BIOID CITY CLINIC CLINICIAN COMPANY CONTACT COUNTRY COUNTY CREDIT DATE \
    DEIDENTIFIED DOB DOCTOR EMAIL FACILITY FAX FIRSTNAME HEALTHPLAN HOSPITAL IBAN ID IDNUM INITIALS IP \
    IPADDR LASTNAME LICENSE LOC LOCATION MEDICALRECORD MRN NAME NRP NURSE ORG ORGANIZATION PASSPORT PATIENT \
    PER PERSON PHI PHONE PHYSICIAN PII PROFESSION PROVIDER REDACTED REMOVED SSN STATE STREET SURGEON URL \
    USERNAME VEHICLE ZIP";

/// All placeholders of a note: byte ranges, in order, apart from each other. Time is linear in the note.
pub fn find(note: &str) -> Vec<Range<usize>> {
    let mut scan = Scan { bytes: note.as_bytes(), decorated: 0 };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(skip) = scan.bytes[at..].iter().position(|byte| STARTS.contains(byte)) {
        at += skip;
        let next = match scan.bytes[at] {
            b'[' => scan.double_star(at).or_else(|| scan.bracketed(at, b']')),
            b'<' => scan.bracketed(at, b'>'),
            b'{' => scan.braces(at),
            b'_' => scan.underscores(at),
            b'*' => scan.stars(at),
            _ => scan.crosses(at),
        };
        let Some(end) = next else {
            at += scan.refused(at);
            continue;
        };
        found.push(at..end);
        at = end;
    }
    found
}

struct Scan<'a> {
    bytes: &'a [u8],
    /// Up to here stars are decoration of a line.
    decorated: usize,
}

impl Scan<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(b'\n')
    }

    fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(b'\n', |at| self.bytes[at])
    }

    /// How much of what was refused is not looked at again: a run, or all runs that are joined.
    fn refused(&self, at: usize) -> usize {
        match self.bytes[at] {
            b'*' => self.groups(at, STAR_JOINTS).0 - at,
            b'X' | b'x' => self.groups(at, CROSS_JOINTS).0 - at,
            _ => self.run(at),
        }
    }

    /// How often the byte at `at` follows itself there.
    fn run(&self, at: usize) -> usize {
        self.bytes[at..].iter().take_while(|&&byte| byte == self.bytes[at]).count()
    }

    /// Where `close` begins within reach of `from`.
    fn closing(&self, from: usize, close: &[u8]) -> Option<usize> {
        let reach = &self.bytes[from..self.bytes.len().min(from + MOST_BYTES)];
        reach.windows(close.len()).position(|window| window == close).map(|found| from + found)
    }

    /// `[**…**]`; lines of MIMIC-III are wrapped inside it.
    fn double_star(&self, at: usize) -> Option<usize> {
        self.bytes[at..].strip_prefix(b"[**")?;
        let end = self.closing(at + 3, b"**]")?;
        let inside = &self.bytes[at + 3..end];
        let breaks = inside.iter().filter(|&&byte| byte == b'\n').count();
        (breaks <= 1 && !inside.contains(&b'[')).then_some(end + 3)
    }

    /// `[NAME]` and `<NAME>`: letters, digits and what joins them, not in lower case, and one of the words says what
    /// was taken out.
    fn bracketed(&self, at: usize, close: u8) -> Option<usize> {
        let end = self.closing(at + 1, &[close])?;
        let inside = std::str::from_utf8(&self.bytes[at + 1..end]).ok()?;
        let joins = |c: char| matches!(c, ' ' | '_' | '-' | '/' | '.' | '\'' | '’' | '#' | ':');
        if !inside.starts_with(|c: char| c.is_ascii_uppercase()) && !inside.eq_ignore_ascii_case("redacted") {
            return None;
        }
        if inside.contains(|c: char| !c.is_ascii_alphanumeric() && !joins(c)) {
            return None;
        }
        let words = inside.split(|c: char| !c.is_ascii_alphabetic());
        let identifies = |word: &str| IDENTIFYING.split(' ').any(|known| known.eq_ignore_ascii_case(word));
        words.into_iter().any(identifies).then_some(end + 1)
    }

    /// `{{…}}` on one line.
    fn braces(&self, at: usize) -> Option<usize> {
        self.bytes[at..].strip_prefix(b"{{")?;
        let end = self.closing(at + 2, b"}}")?;
        let inside = &self.bytes[at + 2..end];
        let plain = !inside.iter().any(|byte| matches!(byte, b'\n' | b'{' | b'}'));
        (plain && !inside.trim_ascii().is_empty()).then_some(end + 2)
    }

    /// `___`, and longer blanks within a line; a longer one alone on its line is a rule, and within a word it is part of
    /// a name of a variable.
    fn underscores(&self, at: usize) -> Option<usize> {
        let end = at + self.run(at);
        let within_word = self.before(at).is_ascii_alphanumeric() && self.byte(end).is_ascii_alphanumeric();
        let rule = end - at > 3 && self.is_first(at) && self.is_last(end);
        (end - at >= 3 && !within_word && !rule).then_some(end)
    }

    /// `***` and `**/**/****`: stars where a word could stand. A line that begins and ends with as many stars is
    /// decorated, and stars that touch a word are emphasis, a footnote or a mark of significance.
    fn stars(&mut self, at: usize) -> Option<usize> {
        let (end, longest) = self.groups(at, STAR_JOINTS);
        if at < self.decorated || longest < 3 || !self.stands_alone(at, end) {
            return None;
        }
        if self.is_first(at) {
            let line = self.bytes[at..].iter().position(|&byte| byte == b'\n').map_or(self.bytes.len(), |to| at + to);
            let text = self.bytes[at..line].trim_ascii_end();
            let trailing = text.iter().rev().take_while(|&&byte| byte == b'*').count();
            if trailing == text.len() || trailing == end - at && !text.iter().any(u8::is_ascii_lowercase) {
                self.decorated = line;
                return None;
            }
        }
        Some(end)
    }

    /// `XXXX`, `XX/XX/XXXX`, `XXX-XX-XXXX`; not the chromosomes of `48,XXXX`, and `XXX` alone is a number, too.
    fn crosses(&self, at: usize) -> Option<usize> {
        let (end, longest) = self.groups(at, CROSS_JOINTS);
        let karyotype = self.before(at) == b',' && self.before(at.saturating_sub(1)).is_ascii_digit();
        let dated = end - at >= 8 && longest < end - at;
        ((longest >= 4 || dated) && !karyotype && self.stands_alone(at, end)).then_some(end)
    }

    /// The end of runs of one byte joined by one of `joints` each, and the length of the longest.
    fn groups(&self, at: usize, joints: &[u8]) -> (usize, usize) {
        let (mut end, mut longest) = (at + self.run(at), self.run(at));
        while joints.contains(&self.byte(end)) && self.byte(end + 1) == self.bytes[at] {
            let next = self.run(end + 1);
            (end, longest) = (end + 1 + next, longest.max(next));
        }
        (end, longest)
    }

    /// Whether no letter or digit touches the range; `'s` may follow.
    fn stands_alone(&self, at: usize, end: usize) -> bool {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
        !word(self.before(at)) && !word(self.byte(end))
    }

    fn is_first(&self, at: usize) -> bool {
        let blanks = self.bytes[..at].iter().rev().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
        self.before(at - blanks) == b'\n'
    }

    fn is_last(&self, end: usize) -> bool {
        let blanks = self.bytes[end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        self.byte(end + blanks) == b'\n'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_placeholder_and_what_is_not() {
        // What is found stands between « and ».
        let cases = [
            ("mimic-iii", "seen by Dr. «[**Last Name (STitle) 123**]» on «[**2101-3-4**]»."),
            ("mimic-iii, wrapped", "at «[**Hospital1\n 18**]» today"),
            ("mimic-iii, side by side", "«[**First Name8**]»«[**Last Name**]»"),
            ("mimic-iii, unclosed", "[** and no end"),
            ("mimic-iv", "«___» is a «___»yo F seen at «___»."),
            ("mimic-iv, alone on a line", "Facility:\n«___»\n"),
            ("a blank in a form", "Signed «________» (date)"),
            ("a rule of underscores", "a\n____________\nb\n  _____  \n"),
            ("a variable", "the_field and a___b and __init__"),
            ("philter", "Mr. «***» was seen «**/**/****» at «*****»'s clinic, «***»."),
            ("philter, first word of a line", "«***» was seen by «***»"),
            ("a template's blank", "Patient is a «***» y.o. male"),
            ("a decorated heading", "*** NOTE ***\n**** FINAL REPORT ****"),
            ("a rule of stars", "a\n*****\n***\n * * *\n"),
            ("emphasis", "***important*** and **bold** and *one*"),
            ("significance", "p<0.001*** and 5***"),
            ("angle brackets", "«<NAME>» of «<PHONE_NUMBER>», «<US_SSN>», «<LOCATION-OTHER>»"),
            ("square brackets", "«[NAME]» on «[DATE]», «[Patient's Name]», «[PERSON_1]», «[redacted]»"),
            ("check boxes", "[x] yes [X] no [ ] unknown [] [H] [L]"),
            ("flags", "Na 131 [LOW], culture [POSITIVE], [sic], [SEP], [1]"),
            ("comparisons", "CRP <5, dose < 3.5 mg, <3>2, a < B > C, WBC <LLOQ>"),
            ("markup", "<B>bold</B> <BR> <TD> <img onerror=1>"),
            ("crosses", "seen on «XXXX» and «XX/XX/XXXX», SSN «XXX-XX-XXXX», «XXXX»'s"),
            ("chromosomes", "46,XX and 47,XXX and 48,XXXX, XX male, chromosome X, XXX"),
            ("tables", "| a | b |\n|---|---|\n----- -----\n===== \n"),
            ("braces", "Dear «{{ patient.name }}», {} {{}} {one} {{a\nb}}"),
            ("nothing", ""),
        ];
        let mut failed = Vec::new();
        for (name, marked) in cases {
            let note = marked.replace(['«', '»'], "");
            let mut found = String::new();
            let mut at = 0;
            for range in find(&note) {
                found += &format!("{}«{}»", &note[at..range.start], &note[range.clone()]);
                at = range.end;
            }
            found += &note[at..];
            if found != marked {
                failed.push(format!("{name}: {found:?}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    /// Eight million bytes of each kind that could be slow: seconds even without optimisation.
    #[test]
    fn time_is_linear_in_the_note() {
        let units = ["[**", "[", "<", "{{", "_", "_ ", "*", "*/", "* ", "*** ", "X", "X-", " \t", "*** a *** "];
        for unit in units {
            let note = unit.repeat(1_000_000 / unit.len());
            let start = std::time::Instant::now();
            find(&note);
            assert!(start.elapsed().as_secs() < 10, "{unit:?} took {:?}", start.elapsed());
        }
    }
}

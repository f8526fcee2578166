//! Sentences of notes, which are half prose and half form.
//!
//! A note is first cut at what always ends a sentence: blank lines, list items, headings, lines of a form. Whether any
//! other line break does is judged in [`lines`]. What is left is cut at full stops, question and exclamation marks; not
//! at those of abbreviations, decimals, initials and list numbers.

mod lines;

use std::ops::Range;

use crate::sort;

/// Shortened words whose full stop ends no sentence, sorted.
const ABBREVIATIONS: &[&str] = &[
    "al", "approx", "appt", "appx", "apt", "ave", "bilat", "ca", "cf", "cont", "dept", "diff", "dr", "drs", "dx", "ed",
    "eg", "esp", "est", "etc", "eval", "ext", "fig", "figs", "fr", "ft", "fx", "gen", "hosp", "hr", "hrs", "hx", "ie",
    "incl", "inj", "jr", "lab", "lat", "lt", "max", "med", "meds", "messrs", "min", "misc", "mr", "mrs", "ms", "neg",
    "neuro", "nl", "no", "nos", "pg", "phys", "pos", "poss", "post", "pp", "prev", "prn", "prob", "prof", "pt", "pts",
    "ref", "reg", "resp", "rev", "rt", "rx", "sec", "sq", "sr", "st", "sx", "sz", "tab", "tabs", "tbsp", "temp", "tsp",
    "tx", "vol", "vs", "wt", "yr", "yrs",
];

/// Those of them that a name, a number or a unit follows, sorted: even before a capital they end no sentence.
const LEADING: &[&str] = &[
    "al", "approx", "appx", "ave", "ca", "cf", "dr", "drs", "eg", "fig", "figs", "ie", "messrs", "mr", "mrs", "ms",
    "pg", "pp", "prof", "pt", "pts", "ref", "rev", "st", "vol", "vs",
];

/// Words after which a single capital is no initial, sorted: `vitamin C. She`.
const LETTERED: &[&str] = &[
    "class",
    "factor",
    "grade",
    "group",
    "hepatitis",
    "influenza",
    "level",
    "plan",
    "stage",
    "type",
    "vitamin",
    "zone",
];

/// All sentences: byte ranges, in order, apart from each other, without white space at their edges. Together they hold
/// everything that is not white space. No sentence crosses one of `borders`, which must be sorted.
pub(super) fn find(note: &str, borders: &[usize]) -> Vec<Range<usize>> {
    let mut cuts = lines::ends(note);
    cuts.extend(borders.iter().copied().filter(|&border| note.is_char_boundary(border)));
    cuts.push(note.len());
    sort::by(&mut cuts, usize::cmp);
    let mut sentences = Vec::new();
    let mut start = 0;
    for cut in cuts {
        split(note, start..cut, &mut sentences);
        start = cut;
    }
    sentences
}

fn split(note: &str, whole: Range<usize>, sentences: &mut Vec<Range<usize>>) {
    let text = &note[whole.clone()];
    let mut list = Numbered::of(text);
    let mut start = 0;
    let mut from = 0;
    while let Some(skip) = text.as_bytes()[from..].iter().position(|byte| matches!(byte, b'.' | b'?' | b'!')) {
        let at = from + skip;
        let end = match text.as_bytes()[at] {
            b'.' => list.item(text, at).or_else(|| full_stop(text, at)),
            _ => question(text, at),
        };
        if let Some(end) = end {
            push(note, whole.start + start..whole.start + end, sentences);
            start = end;
        }
        from = start.max(at + 1);
    }
    push(note, whole.start + start..whole.end, sentences);
}

fn push(note: &str, range: Range<usize>, sentences: &mut Vec<Range<usize>>) {
    let text = &note[range.clone()];
    let start = range.start + text.len() - text.trim_start().len();
    let end = range.start + text.trim_end().len();
    if start < end {
        sentences.push(start..end);
    }
}

/// Where the sentence ends that this full stop ends, if it does.
fn full_stop(text: &str, at: usize) -> Option<usize> {
    let end = after_closing(text, at + 1);
    let rest = text[end..].trim_start();
    let before = last_word(&text[..at]);
    let Some(next) = rest.chars().next() else { return Some(text.len()) };
    if !text[end..].starts_with(char::is_whitespace) {
        return glued(text, at, before).then_some(end);
    }
    let word = before.trim_matches(|c: char| !c.is_alphanumeric()).replace('.', "").to_ascii_lowercase();
    let known = |list: &[&str]| list.binary_search(&word.as_str()).is_ok();
    let mut letters = before.chars();
    let initial = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none();
    if initial {
        let lead = last_word(text[..at - before.len()].trim_end()).to_ascii_lowercase();
        return LETTERED.binary_search(&lead.as_str()).is_ok().then_some(end);
    }
    let ends = if next.is_lowercase() {
        word.chars().count() >= 4 && before.chars().all(char::is_alphabetic) && !known(ABBREVIATIONS)
    } else {
        let dotted = before.contains('.') && before.chars().all(|c| c == '.' || c.is_alphabetic());
        !(known(LEADING) || known(ABBREVIATIONS) && next.is_ascii_digit() || dotted && next.is_ascii_digit())
    };
    ends.then_some(end)
}

/// `fever.No cough`: a full stop between a word in lower case and a word that begins with a capital.
fn glued(text: &str, at: usize, before: &str) -> bool {
    let mut after = text[at + 1..].chars();
    let capital = after.next().is_some_and(char::is_uppercase) && after.next().is_some_and(char::is_lowercase);
    capital && before.chars().count() >= 3 && before.chars().all(char::is_lowercase)
}

/// `?` before a word is doubt, not an end.
fn question(text: &str, at: usize) -> Option<usize> {
    let end = after_closing(text, at + 1);
    let after_word = text[..at].ends_with(|c: char| !c.is_whitespace());
    let closes = text[end..].chars().next().is_none_or(char::is_whitespace);
    (after_word && closes).then_some(end)
}

fn after_closing(text: &str, at: usize) -> usize {
    let closing = |c: char| matches!(c, ')' | ']' | '"' | '\'' | '”' | '’');
    text.len() - text[at..].trim_start_matches(closing).len()
}

/// What stands between the last white space or bracket and the end, of at most as many bytes as a long word has.
fn last_word(text: &str) -> &str {
    const MOST_CHARS: usize = 40;
    let start = text
        .char_indices()
        .rev()
        .take(MOST_CHARS)
        .take_while(|(_, c)| !c.is_whitespace() && !matches!(c, '(' | '[' | '/' | ',' | ';' | ':' | '-'));
    start.last().map_or("", |(at, _)| &text[at..])
}

/// The numbers of a list that stands in one line: `1. Aspirin. 2. Lasix`.
struct Numbered {
    next: Option<u32>,
}

impl Numbered {
    fn of(text: &str) -> Self {
        let first = text.trim_start().split_once('.').and_then(|(number, _)| number.parse().ok());
        Self { next: first.filter(|number| *number < 1000) }
    }

    /// Where the item before ends, if this full stop belongs to the number of the next. A number is never an end itself.
    fn item(&mut self, text: &str, at: usize) -> Option<usize> {
        let next = self.next?;
        let digits = text[..at].bytes().rev().take(4).take_while(u8::is_ascii_digit).count();
        let number = text[at - digits..at].parse::<u32>().ok()?;
        let before = &text[..at - digits];
        let spaced = before.is_empty() || before.ends_with(char::is_whitespace);
        if number != next || !spaced || !text[at + 1..].starts_with(char::is_whitespace) {
            return None;
        }
        self.next = Some(number + 1);
        // The first number stands at the start of the text, where nothing is to be cut: an empty sentence is dropped.
        Some(at - digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        for list in [ABBREVIATIONS, LEADING, LETTERED] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn by_hand() {
        // Sentences stand between bars.
        let cases = [
            ("", ""),
            (" \n\t ", ""),
            ("Denies fever. Has cough", "Denies fever.|Has cough"),
            ("Seen by Dr. Smith at 3 p.m. today. Stable.", "Seen by Dr. Smith at 3 p.m. today.|Stable."),
            ("K 3.5. Na 140.2 mmol/L.", "K 3.5.|Na 140.2 mmol/L."),
            ("Lasix 20 mg p.o. b.i.d. He agrees.", "Lasix 20 mg p.o. b.i.d.|He agrees."),
            ("Aspirin 81 mg. She is well.", "Aspirin 81 mg.|She is well."),
            ("approx. 5 cm vs. 3 cm, e.g. T. Bell", "approx. 5 cm vs. 3 cm, e.g. T. Bell"),
            ("Hepatitis C. He drinks.", "Hepatitis C.|He drinks."),
            ("denies fever. has cough. no sob. nl gait", "denies fever.|has cough.|no sob. nl gait"),
            ("fever.No cough.BP 120/80 e.g.Mild", "fever.|No cough.BP 120/80 e.g.Mild"),
            ("?pneumonia ?PE. Really? Yes!", "?pneumonia ?PE.|Really?|Yes!"),
            ("He said \"no.\" Then left (at 5.) Home.", "He said \"no.\"|Then left (at 5.)|Home."),
            ("1. Aspirin 81 mg daily 2. Lasix 3. None", "1. Aspirin 81 mg daily|2. Lasix|3. None"),
            ("INR was 2. Patient left.", "INR was 2.|Patient left."),
            ("- fever\n- chills\n* rash", "- fever|- chills|* rash"),
            ("1) CHF\n2) DM\na. mild\n(3) HTN", "1) CHF|2) DM|a. mild|(3) HTN"),
            ("Fever: none\nCough: yes", "Fever: none|Cough: yes"),
            ("fever\nchills\ncough", "fever|chills|cough"),
            ("No fever,\nchills or\ncough", "No fever,\nchills or\ncough"),
            ("Has pain\nand nausea\n\nand more", "Has pain\nand nausea|and more"),
            (
                "The patient was admitted to the hospital with a\nhistory of pain.  Seen by Dr.\nSmith.",
                "The patient was admitted to the hospital with a\nhistory of pain.|Seen by Dr.\nSmith.",
            ),
            ("Line one\r\n\r\nLine two\r\n", "Line one|Line two"),
            ("... . ..", "...|.|.."),
            ("Über. Änderung é. 中文。", "Über.|Änderung é.|中文。"),
        ];
        let mut failed = Vec::new();
        for (note, expected) in cases {
            let found: Vec<_> = find(note, &[]).into_iter().map(|range| &note[range]).collect();
            if found.join("|") != expected {
                failed.push(format!("{note:?}: {found:?}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn borders_end_sentences() {
        let note = "Allergies: none known";
        let found: Vec<_> = find(note, &[0, 10]).into_iter().map(|range| &note[range]).collect();
        assert_eq!(found, ["Allergies:", "none known"]);
    }

    #[test]
    fn time_is_linear_in_the_note() {
        for unit in [".", ". ", "a.", "A. ", "1. ", "\n", "a\n", "- \n", "?", ")", ".)", "é", "1.", "no. ", "a b\n"] {
            let note = unit.repeat(1_000_000 / unit.len());
            let start = std::time::Instant::now();
            find(&note, &[]);
            assert!(start.elapsed().as_secs() < 10, "{unit:?} took {:?}", start.elapsed());
        }
    }
}

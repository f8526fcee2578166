//! The checks that readers of drugs and of tests share.

use std::ops::Range;

use super::{Attribute, Reader, share};
use crate::clinical::hostile;

/// What is said of each of the mentions of a line: `name=text` of each attribute, with `(computed)`.
pub(in crate::clinical) fn said(read: Reader, line: &str, names: &[&str]) -> Vec<String> {
    let mut at = 0;
    let place = |name: &&str| {
        let start = at + line[at..].find(*name).unwrap();
        at = start + name.len();
        start..at
    };
    let mentions: Vec<Range<usize>> = names.iter().map(place).collect();
    let shown = |found: Vec<Attribute>| {
        let computed = |value: Option<&str>| value.map(|value| format!(" ({value})")).unwrap_or_default();
        let each = found.into_iter().map(|one| format!("{}={}{}", one.name, &line[one.range], computed(one.value)));
        each.collect::<Vec<_>>().join(" | ")
    };
    share(line, &mentions, 0..line.len(), read).into_iter().map(shown).collect()
}

/// Lines with one mention each and what is said of it.
pub(in crate::clinical) fn check(read: Reader, cases: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for &(line, name, expected) in cases {
        let found = said(read, line, &[name]);
        if found != [expected] {
            wrong.push(format!("{line}\n  expected {expected}\n  found    {}", found[0]));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// No panic, and every range is one of the text that starts and ends with something, outside the mention.
pub(in crate::clinical) fn check_hostile(read: Reader) {
    for (text, borders) in hostile::texts(20_000) {
        for pair in borders.windows(2) {
            for found in read(&text, pair[0]..pair[1], 0..text.len()) {
                let said = text.get(found.range.clone()).unwrap_or_else(|| panic!("{text:?} {found:?}"));
                assert!(!said.is_empty() && said.trim() == said, "{text:?} {found:?}");
                assert!(found.range.end <= pair[0] || found.range.start >= pair[1], "{text:?} {found:?}");
            }
        }
    }
    assert!(read("K 5 mg", 100..200, 0..300).is_empty());
    assert!(read("é 5 mg", 1..2, 0..6).is_empty());
}

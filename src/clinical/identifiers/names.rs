//! Names of people, told by what stands before them.

use std::ops::Range;

use super::alphabetic_words;

const TITLES: [&str; 7] = ["Dr", "Drs", "Mr", "Mrs", "Ms", "Miss", "Prof"];

/// Capitalised words after a title (`Mrs. Alvarez`), or after `Name:`.
pub(super) fn find(note: &str) -> Vec<Range<usize>> {
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

//! What two spellings of a term have in common: its words, folded, without plural s, in alphabetical order.
//!
//! In the manner of the National Library of Medicine's `norm` (A. T. McCray and others, "Lexical methods for managing
//! variation in biomedical terminologies", SCAMC 1994), without its lexicon.

use crate::sort;
use crate::unicode;

/// Words that change nothing.
const STOP: &[&str] = &["of", "the", "nos"];

/// Letters of U+00C0 to U+017F without their accents; a blank is one that stays as it is, and is written below if it is two.
const LATIN: &[u8; 192] = b"aaaaaa ceeeeiiii nooooo ouuuuy  aaaaaa ceeeeiiii nooooo ouuuuy y\
    aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii  jjkkklllllll\
    lllnnnnnnn  oooooo  rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/// Letters that are several.
const SPELLED: &[(char, &str)] = &[
    ('Æ', "ae"),
    ('æ', "ae"),
    ('Œ', "oe"),
    ('œ', "oe"),
    ('ß', "ss"),
    ('Α', "alpha"),
    ('α', "alpha"),
    ('Β', "beta"),
    ('β', "beta"),
    ('Γ', "gamma"),
    ('γ', "gamma"),
    ('Δ', "delta"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('ω', "omega"),
    ('\u{b5}', "μ"),
    ('ﬀ', "ff"),
    ('ﬁ', "fi"),
    ('ﬂ', "fl"),
    ('ﬃ', "ffi"),
    ('ﬄ', "ffl"),
    ('ﬅ', "st"),
    ('ﬆ', "st"),
    ('²', "2"),
    ('³', "3"),
    ('¹', "1"),
];

/// The words of a text that count, folded and sorted, each with a blank behind it.
pub(super) fn key(text: &str) -> String {
    let folded = fold(text);
    let mut words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| !STOP.contains(word)) {
        words.retain(|word| !STOP.contains(word));
    }
    sort::by(&mut words, Ord::cmp);
    let mut key = String::with_capacity(folded.len() + 1);
    for word in words {
        key.push_str(word);
        key.push(' ');
    }
    key
}

/// FNV-1a over a key, <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(super) fn hash(key: &str) -> u32 {
    key.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The words between single blanks.
fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut word = 0; // where the last one starts
    let mut chars = text.chars().map(half_width).peekable();
    while let Some(c) = chars.next() {
        let digits = |out: &String| out.len() > word && out.ends_with(|c: char| c.is_ascii_digit());
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            // 2.5 is one number, 1,000 is 1000; HER2+ is not HER2.
            '.' if digits(&out) && chars.peek().is_some_and(char::is_ascii_digit) => out.push('.'),
            ',' if digits(&out) && chars.peek().is_some_and(char::is_ascii_digit) => (),
            '+' if out.len() > word => out.push('+'),
            '\'' | '’' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{300}'..='\u{36f}' => (),
            c => match spelled(c) {
                Some(letters) => out.push_str(letters),
                None if c.is_alphanumeric() => match plain(c) {
                    Some(letter) => out.push(letter),
                    None => out.extend(unicode::lowercase(c)),
                },
                None => {
                    singular(&mut out, word);
                    out.push(' ');
                    word = out.len();
                }
            },
        }
    }
    singular(&mut out, word);
    out
}

/// Full-width forms of ASCII.
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    }
}

fn spelled(c: char) -> Option<&'static str> {
    if c.is_ascii() {
        return None;
    }
    SPELLED.iter().find(|(letter, _)| *letter == c).map(|(_, letters)| *letters)
}

/// A Latin letter without its accent.
fn plain(c: char) -> Option<char> {
    let at = usize::try_from(u32::from(c).checked_sub(0xc0)?).ok()?;
    LATIN.get(at).filter(|letter| **letter != b' ').map(|letter| char::from(*letter))
}

/// Takes the s of a plural from the word that starts at `word`. Wrong ones are wrong on both sides and do no harm.
fn singular(out: &mut String, word: usize) {
    let found = &out[word..];
    let keep = match found {
        _ if found.len() < 4 || !found.ends_with('s') => return,
        _ if ["ss", "us", "is"].iter().any(|end| found.ends_with(end)) => return,
        _ if found.ends_with("ies") && found.len() > 4 => {
            out.truncate(out.len() - 3);
            return out.push('y');
        }
        _ if ["sses", "xes", "ches", "shes"].iter().any(|end| found.ends_with(end)) => 2,
        _ => 1,
    };
    out.truncate(out.len() - keep);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_term() {
        for spellings in [
            &["Myocardial infarction", "infarction, myocardial", "MYOCARDIAL  INFARCTIONS", "myocardial-infarction"][..],
            &["Crohn's disease", "Crohn’s disease", "Crohn disease", "crohns disease", "Disease, Crohn's"],
            &["Sjögren syndrome", "Sjogren syndrome", "Sjo\u{308}gren’s syndrome", "SJÖGREN SYNDROME"],
            &["β-blockers", "beta blocker", "Beta\u{a0}Blockers"],
            &["cancer of the lung", "lung cancer", "Lung cancer, NOS"],
            &["ﬁbroma", "fibroma", "ｆｉｂｒｏｍａ", "Fibromas"],
            &["biopsies", "Biopsy"],
            &["masses", "mass"],
            &["vitamin D 1,000 units", "Vitamin D 1000 unit"],
            &["Ménière", "meniere"],
            &["µ", "μ"],
        ] {
            let keys: Vec<String> = spellings.iter().map(|text| key(text)).collect();
            assert!(keys.iter().all(|found| found == &keys[0] && !found.is_empty()), "{spellings:?}: {keys:?}");
        }
    }

    #[test]
    fn different_terms_stay_different() {
        for (one, other) in [
            ("HER2+", "HER2"),
            ("saline 0.9", "saline 09"),
            ("hepatitis A", "hepatitis B"),
            ("hepatitis A", "hepatitis"),
            ("pelvis", "pelvi"),
            ("mass", "mas"),
            ("virus", "viru"),
            ("1.5", "15"),
        ] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
        assert!(["", " ", "-/+", "🤒"].iter().all(|text| key(text).is_empty()) && key("NOS") == "nos ");
    }

    /// The table of accents beside what Unicode says, for every letter that it has.
    #[test]
    fn accents_are_those_of_unicode() {
        use unicode_normalization_alignments::UnicodeNormalization;
        for c in '\u{c0}'..='\u{17f}' {
            let parts: String = std::iter::once(c).nfd().map(|(c, _)| c).collect();
            let base = parts.chars().next().filter(|base| base.is_ascii_alphabetic() && parts.chars().count() > 1);
            if let Some(base) = base {
                assert_eq!(plain(c), Some(base.to_ascii_lowercase()), "{c}");
            }
        }
    }
}

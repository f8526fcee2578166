//! `5.9`, `< 0.01`, `120/80`, `3-5`, `-2`, `1+`; `mg/dL`, `x10^9/L`, `/uL`, `°C`; `positive`, `within normal limits`.

use std::ops::Range;

use super::super::tokens::{Kind, Token, any};

const UNITS: &[&str] = &[
    "mg", "g", "gm", "grams", "mcg", "µg", "μg", "ug", "ng", "pg", "fg", "nm", "kg", "lb", "lbs", "mmol", "mol",
    "µmol", "μmol", "umol", "nmol", "pmol", "µm", "μm", "meq", "iu", "miu", "µiu", "μiu", "uiu", "mu", "u", "ui",
    "unit", "units", "k", "m", "mm", "mmhg", "torr", "kpa", "cmh", "cm", "bpm", "beats", "breaths", "ml", "dl", "l",
    "fl", "cc", "sec", "secs", "second", "seconds", "s", "ms", "msec", "c", "f", "degrees", "copies", "cells", "cell",
    "mosm", "thousand", "million", "percent", "points", "kat", "ukat", "µkat", "μkat", "mets", "w", "ppm", "mv", "hz",
    "db",
];
/// What is counted or compared, behind a stroke.
const PER: &[&str] = &[
    "dl", "l", "ml", "ul", "µl", "μl", "mcl", "cl", "mm", "cumm", "hpf", "lpf", "field", "min", "minute", "hr", "h",
    "hour", "sec", "s", "day", "d", "dy", "kg", "g", "gm", "mg", "mmol", "mol", "m", "mil", "cell", "cells", "liter",
    "litre",
];
/// Behind `per`.
const PER_WORDS: &[&str] = &["min", "minute", "sec", "second", "hour", "day", "liter", "litre", "deciliter", "field"];
/// A number before these is a time, a count of something else, or an ordinal.
const NO_UNITS: &[&str] = &[
    "day", "days", "week", "weeks", "month", "months", "year", "years", "hour", "hours", "am", "pm", "times", "st",
    "nd", "rd", "th", "of", "patients", "cases", "x", "d", "h", "hrs", "yrs", "minutes", "min",
];
const WORDS: &[&str] = &[
    "positive",
    "negative",
    "pos",
    "neg",
    "normal",
    "abnormal",
    "elevated",
    "raised",
    "increased",
    "decreased",
    "reduced",
    "low",
    "high",
    "unremarkable",
    "reactive",
    "nonreactive",
    "trace",
    "detected",
    "undetectable",
    "wnl",
    "positivity",
    "negativity",
    "borderline",
    "stable",
];

/// A number with a sign or comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Value {
    /// Its tokens.
    pub(super) length: usize,
    /// Of one number, not two.
    pub(super) number: Option<f64>,
    pub(super) bound: Bound,
}

/// What stands before a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Exact,
    Below { inclusive: bool },
    Above { inclusive: bool },
}

impl Value {
    /// The value that starts here.
    pub(super) fn read(tokens: &[Token<'_>]) -> Option<Self> {
        if let [between, low, and, high, ..] = tokens
            && between.is("between")
            && and.is("and")
            && low.is_number()
            && high.is_number()
        {
            return Some(Self { length: 4, number: None, bound: Bound::Exact });
        }
        let (at, bound) = bound(tokens);
        let minus =
            matches!(tokens.get(at)?.text, "-" | "−" | "–") && tokens.get(at + 1)?.glued && tokens[at + 1].is_number();
        let first = at + usize::from(minus);
        if !tokens.get(first)?.is_number() {
            return None;
        }
        let mut end = first + 1;
        // `120/80`, `3-5`, `30%-35%`, `2+`
        let percent = |end: usize| usize::from(tokens.get(end).is_some_and(|token| token.text == "%"));
        while let [join, other, ..] = &tokens[end + percent(end)..]
            && other.is_number()
            && other.glued
            && (join.glued && (join.is_dash() || join.text == "/"))
        {
            end += 2 + percent(end);
        }
        let one = end == first + 1;
        if tokens.get(end).is_some_and(|plus| plus.text == "+" && plus.glued) {
            end += 1;
        }
        if tokens.get(end).is_some_and(|token| token.among(NO_UNITS) && !exponent(&tokens[end..]))
            || tokens.get(end).is_some_and(|word| word.glued && word.kind == Kind::Word && !is_unit(&tokens[end..]))
        {
            return None;
        }
        let sign = if minus { -1.0 } else { 1.0 };
        let number = one.then(|| parse(tokens[first].text)).flatten().map(|number| sign * number);
        Some(Self { length: end, number, bound })
    }
}

/// A comparison, and how many tokens it has.
pub(super) fn bound(tokens: &[Token<'_>]) -> (usize, Bound) {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let word = |at: usize, words: &[&str]| any(tokens.get(at), words);
    let inclusive = text(1) == "=";
    let length = 1 + usize::from(inclusive);
    match text(0) {
        "<" => (length, Bound::Below { inclusive }),
        ">" => (length, Bound::Above { inclusive }),
        "≤" => (1, Bound::Below { inclusive: true }),
        "≥" => (1, Bound::Above { inclusive: true }),
        _ if word(0, &["less"]) && word(1, &["than"]) => (2, Bound::Below { inclusive: false }),
        _ if word(0, &["greater", "more", "higher"]) && word(1, &["than"]) => (2, Bound::Above { inclusive: false }),
        _ if word(0, &["below", "under"]) => (1, Bound::Below { inclusive: false }),
        _ if word(0, &["above", "over"]) => (1, Bound::Above { inclusive: false }),
        _ if word(0, &["up"]) && word(1, &["to"]) => (2, Bound::Below { inclusive: true }),
        _ => (0, Bound::Exact),
    }
}

/// A number as written in English, of fifteen digits at most; a comma must stand before three.
pub(super) fn parse(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let grouped = whole.split(',').skip(1).all(|group| group.len() == 3);
    let digits: String = whole.chars().filter(|&c| c != ',').chain(fraction.chars()).collect();
    let short = grouped && digits.len() <= 15;
    let (number, places) = (digits.parse::<u64>().ok().filter(|_| short)?, u32::try_from(fraction.len()).ok()?);
    // As `f64::from_str` would read it, without its tables: both numbers are exact, so the quotient is rounded once.
    Some(number as f64 / 10_u64.pow(places) as f64)
}

/// The tokens of a unit that starts here.
pub(super) fn unit(tokens: &[Token<'_>]) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut end = power(tokens);
    if matches!(text(end), "%" | "‰") {
        return Some(end + 1);
    }
    if matches!(text(end), "°" | "º" | "℃" | "℉") {
        return Some(end + 1 + usize::from(any(tokens.get(end + 1), &["c", "f"])));
    }
    if tokens.get(end).is_some_and(|token| token.is("per")) && any(tokens.get(end + 1), PER_WORDS) {
        return Some(end + 2);
    }
    if text(end) != "/" {
        let word = tokens.get(end).filter(|token| token.among(UNITS));
        let Some(word) = word else { return (end > 0).then_some(end) };
        // `mm Hg`, `cmH2O`, `cm H2O`, `beats per minute`
        let then = |at: usize, words: &[&str]| any(tokens.get(end + at), words);
        let more = match word {
            _ if word.is("mm") && then(1, &["hg"]) => 1,
            _ if word.is("cmh") && text(end + 1) == "2" && then(2, &["o"]) => 2,
            _ if word.is("cm") && then(1, &["h"]) && text(end + 2) == "2" && then(3, &["o"]) => 3,
            _ if then(1, &["per"]) && then(2, PER_WORDS) => 2,
            _ => 0,
        };
        end += 1 + more;
    }
    while text(end) == "/" {
        let size = usize::from(tokens.get(end + 1).is_some_and(Token::is_number));
        if !any(tokens.get(end + 1 + size), PER) {
            break;
        }
        end += 2 + size;
        // `mm3`, `m²`
        if tokens.get(end).is_some_and(|token| token.glued && matches!(token.text, "2" | "3" | "²" | "³")) {
            end += 1;
        }
    }
    let cube = tokens.get(end).is_some_and(|token| token.glued && matches!(token.text, "2" | "3" | "²" | "³"));
    (end > 0).then_some(end + usize::from(cube && end > 0))
}

/// `x10^9`, `× 103`, `10*3`, `x10E3`: the tokens of a power of ten that multiplies.
fn power(tokens: &[Token<'_>]) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let times = usize::from(matches!(text(0), "x" | "X" | "×" | "*" | "·"));
    let mark = usize::from(matches!(text(times + 1), "^" | "*" | "E" | "e"));
    match text(times) {
        "10" if mark == 1 && tokens.get(times + 2).is_some_and(Token::is_number) => times + 3,
        "10" if text(times + 1).chars().all(|c| "⁰¹²³⁴⁵⁶⁷⁸⁹".contains(c)) && times == 1 => {
            times + 1 + usize::from(!text(times + 1).is_empty())
        }
        "103" | "106" | "109" | "1012" if times == 1 => times + 1,
        _ => 0,
    }
}

fn exponent(tokens: &[Token<'_>]) -> bool {
    power(tokens) > 0
}

fn is_unit(tokens: &[Token<'_>]) -> bool {
    unit(tokens).is_some() || tokens.first().is_some_and(|token| matches!(token.text, "H" | "L" | "HH" | "LL"))
}

/// The tokens of a date of numbers: `3/4`, `3/4/21`, `2021-03-04`.
pub(super) fn date(tokens: &[Token<'_>]) -> Option<usize> {
    let mut end = usize::from(tokens.first()?.is_number());
    while end > 0
        && let [join, number, ..] = &tokens[end..]
        && (join.is_dash() || join.text == "/")
        && number.is_number()
    {
        end += 2;
    }
    (end >= 3).then_some(end)
}

/// `elevated WBC`, `positive ANA`: the word that touches a name.
pub(super) fn word_before(tokens: &[Token<'_>]) -> Option<Range<usize>> {
    let last = tokens.last()?;
    let serum = usize::from(last.among(&["serum", "plasma", "urine"]));
    let word = tokens.iter().rev().nth(serum)?;
    word.among(WORDS).then(|| word.range.clone())
}

/// `was negative`, `within normal limits`, `returned to normal`: the word that a name leads to.
pub(super) fn word_after(tokens: &[Token<'_>], fillers: &[&str]) -> Option<Range<usize>> {
    for (at, token) in tokens.iter().enumerate().take(super::BEFORE_VALUE) {
        if token.is("within") {
            let end = tokens.iter().skip(at + 1).take(4).find(|end| end.among(&["limits", "range", "normal"]))?;
            let limits = tokens[at..].iter().take(6).find(|end| end.among(&["limits", "range", "intervals"]));
            return Some(token.range.start..limits.unwrap_or(end).range.end);
        }
        if token.is("not") && any(tokens.get(at + 1), &["detected", "elevated", "reactive"]) {
            return Some(token.range.start..tokens[at + 1].range.end);
        }
        if token.is("non") && tokens.get(at + 2).is_some_and(|word| word.is("reactive")) {
            return Some(token.range.start..tokens[at + 2].range.end);
        }
        if token.among(WORDS) {
            return Some(token.range.clone());
        }
        if !token.among(fillers) && !matches!(token.text, ":" | "=" | "(" | "-") {
            return None;
        }
    }
    None
}

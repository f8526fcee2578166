//! How often, and for how long: `BID`, `q4-6h`, `twice a day`, `every other day`, `at bedtime`; `x 7 days`, `for a week`.

use super::super::tokens::{Token, any};
use super::dose::amount;

const ONE_WORD: &[&str] = &[
    "bid",
    "tid",
    "qid",
    "qd",
    "qday",
    "qdaily",
    "qod",
    "qhs",
    "hs",
    "qam",
    "qpm",
    "qac",
    "ac",
    "pc",
    "qwk",
    "qweek",
    "qweekly",
    "qmonth",
    "bd",
    "tds",
    "qds",
    "biw",
    "tiw",
    "daily",
    "nightly",
    "hourly",
    "weekly",
    "biweekly",
    "monthly",
    "stat",
    "prn",
    "intermittently",
];
const TIMES: &[&str] = &["once", "twice", "thrice"];
const UNITS: &[&str] = &[
    "h", "hr", "hrs", "hour", "hours", "d", "day", "days", "night", "week", "weeks", "wk", "wks", "month", "months",
    "mo", "min", "minutes", "year", "years",
];
const OCCASIONS: &[&str] = &[
    "day",
    "night",
    "morning",
    "afternoon",
    "evening",
    "bedtime",
    "noon",
    "week",
    "month",
    "hour",
    "year",
    "am",
    "pm",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
const MEALS: &[&str] = &["meal", "meals", "food", "breakfast", "lunch", "dinner", "supper"];
const LENGTHS: &[&str] = &[
    "d", "day", "days", "wk", "wks", "week", "weeks", "mo", "mos", "month", "months", "yr", "yrs", "year", "years",
    "hour", "hours", "hr", "hrs", "h", "minutes", "min",
];

/// How many tokens a frequency has that starts here.
pub(super) fn frequency(tokens: &[Token<'_>]) -> Option<usize> {
    let first = &tokens[0];
    if first.among(ONE_WORD) {
        return Some(1);
    }
    quaque(tokens).or_else(|| every(tokens)).or_else(|| so_often(tokens)).or_else(|| phrase(tokens))
}

/// `q6h`, `q4-6h`, `q 12 hours`, `q am`.
fn quaque(tokens: &[Token<'_>]) -> Option<usize> {
    if !tokens[0].is("q") {
        return None;
    }
    if any(tokens.get(1), OCCASIONS) || any(tokens.get(1), &["hs", "d", "h"]) {
        return Some(2);
    }
    let (length, _) = amount(&tokens[1..])?;
    let end = 1 + length;
    let unit = usize::from(any(tokens.get(end), UNITS));
    // `q8` is every eight hours, but only as one word.
    (unit == 1 || tokens[1].glued).then_some(end + unit)
}

/// `every 6 hours`, `every other day`, `each morning`, `every two months`.
fn every(tokens: &[Token<'_>]) -> Option<usize> {
    if !tokens[0].among(&["every", "each"]) {
        return None;
    }
    let other = usize::from(any(tokens.get(1), &["other", "second", "third"]));
    if any(tokens.get(1 + other), OCCASIONS) {
        return Some(2 + other);
    }
    let (length, _) = amount(tokens.get(1..)?)?;
    any(tokens.get(1 + length), UNITS).then_some(2 + length)
}

/// `once daily`, `twice a day`, `3 times per day`, `three times weekly`, `2x/day`, `x1`, `once`.
fn so_often(tokens: &[Token<'_>]) -> Option<usize> {
    let count = match &tokens[0] {
        first if first.among(TIMES) => 1,
        first if first.among(&["x", "×"]) => {
            let (length, _) = amount(&tokens[1..])?;
            let unit = any(tokens.get(1 + length), LENGTHS);
            return (tokens[1].glued && !unit).then(|| per(tokens, 1 + length).unwrap_or(1 + length));
        }
        _ => {
            let (length, _) = amount(tokens)?;
            let times = any(tokens.get(length), &["times", "time", "x", "×"]);
            return times.then(|| per(tokens, length + 1)).flatten();
        }
    };
    Some(per(tokens, count).unwrap_or(count))
}

/// The end of `a day`, `per week`, `/d`, `daily` from where the count ends.
fn per(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let dash = usize::from(tokens.get(at).is_some_and(Token::is_dash));
    if any(tokens.get(at + dash), &["daily", "weekly", "monthly", "nightly"]) {
        return Some(at + dash + 1);
    }
    let stroke = tokens.get(at).is_some_and(|token| token.text == "/");
    let word = any(tokens.get(at), &["a", "an", "per", "each", "every"]);
    let unit = any(tokens.get(at + 1), OCCASIONS) || any(tokens.get(at + 1), UNITS);
    ((stroke || word) && unit).then_some(at + 2)
}

/// `per day`, `at bedtime`, `in the morning`, `with meals`, `as needed`.
fn phrase(tokens: &[Token<'_>]) -> Option<usize> {
    let first = &tokens[0];
    let article = usize::from(any(tokens.get(1), &["the", "a"]));
    let second = tokens.get(1);
    let found = match first {
        // `two tablets a day`, not `a day earlier`
        _ if first.is("a") => {
            any(second, &["day"]) && !any(tokens.get(2), &["earlier", "later", "ago", "before", "after"])
        }
        _ if first.is("per") => any(second, OCCASIONS) && !any(second, &["am", "pm"]),
        _ if first.text == "/" => any(second, &["day", "d", "week", "wk"]),
        _ if first.among(&["at", "in", "before", "on"]) && any(tokens.get(1 + article), OCCASIONS) => {
            let when = &tokens[1 + article];
            return (!when.among(&["day", "week", "month", "hour", "year"])).then_some(2 + article);
        }
        _ if first.is("before") && any(second, &["bed"]) => true,
        _ if first.among(&["with", "before", "after"]) => {
            let each = usize::from(any(second, &["each", "every"]));
            return any(tokens.get(1 + each), MEALS).then_some(2 + each);
        }
        _ if first.is("as") => any(second, &["needed", "required", "directed"]),
        _ => false,
    };
    found.then_some(2)
}

/// Where a duration starts and ends: behind the word that announces it.
pub(super) fn duration(tokens: &[Token<'_>]) -> Option<(usize, usize)> {
    let first = &tokens[0];
    // `7-day course`
    if first.is_number() && any(tokens.get(3), &["course", "courses", "trial", "supply"]) {
        return (tokens[1].is_dash() && tokens[2].among(LENGTHS)).then_some((0, 3));
    }
    let times = first.among(&["x", "×"]);
    if !times && !first.among(&["for", "times", "during", "over", "since"]) {
        return None;
    }
    let words = ["the", "next", "last", "past", "another", "total", "of", "up", "to", "about", "at", "least"];
    let skipped = |token: &&Token<'_>| token.among(&words) || token.is("a") && any(tokens.get(2), &["total"]);
    let from = 1 + tokens[1..].iter().take(4).take_while(skipped).count();
    Some((from, from + length(tokens.get(from..)?)?))
}

/// `7 days`, `10 more days`, `a week`, `several months`, where a duration is expected.
fn length(tokens: &[Token<'_>]) -> Option<usize> {
    let count = if any(tokens.first(), &["several", "many"]) { 1 } else { amount(tokens)?.0 };
    let more =
        usize::from(any(tokens.get(count), &["more", "additional", "full", "total"]) || tokens.get(count)?.is_dash());
    any(tokens.get(count + more), LENGTHS).then_some(count + more + 1)
}

//! What a note says of a test beside its name: value, unit, the reference range that it gives, and flags.
//!
//! "K 5.9 mmol/L (3.5-5.0) H". Whether a value is out of range is computed only from a range that stands in the text: what
//! is normal depends on laboratory, method, age and sex, and no table of ours knows them.

mod interval;
mod value;

use std::ops::Range;

use self::interval::Interval;
use self::value::Value;
use super::attributes::Attribute;
use super::tokens::{Kind, Token, tokens};

/// Tokens between the name and its value, as in "level was found to be elevated at".
const BEFORE_VALUE: usize = 8;

/// What may stand between a name and its value.
const FILLERS: &[&str] = &[
    "level",
    "levels",
    "count",
    "counts",
    "value",
    "values",
    "result",
    "results",
    "reading",
    "readings",
    "concentration",
    "concentrations",
    "score",
    "scores",
    "activity",
    "was",
    "were",
    "is",
    "are",
    "be",
    "been",
    "has",
    "had",
    "that",
    "of",
    "at",
    "to",
    "the",
    "a",
    "an",
    "in",
    "by",
    "remains",
    "remained",
    "stayed",
    "came",
    "coming",
    "back",
    "returned",
    "measured",
    "estimated",
    "found",
    "noted",
    "peaked",
    "peak",
    "trended",
    "ranged",
    "reached",
    "rose",
    "rising",
    "fell",
    "dropped",
    "declined",
    "improved",
    "prolonged",
    "increased",
    "decreased",
    "elevated",
    "raised",
    "low",
    "high",
    "normal",
    "from",
    "up",
    "down",
    "initially",
    "currently",
    "today",
    "now",
    "approximately",
    "about",
    "around",
    "only",
    "again",
    "both",
    "as",
    "still",
    "showed",
    "shows",
    "very",
    "acutely",
    "markedly",
    "slightly",
    "mildly",
];

/// The attributes of the test at `mention`, by place, from the text of `limit`: its sentence or line, up to other tests.
/// Byte ranges; ranges that do not lie in the note give nothing.
pub fn attributes(note: &str, mention: Range<usize>, limit: Range<usize>) -> Vec<Attribute> {
    if note.get(mention.clone()).is_none() || note.get(limit.clone()).is_none() {
        return Vec::new();
    }
    let after = tokens(note, mention.end..limit.end);
    let mut found = Vec::new();
    match first_value(&after, mention.end) {
        Some((from, value)) => results(&after, from, value, &mut found),
        None => {
            let before = tokens(note, limit.start..mention.start);
            let word = value::word_before(&before).or_else(|| value::word_after(&after, FILLERS));
            found.extend(word.map(|range| Attribute::new("value", range)));
        }
    }
    found
}

/// The value that the text after a name, which ends at `name`, leads to without a break, and where it starts.
fn first_value(tokens: &[Token<'_>], name: usize) -> Option<(usize, Value)> {
    let (mut at, end) = (0, tokens.len().min(BEFORE_VALUE));
    while at < end {
        let token = &tokens[at];
        let touches = at == 0 && token.range.start == name;
        // `WBC-12.3`: a hyphen that touches the name is no minus.
        if !(touches && token.is_dash())
            && let Some(value) = Value::read(&tokens[at..])
        {
            return Some((at, value));
        }
        if token.is("on")
            && let Some(date) = value::date(&tokens[at + 1..])
        {
            at += 1 + date;
        } else if token.text == "," {
            // `sodium, 140 mmol/L`, but not `MRI, 5 mm nodule`
            let value = Value::read(&tokens[at + 1..])?;
            let unit = value::unit(&tokens[at + 1 + value.length..])?;
            let percent = tokens[at + 1 + value.length].text == "%";
            return (unit > 1 || percent).then_some((at + 1, value));
        } else if token.is_dash() || token.among(FILLERS) || matches!(token.text, ":" | "=" | "(" | ")" | "~" | "≈") {
            at += 1;
        } else {
            return None;
        }
    }
    None
}

/// A value with what follows it, and those that an arrow leads to.
fn results(tokens: &[Token<'_>], mut from: usize, mut value: Value, found: &mut Vec<Attribute>) {
    let mut reference: Option<usize> = None;
    loop {
        let mut at = from + value.length;
        found.push(place(tokens, "value", from, at));
        let unit = value::unit(&tokens[at..]).map(|length| (at, at + length));
        if let Some((start, end)) = unit {
            found.push(place(tokens, "unit", start, end));
            at = end;
        }
        let unit = unit.map(|(start, end)| &tokens[start..end]);
        at = behind(tokens, at, &value, unit, &mut reference, found);
        let Some((start, next)) = arrow(&tokens[at..]).and_then(|length| {
            let start = at + length;
            Some((start, Value::read(tokens.get(start..)?)?))
        }) else {
            return;
        };
        (from, value) = (start, next);
    }
}

/// Flags and a range behind a value; where they end.
fn behind(
    tokens: &[Token<'_>],
    mut at: usize,
    value: &Value,
    unit: Option<&[Token<'_>]>,
    reference: &mut Option<usize>,
    found: &mut Vec<Attribute>,
) -> usize {
    loop {
        if let Some((from, to)) = flag(&tokens[at..]) {
            found.push(place(tokens, "flag", at + from, at + to));
            at += to + usize::from(from > 0);
        } else if let Some(interval) = Interval::read(&tokens[at..]).filter(|_| reference.is_none()) {
            let mut attribute = place(tokens, "range", at + interval.from, at + interval.to);
            attribute.value = interval.judge(value, unit, &tokens[at..]);
            *reference = Some(found.len());
            found.push(attribute);
            at += interval.end;
        } else {
            return at;
        }
    }
}

/// `H`, `(L)`, `*`, `HH`, `high`, where it stands.
fn flag(tokens: &[Token<'_>]) -> Option<(usize, usize)> {
    let known = |token: &Token<'_>| {
        matches!(token.text, "H" | "L" | "HH" | "LL" | "A" | "*" | "#" | "!" | "↑" | "↓")
            || token.among(&["high", "low", "critical", "abnormal", "abn"])
    };
    let first = tokens.first()?;
    if matches!(first.text, "(" | "[") && known(tokens.get(1)?) && matches!(tokens.get(2)?.text, ")" | "]") {
        return Some((1, 2));
    }
    let marks = tokens.iter().take_while(|token| token.kind == Kind::Mark && known(token)).count();
    if marks > 0 {
        return Some((0, marks));
    }
    known(first).then_some((0, 1))
}

/// `->`, `-->`, `→`, `to` before another value.
fn arrow(tokens: &[Token<'_>]) -> Option<usize> {
    let first = tokens.first()?;
    if first.text == "→" || first.is("to") {
        return Some(1);
    }
    let shaft = tokens.iter().take(3).take_while(|token| token.is_dash() || token.text == "=").count();
    (shaft > 0 && tokens.get(shaft)?.text == ">").then_some(shaft + 1)
}

fn place(tokens: &[Token<'_>], name: &'static str, from: usize, to: usize) -> Attribute {
    Attribute::new(name, tokens[from].range.start..tokens[to - 1].range.end)
}

#[cfg(test)]
mod tests;

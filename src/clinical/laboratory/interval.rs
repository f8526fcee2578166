//! The reference range that stands beside a value: `(3.5-5.0)`, `[normal range: 0.27–4.20 mIU/L]`, `ref <200`.

use super::super::tokens::Token;
use super::value::{Bound, Value, bound, parse, unit};
use crate::unicode;

/// Words that announce a range.
const KEYS: &[&str] = &["ref", "reference", "normal", "nl", "rr", "range", "interval", "norm", "normals"];
/// Words that may follow them.
const MORE: &[&str] =
    &["range", "ranges", "interval", "limits", "limit", "values", "value", "of", "is", "for", "upper", "level"];

/// Two borders, or one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    /// The tokens of its numbers and unit.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Behind the bracket that closes it.
    pub(super) end: usize,
    /// Where its unit starts, if it has one, and ends at `to`.
    unit: usize,
    low: Option<Border>,
    high: Option<Border>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Border {
    at: f64,
    inclusive: bool,
}

impl Interval {
    /// The range that starts here, with the bracket or word before it.
    pub(super) fn read(tokens: &[Token<'_>]) -> Option<Self> {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let mut from = usize::from(matches!(text(0), "," | ";"));
        let open = matches!(text(from), "(" | "[" | "{");
        from += usize::from(open);
        let key = tokens.get(from).is_some_and(|token| token.among(KEYS));
        if key {
            let follows = |token: &&Token<'_>| token.among(MORE) || matches!(token.text, "." | ":" | "," | "=");
            from += 1 + tokens[from + 1..].iter().take(5).take_while(follows).count();
        } else if !open && from > 0 {
            return None;
        }
        let (low, high, numbers) = borders(tokens.get(from..)?)?;
        // Without a bracket or a word only two numbers that touch are a range: `5.9 3.5-5.0`.
        if !open && !key && (low.is_none() || high.is_none() || !tokens[from + 1].glued || !tokens[from + 2].glued) {
            return None;
        }
        let start = from + numbers;
        let to = start + unit(&tokens[start..]).unwrap_or(0);
        let closed = matches!(text(to), ")" | "]" | "}");
        (!open || closed || key).then_some(Self {
            from,
            to,
            end: to + usize::from(open && closed),
            unit: start,
            low,
            high,
        })
    }

    /// `low`, `high` or `within`, where it can be said: one number, in the same unit if both have one.
    pub(super) fn judge(
        &self,
        value: &Value,
        unit: Option<&[Token<'_>]>,
        tokens: &[Token<'_>],
    ) -> Option<&'static str> {
        let own = &tokens[self.unit..self.to];
        if !own.is_empty() && unit.is_some_and(|unit| plain(unit) != plain(own)) {
            return None;
        }
        let number = value.number?;
        let above_low = self.low.is_none_or(|low| number > low.at || low.inclusive && number == low.at);
        let below_high = self.high.is_none_or(|high| number < high.at || high.inclusive && number == high.at);
        let beyond = |border: Border, inclusive: bool| number == border.at && !(inclusive && border.inclusive);
        match value.bound {
            Bound::Exact if !above_low => Some("low"),
            Bound::Exact if !below_high => Some("high"),
            Bound::Exact => Some("within"),
            // Less than the lower border; less than the upper one, where nothing is too low.
            Bound::Below { inclusive } => match (self.low, self.high) {
                (Some(low), _) if low.at > 0.0 => (number < low.at || beyond(low, inclusive)).then_some("low"),
                (_, Some(high)) => {
                    (number < high.at || number == high.at && (high.inclusive || !inclusive)).then_some("within")
                }
                _ => None,
            },
            Bound::Above { inclusive } => match (self.low, self.high) {
                (_, Some(high)) => (number > high.at || beyond(high, inclusive)).then_some("high"),
                (Some(low), None) => {
                    (number > low.at || number == low.at && (low.inclusive || !inclusive)).then_some("within")
                }
                _ => None,
            },
        }
    }
}

/// A unit in small letters and with one sign of micro.
fn plain(unit: &[Token<'_>]) -> Vec<char> {
    let letters = unit.iter().flat_map(|token| token.text.chars().chain([' '])).flat_map(unicode::lowercase);
    letters.map(|c| if c == 'µ' { 'μ' } else { c }).collect()
}

/// Low, high, and how many tokens they have.
fn borders(tokens: &[Token<'_>]) -> Option<(Option<Border>, Option<Border>, usize)> {
    let (at, bound) = bound(tokens);
    let number = |at: usize| tokens.get(at).filter(|token| token.is_number()).and_then(|token| parse(token.text));
    match bound {
        Bound::Below { inclusive } => Some((None, Some(Border { at: number(at)?, inclusive }), at + 1)),
        Bound::Above { inclusive } => Some((Some(Border { at: number(at)?, inclusive }), None, at + 1)),
        Bound::Exact => {
            let join = tokens.get(1)?;
            let (low, high) = (number(0)?, number(2)?);
            let border = |at| Some(Border { at, inclusive: true });
            ((join.is_dash() || join.is("to")) && low < high).then_some((border(low), border(high), 3))
        }
    }
}

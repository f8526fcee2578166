//! What a note says of a drug beside its name: dose, form, route, frequency, duration.
//!
//! "metoprolol tartrate 25 mg PO BID x 7 days". No grammar of sentences: known expressions are read one after the other
//! from the name on, as long as little else stands between them, and before the name where they touch it ("25 mg of
//! metoprolol"). What follows a comma or an "and" belongs to the drug only if it is such an expression: else another drug,
//! which nobody marked, has probably begun.

mod dose;
mod route;
mod timing;

use std::ops::Range;

use super::attributes::Attribute;
use super::tokens::{Kind, Token, tokens};

/// Other words between the name and the first expression, as in "was started at a dose of".
const BEFORE_FIRST: usize = 6;
/// Other words between two expressions.
const BETWEEN: usize = 2;

/// Words after which another drug may come.
const SEPARATORS: &[&str] =
    &["and", "or", "then", "plus", "with", "followed", "versus", "vs", "but", "while", "instead", "including"];
/// What may stand between an expression and the name behind it.
const OF: &[&str] = &["of", "the", "a", "an", "dose", "doses", "course", "courses", "(", ")", "-"];

/// Reads one expression from a token on: how many tokens it has.
type Expression = fn(&[Token<'_>]) -> Option<usize>;

/// In the order in which they are tried, durations before them.
const EXPRESSIONS: &[(&str, Expression)] =
    &[("frequency", timing::frequency), ("dose", dose::dose), ("route", route::route), ("form", route::form)];

/// The attributes of the drug at `mention`, by place, from the text of `limit`: its sentence or line, up to other drugs.
/// Byte ranges; ranges that do not lie in the note give nothing.
pub fn attributes(note: &str, mention: Range<usize>, limit: Range<usize>) -> Vec<Attribute> {
    if note.get(mention.clone()).is_none() || note.get(limit.clone()).is_none() {
        return Vec::new();
    }
    let mut found = before(note, limit.start..mention.start);
    found.extend(after(note, mention.end..limit.end));
    found
}

fn after(note: &str, range: Range<usize>) -> Vec<Attribute> {
    let tokens = tokens(note, range.clone());
    let (mut found, mut at, mut words) = (Vec::<Attribute>::new(), 0, 0);
    // Since the last separator: whether nothing was read, and how much was found before it.
    let (mut separated, mut own) = (false, None);
    while let Some(token) = tokens.get(at) {
        if let Some((attribute, length)) = read(&tokens[at..]) {
            merge(note, &mut found, attribute);
            (at, words, separated) = (at + length, 0, false);
            continue;
        }
        if ends(token, tokens.get(at + 1)) {
            return found;
        }
        if token.among(SEPARATORS) || matches!(token.text, "," | "+" | "&" | "/") {
            (separated, own) = (true, Some(found.len()));
        } else if token.kind != Kind::Mark {
            words += 1;
            if separated || words > if found.is_empty() { BEFORE_FIRST } else { BETWEEN } {
                return found;
            }
        }
        at += 1;
    }
    // `prednisolone 5 mg, IV heparin`: what stands between a comma and the next name is the next drug's.
    if note[range.end..].starts_with(char::is_alphanumeric) {
        found.truncate(own.unwrap_or(found.len()));
    }
    found
}

/// Whether a sentence, or a part of a list, ends with a token.
fn ends(token: &Token<'_>, next: Option<&Token<'_>>) -> bool {
    token.text == ";"
        || token.text == "." && next.is_some_and(|next| !next.glued && next.text.starts_with(char::is_uppercase))
}

/// The expressions that lead to the name without a break.
fn before(note: &str, range: Range<usize>) -> Vec<Attribute> {
    let tokens = tokens(note, range);
    let (mut found, mut at) = (Vec::<(Attribute, usize)>::new(), 0);
    while at < tokens.len() {
        match read(&tokens[at..]) {
            Some((attribute, length)) => {
                found.push((attribute, at));
                at += length;
            }
            None => {
                if !tokens[at].among(OF) {
                    found.clear();
                }
                at += 1;
            }
        }
    }
    let mut merged = Vec::new();
    found.into_iter().for_each(|(attribute, _)| merge(note, &mut merged, attribute));
    merged
}

fn read(tokens: &[Token<'_>]) -> Option<(Attribute, usize)> {
    let attribute = |name, from: usize, to: usize| {
        let range = tokens[from].range.start..tokens[to - 1].range.end;
        (Attribute::new(name, range), to)
    };
    if let Some((from, to)) = timing::duration(tokens) {
        return Some(attribute("duration", from, to));
    }
    EXPRESSIONS.iter().find_map(|(name, expression)| Some(attribute(name, 0, expression(tokens)?)))
}

/// "q6h" and "prn" are one frequency, "IV" and "push" one route.
fn merge(note: &str, found: &mut Vec<Attribute>, attribute: Attribute) {
    if let Some(last) = found.last_mut()
        && last.name == attribute.name
        && matches!(last.name, "frequency" | "route")
        && matches!(note[last.range.end..attribute.range.start].trim(), "" | "and")
    {
        last.range.end = attribute.range.end;
        return;
    }
    found.push(attribute);
}

#[cfg(test)]
mod tests;

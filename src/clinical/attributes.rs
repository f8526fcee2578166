//! What belongs to a mention of a drug or a test: the form in which [`super::medication`] and [`super::laboratory`] answer,
//! and who gets what when several stand in one line.

#[cfg(test)]
pub(super) mod table;

use std::ops::Range;

/// Something said of a mention. Names: `dose`, `form`, `route`, `frequency`, `duration` of a drug; `value`, `unit`,
/// `range`, `flag` of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// What it is.
    pub name: &'static str,
    /// Where it stands, in bytes of the note.
    pub range: Range<usize>,
    /// What was computed from it: of a `range`, whether the value is `low`, `high` or `within`.
    pub value: Option<&'static str>,
}

impl Attribute {
    pub(super) fn new(name: &'static str, range: Range<usize>) -> Self {
        Self { name, range, value: None }
    }
}

/// Reads what belongs to one mention from the text around it: `(note, mention, limit)`, in bytes.
pub type Reader = fn(&str, Range<usize>, Range<usize>) -> Vec<Attribute>;

/// The attributes of each of several mentions in one sentence or line. Text goes to one mention only: to the one before
/// it rather than the one behind. What is said of a short form in parentheses is said of the long form before it, too:
/// `ejection fraction (EF) 35%`.
///
/// `mentions` are sorted and do not overlap; one that is not inside `limit` gets nothing.
pub fn share(note: &str, mentions: &[Range<usize>], limit: Range<usize>, read: Reader) -> Vec<Vec<Attribute>> {
    let mut from = limit.start;
    let each = mentions.iter().enumerate().map(|(i, mention)| {
        let to = mentions.get(i + 1).map_or(limit.end, |next| next.start.min(limit.end));
        let found = read(note, mention.clone(), from.min(mention.start)..to);
        from = found.iter().map(|attribute| attribute.range.end).fold(mention.end, usize::max);
        found
    });
    let mut each: Vec<Vec<Attribute>> = each.collect();
    for i in (1..mentions.len()).rev() {
        if each[i - 1].is_empty() && is_short_form(note, &mentions[i - 1], &mentions[i]) {
            each[i - 1] = each[i].clone();
        }
    }
    each
}

/// Whether the second mention stands in parentheses behind the first, alone.
pub fn is_short_form(note: &str, long: &Range<usize>, short: &Range<usize>) -> bool {
    let between = note.get(long.end..short.start).is_some_and(|text| text.trim() == "(");
    between && note.get(short.end..).is_some_and(|after| after.trim_start().starts_with(')'))
}

//! A value of a JSON document that knows its path, so that what is wrong with it can be said without quoting it.

use std::fmt;

use serde_json::Value;

use super::assertion::Named;
use crate::error::{Error, ErrorKind, Result};
use crate::text::offsets::OffsetUnit;

pub(super) fn input(message: String) -> Error {
    Error::new(ErrorKind::Input, message)
}

/// Where a value stands in the document.
pub(super) enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'static str),
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("document"),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Node<'n> {
    pub(super) value: &'n Value,
    pub(super) path: &'n Path<'n>,
}

impl Node<'_> {
    pub(super) fn expected<T>(&self, what: impl fmt::Display) -> Result<T> {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Err(input(format!("{}: expected {what}, found {found}", self.path)))
    }

    /// What `read` makes of a field; a field that is not there is read as `null`.
    pub(super) fn field<T>(&self, name: &'static str, read: impl FnOnce(Node<'_>) -> Result<T>) -> Result<T> {
        if !self.value.is_object() {
            return self.expected("an object");
        }
        read(Node { value: self.value.get(name).unwrap_or(&Value::Null), path: &Path::Field(self.path, name) })
    }

    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(Node<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.field(name, |node| if node.value.is_null() { Ok(None) } else { read(node).map(Some) })
    }

    pub(super) fn items<T>(&self, read: impl Fn(Node<'_>) -> Result<T>) -> Result<Vec<T>> {
        let Value::Array(values) = self.value else { return self.expected("an array") };
        let item = |(i, value)| read(Node { value, path: &Path::Item(self.path, i) });
        values.iter().enumerate().map(item).collect()
    }

    /// A list that need not be there.
    pub(super) fn list<T>(&self, name: &'static str, read: impl Fn(Node<'_>) -> Result<T>) -> Result<Vec<T>> {
        Ok(self.optional(name, |node| node.items(read))?.unwrap_or_default())
    }
}

pub(super) fn string(node: Node<'_>) -> Result<String> {
    node.value.as_str().map_or_else(|| node.expected("a string"), |text| Ok(text.into()))
}

pub(super) fn count(node: Node<'_>) -> Result<usize> {
    let count = node.value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.map_or_else(|| node.expected("a whole number that is not negative"), Ok)
}

pub(super) fn truth(node: Node<'_>) -> Result<bool> {
    node.value.as_bool().map_or_else(|| node.expected("true or false"), Ok)
}

pub(super) fn score(node: Node<'_>) -> Result<f64> {
    let score = node.value.as_f64().filter(|score| (0.0..=1.0).contains(score));
    score.map_or_else(|| node.expected("a number from 0 to 1"), Ok)
}

pub(super) fn choice<T: Named>(node: Node<'_>) -> Result<T> {
    let choice = node.value.as_str().and_then(T::of);
    let names = || T::ALL.iter().map(|choice| choice.name()).collect::<Vec<_>>().join(", ");
    choice.map_or_else(|| node.expected(format_args!("one of {}", names())), Ok)
}

pub(super) fn unit(node: Node<'_>) -> Result<OffsetUnit> {
    let unit = OffsetUnit::ALL.into_iter().find(|unit| node.value.as_str() == Some(unit.name()));
    unit.map_or_else(|| node.expected("utf8, utf16 or codepoint"), Ok)
}

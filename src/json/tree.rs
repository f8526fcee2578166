//! A JSON text as its values, one after another.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::node::{Node, Path};
use crate::error::{Error, ErrorKind, Result};

/// A JSON text, parsed. Objects keep the order of their fields, and fields of one name.
///
/// Three allocations hold it, however many values there are. Written with `serde` it is the same text again.
#[derive(Clone, Default, PartialEq)]
pub struct Json {
    /// In the order of the text: what is inside a value follows it.
    values: Vec<Value>,
    /// All strings, end to end.
    text: String,
}

/// A value. Places are 32 bits: no text of more than 4 GiB is parsed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Count(u64),
    Negative(i64),
    Float(f64),
    /// Bytes of the strings from start to end.
    String(u32, u32),
    /// The values up to this one are inside.
    Array(u32),
    /// The values up to this one are inside: name, value, name, value.
    Object(u32),
}

impl Json {
    /// Parses a text.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] with line and column where it is no JSON, or nested deeper than 128 levels.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::new(ErrorKind::Format, "expected at most 4 GiB of JSON"));
        }
        let mut json = Self::default();
        let mut parser = serde_json::Deserializer::from_slice(text);
        Reader(&mut json).deserialize(&mut parser).and_then(|()| parser.end()).map_err(|error| {
            // What the parser says may quote what it read.
            let (line, column) = (error.line(), error.column());
            let message = format!("expected JSON, found something else at line {line}, column {column}");
            Error::new(ErrorKind::Format, message)
        })?;
        Ok(json)
    }

    /// The whole, which errors call `document`.
    pub fn root(&self) -> Node<'_> {
        self.at(&Path::Root)
    }

    /// The whole, as a part of something larger.
    pub fn at<'n>(&'n self, path: &'n Path<'n>) -> Node<'n> {
        Node::new(self, 0, path)
    }

    /// Past the last value.
    pub(super) fn end(&self) -> usize {
        self.values.len()
    }

    /// The value at a place; nothing where there is none.
    pub(super) fn value(&self, at: usize) -> Value {
        self.values.get(at).copied().unwrap_or(Value::Null)
    }

    /// Where the values inside of the one at a place are.
    pub(super) fn inside(&self, at: usize) -> Range<usize> {
        match self.value(at) {
            Value::Array(end) | Value::Object(end) => at + 1..end as usize,
            _ => at + 1..at + 1,
        }
    }

    /// The string at a place.
    pub(super) fn str(&self, at: usize) -> Option<&str> {
        match self.value(at) {
            Value::String(start, end) => self.text.get(start as usize..end as usize),
            _ => None,
        }
    }

    /// A value and what is inside it, as a text of its own.
    pub(super) fn part(&self, at: usize) -> Self {
        let mut part = Self::default();
        for place in at..self.inside(at).end {
            let value = match self.value(place) {
                Value::Array(end) => Value::Array(end - at as u32),
                Value::Object(end) => Value::Object(end - at as u32),
                Value::String(..) => part.keep(self.str(place).unwrap_or_default()),
                value => value,
            };
            part.values.push(value);
        }
        part
    }

    fn keep(&mut self, text: &str) -> Value {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Value::String(start, self.text.len() as u32)
    }
}

/// From what `serde` reads elsewhere: a table of a recipe, a part of a larger text.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = Self::default();
        Reader(&mut json).deserialize(deserializer)?;
        Ok(json)
    }
}

/// Appends what is read.
struct Reader<'j>(&'j mut Json);

impl Reader<'_> {
    fn push<E>(self, value: Value) -> Result<(), E> {
        self.0.values.push(value);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.push(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.push(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.push(Value::Count(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.push(Value::Negative(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.push(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let value = self.0.keep(text);
        self.push(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let at = self.0.values.len();
        self.0.values.push(Value::Null);
        while items.next_element_seed(Reader(self.0))?.is_some() {}
        self.0.values[at] = Value::Array(self.0.values.len() as u32);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let at = self.0.values.len();
        self.0.values.push(Value::Null);
        while fields.next_key_seed(Reader(self.0))?.is_some() {
            fields.next_value_seed(Reader(self.0))?;
        }
        self.0.values[at] = Value::Object(self.0.values.len() as u32);
        Ok(())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root().serialize(serializer)
    }
}

/// May hold note text.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} values)", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_parsed_is_written_again() {
        for text in [
            r#"{"b":[1,-2,0.5,{"c":null}],"a":{"":"\"\\é😀\u0000"},"d":[[],{}]}"#,
            "[18446744073709551615,-9223372036854775808,1e-12,1e300]",
            "\"text\"",
            "true",
            "null",
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            let json = Json::parse(text.as_bytes()).unwrap();
            assert_eq!(serde_json::to_value(&json).unwrap(), expected, "{text}");
            assert_eq!(
                Json::deserialize(serde_json::to_value(&json).unwrap()).unwrap().values.len(),
                json.values.len()
            );
        }
        let text = r#"{"b":1,"a":[2,{"b":"c"}]}"#;
        assert_eq!(serde_json::to_string(&Json::parse(text.as_bytes()).unwrap()).unwrap(), text);
    }

    #[test]
    fn a_part_is_a_text_of_its_own() {
        let json = Json::parse(br#"["x", {"a": ["y", [1, "z"]], "b": 2}, "x"]"#).unwrap();
        assert_eq!(json.part(2), Json::parse(br#"{"a": ["y", [1, "z"]], "b": 2}"#).unwrap());
        assert_eq!(json.part(1), Json::parse(br#""x""#).unwrap());
        assert_eq!(json.part(0), json);
    }

    #[test]
    fn what_is_no_json_is_refused_by_its_place() {
        let deep = "[".repeat(100_000);
        for (text, place) in [
            ("", "line 1, column 0"),
            ("{\"a\": secret", "line 1, column 7"),
            ("[1,\n2 3]", "line 2, column 3"),
            ("{} {}", "line 1, column 4"),
            ("\"\u{1}\"", "line 1, column 2"),
            ("{\"a\"}", "line 1, column 5"),
            ("[1e999]", "line 1, column 6"),
            (deep.as_str(), "line 1, column 128"),
        ] {
            let error = Json::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format);
            assert_eq!(error.to_string(), format!("expected JSON, found something else at {place}"));
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn nothing_that_is_shown_of_a_text_is_text() {
        assert_eq!(format!("{:?}", Json::parse(br#"{"a": "secret"}"#).unwrap()), "Json(3 values)");
    }
}

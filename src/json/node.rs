//! A value that knows its path.

use std::fmt::{self, Write};

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::tree::{Json, Value};
use crate::error::{Error, ErrorKind, Result};

/// Where a value stands in the text. Shown on one line, whatever a hostile file calls its fields.
#[derive(Clone, Copy, Debug)]
pub enum Path<'p> {
    /// It is the whole.
    Root,
    /// A field of an object.
    Field(&'p Path<'p>, &'p str),
    /// An item of an array.
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("document"),
            Self::Field(Self::Root, name) => on_one_line(name, f),
            Self::Field(parent, name) => {
                write!(f, "{parent}.")?;
                on_one_line(name, f)
            }
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn on_one_line(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    name.chars().try_for_each(|c| f.write_char(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }))
}

/// A value and where it stands; a field that is not there is read as `null`.
#[derive(Clone, Copy)]
pub struct Node<'n> {
    json: &'n Json,
    at: usize,
    path: &'n Path<'n>,
}

impl<'n> Node<'n> {
    pub(super) fn new(json: &'n Json, at: usize, path: &'n Path<'n>) -> Self {
        Self { json, at, path }
    }

    fn value(&self) -> Value {
        self.json.value(self.at)
    }

    /// An error that says where this value stands, what was expected there, and of what kind it is.
    ///
    /// # Errors
    /// Always: [`ErrorKind::Format`].
    pub fn expected<T>(&self, what: impl fmt::Display) -> Result<T> {
        Err(self.refuse(&what))
    }

    #[cold]
    fn refuse(&self, what: &dyn fmt::Display) -> Error {
        let found = match self.value() {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Count(_) | Value::Negative(_) | Value::Float(_) => "a number",
            Value::String(..) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Error::new(ErrorKind::Format, format!("{}: expected {what}, found {found}", self.path))
    }

    /// Whether there is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value(), Value::Null)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&'n str> {
        self.json.str(self.at)
    }

    /// The value and what is inside it, as a text of its own.
    pub fn to_json(&self) -> Json {
        self.json.part(self.at)
    }

    /// The places of the values inside.
    fn inside(&self) -> impl Iterator<Item = usize> + use<'n> {
        let (json, inside) = (self.json, self.json.inside(self.at));
        let first = Some(inside.start).filter(|_| !inside.is_empty());
        std::iter::successors(first, move |&at| Some(json.inside(at).end).filter(|at| inside.contains(at)))
    }

    /// Names and places of the fields, in the order of the text.
    fn named(&self) -> impl Iterator<Item = (&'n str, usize)> + use<'n> {
        let json = self.json;
        self.inside().step_by(2).map(move |at| (json.str(at).unwrap_or_default(), at + 1))
    }

    /// What `read` makes of a field.
    ///
    /// # Errors
    /// As `read`; no object; a field that stands there twice.
    pub fn field<T>(&self, name: &str, read: impl FnOnce(Node<'_>) -> Result<T>) -> Result<T> {
        read(Node { json: self.json, at: self.find(name)?, path: &Path::Field(self.path, name) })
    }

    /// The place of a field; past the end, where there is `null`, if it is not there.
    fn find(&self, name: &str) -> Result<usize> {
        let Value::Object(_) = self.value() else { return self.expected("an object") };
        let mut found = self.named().filter(|(other, _)| *other == name).map(|(_, at)| at);
        let at = found.next().unwrap_or(self.json.end());
        if found.next().is_some() {
            return Node { at, path: &Path::Field(self.path, name), ..*self }.expected("one field of this name");
        }
        Ok(at)
    }

    /// What `read` makes of a field that need not be there.
    ///
    /// # Errors
    /// As [`Node::field`].
    pub fn optional<T>(&self, name: &str, read: impl FnOnce(Node<'_>) -> Result<T>) -> Result<Option<T>> {
        self.field(name, |node| if node.is_null() { Ok(None) } else { read(node).map(Some) })
    }

    /// What `read` makes of a field; `default` where it is not there.
    ///
    /// # Errors
    /// As [`Node::field`].
    pub fn field_or<T>(&self, name: &str, default: T, read: impl FnOnce(Node<'_>) -> Result<T>) -> Result<T> {
        Ok(self.optional(name, read)?.unwrap_or(default))
    }

    /// What `read` makes of each item of an array.
    ///
    /// # Errors
    /// As `read`; no array.
    pub fn items<T>(&self, mut read: impl FnMut(Node<'_>) -> Result<T>) -> Result<Vec<T>> {
        let Value::Array(_) = self.value() else { return self.expected("an array") };
        let item = |(i, at)| read(Node { json: self.json, at, path: &Path::Item(self.path, i) });
        self.inside().enumerate().map(item).collect()
    }

    /// A list that need not be there.
    ///
    /// # Errors
    /// As [`Node::items`].
    pub fn list<T>(&self, name: &str, read: impl FnMut(Node<'_>) -> Result<T>) -> Result<Vec<T>> {
        Ok(self.optional(name, |node| node.items(read))?.unwrap_or_default())
    }

    /// What `read` makes of each field of an object and its name, in the order of the text.
    ///
    /// # Errors
    /// As `read`; no object.
    pub fn fields<T>(&self, mut read: impl FnMut(&'n str, Node<'_>) -> Result<T>) -> Result<Vec<T>> {
        let Value::Object(_) = self.value() else { return self.expected("an object") };
        let field = |(name, at)| read(name, Node { json: self.json, at, path: &Path::Field(self.path, name) });
        self.named().map(field).collect()
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = |at| Node { at, ..*self };
        match self.value() {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(value),
            Value::Count(value) => serializer.serialize_u64(value),
            Value::Negative(value) => serializer.serialize_i64(value),
            Value::Float(value) => serializer.serialize_f64(value),
            Value::String(..) => serializer.serialize_str(self.as_str().unwrap_or_default()),
            Value::Array(_) => {
                let mut items = serializer.serialize_seq(None)?;
                self.inside().try_for_each(|at| items.serialize_element(&inner(at)))?;
                items.end()
            }
            Value::Object(_) => {
                let mut fields = serializer.serialize_map(None)?;
                self.named().try_for_each(|(name, at)| fields.serialize_entry(name, &inner(at)))?;
                fields.end()
            }
        }
    }
}

/// May hold note text.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.path)
    }
}

/// Reads a string.
///
/// # Errors
/// [`ErrorKind::Format`] for anything else, as all readers here.
pub fn string(node: Node<'_>) -> Result<String> {
    node.as_str().map_or_else(|| node.expected("a string"), |text| Ok(text.into()))
}

/// Reads a whole number that is not negative.
///
/// # Errors
/// As [`string`].
pub fn count(node: Node<'_>) -> Result<usize> {
    let count = if let Value::Count(count) = node.value() { usize::try_from(count).ok() } else { None };
    count.map_or_else(|| node.expected("a whole number that is not negative"), Ok)
}

/// Reads a number.
///
/// # Errors
/// As [`string`].
pub fn number(node: Node<'_>) -> Result<f64> {
    match node.value() {
        Value::Count(value) => Ok(value as f64),
        Value::Negative(value) => Ok(value as f64),
        Value::Float(value) => Ok(value),
        _ => node.expected("a number"),
    }
}

/// Reads a number in single precision.
///
/// # Errors
/// As [`string`].
pub fn float(node: Node<'_>) -> Result<f32> {
    Ok(number(node)? as f32)
}

/// Reads `true` or `false`.
///
/// # Errors
/// As [`string`].
pub fn truth(node: Node<'_>) -> Result<bool> {
    if let Value::Bool(value) = node.value() { Ok(value) } else { node.expected("true or false") }
}

/// Reads one of few by its name.
///
/// # Errors
/// As [`string`]; a name that none of them has.
pub fn choice<T: Copy>(node: Node<'_>, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
    let found = all.iter().find(|&&choice| node.as_str() == Some(name(choice)));
    let names = || all.iter().map(|&choice| name(choice)).collect::<Vec<_>>().join(", ");
    found.map_or_else(|| node.expected(format_args!("one of {}", names())), |choice| Ok(*choice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn values_of_every_kind() {
        let whole = json(r#"{"s":"é","n":[0,-1,0.5,1e3],"t":true,"none":null,"o":{"b":1,"a":2}}"#);
        let root = whole.root();
        assert_eq!(root.field("s", string).unwrap(), "é");
        assert_eq!(root.field("n", |list| list.items(number)).unwrap(), [0.0, -1.0, 0.5, 1000.0]);
        assert_eq!(root.field("n", |list| list.items(float)).unwrap(), [0.0, -1.0, 0.5, 1000.0]);
        assert!(root.field("t", truth).unwrap());
        assert_eq!([root.optional("none", count).unwrap(), root.optional("gone", count).unwrap()], [None, None]);
        assert_eq!(root.field_or("gone", 7, count).unwrap(), 7);
        assert!(root.list("gone", string).unwrap().is_empty());
        assert_eq!(root.field("gone", |gone| Ok(gone.to_json())).unwrap(), json("null"));
        let named = root.field("o", |o| o.fields(|name, value| Ok((name.to_owned(), count(value)?)))).unwrap();
        assert_eq!(named, [("b".to_owned(), 1), ("a".to_owned(), 2)]);
        assert_eq!(root.fields(|name, _| Ok(name.to_owned())).unwrap(), ["s", "n", "t", "none", "o"]);
    }

    #[test]
    fn what_is_wrong_is_said_by_its_path_and_never_quoted() {
        let json = json(r#"{"a":{"b":["secret",-1,1.0,{"c":"secret"}]},"twice":1,"twice":2,"n":null}"#);
        let root = json.root();
        let items = |read: fn(Node<'_>) -> Result<()>| root.field("a", |a| a.field("b", |b| b.items(read)));
        let refused = |at: usize, read: fn(Node<'_>) -> Result<()>| {
            let all =
                root.field("a", |a| a.field("b", |b| b.items(|node| Ok(read(node).err().map(|e| e.to_string())))));
            all.unwrap().swap_remove(at).unwrap()
        };
        let whole = "a whole number that is not negative";
        assert_eq!(refused(0, |n| count(n).map(drop)), format!("a.b[0]: expected {whole}, found a string"));
        assert_eq!(refused(1, |n| count(n).map(drop)), format!("a.b[1]: expected {whole}, found a number"));
        assert_eq!(refused(2, |n| count(n).map(drop)), format!("a.b[2]: expected {whole}, found a number"));
        assert_eq!(refused(3, |n| string(n).map(drop)), "a.b[3]: expected a string, found an object");
        assert_eq!(refused(3, |n| n.field("c", truth).map(drop)), "a.b[3].c: expected true or false, found a string");
        let one = |n: Node<'_>| choice(n, &["x", "y"], |name| name);
        assert_eq!(
            root.field("a", |a| a.field("b", |b| b.items(one))).unwrap_err().to_string(),
            "a.b[0]: expected one of x, y, found a string"
        );
        assert!(items(|n| n.fields(|_, _| Ok(())).map(drop)).is_err());
        let message = |result: Result<usize>| result.unwrap_err().to_string();
        assert_eq!(message(root.field("gone", count)), format!("gone: expected {whole}, found nothing"));
        assert_eq!(message(root.field("n", count)), format!("n: expected {whole}, found nothing"));
        assert_eq!(message(root.field("twice", count)), "twice: expected one field of this name, found a number");
        assert_eq!(message(count(root)), format!("document: expected {whole}, found an object"));
        assert_eq!(message(root.field("n", |n| n.field("x", count))), "n: expected an object, found nothing");
        assert_eq!(
            message(json.at(&Path::Item(&Path::Root, 2)).field("gone", count)),
            format!("document[2].gone: expected {whole}, found nothing")
        );
        let named = Json::parse(br#"{"a\nb":1}"#).unwrap();
        assert_eq!(
            named.root().fields(|_, n| string(n)).unwrap_err().to_string(),
            "a\u{FFFD}b: expected a string, found a number"
        );
        assert_eq!(root.expected::<()>("x").unwrap_err().kind(), ErrorKind::Format);
    }
}

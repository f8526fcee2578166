//! The JSON forms that data sets share. What the parser says is never repeated: it may quote the text.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{broken, read_table};
use crate::error::Result;

/// The elements of a file that is one JSON array.
pub(super) fn array(path: &Path) -> Result<Vec<Value>> {
    whole(path, "a JSON array of records")
}

/// The entries of a file that is one JSON object, in their order.
pub(super) fn entries(path: &Path) -> Result<Vec<(String, Value)>> {
    Ok(whole::<Entries>(path, "a JSON object of records")?.0)
}

/// A file that is one JSON value.
pub(super) fn whole<T: for<'de> Deserialize<'de>>(path: &Path, expected: &str) -> Result<T> {
    serde_json::from_str(&read_table(path)?).map_err(|e| {
        broken(format!("not {expected}, column {}", e.column())).at(format!("{}:{}", path.display(), e.line()))
    })
}

/// An object whose entries keep their order.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// An id that may be a number.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Id {
    Number(u64),
    Name(String),
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Number(id) => id.to_string(),
            Id::Name(id) => id,
        }
    }
}

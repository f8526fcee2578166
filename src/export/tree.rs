//! JSON in the order in which it is said: FHIR puts `resourceType` first, and a reader expects it there.
//!
//! What is called a hundred times is not inlined: this is the largest part of the exports in WebAssembly.

use std::fmt::Write;

/// A value.
pub(super) enum Tree {
    /// Nothing: a field that is not written.
    Absent,
    Text(String),
    /// A number as it was written, or a truth.
    Raw(String),
    List(Vec<Tree>),
    Object(Vec<(&'static str, Tree)>),
}

/// An object; fields that are absent are not written.
#[inline(never)]
pub(super) fn object<const N: usize>(fields: [(&'static str, Tree); N]) -> Tree {
    Tree::Object(fields.into())
}

/// A list that is not written when it is empty.
pub(super) fn list(items: impl IntoIterator<Item = Tree>) -> Tree {
    let items: Vec<_> = items.into_iter().collect();
    if items.is_empty() { Tree::Absent } else { Tree::List(items) }
}

impl From<&str> for Tree {
    #[inline(never)]
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Tree {
    #[inline(never)]
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Tree {
    #[inline(never)]
    fn from(count: usize) -> Self {
        Self::Raw(count.to_string())
    }
}

impl From<bool> for Tree {
    #[inline(never)]
    fn from(truth: bool) -> Self {
        Self::Raw(truth.to_string())
    }
}

impl<T: Into<Tree>> From<Option<T>> for Tree {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl Tree {
    /// Adds a field to an object.
    pub(super) fn with(self, name: &'static str, value: impl Into<Tree>) -> Self {
        self.with_tree(name, value.into())
    }

    #[inline(never)]
    fn with_tree(mut self, name: &'static str, value: Tree) -> Self {
        if let Self::Object(fields) = &mut self {
            fields.push((name, value));
        }
        self
    }

    /// One line.
    pub(super) fn line(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out.push('\n');
        out
    }

    /// One line of ASCII, for readers that guess at an encoding.
    pub(super) fn ascii_line(&self) -> String {
        let mut out = String::new();
        for c in self.line().chars() {
            if c.is_ascii() {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Absent => out.push_str("null"),
            Self::Raw(written) => out.push_str(written),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                let written = fields.iter().filter(|(_, value)| !matches!(value, Self::Absent));
                for (i, (name, value)) in written.enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    quote(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// A string of JSON. U+2028 and U+2029 are escaped too: some readers of lines take them for line breaks.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_reads_what_was_said() {
        let text: String =
            (0..0x300).filter_map(char::from_u32).chain("\u{2028}\u{2029}\u{85}😀\\\"".chars()).collect();
        let tree = object([
            ("text", text.as_str().into()),
            ("absent", Tree::Absent),
            ("none", list([])),
            ("list", list([1.into(), true.into(), Tree::Raw("4.20".into())])),
            ("empty", Tree::List(Vec::new())),
        ])
        .with("last", Some("x"));
        let line = tree.line();
        let expected = serde_json::json!({"text": text, "list": [1, true, 4.2], "empty": [], "last": "x"});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), expected);
        assert!(
            line.starts_with("{\"text\":\"") && line.ends_with("\"list\":[1,true,4.20],\"empty\":[],\"last\":\"x\"}\n")
        );
        let ascii = tree.ascii_line();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&ascii).unwrap(), expected);
        assert!(ascii.is_ascii() && ascii.ends_with("}\n"));
        // No line break of Python's splitlines but the last.
        assert!(!line.trim_end().contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}'));
    }
}

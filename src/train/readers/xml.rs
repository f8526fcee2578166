//! A note in XML: `<TEXT>` with the note, `<TAGS>` with empty elements that point into it. Nothing is ever expanded or
//! fetched: a document type is refused, and of references only those to characters are resolved.

use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{broken, read_utf8};
use crate::error::Result;

/// What is read at most: a note has some kilobytes, some hundreds of tags, and three levels.
const MAX_BYTES: usize = 64 << 20;
const MAX_DEPTH: usize = 8;
const MAX_TAGS: usize = 1 << 18;
const MAX_ATTRIBUTES: usize = 64;

/// A note and its tags, in the order of the file.
pub(super) struct Annotated {
    pub text: String,
    pub tags: Vec<Tag>,
}

/// An element of `<TAGS>`.
pub(super) struct Tag {
    /// On which it ends, from 1.
    pub line: usize,
    pub name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// An attribute, by its name without regard to case.
    pub(super) fn attribute(&self, name: &str) -> Result<&str> {
        let found = self.attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).ok_or_else(|| broken(format!("a tag without {name:?}")))
    }
}

pub(super) fn read(path: &Path) -> Result<Annotated> {
    let xml = read_utf8(path)?;
    if xml.len() > MAX_BYTES {
        return Err(broken(format!("{} bytes, expected at most {MAX_BYTES}", xml.len())).at(path.display()));
    }
    let mut parser = Parser { found: Annotated { text: String::new(), tags: Vec::new() }, stack: Vec::new(), texts: 0 };
    events(&xml, |event, line| parser.take(event, line))
        .map_err(|(line, e)| e.at(format!("{}:{line}", path.display())))?;
    match parser.texts {
        1 => Ok(parser.found),
        count => Err(broken(format!("{count} elements TEXT, expected one")).at(path.display())),
    }
}

/// Hands the events of a document over, each with the line on which it ends, until one wants no more. An error comes with
/// its line.
pub(super) fn events(
    xml: &str,
    mut take: impl FnMut(Event<'_>, usize) -> Result<bool>,
) -> Result<(), (usize, crate::error::Error)> {
    let xml = xml.strip_prefix('\u{feff}').unwrap_or(xml);
    let mut reader = Reader::from_str(xml);
    reader.config_mut().allow_dangling_amp = true;
    let (mut line, mut seen) = (1, 0);
    loop {
        // what the parser says is not repeated: it may quote the note
        let event = reader.read_event().map_err(|_| broken("not well-formed XML"));
        let at = usize::try_from(reader.buffer_position()).unwrap_or(xml.len()).min(xml.len());
        line += xml.as_bytes().get(seen..at).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count();
        seen = at;
        if !event.and_then(|event| take(event, line)).map_err(|e| (line, e))? {
            return Ok(());
        }
    }
}

struct Parser {
    found: Annotated,
    /// The names of the open elements.
    stack: Vec<String>,
    texts: usize,
}

impl Parser {
    /// Whether more is to come.
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<bool> {
        match event {
            Event::Start(start) => self.open(&start, line)?,
            Event::Empty(empty) => {
                self.open(&empty, line)?;
                self.stack.pop();
            }
            Event::End(_) => drop(self.stack.pop()),
            Event::CData(text) => self.note(&text, |raw| raw.to_owned())?,
            Event::Text(text) => self.note(&text, |raw| raw.to_owned())?,
            Event::GeneralRef(name) => self.note(&name, |raw| resolved(&format!("&{raw};")))?,
            Event::DocType(_) => return Err(broken("a document type is not read")),
            Event::Eof if self.stack.is_empty() => return Ok(false),
            Event::Eof => return Err(broken(format!("{} elements are not closed", self.stack.len()))),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
        Ok(true)
    }

    fn open(&mut self, start: &BytesStart<'_>, line: usize) -> Result<()> {
        if self.stack.len() == MAX_DEPTH {
            return Err(broken(format!("elements deeper than {MAX_DEPTH}")));
        }
        let name = utf8(start.name().0)?.to_owned();
        self.texts += usize::from(name == "TEXT");
        if self.stack.last().is_some_and(|parent| parent == "TAGS") {
            if self.found.tags.len() == MAX_TAGS {
                return Err(broken(format!("more than {MAX_TAGS} tags")));
            }
            let attributes = attributes(start)?;
            self.found.tags.push(Tag { line, name: name.clone(), attributes });
        }
        self.stack.push(name);
        Ok(())
    }

    /// Character data counts in `<TEXT>` only.
    fn note(&mut self, raw: &[u8], read: impl Fn(&str) -> String) -> Result<()> {
        if self.stack.last().is_some_and(|name| name == "TEXT") {
            self.found.text.push_str(&read(utf8(raw)?));
        }
        Ok(())
    }
}

pub(super) fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for attribute in start.attributes().take(MAX_ATTRIBUTES + 1) {
        let attribute = attribute.map_err(|_| broken("an attribute that cannot be read"))?;
        found.push((utf8(attribute.key.0)?.to_owned(), resolved(utf8(&attribute.value)?)));
    }
    if found.len() > MAX_ATTRIBUTES {
        return Err(broken(format!("more than {MAX_ATTRIBUTES} attributes")));
    }
    Ok(found)
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| broken("is not UTF-8"))
}

/// References to characters resolved; an ampersand that begins none stays, because some releases write it bare.
pub(super) fn resolved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.bytes().take(12).position(|byte| byte == b';').map(|end| &rest[1..end]);
        match reference.and_then(|name| Some((name.len() + 2, character(name)?))) {
            Some((length, c)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|&c| c != '\0')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn only_characters_are_resolved() {
        for (text, expected) in [
            ("a &amp; b", "a & b"),
            ("D&C &#233;&#xb5;&lt;", "D&C éµ<"),
            ("&bomb; &#0; &#x110000; &", "&bomb; &#0; &#x110000; &"),
            ("&é;&&amp;", "&é;&&"),
        ] {
            assert_eq!(resolved(text), expected);
        }
    }
}

//! Where texts come from: files, standard input, or JSON objects a line.
//!
//! No error here holds a part of what was read: a message of the JSON parser may quote it, and is not shown.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A longer text is refused: it would take gigabytes of memory, and is hardly one note.
pub(crate) const MAX_NOTE: u64 = 100_000_000;

/// What is asked, and where it stands.
pub(crate) struct Question<I> {
    pub(crate) origin: Origin,
    pub(crate) input: I,
}

/// Where a question stands, as its result repeats it.
#[derive(Serialize)]
pub(crate) struct Origin {
    /// The path, or `-`.
    pub(crate) file: String,
    /// Of a file of JSON objects, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// As the object states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
}

impl Origin {
    /// A file as a whole.
    pub(crate) fn file(path: &Path) -> Self {
        Self { file: path.display().to_string(), line: None, id: None }
    }

    /// A record of a file, from 1, with the id that it states.
    pub(crate) fn record(path: &Path, number: usize, id: Option<Value>) -> Self {
        Self { file: path.display().to_string(), line: Some(number), id }
    }

    /// The same with another id.
    pub(crate) fn with_id(self, id: Option<Value>) -> Self {
        Self { id, ..self }
    }

    /// What an export calls it: the id where there is one, else the file and the line. Standard input has no name.
    pub(crate) fn name(&self) -> String {
        match (&self.id, self.line) {
            (Some(Value::String(id)), _) => id.clone(),
            (Some(id), _) => id.to_string(),
            (None, Some(line)) => format!("{}:{line}", self.file),
            (None, None) if self.file == "-" => String::new(),
            (None, None) => self.file.clone(),
        }
    }

    /// For people: the id may name one, and is left out.
    pub(crate) fn shown(&self) -> String {
        let file = if self.file == "-" { "standard input" } else { &self.file };
        self.line.map_or_else(|| file.to_owned(), |line| format!("{file}: line {line}"))
    }
}

/// The texts of files; `-`, or no file at all, is standard input.
pub(crate) fn texts<'a>(files: &'a [PathBuf]) -> impl Iterator<Item = Result<Question<String>>> + 'a {
    let standard_input = files.is_empty().then(|| PathBuf::from("-"));
    files.iter().cloned().chain(standard_input).map(|path| {
        let origin = Origin::file(&path);
        let input = read_text(&path).with_context(|| origin.shown())?;
        Ok(Question { origin, input })
    })
}

/// A whole text file, or standard input for `-`.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_NOTE + 1).read_to_end(&mut bytes)?;
    decode(bytes)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path.as_os_str() != "-" {
        return Ok(Box::new(BufReader::new(File::open(path)?)));
    }
    if io::stdin().is_terminal() {
        eprintln!("clinlite: reading from standard input, end it with Ctrl-D");
    }
    Ok(Box::new(io::stdin().lock()))
}

fn decode(bytes: Vec<u8>) -> Result<String> {
    if bytes.len() as u64 > MAX_NOTE {
        bail!("longer than {} MB; split it into notes", MAX_NOTE / 1_000_000);
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let utf16 = error.as_bytes().starts_with(&[0xFF, 0xFE]) || error.as_bytes().starts_with(&[0xFE, 0xFF]);
        let hint = if utf16 { "; it looks like UTF-16" } else { "" };
        anyhow!("not UTF-8 at byte {at}{hint}")
    })
}

/// One object a line; what is not one is an error of its line, and blank lines are none. `form` says what an object holds.
pub(crate) fn lines<I: DeserializeOwned>(
    path: &Path,
    form: &'static str,
) -> Result<impl Iterator<Item = Result<Question<I>>> + use<I>> {
    let file = Origin::file(path);
    let mut reader = open(path).with_context(|| file.shown())?;
    let mut number = 0;
    Ok(std::iter::from_fn(move || {
        loop {
            let mut bytes = Vec::new();
            number += 1;
            let origin = Origin { file: file.file.clone(), line: Some(number), id: None };
            match (&mut reader).take(MAX_NOTE + 1).read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) if bytes.trim_ascii().is_empty() => (),
                Ok(_) => {
                    // The rest of a line that is too long is not a line of its own.
                    let whole = bytes.ends_with(b"\n") || bytes.len() as u64 <= MAX_NOTE;
                    if !whole && reader.skip_until(b'\n').is_err() {
                        return None;
                    }
                    let shown = origin.shown();
                    return Some(line(bytes, origin, form).context(shown));
                }
                Err(error) => {
                    let shown = origin.shown();
                    // Such a reader would fail again at every line.
                    reader = Box::new(io::empty());
                    return Some(Err(anyhow::Error::new(error).context(shown)));
                }
            }
        }
    }))
}

fn line<I: DeserializeOwned>(bytes: Vec<u8>, mut origin: Origin, form: &str) -> Result<Question<I>> {
    #[derive(Deserialize)]
    struct Identified<I> {
        id: Option<Value>,
        #[serde(flatten)]
        input: I,
    }
    let text = decode(bytes)?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let Identified { id, input } = serde_json::from_str(text).map_err(|error| match error.is_data() {
        true => anyhow!("expected an object of the form {form}"),
        false => anyhow!("not JSON at column {}, expected {form}", error.column()),
    })?;
    origin.id = id;
    Ok(Question { origin, input })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Text {
        text: String,
    }

    fn read(text: &str) -> Result<(String, Option<Value>)> {
        let origin = Origin { file: "-".into(), line: Some(3), id: None };
        let question = line::<Text>(text.as_bytes().to_vec(), origin, r#"{"text": …}"#)?;
        Ok((question.input.text, question.origin.id))
    }

    #[test]
    fn a_line_by_hand() {
        assert_eq!(read(r#"{"text": "a"}"#).unwrap(), ("a".into(), None));
        assert_eq!(
            read("\u{feff}{\"id\": 7, \"text\": \"a\", \"more\": []}\r\n").unwrap(),
            ("a".into(), Some(7.into()))
        );
    }

    #[test]
    fn an_error_quotes_nothing() {
        for wrong in
            [r#"{"text": 5}"#, r#"["secret"]"#, r#""secret""#, r#"{"note": "secret"}"#, "secret", r#"{"text": "secret"#]
        {
            let message = format!("{:#}", read(wrong).unwrap_err());
            assert!(message.contains(r#"{"text": …}"#) && !message.contains("secret"), "{message}");
        }
    }
}

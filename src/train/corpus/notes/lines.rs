//! A JSON object a line.

use std::fs::File;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{MAX_NOTE, Note, buffered, data, io_error};
use crate::error::Result;

/// The texts under `key`, blank lines passed over.
pub(super) fn read(path: PathBuf, file: File, key: String) -> impl Iterator<Item = Result<Note>> {
    let (mut reader, mut number, mut bytes) = (buffered(file), 0, Vec::new());
    std::iter::from_fn(move || {
        loop {
            bytes.clear();
            number += 1;
            let read = (&mut reader).take(MAX_NOTE + 1).read_until(b'\n', &mut bytes);
            match read.map_err(|e| io_error(&e, &path)) {
                Err(error) => return Some(Err(error)),
                Ok(0) => return None,
                Ok(_) if bytes.trim_ascii().is_empty() => {}
                Ok(_) => return Some(note(&bytes, &key, &path, number)),
            }
        }
    })
}

/// What the parser says is not repeated: it may quote the note.
fn note(line: &[u8], key: &str, path: &Path, number: usize) -> Result<Note> {
    let refuse = |message: String| Err(data(message).at(format!("{}:{number}", path.display())));
    if line.len() as u64 > MAX_NOTE {
        return refuse(format!("longer than {MAX_NOTE} bytes"));
    }
    let mut object: Map<String, Value> = match serde_json::from_slice(line) {
        Ok(object) => object,
        Err(e) if e.is_data() => return refuse(format!("expected a JSON object with {key:?}")),
        Err(e) => return refuse(format!("not JSON at column {}, expected an object with {key:?}", e.column())),
    };
    let text = match object.remove(key) {
        Some(Value::String(text)) => text,
        Some(Value::Null) => String::new(),
        Some(_) => return refuse(format!("{key:?} is not a string")),
        None => return refuse(format!("expected a JSON object with {key:?}")),
    };
    Ok(Note { text, bytes: line.len() as u64 })
}

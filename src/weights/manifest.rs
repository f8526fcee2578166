//! What a packed model folder states about itself: `manifest.json`.
//!
//! The manifest names every file that the engine reads with its length and sha256, and everything a reader of results
//! needs to know: labels, licences, data, figures. `docs/model-files.md` describes each field.

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::json::{Json, Node, count, string};

/// The version of this form. It changes when a field changes its meaning or goes away.
pub const SCHEMA: &str = "clinlite/model/1";

/// The name of the file in a folder.
pub const NAME: &str = "manifest.json";

/// More than any manifest needs: a longer one is refused before it is parsed.
const MAX_BYTES: usize = 1 << 20;

/// Bytes that are hashed in one call.
const HASHED_AT_ONCE: usize = 1 << 14;

/// A model folder's statement about itself. The order of the fields is the order in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The id of the model, as results name it.
    pub name: String,
    /// The version of the model, not of this crate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// `token-classification`.
    pub task: String,
    /// `bert`.
    pub architecture: String,
    /// The types of entities, in the order in which the tags first name them.
    pub labels: Vec<String>,
    /// How tags mark borders: `BIO` or `BIOES`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The SPDX id or name of the licence of these weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The model that training started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Source>,
    /// The data sets that training read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Source>,
    /// An object of figures by name. Each states its data, split, protocol and command; the form is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Json>,
    /// How the weights are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// How long notes are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Every file that the engine reads, this one excepted.
    #[serde(serialize_with = "by_name")]
    pub files: Vec<(String, FileEntry)>,
    /// The model card. It is checked when it is there, and a folder without it still loads.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "by_name")]
    pub card: Vec<(String, FileEntry)>,
}

/// A model or data set that this one was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The SPDX id or name of its licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Where it is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// How the weights are stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantization {
    /// `int8-symmetric-per-row`: `value[r][c] = scale[r] · data[r][c]`.
    pub scheme: String,
    /// The names of matrices and tables that stay `F32`.
    pub kept_f32: Vec<String>,
}

/// How a long note is cut into overlapping windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The longest window in pieces, special tokens included.
    pub max_length: usize,
    /// The least overlap of two windows in pieces.
    pub stride: usize,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Reads and checks `manifest.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when it is too long, not JSON, of another schema, or names a file that is not a plain name.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.len() > MAX_BYTES {
            return Err(refuse(format!("expected at most {MAX_BYTES} bytes, found {}", json.len())));
        }
        let manifest = Json::parse(json).and_then(|json| Self::read(json.root())).map_err(|e| e.at(NAME))?;
        manifest.validate()?;
        Ok(manifest)
    }

    fn read(json: Node<'_>) -> Result<Self> {
        // First, so that a manifest of another version is refused by its version.
        let schema = json.field_or("schema", String::new(), string)?;
        if schema != SCHEMA {
            let message = format!("expected the schema {SCHEMA:?}, found {schema:?}");
            return Err(Error::new(ErrorKind::Format, message));
        }
        Ok(Self {
            schema,
            name: json.field("name", string)?,
            version: json.field_or("version", String::new(), string)?,
            task: json.field("task", string)?,
            architecture: json.field("architecture", string)?,
            labels: json.list("labels", string)?,
            scheme: json.optional("scheme", string)?,
            licence: json.optional("licence", string)?,
            base: json.optional("base", Source::read)?,
            data: json.list("data", Source::read)?,
            metrics: json.optional("metrics", figures)?,
            quantization: json.optional("quantization", Quantization::read)?,
            window: json.optional("window", Window::read)?,
            files: json.field("files", listed)?,
            card: json.field_or("card", Vec::new(), listed)?,
        })
    }

    /// `manifest.json`: indented, fields in a fixed order, files in their own.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] as in [`Manifest::from_json`].
    pub fn to_json(&self) -> Result<Vec<u8>> {
        self.validate()?;
        let mut json = serde_json::to_vec_pretty(self).map_err(|e| refuse(e.to_string()))?;
        json.push(b'\n');
        Ok(json)
    }

    fn validate(&self) -> Result<()> {
        if self.files.is_empty() {
            return Err(refuse("lists no files".into()));
        }
        for (name, entry) in self.files.iter().chain(&self.card) {
            if !is_plain(name) || name == NAME {
                return Err(refuse(format!("{name:?} is not the plain name of a model file")));
            }
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if entry.sha256.len() != 64 || !entry.sha256.bytes().all(hex) {
                return Err(refuse(format!("the sha256 of {name:?} is not 64 lower-case hexadecimal digits")));
            }
        }
        match self.window {
            // Two special tokens and one piece; and each window must move on.
            Some(window) if window.max_length < 3 || window.stride >= window.max_length - 2 => {
                let Window { max_length, stride } = window;
                Err(refuse(format!("a window of {max_length} with a stride of {stride} does not move on")))
            }
            _ => Ok(()),
        }
    }
}

impl Source {
    fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self {
            name: json.field("name", string)?,
            licence: json.optional("licence", string)?,
            source: json.optional("source", string)?,
        })
    }
}

impl Quantization {
    fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self { scheme: json.field("scheme", string)?, kept_f32: json.list("kept_f32", string)? })
    }
}

impl Window {
    pub(crate) fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self { max_length: json.field("max_length", count)?, stride: json.field("stride", count)? })
    }
}

fn figures(json: Node<'_>) -> Result<Json> {
    json.fields(|_, _| Ok(()))?;
    Ok(json.to_json())
}

fn listed(json: Node<'_>) -> Result<Vec<(String, FileEntry)>> {
    json.fields(|name, entry| Ok((name.to_owned(), FileEntry::read(entry)?)))
}

fn by_name<S: Serializer>(files: &[(String, FileEntry)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(files.iter().map(|(name, entry)| (name, entry)))
}

impl FileEntry {
    /// The length and hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }

    fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self { bytes: json.field("bytes", count)? as u64, sha256: json.field("sha256", string)? })
    }
}

/// The sha256 in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    // In parts: a browser replaces slow code by fast code at the next call, never inside one.
    let mut hash = Sha256::new();
    bytes.chunks(HASHED_AT_ONCE).for_each(|part| hash.update(part));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a name stays inside a folder and means the same on every system: no separator, no drive, not hidden.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(plain)
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::Format, message).at(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            schema: SCHEMA.into(),
            name: "tiny".into(),
            task: "token-classification".into(),
            architecture: "bert".into(),
            window: Some(Window { max_length: 128, stride: 32 }),
            metrics: Json::parse(br#"{"test":{"f1":70.1}}"#).ok(),
            files: vec![("config.json".to_owned(), FileEntry::of(b"{}"))],
            ..Manifest::default()
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let json = manifest().to_json().expect("a valid manifest");
        assert_eq!(Manifest::from_json(&json).expect("the same"), manifest());
        assert_eq!(Manifest::from_json(&json).and_then(|m| m.to_json()).expect("the same"), json);
    }

    #[test]
    fn refusals() {
        type Spoil = fn(&mut Manifest);
        let cases: &[(&str, Spoil, &str)] = &[
            ("another schema", |m| m.schema = "clinlite/model/2".into(), "expected the schema"),
            ("no files", |m| m.files.clear(), "lists no files"),
            ("a path", |m| m.files.push(("../x".into(), FileEntry::of(b""))), "plain name"),
            ("a drive", |m| m.files.push(("C:x".into(), FileEntry::of(b""))), "plain name"),
            ("a hidden file", |m| m.files.push((".env".into(), FileEntry::of(b""))), "plain name"),
            ("itself", |m| m.files.push((NAME.into(), FileEntry::of(b""))), "plain name"),
            ("a path as card", |m| m.card.push(("/etc/x".into(), FileEntry::of(b""))), "plain name"),
            (
                "a short hash",
                |m| m.files.push(("a".into(), FileEntry { bytes: 0, sha256: "00".into() })),
                "64 lower-case",
            ),
            ("a window that stands", |m| m.window = Some(Window { max_length: 10, stride: 8 }), "does not move on"),
            ("no room for a piece", |m| m.window = Some(Window { max_length: 2, stride: 0 }), "does not move on"),
        ];
        for (name, spoil, expected) in cases {
            let mut spoilt = manifest();
            spoil(&mut spoilt);
            let json = serde_json::to_vec(&spoilt).expect("serializable");
            let error = Manifest::from_json(&json).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Format, "{name}");
            assert!(error.to_string().contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn hostile_json_is_refused() {
        let deep = format!("{{\"schema\":\"{SCHEMA}\",\"metrics\":{}", "[".repeat(100_000));
        let long = vec![b' '; MAX_BYTES + 1];
        for json in [b"".as_slice(), b"null", b"[]", b"\xff", deep.as_bytes(), &long] {
            assert_eq!(Manifest::from_json(json).expect_err("refused").kind(), ErrorKind::Format);
        }
    }

    #[test]
    fn the_hash_is_sha256() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

//! Raw notes, one after the other, from files of any size.

mod lines;
mod parquet;
mod table;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

pub use self::parquet::{contained, panic_is_contained};
use crate::error::{Error, ErrorKind, Result};
use crate::train::hash;
use crate::train::readers::csv::Cells;

/// A longer note is refused: it is hardly one note, and would take gigabytes of memory while it is worked on.
pub const MAX_NOTE: u64 = 100_000_000;
/// Folders in folders. A link that leads back up would never end.
const MAX_DEPTH: usize = 16;

/// One note.
pub struct Note {
    /// As the file has it.
    pub text: String,
    /// About how many bytes of the file it took, for a progress bar.
    pub bytes: u64,
}

/// The length, not the text.
impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Note({} bytes)", self.text.len())
    }
}

/// A file of notes.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    format: Format,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    /// One note.
    Txt,
    /// One note an object, an object a line.
    Jsonl,
    /// One note a row.
    Csv,
    Tsv,
    Parquet,
}

const EXPECTED: &str = ".txt, .jsonl, .csv, .tsv or .parquet file";

impl Format {
    /// By the end of the name, in any case.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Txt),
            "jsonl" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// The files of notes that paths name, in their order; those of a folder, and of the folders in it, by name. Other files
/// of a folder are passed over.
///
/// # Errors
/// [`ErrorKind::Io`] for a path that cannot be read; [`ErrorKind::Data`] for a file of another kind that is named itself,
/// and for a folder without a file of notes.
pub fn sources(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        if fs::metadata(path).map_err(|e| io_error(&e, path))?.is_dir() {
            walk(path, 0, &mut found)?;
        } else {
            found.extend(Source::new(path.clone())?);
        }
        if found.len() == before {
            return Err(data(format!("expected a folder with, or a {EXPECTED}")).at(path.display()));
        }
    }
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<Source>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(data(format!("more than {MAX_DEPTH} folders deep")).at(folder.display()));
    }
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = entries.map_err(|e| io_error(&e, folder))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, depth + 1, found)?;
        } else {
            found.extend(Source::new(path)?);
        }
    }
    Ok(())
}

impl Source {
    fn new(path: PathBuf) -> Result<Option<Self>> {
        let Some(format) = Format::of(&path) else { return Ok(None) };
        let bytes = fs::metadata(&path).map_err(|e| io_error(&e, &path))?.len();
        Ok(Some(Self { path, format, bytes }))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sha256 of the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sha256(&self) -> Result<String> {
        hash::of(&mut self.open()?).map_err(|e| self.io(&e))
    }

    /// The notes of the file in order. `key` names the field or the column that holds the text; a `.txt` file has none. A
    /// note that is empty, or null where the format knows it, comes as an empty text.
    ///
    /// # Errors
    /// The first note that cannot be read ends them: [`ErrorKind::Data`] with the file and the line or row, never with
    /// the text; [`ErrorKind::Io`]; [`ErrorKind::Unsupported`] for a form of Parquet that is not read.
    pub fn notes(&self, key: &str) -> Result<Box<dyn Iterator<Item = Result<Note>> + Send>> {
        let (path, file) = (self.path.clone(), self.open()?);
        Ok(match self.format {
            Format::Txt => Box::new(std::iter::once(whole(&path, file))),
            Format::Jsonl => Box::new(until_error(lines::read(path, file, key.to_owned()))),
            Format::Csv => Box::new(until_error(table::read(path, file, Cells::Commas, key)?)),
            Format::Tsv => Box::new(until_error(table::read(path, file, Cells::Tabs, key)?)),
            Format::Parquet => Box::new(until_error(parquet::read(path, file, key)?)),
        })
    }

    fn open(&self) -> Result<File> {
        File::open(&self.path).map_err(|e| self.io(&e))
    }

    fn io(&self, e: &io::Error) -> Error {
        io_error(e, &self.path)
    }
}

/// What comes after a broken note may be anything.
fn until_error(notes: impl Iterator<Item = Result<Note>>) -> impl Iterator<Item = Result<Note>> {
    let mut failed = false;
    notes.take_while(move |note| !std::mem::replace(&mut failed, note.is_err()))
}

/// A file that is one note.
fn whole(path: &Path, file: File) -> Result<Note> {
    let mut bytes = Vec::new();
    buffered(file).take(MAX_NOTE + 1).read_to_end(&mut bytes).map_err(|e| io_error(&e, path))?;
    let read = bytes.len() as u64;
    if read > MAX_NOTE {
        return Err(data(format!("longer than {MAX_NOTE} bytes")).at(path.display()));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        data("is not UTF-8").at(format!("{}:{line}", path.display()))
    })?;
    Ok(Note { text, bytes: read })
}

/// A reader behind the mark that some programs put before UTF-8. That it cannot be read is found out by whoever reads.
fn buffered(file: File) -> BufReader<File> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut reader = BufReader::new(file);
    if reader.fill_buf().is_ok_and(|bytes| bytes.starts_with(MARK)) {
        reader.consume(MARK.len());
    }
    reader
}

fn data(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Data, message)
}

fn io_error(e: &io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

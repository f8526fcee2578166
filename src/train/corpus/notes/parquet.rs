//! A value of a column a note: Apache Parquet, <https://parquet.apache.org/docs/file-format>.
//!
//! Only the pages of the one column are read, one after the other. The crate that decodes them asserts what a damaged
//! file does not keep, so a panic in it is caught and becomes an error of the file.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::vec;

use parquet::basic::{Compression, Type};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use super::{MAX_NOTE, Note, data};
use crate::error::{Error, ErrorKind, Result};

/// Rows that are decoded at a time.
const ROWS: usize = 64;

/// The texts of the column `key`.
pub(super) fn read(path: PathBuf, file: File, key: &str) -> Result<impl Iterator<Item = Result<Note>> + use<>> {
    let column = Column::open(file, key).map_err(|e| e.at(path.display()))?;
    let mut row = 0;
    Ok(column.map(move |text| {
        row += 1;
        text.map_err(|e| e.at(format!("{}: row {row}", path.display())))
    }))
}

struct Column {
    file: SerializedFileReader<File>,
    /// Its place in the schema.
    column: usize,
    /// Of the values whose presence a level states.
    optional: bool,
    /// The next row group, and the column in the one that is open.
    group: usize,
    open: Option<ColumnReader>,
    /// The rows that the open group states, less those that were decoded.
    left: i64,
    decoded: vec::IntoIter<Option<ByteArray>>,
    /// Bytes of the file a row.
    bytes: u64,
}

impl Column {
    fn open(file: File, key: &str) -> Result<Self> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let file = contained(|| SerializedFileReader::new(file));
        let file = file.ok_or_else(|| data("damaged, or not a Parquet file"))?;
        let metadata = file.metadata();
        let (column, optional) = find(metadata.file_metadata().schema_descr(), key)?;
        check_compression(metadata, column)?;
        let bytes = length / u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0).max(1);
        Ok(Self { file, column, optional, group: 0, open: None, left: 0, decoded: Vec::new().into_iter(), bytes })
    }

    /// Decodes some rows more; none when there are no more.
    fn decode(&mut self) -> Result<Vec<Option<ByteArray>>> {
        loop {
            let Some(ColumnReader::ByteArrayColumnReader(reader)) = &mut self.open else {
                if self.group == self.file.num_row_groups() {
                    return Ok(Vec::new());
                }
                self.open = Some(self.next_group()?);
                continue;
            };
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let read = contained(|| reader.read_records(ROWS, Some(&mut levels), None, &mut values));
            let (rows, ..) = read.ok_or_else(|| data("damaged, or encoded in a form that is not read"))?;
            self.left -= i64::try_from(rows).unwrap_or(i64::MAX);
            if rows == 0 {
                self.open = None;
                if self.left != 0 {
                    return Err(data("a row group does not have the rows that it states"));
                }
            } else if self.optional {
                let mut values = values.into_iter();
                return Ok(levels.iter().map(|&level| if level == 0 { None } else { values.next() }).collect());
            } else {
                return Ok(values.into_iter().map(Some).collect());
            }
        }
    }

    fn next_group(&mut self) -> Result<ColumnReader> {
        let reader = contained(|| self.file.get_row_group(self.group)?.get_column_reader(self.column));
        self.left = self.file.metadata().row_group(self.group).num_rows();
        self.group += 1;
        reader.ok_or_else(|| data("damaged"))
    }

    fn note(&self, value: Option<ByteArray>) -> Result<Note> {
        let text = match &value {
            Some(value) => value.as_utf8().map_err(|_| data("is not UTF-8"))?,
            None => "",
        };
        if text.len() as u64 > MAX_NOTE {
            return Err(data(format!("longer than {MAX_NOTE} bytes")));
        }
        Ok(Note { text: text.to_owned(), bytes: self.bytes })
    }
}

impl Iterator for Column {
    type Item = Result<Note>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.decoded.len() == 0 {
            match self.decode() {
                Ok(rows) => self.decoded = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(self.decoded.next()?).map(|value| self.note(value))
    }
}

/// The place of a column of strings, and whether its values may be null.
fn find(schema: &SchemaDescriptor, key: &str) -> Result<(usize, bool)> {
    let place = schema.columns().iter().position(|column| column.path().parts() == [key]);
    let column = place.ok_or_else(|| data(format!("has no column {key:?}")))?;
    let found = schema.column(column);
    if found.physical_type() != Type::BYTE_ARRAY || found.max_rep_level() > 0 {
        return Err(data(format!("the column {key:?} holds no strings")));
    }
    Ok((column, found.max_def_level() > 0))
}

/// The codecs that this build has.
fn check_compression(metadata: &ParquetMetaData, column: usize) -> Result<()> {
    let found = metadata.row_groups().iter().filter_map(|group| group.columns().get(column)).map(|c| c.compression());
    let known = |codec| matches!(codec, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_));
    match found.into_iter().find(|&codec| !known(codec)) {
        Some(codec) => {
            let name = codec.to_string();
            let name = name.split('(').next().unwrap_or_default(); // without the level, which no file states
            let message = format!("compressed with {name}, expected SNAPPY, ZSTD or nothing");
            Err(Error::new(ErrorKind::Unsupported, message))
        }
        None => Ok(()),
    }
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// What a call into the crate that reads Parquet gives. What it says of a file, as an error or a panic, is not repeated: it
/// may quote a note.
pub fn contained<T, E>(call: impl FnOnce() -> Result<T, E>) -> Option<T> {
    CONTAINED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call)); // after a failure nothing is asked of the reader again
    CONTAINED.set(false);
    result.ok()?.ok()
}

/// Whether a panic of this thread is on its way to become an error of a file. A panic hook should then say nothing.
pub fn panic_is_contained() -> bool {
    CONTAINED.get()
}

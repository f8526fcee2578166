//! The notes of a source, one after the other.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow, bail};
use clinlite::train::corpus::notes::contained;
use parquet::basic::Type as Physical;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::plan::{Kind, Source};
use crate::inputs::{self, MAX_NOTE, Origin, Question};

/// The fields or columns that hold the text and the id.
pub(crate) struct Keys {
    pub(crate) text: String,
    pub(crate) id: String,
}

/// Why a question is missing: that of one note, or of all notes from here on.
pub(super) enum Trouble {
    Note(Error),
    Source(Error),
}

type Notes<'a> = Box<dyn Iterator<Item = Result<Question<String>, Trouble>> + 'a>;

/// The notes of a source, in their order. After [`Trouble::Source`] there are no more.
pub(super) fn of<'a>(source: &Source, keys: &'a Keys) -> Notes<'a> {
    let path = source.path.clone();
    match source.kind {
        Kind::Text => Box::new(std::iter::once_with(move || {
            let origin = Origin::file(&path);
            let input = inputs::read_text(&path).with_context(|| origin.shown()).map_err(Trouble::Note)?;
            Ok(Question { origin, input })
        })),
        Kind::Jsonl => match inputs::lines::<Map<String, Value>>(&path, r#"{"text": …}"#) {
            Ok(lines) => Box::new(lines.map(|line| line.and_then(|line| object(line, keys)).map_err(Trouble::Note))),
            Err(error) => Box::new(std::iter::once(Err(Trouble::Source(error)))),
        },
        Kind::Parquet => match Table::open(path, keys) {
            Ok(rows) => Box::new(rows),
            Err(error) => Box::new(std::iter::once(Err(Trouble::Source(error)))),
        },
    }
}

/// The text and id of a line.
fn object(line: Question<Map<String, Value>>, keys: &Keys) -> Result<Question<String>> {
    let Question { origin, mut input } = line;
    let shown = origin.shown();
    let Some(Value::String(text)) = input.remove(&keys.text) else {
        bail!("{shown}: no string in the field {:?}", keys.text);
    };
    let origin = match input.remove(&keys.id) {
        Some(id) => origin.with_id(Some(id).filter(|id| !id.is_null())),
        None => origin,
    };
    Ok(Question { origin, input: text })
}

/// Two columns of a Parquet file. The crate that decodes them asserts what a damaged file does not keep.
struct Table {
    path: PathBuf,
    rows: Option<RowIter<'static>>,
    row: usize,
}

impl Table {
    fn open(path: PathBuf, keys: &Keys) -> Result<Self> {
        let shown = path.display().to_string();
        let open = || -> Result<RowIter<'static>> {
            let file = File::open(&path)?;
            let file = contained(|| SerializedFileReader::new(file));
            let file = file.context("damaged, or not a Parquet file")?;
            let columns = columns(file.metadata().file_metadata().schema(), keys)?;
            let rows = contained(|| RowIter::from_file_into(Box::new(file)).project(Some(columns)));
            rows.context("damaged, or in a form of Parquet that is not read")
        };
        let rows = open().context(shown)?;
        Ok(Self { path, rows: Some(rows), row: 0 })
    }

    fn note(&self, row: Row) -> Result<Question<String>> {
        let mut fields = row.into_columns().into_iter().map(|(_, field)| field);
        let (text, id) = (fields.next(), fields.next());
        let origin = Origin::record(&self.path, self.row, id.and_then(value));
        let input = match text {
            Some(Field::Str(text)) => text,
            Some(Field::Bytes(bytes)) => String::from_utf8(bytes.data().to_vec()).map_err(|_| anyhow!("not UTF-8"))?,
            Some(Field::Null) => String::new(),
            _ => bail!("no string"),
        };
        if input.len() as u64 > MAX_NOTE {
            bail!("longer than {} MB; split it into notes", MAX_NOTE / 1_000_000);
        }
        Ok(Question { origin, input })
    }
}

impl Iterator for Table {
    type Item = Result<Question<String>, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.as_mut()?;
        self.row += 1;
        let place = format!("{}: row {}", self.path.display(), self.row);
        match contained(|| rows.next().transpose()) {
            Some(None) => None,
            Some(Some(row)) => Some(self.note(row).context(place).map_err(Trouble::Note)),
            None => {
                self.rows = None;
                let what =
                    "damaged, or compressed otherwise than with SNAPPY or ZSTD; the rows from here on are not read";
                Some(Err(Trouble::Source(anyhow!("{place}: {what}"))))
            }
        }
    }
}

/// The text, and the id where there is one, as a schema of their own.
fn columns(schema: &Type, keys: &Keys) -> Result<Type> {
    let find = |name: &str| schema.get_fields().iter().find(|field| field.name() == name);
    let text = find(&keys.text).with_context(|| format!("has no column {:?}", keys.text))?;
    if !text.is_primitive() || text.get_physical_type() != Physical::BYTE_ARRAY {
        bail!("the column {:?} holds no strings", keys.text);
    }
    let id = find(&keys.id).filter(|id| id.is_primitive() && keys.id != keys.text);
    let fields = std::iter::once(text).chain(id).cloned().collect();
    Ok(Type::group_type_builder(schema.name()).with_fields(fields).build()?)
}

/// An id, as JSON.
fn value(field: Field) -> Option<Value> {
    match field {
        Field::Null => None,
        Field::Str(text) => Some(text.into()),
        Field::Byte(number) => Some(number.into()),
        Field::Short(number) => Some(number.into()),
        Field::Int(number) => Some(number.into()),
        Field::Long(number) => Some(number.into()),
        Field::UByte(number) => Some(number.into()),
        Field::UShort(number) => Some(number.into()),
        Field::UInt(number) => Some(number.into()),
        Field::ULong(number) => Some(number.into()),
        Field::Bytes(bytes) => Some(String::from_utf8_lossy(bytes.data()).into_owned().into()),
        other => Some(other.to_string().into()),
    }
}

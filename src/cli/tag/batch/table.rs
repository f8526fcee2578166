//! Results as a table of Parquet, a row a note: `file`, `line`, `id`, `entities` (a list of `label`, `start`, `end`, `text`,
//! `score`) and `document`, the whole result as JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde::Deserialize;
use serde_json::Value;

const SCHEMA: &str = "message results {
    required binary file (UTF8);
    optional int64 line;
    optional binary id (UTF8);
    required group entities (LIST) {
        repeated group list {
            required group element {
                required binary label (UTF8);
                required int64 start;
                required int64 end;
                required binary text (UTF8);
                optional double score;
            }
        }
    }
    required binary document (UTF8);
}";

/// A row group has so many notes, or less that are as long as this.
const ROWS: usize = 10_000;
const BYTES: usize = 64 << 20;

/// What is read of a result.
#[derive(Deserialize)]
struct Row {
    file: String,
    line: Option<i64>,
    id: Option<Value>,
    entities: Vec<Entity>,
    #[serde(skip)]
    document: String,
}

#[derive(Deserialize)]
struct Entity {
    label: String,
    start: i64,
    end: i64,
    text: String,
    score: Option<f64>,
}

/// Writes the results that stand in a file, one a line, as a table. The same lines give the same bytes.
pub(super) fn write(lines: &Path, table: &Path) -> Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    // Texts of notes do not belong into statistics.
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by(concat!("clinlite ", env!("CARGO_PKG_VERSION")).into());
    let file = File::create(table)?;
    let mut writer = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(properties.build()))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for line in BufReader::new(File::open(lines)?).lines() {
        let line = line?;
        let mut row: Row = serde_json::from_str(&line)?;
        bytes += line.len();
        row.document = line;
        rows.push(row);
        if rows.len() >= ROWS || bytes >= BYTES {
            write_group(writer.next_row_group()?, &rows)?;
            (rows, bytes) = (Vec::new(), 0);
        }
    }
    if !rows.is_empty() {
        write_group(writer.next_row_group()?, &rows)?;
    }
    writer.into_inner()?.into_inner().map_err(|error| error.into_error())?.sync_data()?;
    Ok(())
}

/// The columns of some rows, in the order of the schema.
fn write_group<W: Write + Send>(mut group: SerializedRowGroupWriter<'_, W>, rows: &[Row]) -> Result<()> {
    let strings = |texts: Vec<&str>| texts.into_iter().map(ByteArray::from).collect::<Vec<_>>();
    let present = |levels: Vec<bool>| levels.into_iter().map(i16::from).collect::<Vec<_>>();
    let ids: Vec<Option<String>> = rows.iter().map(|row| row.id.as_ref().map(plain)).collect();
    column::<ByteArrayType>(&mut group, &strings(rows.iter().map(|row| row.file.as_str()).collect()), None, None)?;
    let lines: Vec<i64> = rows.iter().filter_map(|row| row.line).collect();
    let levels = present(rows.iter().map(|row| row.line.is_some()).collect());
    column::<Int64Type>(&mut group, &lines, Some(&levels), None)?;
    let levels = present(ids.iter().map(Option::is_some).collect());
    column::<ByteArrayType>(
        &mut group,
        &strings(ids.iter().flatten().map(String::as_str).collect()),
        Some(&levels),
        None,
    )?;
    write_entities(&mut group, rows)?;
    column::<ByteArrayType>(&mut group, &strings(rows.iter().map(|row| row.document.as_str()).collect()), None, None)?;
    group.close()?;
    Ok(())
}

/// The columns of the entities. A level says whether a value is there: 0 in an empty list; and whether it goes on in the list
/// of the value before it.
fn write_entities<W: Write + Send>(group: &mut SerializedRowGroupWriter<'_, W>, rows: &[Row]) -> Result<()> {
    let (mut there, mut scored, mut goes_on) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        there.extend(if row.entities.is_empty() { vec![0] } else { vec![1; row.entities.len()] });
        scored.extend(row.entities.iter().map(|entity| 1 + i16::from(entity.score.is_some())));
        scored.extend(row.entities.is_empty().then_some(0));
        goes_on.extend((0..row.entities.len().max(1)).map(|i| i16::from(i > 0)));
    }
    let entities = || rows.iter().flat_map(|row| &row.entities);
    let (there, goes_on) = (Some(there.as_slice()), Some(goes_on.as_slice()));
    let labels: Vec<_> = entities().map(|entity| ByteArray::from(entity.label.as_str())).collect();
    column::<ByteArrayType>(group, &labels, there, goes_on)?;
    column::<Int64Type>(group, &entities().map(|entity| entity.start).collect::<Vec<_>>(), there, goes_on)?;
    column::<Int64Type>(group, &entities().map(|entity| entity.end).collect::<Vec<_>>(), there, goes_on)?;
    let texts: Vec<_> = entities().map(|entity| ByteArray::from(entity.text.as_str())).collect();
    column::<ByteArrayType>(group, &texts, there, goes_on)?;
    column::<DoubleType>(
        group,
        &entities().filter_map(|entity| entity.score).collect::<Vec<_>>(),
        Some(&scored),
        goes_on,
    )
}

fn column<D: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[D::T],
    definitions: Option<&[i16]>,
    repetitions: Option<&[i16]>,
) -> Result<()> {
    let mut column = group.next_column()?.context("a column of the schema")?;
    column.typed::<D>().write_batch(values, definitions, repetitions)?;
    Ok(column.close()?)
}

/// A string as it is, anything else as JSON.
fn plain(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

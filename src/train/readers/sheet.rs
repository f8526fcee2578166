//! The first sheet of an xlsx workbook: XML in a zip archive. Cells are taken one by one, never as a filled rectangle.

use std::collections::BTreeMap;
use std::path::Path;

use quick_xml::events::{BytesStart, Event};

use super::{archive, broken, read_bytes, xml};
use crate::error::{Error, Result};

/// Cells that are not empty, and the bytes in them: one shared string may stand in every cell.
const MAX_CELLS: usize = 1 << 20;
const MAX_BYTES: usize = 64 << 20;

/// The last row and column that the format has.
const LAST: (u32, u32) = (1_048_576, 16_384);

/// A row with a cell that is not empty.
pub(super) struct Row {
    /// From 1, as programs show it.
    pub number: u32,
    cells: BTreeMap<u32, String>,
}

impl Row {
    /// The text of a cell, nothing where there is none.
    pub(super) fn cell(&self, column: u32) -> &str {
        self.cells.get(&column).map_or("", String::as_str)
    }

    /// The column of a cell, by its text without regard to case and to spaces around it.
    pub(super) fn column(&self, text: &str) -> Option<u32> {
        let found = self.cells.iter().find(|(_, cell)| cell.trim().eq_ignore_ascii_case(text));
        found.map(|(column, _)| *column)
    }
}

/// The rows of the first sheet, from above.
pub(super) fn rows(path: &Path) -> Result<Vec<Row>> {
    first_sheet(&read_bytes(path)?).map_err(|e| e.at(path.display()))
}

fn first_sheet(bytes: &[u8]) -> Result<Vec<Row>> {
    let parts = archive::parts(bytes)?;
    let part = |name: &str| -> Result<Option<&str>> {
        let Some(bytes) = parts.get(name) else { return Ok(None) };
        Ok(Some(xml::utf8(bytes).map_err(|e| e.at("a part of the workbook"))?))
    };
    let missing = || broken("not an xlsx workbook: no sheet");
    let workbook = part("xl/workbook.xml")?.ok_or_else(missing)?;
    let id = attribute_of(workbook, "sheet", |_| true, "id")?.ok_or_else(missing)?;
    let links = part("xl/_rels/workbook.xml.rels")?.ok_or_else(missing)?;
    let is_sheet = |found: &[(String, String)]| found.iter().any(|(key, value)| key == "Id" && *value == id);
    let target = attribute_of(links, "Relationship", is_sheet, "Target")?.ok_or_else(missing)?;
    let name = target.strip_prefix('/').map_or_else(|| format!("xl/{target}"), str::to_owned);
    let strings = part("xl/sharedStrings.xml")?.map_or(Ok(Vec::new()), shared_strings)?;
    let mut sheet = Sheet { strings, ..Sheet::default() };
    events(part(&name)?.ok_or_else(missing)?, "the sheet", |event| sheet.take(event))?;
    let cells = sheet.rows.into_iter();
    Ok(cells.map(|(number, cells)| Row { number, cells }).collect())
}

/// [`xml::events`] with errors that name the part.
fn events(text: &str, part: &str, mut take: impl FnMut(Event<'_>) -> Result<bool>) -> Result<()> {
    let take = |event: Event<'_>, _| match event {
        Event::Eof => Err(broken("ends early")),
        event => take(event),
    };
    xml::events(text, take).map_err(|(line, e): (usize, Error)| e.at(format!("line {line}")).at(part))
}

/// An attribute of the first element of a name that fits.
fn attribute_of(
    text: &str,
    element: &str,
    fits: impl Fn(&[(String, String)]) -> bool,
    name: &str,
) -> Result<Option<String>> {
    let mut found = None;
    let take = |event: Event<'_>, _| {
        if let Event::Start(start) | Event::Empty(start) = &event
            && local(start) == element.as_bytes()
        {
            let attributes = xml::attributes(start)?;
            let value = attributes.iter().find(|(key, _)| key.rsplit(':').next() == Some(name));
            found = value.filter(|_| fits(&attributes)).map(|(_, value)| value.clone());
        }
        Ok(found.is_none() && !matches!(event, Event::Eof))
    };
    xml::events(text, take).map_err(|(line, e)| e.at(format!("line {line}")).at("the workbook"))?;
    Ok(found)
}

/// A name without its prefix.
fn local<'a>(start: &'a BytesStart<'_>) -> &'a [u8] {
    start.local_name().into_inner()
}

/// Character data, references to characters resolved.
fn push_text(out: &mut String, event: &Event<'_>) -> Result<()> {
    match event {
        Event::Text(text) => out.push_str(xml::utf8(text)?),
        Event::CData(text) => out.push_str(xml::utf8(text)?),
        Event::GeneralRef(name) => out.push_str(&xml::resolved(&format!("&{};", xml::utf8(name)?))),
        _ => {}
    }
    Ok(())
}

/// The strings that cells name by number. How a string is pronounced (`rPh`) is not part of it.
fn shared_strings(text: &str) -> Result<Vec<String>> {
    let mut strings = Vec::new();
    let (mut inside, mut spoken) = (false, false);
    events(text, "the shared strings", |event| {
        match &event {
            Event::Start(start) => match local(start) {
                b"si" => strings.push(String::new()),
                b"t" => inside = !spoken,
                b"rPh" => spoken = true,
                _ => {}
            },
            Event::Empty(start) if local(start) == b"si" => strings.push(String::new()),
            Event::Empty(start) if local(start) == b"sst" => return Ok(false),
            Event::End(end) => match end.local_name().into_inner() {
                b"t" => inside = false,
                b"rPh" => spoken = false,
                b"sst" => return Ok(false),
                _ => {}
            },
            text if inside => strings.last_mut().map_or(Ok(()), |string| push_text(string, text))?,
            _ => {}
        }
        Ok(true)
    })?;
    Ok(strings)
}

#[derive(Default)]
struct Sheet {
    strings: Vec<String>,
    rows: BTreeMap<u32, BTreeMap<u32, String>>,
    cells: usize,
    bytes: usize,
    /// Where the cell is, row and column from 1.
    at: (u32, u32),
    /// Of the cell: whether it names a shared string, and its text so far.
    shared: bool,
    text: String,
    inside: bool,
}

impl Sheet {
    /// Whether more is to come.
    fn take(&mut self, event: Event<'_>) -> Result<bool> {
        match &event {
            Event::Start(start) => self.open(start)?,
            Event::Empty(start) if local(start) == b"sheetData" => return Ok(false),
            Event::Empty(start) if matches!(local(start), b"row" | b"c") => self.open(start)?,
            Event::End(end) => match end.local_name().into_inner() {
                b"v" | b"t" => self.inside = false,
                b"c" => self.close()?,
                b"sheetData" => return Ok(false),
                _ => {}
            },
            text if self.inside => push_text(&mut self.text, text)?,
            _ => {}
        }
        Ok(true)
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<()> {
        let wrong = || broken("a row or a cell at no place of a sheet");
        match local(start) {
            b"row" => {
                let stated = attribute(start, "r")?.map(|number| number.parse().map_err(|_| wrong())).transpose()?;
                self.at = (stated.unwrap_or(self.at.0 + 1), 0);
            }
            b"c" => {
                let next = (self.at.0, self.at.1 + 1);
                self.at = attribute(start, "r")?.map_or(Some(next), |name| position(&name)).ok_or_else(wrong)?;
                self.shared = attribute(start, "t")?.as_deref() == Some("s");
                self.text.clear();
            }
            b"v" | b"t" => self.inside = true,
            _ => {}
        }
        let fits = self.at.0 <= LAST.0 && self.at.1 <= LAST.1;
        if fits { Ok(()) } else { Err(wrong()) }
    }

    fn close(&mut self) -> Result<()> {
        let text = if self.shared {
            let index: Option<usize> = self.text.trim().parse().ok();
            let string = index.and_then(|index| self.strings.get(index));
            string.ok_or_else(|| broken("a cell names no shared string"))?.as_str()
        } else {
            &self.text
        };
        if text.is_empty() {
            return Ok(());
        }
        (self.cells, self.bytes) = (self.cells + 1, self.bytes + text.len());
        if self.cells > MAX_CELLS || self.bytes > MAX_BYTES {
            return Err(broken(format!("more than {MAX_CELLS} cells, or more than {} MiB in them", MAX_BYTES >> 20)));
        }
        self.rows.entry(self.at.0).or_default().insert(self.at.1, text.to_owned());
        Ok(())
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    Ok(xml::attributes(start)?.into_iter().find(|(key, _)| key == name).map(|(_, value)| value))
}

/// `AB12` is row 12, column 28.
fn position(name: &str) -> Option<(u32, u32)> {
    let split = name.find(|c: char| !c.is_ascii_uppercase())?;
    let (letters, digits) = name.split_at(split);
    let column = (1..=3).contains(&letters.len());
    let column = column.then(|| letters.bytes().fold(0, |sum, byte| sum * 26 + u32::from(byte - b'A') + 1))?;
    let row: u32 = digits.parse().ok()?;
    (row > 0).then_some((row, column))
}

#[cfg(test)]
mod tests {
    use super::{position, shared_strings};

    #[test]
    fn names_of_cells() {
        for (name, expected) in [
            ("A1", Some((1, 1))),
            ("AB12", Some((12, 28))),
            ("XFD1048576", Some((1_048_576, 16_384))),
            ("A0", None),
            ("A", None),
            ("7", None),
            ("AAAA1", None),
            ("A99999999999", None),
            ("é1", None),
        ] {
            assert_eq!(position(name), expected, "{name}");
        }
    }

    #[test]
    fn strings_of_several_runs() {
        let xml = "<x:sst xmlns:x='m'><x:si><x:r><x:t>a &amp;</x:t></x:r><x:r><x:t xml:space='preserve'> b</x:t></x:r>\
                   <x:rPh sb='0'><x:t>ah</x:t></x:rPh></x:si><x:si/><x:si><x:t><![CDATA[<c>]]></x:t></x:si></x:sst>";
        assert_eq!(shared_strings(xml).expect("strings"), ["a & b", "", "<c>"]);
    }
}

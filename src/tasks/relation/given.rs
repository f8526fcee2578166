//! Entities as others write them, brought to their bytes.

use serde::Deserialize;

use super::{Entity, input};
use crate::error::{ErrorKind, Result};
use crate::json::{Json, Node, Path, count, string};
use crate::text::offsets::{OffsetUnit, to_bytes, unordered};

/// An entity whose places count what its writer counts.
#[derive(Clone, Debug, Deserialize)]
pub struct Given {
    /// The first unit.
    pub start: usize,
    /// One past the last unit.
    pub end: usize,
    /// The type, as the model was taught it.
    pub label: String,
}

/// Entities of a JSON array: objects of `start`, `end` and `label`.
///
/// # Errors
/// [`ErrorKind::Input`] for JSON of another form, by the path of the field.
pub fn read(json: &str) -> Result<Vec<Given>> {
    const ENTITIES: Path<'static> = Path::Field(&Path::Root, "entities");
    let json = Json::parse(json.as_bytes()).map_err(|_| input("entities: expected objects of start, end and label"))?;
    json.at(&ENTITIES).items(given).map_err(|e| e.of_kind(ErrorKind::Input))
}

fn given(json: Node<'_>) -> Result<Given> {
    let (start, end) = (json.field("start", count)?, json.field("end", count)?);
    Ok(Given { start, end, label: json.field("label", string)? })
}

/// Entities at their bytes, in their order.
///
/// # Errors
/// [`ErrorKind::Input`] for one that is empty or does not lie in the text between characters, by its number.
pub fn in_bytes(text: &str, given: &[Given], unit: OffsetUnit) -> Result<Vec<Entity>> {
    let misplaced = |i: usize| {
        let (length, unit, Given { start, end, .. }) = (unit.length(text), unit.name(), &given[i]);
        let message = format!("expected start < end at borders of characters from 0 to {length} ({unit})");
        input(format!("{message}, found {start}..{end}")).at(format_args!("entity {}", i + 1))
    };
    if let Some(empty) = given.iter().position(|entity| entity.start >= entity.end) {
        return Err(misplaced(empty));
    }
    let borders: Vec<usize> = given.iter().flat_map(|entity| [entity.start, entity.end]).collect();
    // All at once, because each conversion walks the text; only a failure asks whose it was.
    let bytes = unordered(&borders, |borders| to_bytes(text, borders, unit)).map_err(|error| {
        let fails = |entity: &Given| to_bytes(text, &[entity.start, entity.end], unit).is_err();
        given.iter().position(fails).map_or(error, misplaced)
    })?;
    let entity =
        |(given, border): (&Given, &[usize])| Entity { start: border[0], end: border[1], label: given.label.clone() };
    Ok(given.iter().zip(bytes.chunks_exact(2)).map(entity).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "T 38 °C 😀 no rash\r\n";

    fn converted(places: &[(usize, usize)], unit: OffsetUnit) -> Result<Vec<(usize, usize)>> {
        let given = |&(start, end): &(usize, usize)| Given { start, end, label: "DRUG".into() };
        let entities = in_bytes(TEXT, &places.iter().map(given).collect::<Vec<_>>(), unit)?;
        Ok(entities.into_iter().map(|entity| (entity.start, entity.end)).collect())
    }

    #[test]
    fn what_a_page_gives() {
        let given = read(r#"[{"start": 3, "end": 8, "label": "DRUG", "score": 1}]"#).unwrap();
        assert!(matches!(&given[..], [Given { start: 3, end: 8, label }] if label == "DRUG"));
        for (json, expected) in [
            (r#"[{"start": 3, "end": 8, "label": "\ud800"}]"#, "entities: expected objects of start, end and label"),
            (r#"{"0": 1}"#, "entities: expected an array, found an object"),
            (r#"[{"start": 3, "end": 8}]"#, "entities[0].label: expected a string, found nothing"),
            (r#"[{"start": -3}]"#, "entities[0].start: expected a whole number that is not negative, found a number"),
        ] {
            let error = read(json).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, expected));
        }
    }

    #[test]
    fn in_any_order_and_overlapping() {
        let [rash, emoji] = ["rash", "😀"].map(|part| TEXT.find(part).map(|at| (at, at + part.len())).unwrap());
        for (unit, places) in [
            (OffsetUnit::Utf16, [(14, 18), (8, 10), (8, 18), (14, 18)]),
            (OffsetUnit::CodePoint, [(13, 17), (8, 9), (8, 17), (13, 17)]),
            (OffsetUnit::Utf8, [rash, emoji, (emoji.0, rash.1), rash]),
        ] {
            assert_eq!(converted(&places, unit).unwrap(), [rash, emoji, (emoji.0, rash.1), rash], "{unit:?}");
        }
        assert_eq!(converted(&[], OffsetUnit::Utf16).unwrap(), []);
    }

    #[test]
    fn what_lies_nowhere_is_named_by_its_number() {
        for (place, unit) in [((9, 18), OffsetUnit::Utf16), ((14, 21), OffsetUnit::Utf16), ((6, 8), OffsetUnit::Utf8)] {
            let error = converted(&[(0, 1), place, (2, 4)], unit).unwrap_err().to_string();
            let (length, name, (start, end)) = (unit.length(TEXT), unit.name(), place);
            let what = format!("expected start < end at borders of characters from 0 to {length} ({name})");
            assert_eq!(error, format!("entity 2: {what}, found {start}..{end}"));
        }
        for place in [(4, 4), (8, 3)] {
            assert!(converted(&[place], OffsetUnit::CodePoint).unwrap_err().to_string().starts_with("entity 1: "));
        }
    }
}

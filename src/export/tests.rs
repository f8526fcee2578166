//! Every form on one note with everything that breaks offsets, markup and tables, made by
//! `tests/fixtures/export/make_note.py`.

use serde_json::{Value, json};

use super::annotation::Annotation;
use super::assertion::{Assertion, Named};
use super::json::Document;
use super::{Format, Options, body, csv, doccano, write};
use crate::error::ErrorKind;

const NOTE: &str = include_str!("../../tests/fixtures/export/note.txt");
const DOCUMENTS: [&str; 3] = [
    include_str!("../../tests/fixtures/export/document.json"),
    include_str!("../../tests/fixtures/export/document.utf16.json"),
    include_str!("../../tests/fixtures/export/document.utf8.json"),
];

fn document() -> Document {
    Document::read(DOCUMENTS[0], NOTE).unwrap()
}

fn text(format: Format) -> String {
    body(format, &document(), NOTE, &Options::named("note 1")).unwrap()
}

/// What is marked, without words that say it: text, place in bytes, type and what is said.
fn marked(annotations: &[Annotation]) -> Vec<(&str, usize, &str, Assertion)> {
    let of = |a: &Annotation| Assertion { cues: Vec::new(), ..a.assertion.clone().unwrap_or_default() };
    annotations.iter().map(|a| (&NOTE[a.bytes.clone()], a.bytes.start, &*a.label, of(a))).collect()
}

/// The entities of the fixture, from the document that counts bytes; with what is said of them or without.
fn expected(said: bool) -> Vec<Annotation> {
    let document = Document::read(DOCUMENTS[2], NOTE).unwrap();
    let annotation = |entity: super::json::Entity| Annotation {
        bytes: entity.start..entity.end,
        label: entity.label,
        assertion: entity.assertion.filter(|_| said),
    };
    let mut annotations: Vec<_> = document.entities.into_iter().map(annotation).collect();
    annotations.sort_by_key(|annotation| (annotation.bytes.start, annotation.bytes.end));
    annotations
}

#[test]
fn a_document_is_read_as_it_was_written() {
    for json in DOCUMENTS {
        let document = Document::read(json, NOTE).unwrap();
        let written = serde_json::to_value(&document).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(json).unwrap());
        assert_eq!(serde_json::from_value::<Document>(written).unwrap(), document);
    }
}

#[test]
fn every_unit_gives_the_same_exports() {
    let documents = DOCUMENTS.map(|json| Document::read(json, NOTE).unwrap());
    for &format in Format::ALL.iter().filter(|format| !matches!(format, Format::Json | Format::Jsonl)) {
        let written = documents.each_ref().map(|document| write(format, document, NOTE, &Options::default()).unwrap());
        assert_eq!(written[0], written[1], "{format:?}");
        assert_eq!(written[0], written[2], "{format:?}");
    }
}

#[test]
fn what_is_wrong_is_said_by_its_path() {
    let wrong: &[(&str, Value, &str)] = &[
        ("/schema", json!("clinlite/tagging/2"), "schema: expected clinlite/tagging/1"),
        ("/schema", json!(1), "schema: expected a string, found a number"),
        ("/text_sha256", json!("ab"), "text_sha256: the document is about another note"),
        ("/offset_unit", json!("bytes"), "offset_unit: expected utf8, utf16 or codepoint, found a string"),
        ("/length/utf8", json!(3), "length: expected the lengths of the note"),
        ("/length/utf8", json!(-3), "length.utf8: expected a whole number that is not negative, found a number"),
        ("/entities", Value::Null, "entities: expected an array, found nothing"),
        ("/entities/3", json!([]), "entities[3]: expected an object, found an array"),
        ("/entities/3/start", json!(1.5), "entities[3].start: expected a whole number"),
        (
            "/entities/3/start",
            json!("secret"),
            "entities[3].start: expected a whole number that is not negative, found a string",
        ),
        ("/entities/3/start", json!(u64::MAX), "entities[3].start: expected the border of a character from 0 to"),
        ("/entities/3/start", json!(0), "entities[3].text: expected what stands in the note from 0 to"),
        ("/entities/3/end", json!(0), "entities[3].end: expected more than start"),
        ("/entities/3/text", json!("secret"), "entities[3].text: expected what stands in the note"),
        ("/entities/3/label", json!(" "), "entities[3].label: expected the type"),
        ("/entities/3/id", json!("T1"), "entities[3].id: expected one that no other entity has"),
        ("/entities/3/score", json!(1.01), "entities[3].score: expected a number from 0 to 1"),
        (
            "/entities/3/assertion/polarity",
            json!("secret"),
            "entities[3].assertion.polarity: expected one of affirmed, negated",
        ),
        (
            "/entities/3/assertion/conditional",
            Value::Null,
            "entities[3].assertion.conditional: expected true or false, found nothing",
        ),
        (
            "/entities/3/assertion/cues/0/text",
            json!("secret"),
            "entities[3].assertion.cues[0].text: expected what stands",
        ),
        ("/entities/9/attributes/1/end", json!(0), "entities[9].attributes[1].end: expected more than start"),
        ("/entities/9/links/0/code", json!([]), "entities[9].links[0].code: expected a string, found an array"),
        ("/abbreviations/0/short", json!("secret"), "abbreviations[0].short: expected what stands"),
        ("/abbreviations/0/defined/end", json!(1_000_000), "abbreviations[0].defined.end: expected the border"),
        ("/sentences/2/start", json!(0), "sentences[2].start: expected sentences sorted by start"),
        ("/warnings/0/end", json!(1_000_000), "warnings[0].end: expected the border"),
        ("/engine/name", Value::Null, "engine.name: expected a string, found nothing"),
        ("/model/labels/0", json!(7), "model.labels[0]: expected a string, found a number"),
        ("/coverage/truncated", json!("yes"), "coverage.truncated: expected true or false, found a string"),
    ];
    for (at, value, message) in wrong {
        let mut document: Value = serde_json::from_str(DOCUMENTS[0]).unwrap();
        *document.pointer_mut(at).unwrap() = value.clone();
        let error = Document::read(&document.to_string(), NOTE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{at}");
        let shown = error.to_string();
        assert!(shown.starts_with(message), "{at}: {shown}");
        assert!(!shown.contains("secret"), "{at}: {shown}");
    }
    for (json, message) in [
        ("{\"schema\": secret", "document: expected JSON, found something else at line 1, column 12"),
        ("[]", "document: expected an object, found an array"),
        ("", "document: expected JSON, found something else at line 1, column 0"),
    ] {
        assert_eq!(Document::read(json, NOTE).unwrap_err().to_string(), message);
    }
}

#[test]
fn offsets_inside_a_character_are_refused() {
    // The emoji is two UTF-16 units and four bytes.
    let at = NOTE.find('💊').unwrap();
    let units = [NOTE[..at].encode_utf16().count(), at];
    for (json, inside) in DOCUMENTS[1..].iter().zip(units) {
        let mut document: Value = serde_json::from_str(json).unwrap();
        document["entities"][10]["end"] = json!(inside + 1);
        let shown = Document::read(&document.to_string(), NOTE).unwrap_err().to_string();
        assert!(shown.starts_with("entities[10].end: expected the border of a character"), "{shown}");
    }
}

#[test]
fn nothing_that_is_shown_of_a_document_is_text() {
    assert_eq!(format!("{:?}", document()), format!("Document(23 entities in {} bytes)", NOTE.len()));
}

#[test]
fn doccano_there_and_back() {
    let line = text(Format::Doccano);
    assert_eq!(line.matches('\n').count(), 1);
    let (read, annotations) = doccano::read(&line).unwrap();
    assert_eq!(read, NOTE);
    assert_eq!(marked(&annotations), marked(&expected(false)));
    for wrong in ["", "[]", r#"{"text": "secret"}"#, r#"{"text": "secret", "label": [[0, 7, "A"]]}"#] {
        assert!(!doccano::read(wrong).unwrap_err().to_string().contains("secret"), "{wrong}");
    }
}

#[test]
fn csv_there_and_back() {
    let file = write(Format::Csv, &document(), NOTE, &Options::named("=1+\"1\",\r\n")).unwrap();
    assert_eq!(marked(&csv::read(&file, "=1+\"1\",\r\n", NOTE).unwrap()), marked(&expected(true)));
    let other = body(Format::Csv, &document(), NOTE, &Options::named("b")).unwrap();
    assert_eq!(csv::read(&[&*file, &other].concat(), "b", NOTE).unwrap().len(), 23);
}

#[test]
fn no_field_of_a_table_is_a_formula() {
    let file = write(Format::Csv, &document(), NOTE, &Options::named("@x")).unwrap();
    for field in ["\"'=HYPERLINK(\"\"http://x\"\")\"", "\"'+1 pain\"", "\"'@cmd\"", "\"'-2\"", "\"''quoted'\""] {
        assert!(file.contains(&[",", field, ","].concat()), "{field}");
    }
    assert!(file.lines().skip(1).filter(|line| line.contains("PROBLEM")).all(|line| !line.starts_with('@')));
}

#[test]
fn damaged_tables_are_refused() {
    let file = write(Format::Csv, &document(), NOTE, &Options::named("a")).unwrap();
    for (wrong, message) in [
        (String::new(), "row 1: expected note,id"),
        (file.replacen("note,id", "id,note", 1), "row 1: expected note,id"),
        ([&*file, "\"a"].concat(), "row 25: a quote is not closed"),
        ([&*file, "a,b\r\n"].concat(), "row 25: expected 16 columns, found 2"),
        (file.replacen(",T1,", ",T1,x", 1), "row 2: start: expected a whole number"),
        (file.replacen(",negated,", ",secret,", 1), "row 2: unknown assertion"),
    ] {
        let shown = csv::read(&wrong, "a", NOTE).unwrap_err().to_string();
        assert!(shown.starts_with(message), "{shown}");
    }
}

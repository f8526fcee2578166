//! Every form on one note with everything that breaks offsets, markup and tables, made by
//! `tests/fixtures/export/make_note.py`.

use serde_json::{Value, json};

use super::annotation::Annotation;
use super::assertion::{Assertion, Named};
use super::fhir::{FhirOptions, Resource};
use super::json::Document;
use super::options::mapping;
use super::{Format, Options, body, brat, conll, csv, displacy, doccano, prodigy, write};
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

/// What `verify.py` beside these files has read with programs that others wrote. `make_exports.sh` writes them anew.
#[test]
fn the_exports_are_those_that_others_read() {
    let golden = [
        (Format::Fhir, include_str!("../../tests/fixtures/export/note.fhir.json")),
        (Format::Brat, include_str!("../../tests/fixtures/export/note.ann")),
        (Format::Conll, include_str!("../../tests/fixtures/export/note.conll")),
        (Format::Doccano, include_str!("../../tests/fixtures/export/note.doccano.jsonl")),
        (Format::Prodigy, include_str!("../../tests/fixtures/export/note.prodigy.jsonl")),
        (Format::Displacy, include_str!("../../tests/fixtures/export/note.displacy.jsonl")),
        (Format::Csv, include_str!("../../tests/fixtures/export/note.csv")),
    ];
    for (format, expected) in golden {
        let written = write(format, &document(), NOTE, &Options::named("note.txt")).unwrap();
        assert!(written == expected, "{format:?}: other than the file");
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
        ("/offset_unit", json!("bytes"), "offset_unit: expected one of "),
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

type Reader = fn(&str) -> Vec<Annotation>;

/// Every form that marks places, its reader, and whether it holds what the note says of an entity, and overlaps.
const READERS: [(Format, Reader, bool, bool); 6] = [
    (Format::Brat, |ann| brat::read(ann, NOTE).unwrap(), true, true),
    (Format::Conll, |conll| conll::read(conll, NOTE).unwrap(), false, false),
    (Format::Doccano, |line| doccano::read(line).unwrap().1, false, true),
    (Format::Prodigy, |line| prodigy::read(line).unwrap().1, false, true),
    (Format::Displacy, |line| displacy::read(line).unwrap().1, false, false),
    (Format::Csv, |rows| csv::read(&[HEADER, rows].concat(), "note 1", NOTE).unwrap(), true, true),
];

const HEADER: &str = "note,id,start,end,text,label,score,polarity,certainty,temporality,experiencer,conditional,cues,\
section,links,attributes\r\n";

/// The obvious way to leave out what overlaps: in the order of places, the longer of two that begin together first.
fn without_overlaps(mut annotations: Vec<Annotation>) -> Vec<Annotation> {
    annotations.sort_by_key(|a| (a.bytes.start, usize::MAX - a.bytes.end));
    let mut kept: Vec<Annotation> = Vec::new();
    for annotation in annotations {
        if kept.iter().all(|other| other.bytes.end <= annotation.bytes.start) {
            kept.push(annotation);
        }
    }
    kept
}

#[test]
fn every_reader_gives_back_the_entities() {
    for (format, read, said, overlaps) in READERS {
        let mut expected = if overlaps { expected(said) } else { without_overlaps(expected(said)) };
        if format == Format::Brat {
            let evil = expected.iter_mut().find(|annotation| annotation.label.starts_with('<')).unwrap();
            evil.label = "_i_MARK__i_".into();
        }
        assert_eq!(marked(&read(&text(format))), marked(&expected), "{format:?}");
    }
}

#[test]
fn any_places_come_back() {
    let borders: Vec<usize> = (0..=NOTE.len()).filter(|&at| NOTE.is_char_boundary(at)).collect();
    let mut state = 7_u64;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    let template = Document::read(DOCUMENTS[2], NOTE).unwrap();
    for _ in 0..200 {
        let mut document = template.clone();
        let place = |_| {
            let start = below(borders.len() - 1);
            let end = (start + 1 + below(12)).min(borders.len() - 1);
            (borders[start], borders[end], ["A", "B-C"][below(2)])
        };
        let mut places: Vec<_> = (0..12).map(place).collect();
        places.sort_unstable();
        places.dedup();
        document.entities.truncate(1);
        let first = super::json::Entity { assertion: None, ..document.entities.remove(0) };
        let entity = |(i, &(start, end, label)): (usize, &(usize, usize, &str))| super::json::Entity {
            id: format!("T{}", i + 1),
            start,
            end,
            text: NOTE[start..end].into(),
            label: label.into(),
            ..first.clone()
        };
        document.entities = places.iter().enumerate().map(entity).collect();
        let annotation = |&(start, end, label): &(usize, usize, &str)| Annotation {
            bytes: start..end,
            label: label.into(),
            assertion: None,
        };
        let all: Vec<_> = places.iter().map(annotation).collect();
        for (format, read, _, overlaps) in READERS {
            let mut expected = if overlaps { all.clone() } else { without_overlaps(all.clone()) };
            if format == Format::Brat {
                expected.iter_mut().for_each(trim_breaks);
                expected.sort_by_key(|a| (a.bytes.start, a.bytes.end));
            }
            let file = body(format, &document, NOTE, &Options::named("note 1")).unwrap();
            assert_eq!(sorted(marked(&read(&file))), sorted(marked(&expected)), "{format:?}");
        }
        let page = write(Format::Html, &document, NOTE, &Options::default()).unwrap();
        assert_eq!(shown_note(&page), NOTE.replace('\u{85}', "\u{FFFD}"));
    }
}

fn sorted<'a>(mut marked: Vec<(&'a str, usize, &'a str, Assertion)>) -> Vec<(&'a str, usize, &'a str, Assertion)> {
    marked.sort_by_key(|&(text, start, label, _)| (start, text.len(), label));
    marked
}

/// A line of brat cannot begin or end with a line break or tab.
fn trim_breaks(annotation: &mut Annotation) {
    let breaks: &[char] = &['\t', '\n', '\r', '\u{85}', '\u{2028}'];
    let text = &NOTE[annotation.bytes.clone()];
    let (left, right) = (text.trim_start_matches(breaks).len(), text.trim_end_matches(breaks).len());
    if right > 0 {
        annotation.bytes = annotation.bytes.end - left..annotation.bytes.start + right;
    }
}

/// The text of the note on a page, without marks and their types.
fn shown_note(page: &str) -> String {
    let (_, rest) = page.split_once("<div class=\"note\">").unwrap();
    let mut rest = rest.split_once("</div>\n<h2>Entities").unwrap().0.to_owned();
    while let Some(start) = rest.find("<span class=\"tag\">") {
        let end = start + rest[start..].find("</mark>").unwrap();
        rest.replace_range(start..end, "");
    }
    let text: String = rest
        .split('<')
        .enumerate()
        .map(|(i, part)| if i == 0 { part } else { part.split_once('>').unwrap().1 })
        .collect();
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}

#[test]
fn nothing_of_a_note_is_markup_on_its_page() {
    let mut document = document();
    let evil = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\" onclick='x'";
    document.model.id = evil.into();
    document.warnings[0].kind = evil.into();
    document.entities[0].section = Some(evil.into());
    document.entities[0].links[0].term = evil.into();
    document.entities[0].id = evil.into();
    let page = write(Format::Html, &document, NOTE, &Options::named(evil)).unwrap();
    let plain = write(Format::Html, &self::document(), NOTE, &Options::named("x")).unwrap();
    // The same tags as of a tame document, and no attribute that was not written here.
    let tags =
        |page: &str| page.split('<').skip(1).map(|tag| tag.split('>').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(tags(&page), tags(&plain));
    assert!(tags(&page).iter().all(|tag| !tag.contains("onerror") && !tag.starts_with("script")));
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    assert!(page.contains("chest pain<span class=\"tag\"> ") && page.contains("<span class=\"said\">NEG</span>"));
}

fn bundle(options: FhirOptions) -> Vec<Value> {
    let options = Options { name: "note 1".into(), fhir: options };
    let line = write(Format::Fhir, &document(), NOTE, &options).unwrap();
    let bundle: Value = serde_json::from_str(&line).unwrap();
    bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect()
}

#[test]
fn what_a_note_says_becomes_the_right_resource() {
    let resources = bundle(FhirOptions::default());
    // Text, resource, status, clinical status.
    let expected = [
        ("chest pain", "Condition", "refuted", ""),
        ("fever", "Condition", "unconfirmed", "active"),
        ("cafe\u{301}-au-lait spots", "Condition", "unconfirmed", ""),
        ("MI", "FamilyMemberHistory", "partial", ""),
        ("pul-\r\n\tmonary embolism", "Condition", "provisional", ""),
        ("embolism", "Condition", "unconfirmed", ""),
        ("DVT today", "Condition", "provisional", ""),
        ("CABG", "Procedure", "unknown", ""),
        ("metformin", "MedicationStatement", "unknown", ""),
        ("aspirin 💊", "MedicationStatement", "not-taken", ""),
        ("D-dimer", "Observation", "preliminary", ""),
    ];
    let found = resources.iter().filter(|resource| resource.get("extension").is_some()).map(|resource| {
        let of = |at: &str| resource.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let texts = ["/code/text", "/medicationCodeableConcept/text", "/condition/0/code/text"];
        let statuses = ["/status", "/verificationStatus/coding/0/code"];
        let [text, status] = [&texts[..], &statuses].map(|at| at.iter().map(|at| of(at)).collect::<String>());
        (text, of("/resourceType"), status, of("/clinicalStatus/coding/0/code"))
    });
    let found: Vec<_> = found.take(expected.len()).collect();
    let found: Vec<_> =
        found.iter().map(|(text, kind, status, clinical)| (&**text, *kind, &**status, *clinical)).collect();
    assert_eq!(found, expected);
    // Hypothetical, somebody else's, a test that was denied, a label that is mapped to nothing.
    let all = serde_json::to_string(&resources).unwrap();
    for absent in ["\"dyspnea\"", "\"CHF\"", "\"troponin\"", "\"#\"", "\"confirmed\""] {
        assert!(!all.contains(absent), "{absent}");
    }
}

#[test]
fn resources_say_where_they_stand_and_refer_to_each_other() {
    let resources = bundle(FhirOptions { subject: Some("Patient/1".into()), ..FhirOptions::default() });
    let ids: Vec<String> = resources.iter().map(|of| format!("urn:uuid:{}", of["id"].as_str().unwrap())).collect();
    let characters: Vec<char> = NOTE.chars().collect();
    let mut placed = 0;
    for resource in &resources {
        let parts = resource.pointer("/extension/0/extension").and_then(Value::as_array);
        let Some(parts) = parts else { continue };
        let part = |url: &str| parts.iter().find(|part| part["url"] == url).unwrap();
        let (start, length) =
            (part("offset")["valueInteger"].as_u64().unwrap(), part("length")["valueInteger"].as_u64().unwrap());
        let text: String = characters[start as usize..(start + length) as usize].iter().collect();
        let text = text.replace(['\u{85}', '\u{2028}', '\u{a0}'], " ");
        assert!(resource.to_string().contains(&serde_json::to_string(&text).unwrap()), "{resource}");
        assert!(resource.to_string().contains("Patient/1"));
        placed += 1;
    }
    assert_eq!(placed, 17);
    let all = serde_json::to_string(&resources).unwrap();
    for (at, _) in all.match_indices("\"urn:uuid:") {
        assert!(ids.contains(&all[at + 1..at + 46].to_owned()));
    }
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
}

#[test]
fn options_of_fhir() {
    let none = bundle(FhirOptions { without_note: true, ..FhirOptions::default() });
    assert!(!serde_json::to_string(&none).unwrap().contains("\"data\""));
    let named = bundle(FhirOptions::default());
    assert!(named[0].pointer("/content/0/attachment/data").is_some());
    assert_ne!(
        named[0]["id"],
        bundle(FhirOptions { subject: Some("Patient/1".into()), ..FhirOptions::default() })[0]["id"]
    );
    let mapped = bundle(FhirOptions {
        resources: vec![("anatomy".into(), Resource::Observation), ("problem".into(), Resource::None)],
        recorded: Some("2026-01-31T12:00:00.5+01:00".into()),
        ..FhirOptions::default()
    });
    assert!(mapped.iter().any(|of| of["resourceType"] == "Observation" && of["code"]["text"] == "#"));
    assert!(mapped.iter().all(|of| of["resourceType"] != "Condition"));
    assert_eq!(mapped.last().unwrap()["recorded"], "2026-01-31T12:00:00.5+01:00");
    let refused =
        |fhir| write(Format::Fhir, &document(), NOTE, &Options { name: String::new(), fhir }).unwrap_err().to_string();
    let subject = |subject: &str| FhirOptions { subject: Some(subject.into()), ..FhirOptions::default() };
    let recorded = |recorded: &str| FhirOptions { recorded: Some(recorded.into()), ..FhirOptions::default() };
    for wrong in ["", "Patient 1"] {
        assert!(refused(subject(wrong)).starts_with("subject: expected"), "{wrong}");
    }
    for wrong in [
        "",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00.Z",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:0½Z",
    ] {
        assert!(refused(recorded(wrong)).starts_with("recorded: expected"), "{wrong}");
    }
}

#[test]
fn options_from_json() {
    let json = r#"{"name": "a", "subject": "Patient/1", "withoutNote": true, "resources": {"ANATOMY": "None", "X": "Procedure"}}"#;
    let Options { name, fhir } = Options::read(json).unwrap();
    assert_eq!(
        (&*name, fhir.subject.as_deref(), fhir.without_note, fhir.recorded),
        ("a", Some("Patient/1"), true, None)
    );
    assert_eq!(fhir.resources, [("ANATOMY".into(), Resource::None), ("X".into(), Resource::Procedure)]);
    for (wrong, message) in [
        ("", "options: expected a JSON object"),
        ("[]", "options: expected an object, found an array"),
        (r#"{"secret": 1}"#, "options: expected none but name, subject"),
        (r#"{"subject": 1}"#, "options.subject: expected a string, found a number"),
        (r#"{"withoutNote": "secret"}"#, "options.withoutNote: expected true or false"),
        (r#"{"resources": {"A": "secret"}}"#, "options.resources.A: expected one of Condition, Med"),
    ] {
        let shown = Options::read(wrong).err().unwrap().to_string();
        assert!(shown.starts_with(message), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
    assert_eq!(mapping("A=B=Condition").err().map(|error| error.kind()), Some(ErrorKind::Input));
    assert_eq!(mapping("A=Condition").unwrap(), ("A".into(), Resource::Condition));
}

#[test]
fn a_note_without_entities() {
    let mut document = document();
    document.entities.clear();
    for &format in Format::ALL {
        let file = write(format, &document, NOTE, &Options::default()).unwrap();
        assert_eq!(file, write(format, &document, NOTE, &Options::default()).unwrap());
    }
    let line = write(Format::Fhir, &document, NOTE, &Options::default()).unwrap();
    assert!(!line.contains("Provenance"));
}

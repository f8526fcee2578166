//! Exports as the readers of training read them, which know nothing of them, and as the command line writes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clinlite::export::json::Document;
use clinlite::export::{Format, Named, Options, write};
use clinlite::train::readers::{DataSet, Format as Source};

use crate::support::{Scratch, fixture_path};

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/export").join(name);
    fs::read_to_string(path).expect("a fixture")
}

/// The entities of the fixture without the one inside another, in bytes, with labels of one word.
fn expected() -> Vec<(usize, usize, String)> {
    let document = Document::read(&fixture("document.utf8.json"), &fixture("note.txt")).expect("a document");
    let flat = document.entities.iter().filter(|entity| entity.text != "embolism");
    flat.map(|entity| (entity.start, entity.end, entity.label.clone())).collect()
}

#[test]
fn training_reads_the_brat_that_was_written() {
    let scratch = Scratch::new();
    scratch.file("brat/note.txt", fixture("note.txt"));
    scratch.file("brat/note.ann", fixture("note.ann"));
    let documents = DataSet::whole(Source::Brat, "brat").read(scratch.path()).expect("a good data set");
    assert_eq!(documents[0].text, fixture("note.txt"));
    let spans = documents[0].spans.iter().map(|gold| (gold.range.start, gold.range.end, gold.labels.join("|")));
    let one_word = |label: String| if label.starts_with('<') { "_i_MARK__i_".into() } else { label };
    let expected: Vec<_> = expected().into_iter().map(|(start, end, label)| (start, end, one_word(label))).collect();
    assert_eq!(spans.collect::<Vec<_>>(), expected);
}

#[test]
fn training_reads_the_conll_that_was_written() {
    let scratch = Scratch::new();
    let lines = fixture("note.conll");
    let tokens: Vec<&str> = lines.lines().filter(|line| !line.starts_with("# ")).collect();
    scratch.file("note.tsv", tokens.join("\n"));
    let documents = DataSet::whole(Source::Conll, "note.tsv").read(scratch.path()).expect("a good data set");
    assert_eq!(documents.len(), 10, "one document a sentence");
    // The control character U+0085 is white space, and no reader of lines keeps it.
    let dense = |text: &str| text.replace(['\u{85}', '\u{fffd}'], " ").split_whitespace().collect::<String>();
    let found = documents.iter().flat_map(|document| {
        document.spans.iter().map(move |gold| (dense(&document.text[gold.range.clone()]), gold.labels.join("|")))
    });
    let note = fixture("note.txt");
    let expected = expected().into_iter().map(|(start, end, label)| (dense(&note[start..end]), label));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

fn tag(note: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.arg("tag").arg("--model").arg(fixture_path("bert-bio")).args(arguments).arg(note);
    command.output().expect("the binary runs")
}

fn note_at(scratch: &Scratch) -> PathBuf {
    scratch.file("note.txt", fixture("note.txt"))
}

#[test]
fn the_command_line_writes_what_the_library_writes() {
    let scratch = Scratch::new();
    let note = note_at(&scratch);
    for unit in ["codepoint", "utf16", "utf8"] {
        let json = tag(&note, &["--format", "json", "--offsets", unit]).stdout;
        let document = Document::read(&String::from_utf8(json).expect("UTF-8"), &fixture("note.txt")).expect("its own");
        assert!(!document.entities.is_empty());
        for format in Format::ALL.iter().filter(|format| !matches!(format, Format::Json | Format::Jsonl)) {
            let written = tag(&note, &["--format", format.name(), "--offsets", unit]);
            let options = Options::named(note.display().to_string());
            let expected = write(*format, &document, &fixture("note.txt"), &options).expect("a document");
            assert!(written.status.success() && written.stdout == expected.as_bytes(), "{}", format.name());
        }
    }
}

#[test]
fn options_of_fhir_are_checked() {
    let scratch = Scratch::new();
    let note = note_at(&scratch);
    let refused = |arguments: &[&str]| {
        let output = tag(&note, &[&["--format", "fhir"], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(refused(&["--subject", "a b"]).contains("subject: expected a reference such as Patient/12"));
    assert!(refused(&["--recorded", "today"]).contains("recorded: expected an instant"));
    assert!(refused(&["--resource", "DRUG=Pill"]).contains("expected LABEL=RESOURCE with one of Condition"));
    let bundle = tag(&note, &["--format", "fhir", "--subject", "Patient/1", "--without-note"]);
    let bundle = String::from_utf8(bundle.stdout).expect("UTF-8");
    assert!(bundle.contains("Patient/1") && !bundle.contains("\"data\""));
}

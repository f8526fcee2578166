//! The program as a person types it: results on standard output, one line on standard error, an exit code.

mod models;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::parity::packed;
use crate::support::{Scratch, fixture_files, fixture_path};

/// A note whose words must not turn up in any error.
const NOTE: &str = "The patient denies chest pains. 😀 Aspirin 81 µg,\r\n\tno fever.\n";
const SECRETS: [&str; 4] = ["denies", "Aspirin", "fever", "😀"];

fn clinlite(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.args(arguments).env_remove("CLINLITE_MODEL").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

/// `clinlite tag --model MODEL …`.
fn tag(model: &Path, arguments: &[&str]) -> Output {
    let mut command = clinlite(&["tag", "--model"]);
    command.arg(model).args(arguments).output().expect("the program starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8 on standard output")
}

#[test]
fn doctor_says_what_there_is() {
    let output = clinlite(&["doctor"]).output().expect("the program starts");
    let said = stdout(&output);
    for expected in [env!("CARGO_PKG_VERSION"), "threads", "simd", "cuda"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    // A build with CUDA on a machine without it is not well, and says so.
    assert_eq!(output.status.success(), !cfg!(feature = "cuda") || said.contains("compute capability"), "{said}");
}

/// The only line of standard error.
fn error_line(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).expect("UTF-8 on standard error");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("clinlite: "), "{line}");
    for secret in SECRETS {
        assert!(!line.contains(secret), "note text in {line}");
    }
    line.trim_end().to_owned()
}

/// Fails with exit code 1 and a line that contains each of `expected`.
fn refused(output: &Output, expected: &[&str]) {
    let line = error_line(output);
    assert_eq!(output.status.code(), Some(1), "{line}");
    for part in expected {
        assert!(line.contains(part), "expected {part:?} in {line}");
    }
}

fn documents(output: &Output) -> Vec<Value> {
    serde_json::Deserializer::from_str(&stdout(output)).into_iter().collect::<Result<_, _>>().expect("JSON")
}

/// `note[start..end] == text` in the unit that the document states.
fn check_places(document: &Value, note: &str) {
    let number = |value: &Value| value.as_u64().expect("a number") as usize;
    for entity in document["entities"].as_array().expect("entities") {
        let (start, end) = (number(&entity["start"]), number(&entity["end"]));
        let found = match document["offset_unit"].as_str().expect("a unit") {
            "codepoint" => note.chars().skip(start).take(end - start).collect(),
            "utf16" => String::from_utf16(&note.encode_utf16().collect::<Vec<_>>()[start..end]).expect("whole units"),
            _ => note[start..end].to_owned(),
        };
        assert_eq!(entity["text"], found.as_str());
    }
}

#[test]
fn help_version_and_usage() {
    for subcommand in [
        &["--help"][..],
        &["tag", "--help"],
        &["pack", "--help"],
        &["inspect", "--help"],
        &["eval", "--help"],
        &["prune", "--help"],
    ] {
        let output = clinlite(subcommand).output().expect("starts");
        assert_eq!(output.status.code(), Some(0), "{subcommand:?}");
        assert!(stdout(&output).contains("Usage: clinlite"), "{subcommand:?}");
    }
    let version = stdout(&clinlite(&["--version"]).output().expect("starts"));
    assert!(version.contains(env!("CARGO_PKG_VERSION")) && version.contains("Not a medical device"), "{version}");
    for wrong in [&[][..], &["tagg"], &["tag", "--format", "xml"], &["tag", "--aggregation", "median"], &["pack"]] {
        assert_eq!(clinlite(wrong).output().expect("starts").status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn every_format_and_unit() {
    let scratch = Scratch::new();
    let note = scratch.file("note.txt", NOTE);
    let model = scratch.folder("packed", packed("bert-bio"));
    for model in [&model, &fixture_path("bert-bio"), &fixture_path("bert-head26")] {
        for unit in ["codepoint", "utf16", "utf8"] {
            let output = tag(model, &["--format", "json", "--offsets", unit, text(&note)]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let [document] = &documents(&output)[..] else { panic!("one document") };
            assert_eq!(document["file"], text(&note));
            assert_eq!(document["offset_unit"], unit);
            assert_eq!(document["coverage"]["truncated"], false);
            assert!(!document["entities"].as_array().expect("entities").is_empty());
            check_places(document, NOTE);
        }
    }
    let lines = tag(&model, &["--format", "jsonl", text(&note), text(&note)]);
    assert_eq!(stdout(&lines).lines().count(), 2);
    let shown = stdout(&tag(&model, &[text(&note)]));
    assert!(shown.contains("label") && shown.contains("nothing cut off") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn aggregations_and_engines() {
    let scratch = Scratch::new();
    let note = scratch.file("note.txt", NOTE);
    for how in ["none", "simple", "first", "average", "max"] {
        let output = tag(&fixture_path("bert-bio"), &["--format", "json", "--aggregation", how, text(&note)]);
        check_places(&documents(&output)[0], NOTE);
    }
    let simd = tag(&fixture_path("bert-bio"), &["--format", "json", text(&note)]);
    let candle = tag(&fixture_path("bert-bio"), &["--format", "json", "--backend", "candle", text(&note)]);
    let places = |output: &Output| {
        let entity = |e: &Value| (e["start"].clone(), e["end"].clone(), e["label"].clone());
        documents(output)[0]["entities"].as_array().expect("entities").iter().map(entity).collect::<Vec<_>>()
    };
    assert_eq!(places(&simd), places(&candle));
    assert_eq!(documents(&candle)[0]["engine"]["backend"], "candle");
}

#[test]
fn two_runs_and_any_number_of_threads_give_the_same_bytes() {
    let scratch = Scratch::new();
    let long = scratch.file("long.txt", NOTE.repeat(60));
    let short = scratch.file("short.txt", NOTE);
    let run = |threads: &str| {
        let notes = [text(&short), text(&long), text(&short)];
        let arguments = [&["--format", "jsonl", "--threads", threads], &notes[..]].concat();
        stdout(&tag(&fixture_path("bert-bio"), &arguments))
    };
    let first = run("1");
    assert_eq!(first.lines().count(), 3);
    assert!(first == run("1") && first == run("3") && first == run("64"));
}

#[test]
fn standard_input() {
    for arguments in [&["--format", "json"][..], &["--format", "json", "-"]] {
        let mut command = clinlite(&["tag", "--model"]);
        command.arg(fixture_path("bert-bio")).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        child.stdin.take().expect("a pipe").write_all(NOTE.as_bytes()).expect("reads");
        let output = child.wait_with_output().expect("ends");
        assert_eq!(documents(&output)[0]["file"], "-");
        check_places(&documents(&output)[0], NOTE);
    }
}

#[test]
fn an_empty_note_is_a_result() {
    let scratch = Scratch::new();
    for empty in ["", " \r\n\t"] {
        let note = scratch.file("empty.txt", empty);
        let output = tag(&fixture_path("bert-bio"), &["--format", "json", text(&note)]);
        assert_eq!(output.status.code(), Some(0));
        assert!(error_line(&output).ends_with("empty.txt: the note is empty"));
        let document = &documents(&output)[0];
        assert_eq!(document["entities"], Value::Array(Vec::new()));
        assert_eq!((&document["coverage"]["tokens"], &document["coverage"]["windows"]), (&0.into(), &0.into()));
    }
}

#[test]
fn a_bad_file_is_named_and_the_others_are_done() {
    let scratch = Scratch::new();
    let good = scratch.file("good.txt", NOTE);
    let bad = scratch.file("bad.txt", [NOTE.as_bytes(), b"\xff fever"].concat());
    let wide = scratch.file("wide.txt", b"\xff\xfeT\0h\0e\0");
    let at = format!("bad.txt: not UTF-8 at byte {}", NOTE.len());
    let output = tag(&fixture_path("bert-bio"), &["--format", "jsonl", text(&good), text(&bad), text(&good)]);
    refused(&output, &[&at]);
    assert_eq!(documents(&output).len(), 2);
    refused(&tag(&fixture_path("bert-bio"), &[text(&wide)]), &["wide.txt: not UTF-8 at byte 0", "UTF-16"]);
    refused(&tag(&fixture_path("bert-bio"), &["no-such-note.txt"]), &["no-such-note.txt: "]);
    refused(&tag(&fixture_path("bert-bio"), &[text(scratch.path())]), &[text(scratch.path())]);
}

/// The fixture with one file changed, as a folder on the disk.
fn spoilt(scratch: &Scratch, file: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let mut files = fixture_files("bert-bio");
    change(&mut files.iter_mut().find(|(name, _)| name == file).expect("a file").1);
    scratch.folder("spoilt", files)
}

fn replaced(bytes: &mut Vec<u8>, old: &str, new: &str) {
    let text = String::from_utf8(bytes.clone()).expect("text");
    assert!(text.contains(old), "{old}");
    *bytes = text.replace(old, new).into_bytes();
}

#[test]
fn models_that_cannot_be_used() {
    let scratch = Scratch::new();
    let note = scratch.file("note.txt", NOTE);
    type Change = fn(&mut Vec<u8>);
    let cases: &[(&str, Change, &[&str])] = &[
        ("model.safetensors", |b| b.truncate(b.len() / 2), &["model.safetensors", "truncated"]),
        ("model.safetensors", |b| b.clear(), &["model.safetensors", "truncated"]),
        (
            "config.json",
            |b| replaced(b, r#""model_type": "bert""#, r#""model_type": "roberta""#),
            &["config.json", "\"roberta\"", "not implemented"],
        ),
        ("config.json", |b| replaced(b, "id2label", "labels"), &["config.json", "id2label", "no labels"]),
        ("config.json", |b| b.truncate(40), &["config.json"]),
        (
            "config.json",
            |b| replaced(b, r#""vocab_size": "#, r#""vocab_size": 9"#),
            &["expected [9", "word_embeddings"],
        ),
        ("tokenizer.json", |b| b.truncate(40), &["tokenizer.json"]),
    ];
    for (file, change, expected) in cases {
        let model = spoilt(&scratch, file, change);
        refused(&tag(&model, &[text(&note)]), &[expected, &[text(&model)][..]].concat());
    }
    refused(&tag(&scratch.path().join("nowhere"), &[text(&note)]), &["nowhere: no such folder"]);
    refused(&tag(&note, &[text(&note)]), &["not a folder"]);
    refused(&tag(scratch.path(), &[text(&note)]), &["no config.json"]);
}

#[test]
fn a_changed_byte_of_a_packed_folder_is_refused() {
    let scratch = Scratch::new();
    let note = scratch.file("note.txt", NOTE);
    for (i, name) in ["config.json", "model.safetensors", "tokenizer.json"].into_iter().enumerate() {
        let mut files = packed("bert-bio");
        let bytes = files.get_mut(name).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let model = scratch.folder(&format!("packed{i}"), files);
        let out = scratch.path().join("out");
        let arguments = ["pack", text(&model), "--out", text(&out)];
        let expected = [name, "expected sha256", "found"];
        refused(&tag(&model, &[text(&note)]), &expected);
        refused(&clinlite(&["inspect", text(&model)]).output().expect("starts"), &expected);
        refused(&clinlite(&arguments).output().expect("starts"), &expected);
        assert!(!out.exists());
    }
}

#[test]
fn packing() {
    let scratch = Scratch::new();
    let (source, out) = (fixture_path("bert-old-names"), scratch.path().join("tiny-model"));
    let card = scratch.file("card.md", "# tiny\n");
    let figures = scratch.file("figures.json", r#"{"test": {"f1": 12.5, "split": "test"}}"#);
    let about = scratch.file("about.json", r#"{"base": {"name": "random", "licence": "CC0-1.0"}, "version": "0.1"}"#);
    let mut command = clinlite(&["pack", text(&source), "--out", text(&out), "--licence", "CC0-1.0"]);
    command.args(["--card", text(&card), "--metrics", text(&figures), "--about", text(&about)]);
    command.args(["--window", "40", "--stride", "10"]);
    let output = command.output().expect("starts");
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for part in ["bert.encoder.layer.1.output.dense.weight", "left out: bert.pooler.dense.bias", "MB before"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let read = |folder: &Path, name: &str| std::fs::read(folder.join(name)).expect("a packed file");
    let manifest: Value = serde_json::from_slice(&read(&out, "manifest.json")).expect("JSON");
    assert_eq!(manifest["name"], "tiny-model");
    assert_eq!(manifest["labels"], serde_json::json!(["PROBLEM", "TEST", "DRUG"]));
    assert_eq!(manifest["scheme"], "BIO");
    assert_eq!(manifest["metrics"]["test"]["f1"], 12.5);
    assert_eq!(manifest["base"]["licence"], "CC0-1.0");
    assert_eq!(manifest["window"], serde_json::json!({"max_length": 40, "stride": 10}));
    assert_eq!(read(&out, "README.md"), b"# tiny\n");

    // Again from what was packed: the same bytes, file by file.
    let again = scratch.path().join("again");
    let output =
        clinlite(&["pack", text(&out), "--out", text(&again), "--card", text(&card)]).output().expect("starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for name in ["manifest.json", "config.json", "tokenizer.json", "model.safetensors", "README.md"] {
        assert!(read(&out, name) == read(&again, name), "{name}");
    }
    let note = scratch.file("note.txt", NOTE.repeat(5));
    let document = &documents(&tag(&out, &["--format", "json", text(&note)]))[0];
    assert_eq!(document["coverage"]["max_length"], 40);
    assert_eq!(document["model"]["id"], "tiny-model");
    let misspelt = scratch.file("about.json", r#"{"licens": "MIT"}"#);
    let arguments = ["pack", text(&source), "--out", text(&again), "--about", text(&misspelt)];
    refused(&clinlite(&arguments).output().expect("starts"), &["about.json", "licens"]);
}

#[test]
fn packing_does_not_overwrite_its_input() {
    let scratch = Scratch::new();
    let model = scratch.folder("model", fixture_files("bert-bio"));
    let output = clinlite(&["pack", text(&model), "--out", text(&model)]).output().expect("starts");
    refused(&output, &["would be overwritten"]);
}

#[test]
fn inspecting() {
    let scratch = Scratch::new();
    let model = scratch.folder("packed", packed("bert-head26"));
    let shown = stdout(&clinlite(&["inspect", text(&model)]).output().expect("starts"));
    for part in ["2 layers, hidden 52", "2 heads", "O B-PROBLEM I-PROBLEM", "hashes match", "loads         yes"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = stdout(&clinlite(&["inspect", text(&fixture_path("bert-old-names"))]).output().expect("starts"));
    assert!(shown.contains("unused        bert.pooler.dense.bias"), "{shown}");
}

#[test]
fn the_model_is_found_by_environment_and_place() {
    let scratch = Scratch::new();
    let note = scratch.file("note.txt", NOTE);
    let model = scratch.folder("models/clinlite-ner-en", packed("bert-bio"));
    let document = |mut command: Command| {
        let output = command.args(["--format", "json", text(&note)]).output().expect("starts");
        documents(&output).remove(0)["model"]["id"].clone()
    };
    let mut by_place = clinlite(&["tag"]);
    by_place.current_dir(scratch.path());
    assert_eq!(document(by_place), "bert-bio");
    let mut by_environment = clinlite(&["tag"]);
    by_environment.env("CLINLITE_MODEL", &model);
    assert_eq!(document(by_environment), "bert-bio");
    let mut missing = clinlite(&["tag", text(&note)]);
    refused(&missing.env("CLINLITE_MODEL", "nowhere").output().expect("starts"), &["nowhere: no such folder"]);
}

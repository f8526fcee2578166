//! `clinlite tag … --out`: many files at once, in order, to the end, and on after a stop.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{ListAccessor, Row, RowAccessor};
use serde_json::{Value, json};

use crate::support::{Scratch, fixture_path};

const NOTE: &str = "The patient denies chest pains. 😀 Aspirin 81 µg,\r\n\tno fever.\n";

/// `clinlite tag --model … INPUTS --out OUT …`
fn command(inputs: &[&Path], out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.args(["tag", "--model"]).arg(fixture_path("bert-bio")).args(inputs).arg("--out").arg(out).args(more);
    command.env_remove("CLINLITE_MODEL").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn run(inputs: &[&Path], out: &Path, more: &[&str]) -> Output {
    command(inputs, out, more).output().expect("the program starts")
}

/// Runs to the end without a failure.
fn done(inputs: &[&Path], out: &Path, more: &[&str]) {
    let output = run(inputs, out, more);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// Standard error, which holds no part of a note.
fn said(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert!(!["denies", "Aspirin", "fever", "😀 A"].iter().any(|secret| said.contains(secret)), "{said}");
    said
}

/// Every file below a folder, by name, with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut waiting = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|(name, _)| name).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file of JSON lines, `{"id": …, "text": …}`.
fn jsonl(scratch: &Scratch, name: &str, count: usize, length: usize) -> PathBuf {
    let line = |i: usize| json!({"id": i, "text": format!("{i} {}", NOTE.repeat(1 + i % length))}).to_string() + "\n";
    scratch.file(name, (0..count).map(line).collect::<String>())
}

#[test]
fn files_mirror_the_tree() {
    let scratch = Scratch::new();
    let deep = "a/".repeat(40);
    let notes = ["z.txt", "b c/ü 😀.note.txt", "b c/CAPS.TXT", &format!("{deep}deep.txt"), "empty.txt"];
    for name in notes {
        scratch.file(&format!("notes/{name}"), if name == "empty.txt" { "" } else { NOTE });
    }
    scratch.file("notes/readme.md", "no note");
    let root = scratch.path().join("notes");
    symlink(&root, root.join("b c/loop")).unwrap();
    symlink(root.join("z.txt"), root.join("linked.txt")).unwrap();
    fs::create_dir(root.join("nothing")).unwrap();
    // The results of a first run are not read by a second.
    let out = root.join("tagged");
    done(&[&root], &out, &[]);
    let expected = [
        &format!("{deep}deep.json"),
        "b c/CAPS.json",
        "b c/ü 😀.note.json",
        "clinlite-run.json",
        "empty.json",
        "linked.json",
        "z.json",
    ];
    assert_eq!(names(&out), expected);
    let first = files(&out);
    done(&[&root], &out, &[]);
    assert!(files(&out) == first);

    // The same as one file at a time.
    let note = root.join("b c/ü 😀.note.txt");
    let mut alone = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    alone.args(["tag", "--format", "json", "--model"]).arg(fixture_path("bert-bio")).arg(&note);
    assert!(alone.output().unwrap().stdout == fs::read(out.join("b c/ü 😀.note.json")).unwrap());

    // brat wants the note beside its annotations.
    let brat = scratch.path().join("brat");
    done(&[&root.join("z.txt")], &brat, &["--format", "brat"]);
    assert_eq!(names(&brat), ["clinlite-run.json", "z.ann", "z.txt"]);
    assert_eq!(fs::read_to_string(brat.join("z.txt")).unwrap(), NOTE);

    // Two folders stay apart; another format, another ending.
    scratch.file("more/z.txt", NOTE);
    let both = scratch.path().join("both");
    done(&[&root, &scratch.path().join("more")], &both, &["--format", "csv"]);
    assert!(both.join("notes/z.csv").is_file() && both.join("more/z.csv").is_file());
}

#[test]
fn bad_documents_are_told_and_skipped() {
    let scratch = Scratch::new();
    scratch.file("notes/1.txt", NOTE);
    scratch.file("notes/2.txt", [NOTE.as_bytes(), b"\xff fever"].concat());
    let large = scratch.file("notes/3.txt", "");
    fs::File::options().write(true).open(large).unwrap().set_len(100_000_001).unwrap();
    symlink("nowhere", scratch.path().join("notes/4.txt")).unwrap();
    scratch.file("notes/5.txt", NOTE);
    scratch.file("notes/5.TXT", NOTE);
    scratch.file("notes/clinlite-run.txt", NOTE);
    let (root, out) = (scratch.path().join("notes"), scratch.path().join("out"));
    let output = run(&[&root], &out, &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = said(&output);
    for part in [
        "2.txt: not UTF-8 at byte",
        "3.txt: longer than 100 MB",
        "4.txt: ",
        "5.txt: not written: ",
        "run.txt: not written",
        "5 failed",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(names(&out), ["1.json", "5.json", "clinlite-run.json"]);

    // Lines of a file, and the same again after it is whole.
    let text = format!(
        "{}\nno JSON fever\n\n{}\n{}\n",
        json!({"text": NOTE, "id": "x"}),
        json!({"note": NOTE}),
        json!({"text": ""})
    );
    let file = scratch.file("lines.jsonl", text);
    let out = scratch.path().join("lines");
    let output = run(&[&file], &out, &[]);
    assert_eq!(output.status.code(), Some(1));
    let found = lines(&out.join("lines.jsonl"));
    let places: Vec<_> = found.iter().map(|line| (line["line"].clone(), line["id"].clone())).collect();
    assert_eq!(places, [(json!(1), json!("x")), (json!(5), Value::Null)]);
    let refused = said(&output);
    assert!(
        refused.contains("line 2: not JSON") && refused.contains("line 4: no string in the field \"text\""),
        "{refused}"
    );
    done(&[&file], &out, &[]);
    assert_eq!(names(&out), ["clinlite-run.json", "lines.jsonl"]);
}

#[test]
fn folders_that_hold_something_else_are_refused() {
    let scratch = Scratch::new();
    let note = scratch.file("notes/1.txt", NOTE);
    let (root, out) = (scratch.path().join("notes"), scratch.path().join("out"));
    let refused = |inputs: &[&Path], out: &Path, more: &[&str], part: &str| {
        let output = run(inputs, out, more);
        assert_eq!(output.status.code(), Some(1), "{part}");
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    };
    refused(&[&root], &root, &[], "is not empty");
    done(&[&root], &out, &[]);
    refused(&[&root], &out, &["--offsets", "utf16"], "another model or of other options");
    refused(&[&root], &out, &["--format", "csv"], "another model or of other options");
    refused(&[&root], &out, &["--format", "text"], "for a terminal");
    refused(&[&scratch.path().join("nowhere")], &out, &[], "nowhere");
    let empty = scratch.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&[&empty], &out, &[], "no .txt, .jsonl or .parquet file");
    let other = scratch.file("note.pdf", "x");
    refused(&[&other], &out, &[], "expected a folder");
    refused(&[&note], &scratch.path().join("new"), &["--format", "parquet"], "name one file for all");
    assert_eq!(names(&out), ["1.json", "clinlite-run.json"]);
}

#[test]
fn one_file_for_all_in_the_order_of_the_input() {
    let scratch = Scratch::new();
    for i in [3, 1, 2] {
        scratch.file(&format!("notes/{i}.txt"), NOTE.repeat(i));
    }
    jsonl(&scratch, "notes/2a.jsonl", 300, 9);
    let (root, out) = (scratch.path().join("notes"), scratch.path().join("all.jsonl"));
    done(&[&root], &out, &["--threads", "3"]);
    let found = lines(&out);
    let files: Vec<_> =
        found.iter().map(|line| Path::new(line["file"].as_str().unwrap()).file_name().unwrap().to_owned()).collect();
    assert_eq!((files.len(), files[0].to_str(), files[302].to_str()), (303, Some("1.txt"), Some("3.txt")));
    let ids: Vec<_> = found[2..302].iter().map(|line| line["id"].as_u64().unwrap()).collect();
    assert!(ids.iter().copied().eq(0..300));
    assert_eq!(names(scratch.path()).iter().filter(|name| name.starts_with("all")).count(), 1);
    // A heading stands once.
    let csv = scratch.path().join("all.csv");
    done(&[&root], &csv, &[]);
    let (text, heading) = (fs::read_to_string(&csv).unwrap(), clinlite::export::Format::Csv.header());
    assert!(text.starts_with(heading) && text.matches(heading).count() == 1);
    // Nothing in a file is a file all the same.
    let empty = scratch.file("empty.jsonl", "\n");
    done(&[&empty], &scratch.path().join("nothing"), &[]);
    assert_eq!(fs::read(scratch.path().join("nothing/empty.jsonl")).unwrap(), b"");
}

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect()
}

#[test]
fn tables_in_and_out() {
    let scratch = Scratch::new();
    let notes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/batch/notes.parquet");
    let out = scratch.path().join("out");
    done(&[&notes], &out, &["--text-key", "note", "--id-key", "note_id"]);
    let rows = rows(&out.join("notes.parquet"));
    assert_eq!(rows.len(), 5);
    for (i, (row, id)) in rows.iter().zip([Some("7"), None, Some("9"), Some("9"), Some("-1")]).enumerate() {
        assert_eq!(row.get_long(1).unwrap(), i as i64 + 1);
        assert_eq!(row.get_string(2).ok().map(String::as_str), id);
        let document: Value = serde_json::from_str(row.get_string(4).unwrap()).unwrap();
        let (listed, entities) = (row.get_list(3).unwrap(), document["entities"].as_array().unwrap());
        assert_eq!(listed.len(), entities.len());
        for (at, entity) in entities.iter().enumerate() {
            let element = listed.get_group(at).unwrap();
            assert_eq!(element.get_string(0).unwrap(), entity["label"].as_str().unwrap());
            assert_eq!(element.get_long(1).unwrap(), entity["start"].as_i64().unwrap());
            assert_eq!(element.get_long(2).unwrap(), entity["end"].as_i64().unwrap());
            assert_eq!(element.get_string(3).unwrap(), entity["text"].as_str().unwrap());
            assert_eq!(element.get_double(4).unwrap(), entity["score"].as_f64().unwrap());
        }
    }
    let counts: Vec<usize> = rows.iter().map(|row| row.get_list(3).unwrap().len()).collect();
    assert!(counts[2] == 0 && counts[3] == 0 && counts[4] > 1, "{counts:?}");

    // A damaged table leaves nothing that looks whole, alone or among others.
    let mut bytes = fs::read(&notes).unwrap();
    let reader = SerializedFileReader::new(fs::File::open(&notes).unwrap()).unwrap();
    let (start, length) = reader.metadata().row_group(1).column(2).byte_range();
    bytes[start as usize..(start + length) as usize].fill(0xff);
    let damaged = scratch.file("damaged.parquet", bytes);
    let keys = ["--text-key", "note"];
    let output = run(&[&damaged], &scratch.path().join("alone"), &keys);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("damaged.parquet: row "), "{}", said(&output));
    assert!(!scratch.path().join("alone/damaged.parquet").exists());
    let all = scratch.path().join("all.parquet");
    assert_eq!(run(&[&damaged, &notes], &all, &keys).status.code(), Some(1));
    assert!(!all.exists());
    let output = run(&[&notes], &scratch.path().join("other"), &[]);
    assert!(said(&output).contains("has no column \"text\"") && output.status.code() == Some(1));
}

/// Kills a run again and again, later each time, until one ends; how many were killed.
fn killed_and_resumed(inputs: &[&Path], out: &Path) -> usize {
    for kills in 0..400 {
        let mut child = command(inputs, out, &["--threads", "1"]).stderr(Stdio::null()).spawn().unwrap();
        // Any point: not a multiple of what a chunk takes.
        sleep(Duration::from_millis(40 + 17 * kills));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.code().is_some() {
            assert_eq!(status.code(), Some(0));
            return kills as usize;
        }
    }
    panic!("no run came to its end");
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let scratch = Scratch::new();
    for i in 0..30 {
        scratch.file(&format!("notes/{}/{i}.txt", i % 7), NOTE.repeat(1 + i * 2));
    }
    jsonl(&scratch, "notes/lines.jsonl", 400, 20);
    let root = scratch.path().join("notes");
    for name in ["tree", "all.jsonl", "all.parquet"] {
        let (whole, broken) = (scratch.path().join("whole").join(name), scratch.path().join("broken").join(name));
        done(&[&root], &whole, &[]);
        let kills = killed_and_resumed(&[&root], &broken);
        assert!(kills > 0, "{name}: the run is too short to be killed");
        match whole.is_dir() {
            true => assert!(files(&whole) == files(&broken), "{name}"),
            false => assert!(fs::read(&whole).unwrap() == fs::read(&broken).unwrap(), "{name}"),
        }
        let left = names(&scratch.path().join("broken"));
        assert!(!left.iter().any(|name| name.contains(".partial") || name.contains(".progress")), "{left:?}");
    }
}

#[test]
fn a_signal_stops_a_run_that_goes_on_later() {
    let scratch = Scratch::new();
    let notes = jsonl(&scratch, "lines.jsonl", 2000, 40);
    let (whole, out) = (scratch.path().join("whole.jsonl"), scratch.path().join("all.jsonl"));
    done(&[&notes], &whole, &[]);
    let child = command(&[&notes], &out, &["--threads", "1"]).spawn().unwrap();
    sleep(Duration::from_millis(400));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.status.signal()), (Some(143), None));
    assert!(said(&output).contains("stopped; the same command goes on"));
    assert!(!out.exists() && scratch.path().join("all.jsonl.partial").exists());
    let output = run(&[&notes], &out, &[]);
    assert!(output.status.success() && said(&output).contains("notes kept from before"), "{}", said(&output));
    assert!(fs::read(&whole).unwrap() == fs::read(&out).unwrap());
    // Another input under the same name is not the one that was begun.
    fs::remove_file(&out).unwrap();
    let child = command(&[&notes], &out, &["--threads", "1"]).spawn().unwrap();
    sleep(Duration::from_millis(400));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    let other = jsonl(&scratch, "lines.jsonl", 3, 1);
    done(&[&other], &out, &[]);
    assert_eq!(lines(&out).len(), 3);
}

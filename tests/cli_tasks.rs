//! `clinlite classify`, `nli`, `relation` and the lines of JSON that all of them take, as a person types it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Scratch, fixture_path};
use crate::tasks::{cases, place, string};

/// Words of the texts below, which must not turn up in any error.
const SECRETS: [&str; 4] = ["patient", "rash", "fever", "😀"];

/// Runs the program with something on its standard input.
fn clinlite(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.args(arguments).env_remove("CLINLITE_MODEL").env("RUST_BACKTRACE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    // A program that refuses its arguments may end before it reads.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().expect("ends");
    let errors = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(SECRETS.iter().all(|secret| !errors.contains(secret)), "note text in {errors}");
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn documents(output: &Output) -> Vec<Value> {
    serde_json::Deserializer::from_str(&stdout(output)).into_iter().collect::<Result<_, _>>().expect("JSON")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

/// The scores of a document, beside those of PyTorch.
fn same_scores(document: &Value, case: &Value) {
    let found: Vec<f64> =
        document["scores"].as_array().expect("scores").iter().map(|s| s["score"].as_f64().expect("a number")).collect();
    let expected = case["scores"].as_array().expect("scores");
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let expected = expected.as_f64().expect("a number");
        assert!((found - expected).abs() < 2e-4, "expected {expected}, found {found}");
    }
}

/// The questions of a fixture as lines, each with an id.
fn lines(name: &str, keys: &[&str]) -> String {
    let line = |(i, case): (usize, &Value)| {
        let mut line: serde_json::Map<String, Value> =
            keys.iter().map(|&key| (key.into(), case[key].clone())).collect();
        line.insert("id".into(), json!(format!("q{i}")));
        Value::Object(line).to_string() + "\n"
    };
    cases(name).iter().enumerate().map(line).collect()
}

#[test]
fn classify_files_standard_input_and_lines() {
    let scratch = Scratch::new();
    for name in ["classify", "multi-label"] {
        let (folder, cases) = (place(name), cases(name));
        let model = ["classify", "--model", text(&folder)];
        let files: Vec<_> =
            cases.iter().enumerate().map(|(i, case)| scratch.file(&format!("{i}.txt"), string(case, "text"))).collect();
        let named: Vec<&str> = files.iter().map(|file| text(file)).collect();
        for backend in ["simd", "candle"] {
            let arguments = [&model[..], &["--backend", backend, "--format", "jsonl"], &named].concat();
            let output = clinlite(&arguments, b"");
            assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
            for (document, case) in documents(&output).iter().zip(&cases) {
                assert_eq!(
                    (&document["schema"], &document["engine"]["backend"]),
                    (&json!("clinlite/classification/1"), &json!(backend))
                );
                same_scores(document, case);
            }
        }
        let piped = clinlite(&[&model[..], &["--format", "json"]].concat(), string(&cases[0], "text").as_bytes());
        same_scores(&documents(&piped)[0], &cases[0]);
        let all = lines(name, &["text"]);
        let run = |threads| clinlite(&[&model[..], &["--jsonl", "-", "--threads", threads]].concat(), all.as_bytes());
        let (one, three) = (run("1"), run("3"));
        assert_eq!(stdout(&one), stdout(&three));
        for (i, (document, case)) in documents(&one).iter().zip(&cases).enumerate() {
            assert_eq!((&document["id"], &document["line"]), (&json!(format!("q{i}")), &json!(i + 1)));
            same_scores(document, case);
        }
        let shown = stdout(&clinlite(&[&model[..], &named[1..2]].concat(), b""));
        assert!(shown.contains(" of 12 windows)"), "{shown}");
    }
    let folder = place("multi-label");
    let none = clinlite(&["classify", "--model", text(&folder), "--threshold", "1"], b"The patient.");
    assert_eq!(stdout(&none), "no label\n");
}

#[test]
fn nli_with_one_hypothesis_or_lines_of_pairs() {
    let scratch = Scratch::new();
    let (folder, cases) = (place("nli"), cases("nli"));
    let model = ["nli", "--model", text(&folder)];
    let case = &cases[1];
    let (premise, hypothesis) = (scratch.file("premise.txt", string(case, "premise")), string(case, "hypothesis"));
    let file = scratch.file("hypothesis.txt", hypothesis);
    for backend in ["simd", "candle"] {
        for asked in [["--hypothesis", hypothesis], ["--hypothesis-file", text(&file)]] {
            let options = ["--backend", backend, "--format", "json", text(&premise)];
            let found = documents(&clinlite(&[&model[..], &options, &asked].concat(), b""));
            same_scores(&found[0], case);
            assert_eq!((&found[0]["schema"], &found[0]["label"]), (&json!("clinlite/nli/1"), &json!("neutral")));
        }
    }
    let found =
        clinlite(&[&model[..], &["--jsonl", "-"]].concat(), lines("nli", &["premise", "hypothesis"]).as_bytes());
    assert_eq!(stdout(&found).lines().count(), cases.len());
    documents(&found).iter().zip(&cases).for_each(|(document, case)| same_scores(document, case));
    let shown = stdout(&clinlite(&[&model[..], &[text(&premise), "--hypothesis", hypothesis]].concat(), b""));
    assert_eq!(shown, "neutral 0.544  (mean of 18 windows)\n");
    assert_eq!(clinlite(&model, b"x").status.code(), Some(2), "a hypothesis is required");
}

/// The relations of a document beside those of PyTorch, none left out.
fn same_relations(document: &Value, case: &Value) {
    let (found, pairs) = (document["relations"].as_array().expect("a list"), case["pairs"].as_array().expect("a list"));
    assert_eq!(found.len(), pairs.len());
    assert_eq!(document["coverage"]["pairs_too_far"], case["pairs_too_far"]);
    for (found, pair) in found.iter().zip(pairs) {
        let number = |key: &str| pair[key].as_u64().expect("a number") + 1;
        let ends = (format!("T{}", number("head")), format!("T{}", number("tail")));
        assert_eq!((string(found, "head"), string(found, "tail")), (ends.0.as_str(), ends.1.as_str()));
        let score = found["score"].as_f64().expect("a number");
        let scores = pair["scores"].as_array().expect("a list").iter().filter_map(Value::as_f64);
        assert!((scores.fold(0.0, f64::max) - score).abs() < 2e-4);
    }
}

#[test]
fn relation_with_given_entities() {
    for name in ["relation", "relation-replaced"] {
        let folder = place(name);
        for backend in ["simd", "candle"] {
            let arguments = ["relation", "--model", text(&folder), "--backend", backend, "--none", "--jsonl", "-"];
            let output = clinlite(&arguments, lines(name, &["text", "entities"]).as_bytes());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert_eq!(documents(&output).len(), 3);
            for (document, case) in documents(&output).iter().zip(cases(name)) {
                assert_eq!(
                    (&document["schema"], &document["offset_unit"]),
                    (&json!("clinlite/relations/1"), &json!("codepoint"))
                );
                let told = |e: &Value| json!({"start": e["start"], "end": e["end"], "label": e["label"]});
                let entities: Vec<Value> = document["entities"].as_array().expect("a list").iter().map(told).collect();
                assert_eq!(json!(entities), case["entities"]);
                same_relations(document, &case);
            }
        }
    }
}

#[test]
fn relation_with_entities_of_a_tagger() {
    let scratch = Scratch::new();
    let (model, tagger) = (place("relation-replaced"), fixture_path("bert-bio"));
    let note = scratch.file("note.txt", "The patient denies chest pains. 😀 Aspirin 81 µg,\r\n\tno fever.\n");
    let tag = clinlite(&["ner", "--model", text(&tagger), "--format", "json", "--offsets", "utf16", text(&note)], b"");
    let tagged = scratch.file("tagged.json", &tag.stdout);
    let related = ["relation", "--model", text(&model), "--format", "json", "--none", text(&note)];
    let given = clinlite(&[&related[..], &["--entities", text(&tagged)]].concat(), b"");
    let found = clinlite(&[&related[..], &["--tagger", text(&tagger)]].concat(), b"");
    assert_eq!((found.status.code(), stdout(&found)), (Some(0), stdout(&given)), "{}", stderr(&given));
    let (tagging, document) = (&documents(&tag)[0], &documents(&found)[0]);
    let names = |document: &Value| -> Vec<Value> {
        document["entities"].as_array().expect("a list").iter().map(|entity| entity["text"].clone()).collect()
    };
    assert!(!names(document).is_empty() && names(document) == names(tagging));
    let count = names(document).len();
    let coverage = &document["coverage"];
    let pairs = ["pairs", "pairs_too_far", "pairs_overlapping", "pairs_beyond"]
        .map(|key| coverage[key].as_u64().expect("a number"));
    assert_eq!(pairs.iter().sum::<u64>() as usize, count * (count - 1), "no pair is dropped in silence");
    let shown = stdout(&clinlite(
        &["relation", "--model", text(&model), "--entities", text(&tagged), "--max-lines", "0", text(&note)],
        b"",
    ));
    assert!(shown.contains("entities") && shown.contains("beyond the limit"), "{shown}");
    let other = scratch.file("other.txt", "No rash.");
    let refused = clinlite(&["relation", "--model", text(&model), "--entities", text(&tagged), text(&other)], b"");
    assert!(
        stderr(&refused).contains("other.txt: ") && stderr(&refused).contains("no document about this text"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(refused.status.code(), Some(1));
    for wrong in [&b"{\"rash\": 1}"[..], b"rash", b""] {
        let wrong = scratch.file("wrong.json", wrong);
        let refused = clinlite(&["relation", "--model", text(&model), "--entities", text(&wrong), text(&note)], b"");
        assert!(
            stderr(&refused).contains("wrong.json: ") && stderr(&refused).contains("of clinlite tag"),
            "{}",
            stderr(&refused)
        );
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    }
}

#[test]
fn a_bad_line_is_numbered_and_the_others_are_done() {
    let (tagger, classify) = (fixture_path("bert-bio"), place("classify"));
    let (nli, relation) = (place("nli"), place("relation"));
    let good_note = r#"{"id": "a", "text": "The patient has a rash."}"#;
    let good_pair = r#"{"premise": "No fever.", "hypothesis": "No rash."}"#;
    let entity =
        |place: &str| format!(r#"{{"text": "No fever, no rash", "entities": [{{{place}, "label": "DRUG"}}]}}"#);
    let good_entity = entity(r#""start": 3, "end": 8"#);
    let entities =
        [entity(r#""start": 3, "end": 99"#), entity(r#""start": -3, "end": 9"#), entity(r#""start": 3, "end": 3"#)];
    type Case<'a> = (&'a [&'a str], &'a str, Vec<(&'a [u8], &'a str)>);
    let form = "{\"text\": …}";
    let bad_texts: Vec<(&[u8], &str)> = vec![
        (b"patient", "not JSON at column 1"),
        (br#"{"text": "rash"#, "not JSON at column 14"),
        (br#"{"note": "rash"}"#, form),
        (br#"{"text": 7}"#, form),
        (b"[\"rash\"]", form),
        (b"{\"text\": \"rash \xff\"}", "not UTF-8 at byte 15"),
    ];
    let with_empty = [&bad_texts[..], &[(&br#"{"text": " "}"#[..], "the text holds no word")]].concat();
    let bad_pairs: Vec<(&[u8], &str)> = vec![
        (br#"{"premise": "rash"}"#, "{\"premise\": …, \"hypothesis\": …}"),
        (br#"{"premise": "rash", "hypothesis": ""}"#, "the hypothesis holds no word"),
        (br#"{"premise": "", "hypothesis": "rash"}"#, "the premise holds no word"),
    ];
    let bad_entities: Vec<(&[u8], &str)> = vec![
        (entities[0].as_bytes(), "from 0 to 17 (codepoint), found 3..99"),
        (entities[1].as_bytes(), "expected an object of the form"),
        (entities[2].as_bytes(), "entity 1: expected start < end"),
    ];
    let cases: [Case; 4] = [
        (&["tag", "--model", text(&tagger)], good_note, bad_texts),
        (&["classify", "--model", text(&classify)], good_note, with_empty),
        (&["nli", "--model", text(&nli)], good_pair, bad_pairs),
        (&["relation", "--model", text(&relation)], &good_entity, bad_entities),
    ];
    for (command, good, bad) in cases {
        let good = good.as_bytes();
        let mut input = [good, b"\n\n"].concat();
        bad.iter().for_each(|(line, _)| input.extend([line, &b"\n"[..]].concat()));
        input.extend(good);
        let output = clinlite(&[command, &["--jsonl", "-"]].concat(), &input);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {errors}");
        let done: Vec<Value> = documents(&output).iter().map(|document| document["line"].clone()).collect();
        assert_eq!(done, [json!(1), json!(bad.len() + 3)], "{command:?}: {errors}");
        let reported: Vec<&str> = errors.lines().collect();
        assert_eq!(reported.len(), bad.len() + 1, "{command:?}: {errors}");
        for (i, ((_, why), line)) in bad.iter().zip(&reported).enumerate() {
            let at = format!("clinlite: standard input: line {}: ", i + 3);
            assert!(line.starts_with(&at) && line.contains(why), "{command:?}: expected {at}… {why}, found {line}");
        }
        assert_eq!(reported[bad.len()], format!("clinlite: {} of {} lines failed", bad.len(), bad.len() + 2));
    }
}

#[test]
fn what_cannot_be_asked() {
    let scratch = Scratch::new();
    let (classify, relation, tagger) = (place("classify"), place("relation"), fixture_path("bert-bio"));
    let nowhere = scratch.path().join("nowhere");
    let note = scratch.file("note.txt", "The patient has a rash 😀.");
    let (note, empty) = (text(&note), scratch.file("empty.txt", " \n"));
    let binary = scratch.file("binary.txt", b"\x7fELF\xff\x00rash");
    let cases: &[(&[&str], &[&str])] = &[
        (&["classify", "--model", text(&nowhere), note], &["nowhere: no such folder"]),
        (&["classify", "--model", note, note], &["note.txt: not a folder"]),
        (&["classify", "--model", text(&tagger), note], &["made for token-classification, not for classify"]),
        (&["nli", "--model", text(&classify), "--hypothesis", "x", note], &["made for classify, not for nli"]),
        (&["relation", "--model", text(&classify), note], &["made for classify, not for relation"]),
        (
            &["relation", "--model", text(&relation), "--tagger", text(&classify), note],
            &["note.txt: tagger: ", "not for ner"],
        ),
        (&["relation", "--model", text(&relation), "--tagger", text(&nowhere), note], &["nowhere: no such folder"]),
        (&["tag", "--model", text(&classify), note], &["made for classify, not for ner"]),
        (&["classify", "--model", text(&classify), text(&empty)], &["empty.txt: the text holds no word"]),
        (&["classify", "--model", text(&classify), text(&binary)], &["binary.txt: not UTF-8 at byte 4"]),
        (&["classify", "--model", text(&classify), "--jsonl", "no-such.jsonl"], &["no-such.jsonl: "]),
        (
            &["classify", "--model", text(&classify), "--threshold", "2", note],
            &["threshold: expected a number from 0 to 1"],
        ),
        (&["relation", "--model", text(&relation), "--entities", "no-such.json", note], &["no-such.json: "]),
    ];
    for (arguments, expected) in cases {
        let output = clinlite(arguments, b"");
        let errors = stderr(&output);
        assert_eq!(
            (output.status.code(), errors.lines().count(), output.stdout.len()),
            (Some(1), 1, 0),
            "{arguments:?}: {errors}"
        );
        assert!(expected.iter().all(|part| errors.contains(part)), "{arguments:?}: {errors}");
    }
    for task in ["classify", "nli", "relation", "ner"] {
        assert!(stdout(&clinlite(&[task, "--help"], b"")).contains("--jsonl"), "{task}");
    }
    for usage in [&["classify", note][..], &["relation", note], &["classify", "--model", "x", "--jsonl", "y", note]] {
        assert_eq!(clinlite(usage, b"").status.code(), Some(2), "{usage:?}");
    }
}

//! `clinlite eval` and `clinlite prune` as a person types them.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clinlite::backend::simd::SimdBackend;
use clinlite::tasks::ner::{TagOptions, Tagger};
use serde_json::Value;

use crate::support::{Scratch, fixture, fixture_path};

const NOTES: [&str; 3] = [
    "The patient denies chest pain with fever; no aspirin 81 mg.",
    "Secret fever (37.9) with chest pain, aspirin 20 mg started. No pain.",
    "aspirin aspirin, patient with no fever",
];

fn clinlite(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.args(arguments).env_remove("CLINLITE_MODEL").stdin(Stdio::null());
    command.output().expect("the program starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

fn error_line(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = String::from_utf8(output.stderr.clone()).expect("UTF-8 on standard error");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("clinlite: ") && !line.contains("Secret"), "{line}");
    line.trim_end().to_owned()
}

/// Writes the notes as brat, annotated with what the model itself finds; `change` may spoil the annotations of the
/// first note. Returns how many entities the model finds.
fn annotated(scratch: &Scratch, name: &str, change: impl Fn(&mut Vec<(usize, usize, String)>)) -> usize {
    let tagger = Tagger::load(SimdBackend::new(), &fixture("bert-bio")).expect("a fixture");
    let types = tagger.model().labels.types();
    let mut found = 0;
    for (number, note) in NOTES.iter().enumerate() {
        let tagging = pollster::block_on(tagger.tag(note, TagOptions::default())).expect("a tagging");
        let entities = tagging.entities.iter();
        let mut spans: Vec<_> = entities.map(|span| (span.start, span.end, types[span.label].clone())).collect();
        found += spans.len();
        if number == 0 {
            change(&mut spans);
        }
        let mut lines = String::new();
        for (i, (start, end, label)) in spans.iter().enumerate() {
            writeln!(lines, "T{i}\t{label} {start} {end}\t{}", &note[*start..*end]).expect("a string grows");
        }
        scratch.file(&format!("{name}/{number}.txt"), note);
        scratch.file(&format!("{name}/{number}.ann"), lines);
    }
    found
}

fn evaluate(arguments: &[&str], json: &Path) -> Value {
    let model = fixture_path("bert-bio");
    let output = clinlite(&[&["eval", text(&model), "--json", text(json)], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).expect("UTF-8 on standard output");
    for part in ["seqeval strict IOB2", "unit: the word", "95 % interval", "support", "micro", "i2b2 inexact"] {
        assert!(table.contains(part), "no {part:?} in {table}");
    }
    serde_json::from_slice(&std::fs::read(json).expect("the figures")).expect("JSON")
}

fn micro(figures: &Value, part: &str) -> f64 {
    figures["figures"]["micro"][part].as_f64().expect("a number")
}

#[test]
fn a_model_agrees_with_itself() {
    let scratch = Scratch::new();
    let found = annotated(&scratch, "good", |_| {});
    assert!(found > 3, "the fixture finds {found} entities");
    let data = format!("brat:{}", text(&scratch.path().join("good")));
    let json = scratch.path().join("figures.json");
    for backend in ["simd", "candle"] {
        let figures = evaluate(&["--data", &data, "--backend", backend], &json);
        assert_eq!((micro(&figures, "f1"), micro(&figures, "support")), (1.0, found as f64), "{backend}");
        assert_eq!(figures["bootstrap"]["f1"]["micro"]["low"], 1.0);
        assert_eq!((&figures["backend"], &figures["unit"]), (&backend.into(), &"word".into()));
        assert_eq!((&figures["documents"], &figures["gold_without_words"]), (&3.into(), &0.into()));
    }
}

/// The pieces of the fixture's own findings: the seed's protocol has a table of its own, and says so.
#[test]
fn every_protocol_at_once() {
    let scratch = Scratch::new();
    annotated(&scratch, "less", |spans| drop(spans.remove(0)));
    let data = format!("brat:{}", text(&scratch.path().join("less")));
    let json = scratch.path().join("figures.json");
    let figures = evaluate(&["--data", &data], &json);
    let all = &figures["protocols"];
    assert_eq!(figures["protocol"], "word");
    assert_eq!(figures["figures"]["micro"], all["seqeval_strict"]["micro"]);
    assert_eq!(all["seqeval_default"]["micro"], all["seqeval_strict"]["micro"]);
    assert_eq!(all["i2b2_exact"]["micro"], all["seqeval_strict"]["micro"]);
    assert_eq!(all["nervaluate"]["overall"]["strict"]["f1"], all["seqeval_strict"]["micro"]["f1"]);
    let tally = &all["nervaluate"]["overall"]["partial"];
    assert_eq!((&tally["spurious"], &tally["missed"], &tally["incorrect"]), (&1.into(), &0.into(), &0.into()));
    let model = fixture_path("bert-bio");
    let output = clinlite(&["eval", text(&model), "--data", &data, "--protocol", "seed", "--json", text(&json)]);
    let table = String::from_utf8(output.stdout).expect("UTF-8 on standard output");
    for part in ["seqeval default, unit: the piece", "The protocol of the seed: every piece", "nervaluate ent_type"] {
        assert!(table.contains(part), "no {part:?} in {table}");
    }
    let figures: Value = serde_json::from_slice(&std::fs::read(&json).expect("the figures")).expect("JSON");
    assert_eq!((&figures["protocol"], &figures["unit"]), (&"seed".into(), &"piece".into()));
    assert_eq!(figures["figures"]["micro"], all["seed"]["micro"]);
}

#[test]
fn one_entity_missed() {
    let scratch = Scratch::new();
    let found = annotated(&scratch, "less", |spans| drop(spans.remove(0)));
    let data = format!("brat:{}", text(&scratch.path().join("less")));
    let figures = evaluate(&["--data", &data], &scratch.path().join("figures.json"));
    assert_eq!(micro(&figures, "recall"), 1.0);
    assert!((micro(&figures, "precision") - (found - 1) as f64 / found as f64).abs() < 1e-12);
}

/// The recipe names the split `a`; `--split b` reads the other. The windows are the recipe's unless typed.
#[test]
fn sets_and_windows_of_a_recipe() {
    let scratch = Scratch::new();
    annotated(&scratch, "set/brat", |_| {});
    scratch.file("set/split.tsv", "0\ta\n1\tb\n2\tb\n");
    let recipe = "name = \"x\"\n[dev.set]\nformat = \"brat\"\npath = \"set\"\nsplit = \"a\"\n\
                  [evaluate]\nmax_length = 12\nstride = 3\n";
    let recipe = scratch.file("recipe.toml", recipe);
    let (json, root) = (scratch.path().join("figures.json"), text(scratch.path()).to_owned());
    let arguments = ["--recipe", text(&recipe), "--root", &root, "--split"];
    let figures = evaluate(&[&arguments[..], &["b"]].concat(), &json);
    assert_eq!((&figures["documents"], &figures["data"][0]["split"]), (&2.into(), &"b".into()));
    assert_eq!((&figures["window"]["max_length"], &figures["window"]["stride"]), (&12.into(), &3.into()));
    let figures = evaluate(&[&arguments[..], &["a", "--window", "40", "--stride", "9"]].concat(), &json);
    assert_eq!((&figures["documents"], &figures["window"]["max_length"]), (&1.into(), &40.into()));
}

#[test]
fn what_cannot_be_scored() {
    let scratch = Scratch::new();
    let model = fixture_path("bert-bio");
    let eval = |arguments: &[&str]| clinlite(&[&["eval", text(&model)], arguments].concat());
    for wrong in [&[][..], &["--data", "xml:x"], &["--split", "dev"], &["--data", "brat:x", "--split", "dev"]] {
        assert_eq!(eval(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let broken = scratch.file("broken.tsv", "Secret\tO\nSecret O\n");
    let line = error_line(&eval(&["--data", &format!("conll:{}", text(&broken))]));
    assert!(line.ends_with("broken.tsv:2: no tab, expected a token, a tab and a tag"), "{line}");
    let other = scratch.file("other.tsv", "fever\tB-GENE\n");
    let line = error_line(&eval(&["--data", &format!("conll:{}", text(&other))]));
    assert!(line.contains("none of the 1 labels of the data ([\"GENE\"], …) is a type of the model"), "{line}");
    let recipe = scratch.file("recipe.toml", "name = \"x\"\ndev = Secret\n");
    let line = error_line(&eval(&["--recipe", text(&recipe), "--split", "dev"]));
    assert!(line.contains("recipe.toml:2: "), "{line}");
    let line = error_line(&eval(&["--data", "brat:nowhere"]));
    assert!(line.contains("nowhere"), "{line}");
}

#[test]
fn a_pruned_folder_is_a_model() {
    let scratch = Scratch::new();
    let (model, out) = (fixture_path("bert-bio"), scratch.path().join("small"));
    annotated(&scratch, "set", |_| {});
    let set = format!("brat:{}", text(&scratch.path().join("set")));
    let more = scratch.file("more.txt", "fever");
    let arguments = ["prune", text(&model), "--texts", text(&more), &set, "--out", text(&out)];
    let output = clinlite(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).expect("UTF-8 on standard output");
    for part in ["texts           4,", "rows            101 -> 100", "pieces a word", "unknown", "MB less"] {
        assert!(table.contains(part), "no {part:?} in {table}");
    }
    let json = scratch.path().join("figures.json");
    let output = clinlite(&["eval", text(&out), "--data", &set, "--json", text(&json)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let figures: Value = serde_json::from_slice(&std::fs::read(&json).expect("the figures")).expect("JSON");
    assert_eq!(micro(&figures, "f1"), 1.0);
    let line = error_line(&clinlite(&["prune", text(&out), "--texts", text(&more), "--out", text(&out)]));
    assert!(line.contains("would be overwritten"), "{line}");
    let line = error_line(&clinlite(&["prune", text(&model), "--texts", "nowhere.csv", "--out", text(&out)]));
    assert!(line.contains("nowhere.csv"), "{line}");
}

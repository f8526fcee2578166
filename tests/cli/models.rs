//! The commands that show, convert and pack models of any architecture and head.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::{clinlite, error_line, refused, stdout, text};
use crate::parity::{FIXTURES, packed};
use crate::support::{Scratch, fixture_files, fixture_path};

fn run(arguments: &[&str]) -> Output {
    clinlite(arguments).output().expect("starts")
}

fn logits(folder: &Path, more: &[&str]) -> Value {
    let output = run(&[&["logits", text(folder)], more].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

/// The numbers of a JSON array, however deep.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        value => vec![value.as_f64().expect("a number")],
    }
}

#[test]
fn logits_of_every_head() {
    let pair = ["--text", "no pain", "--pair", "chest pains"];
    // (fixture, rows of logits, columns)
    for (name, rows, columns) in [("mobilebert-token", 8, 7), ("minialbert-sequence", 1, 3), ("distilbert-mlm", 8, 102)]
    {
        let simd = logits(&fixture_path(name), &pair);
        let ids = simd["input_ids"].as_array().expect("ids").len();
        assert_eq!(simd["token_type_ids"].as_array().map(Vec::len), Some(ids));
        let (found, rows) = (flat(&simd["logits"]), if rows == 1 { 1 } else { ids });
        let columns = if name == "distilbert-mlm" { found.len() / rows } else { columns };
        assert_eq!(found.len(), rows * columns, "{name}");
        assert_eq!(simd["logits"][0].is_array(), rows > 1, "{name}");
        let candle = logits(&fixture_path(name), &[&pair[..], &["--backend", "candle"]].concat());
        assert_eq!(candle["backend"], "candle");
        let near = |(a, b): (f64, f64)| (a - b).abs() < 1e-4;
        assert!(found.into_iter().zip(flat(&candle["logits"])).all(near), "{name}");
    }
    let labels = &logits(&fixture_path("bert-sequence"), &pair)["labels"];
    assert_eq!(*labels, json!(["entailment", "neutral", "contradiction"]));
}

#[test]
fn a_mask_is_asked_for_by_name() {
    let ids = |name, text| logits(&fixture_path(name), &["--text", text])["input_ids"].clone();
    assert_eq!(ids("bert-mlm", "no [MASK]."), json!([2, ids("bert-mlm", "no")[1], 4, ids("bert-mlm", ".")[1], 3]));
    assert_ne!(ids("bert-token", "[MASK]")[1], 4, "a note is no place for special tokens");
}

#[test]
fn what_logits_refuses() {
    let folder = fixture_path("bert-sequence");
    let long = "fever ".repeat(40);
    refused(&run(&["logits", text(&folder), "--text", &long]), &["42 tokens", "at most 32"]);
    if !cfg!(feature = "webgpu") {
        let webgpu = run(&["logits", text(&folder), "--text", "x", "--backend", "webgpu"]);
        refused(&webgpu, &["webgpu", "--features webgpu"]);
    }
    assert!(stdout(&run(&["logits", "--help"])).contains("feature webgpu"));
}

#[test]
fn every_model_is_inspected() {
    for name in FIXTURES {
        let shown = stdout(&run(&["inspect", text(&fixture_path(name))]));
        assert!(shown.contains("loads         yes"), "{name}: {shown}");
    }
    let shown = stdout(&run(&["inspect", text(&fixture_path("mobilebert-sequence"))]));
    for part in ["mobilebert: 2 layers", "text-classification", "entailment neutral", "uncased (vocab.txt)", "body "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// A fixture whose weights are renamed.
fn renamed(scratch: &Scratch, name: &str, rename: impl Fn(&str) -> String) -> std::path::PathBuf {
    let mut files: BTreeMap<_, _> = fixture_files(name).into_iter().collect();
    let bytes = files.remove("model.safetensors").expect("weights");
    let weights = SafeTensors::deserialize(&bytes).expect("weights");
    let tensors = weights.tensors().into_iter().map(|(name, view)| (rename(&name), view));
    files.insert("model.safetensors".into(), safetensors::serialize(tensors, None).expect("a file"));
    scratch.folder("renamed", files)
}

#[test]
fn inspect_names_all_that_is_missing() {
    let scratch = Scratch::new();
    let folder = renamed(&scratch, "distilbert-token", |name| name.replace("q_lin", "query"));
    let output = run(&["inspect", text(&folder)]);
    assert_eq!(output.status.code(), Some(1));
    let (shown, line) = (stdout(&output), error_line(&output));
    for part in
        ["q_lin.weight\": missing, expected [52, 52]", "q_lin.bias\": missing", "query.weight", "loads         no"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(line.contains("and 1 more"), "{line}");
}

#[test]
fn an_encoder_without_a_head_is_no_fault() {
    let scratch = Scratch::new();
    let folder = renamed(&scratch, "bert-token", |name| name.replace("classifier", "other"));
    let config = std::fs::read_to_string(folder.join("config.json")).expect("a config");
    std::fs::write(folder.join("config.json"), config.replace("BertForTokenClassification", "BertModel"))
        .expect("writes");
    let output = run(&["inspect", text(&folder)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("none, an encoder"), "{output:?}");
    refused(&run(&["logits", text(&folder), "--text", "x"]), &["without a head"]);
}

fn tensors(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let folder = crate::support::folder_at(folder).expect("a folder");
    let bytes = folder.file("model.safetensors").expect("weights");
    let weights = SafeTensors::deserialize(bytes).expect("weights");
    let float = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        (name, view.data().chunks_exact(4).map(float).collect())
    };
    weights.tensors().into_iter().map(read).collect()
}

#[test]
fn an_exported_folder_says_the_same() {
    let scratch = Scratch::new();
    for name in FIXTURES {
        let (source, out) = (fixture_path(name), scratch.path().join(name));
        let output = run(&["export", text(&source), "--to", "hf", "--out", text(&out)]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        if source.join("model.safetensors").exists() {
            let (mut before, mut after) = (tensors(&source), tensors(&out));
            // Of two biases the one that is used stands under both names.
            let unused = "cls.predictions.bias";
            if name == "bert-mlm-untied" {
                assert_eq!(after[unused], after["cls.predictions.decoder.bias"]);
                drop((before.remove(unused), after.remove(unused)));
            }
            assert!(before == after, "{name}");
        } else {
            assert!(!tensors(&out).contains_key("cls.predictions.decoder.weight"), "{name}: tied weights once");
        }
        let said = |folder: &Path| logits(folder, &["--text", "no fever", "--backend", "candle"]);
        assert_eq!(said(&source), said(&out), "{name}");
    }
}

#[test]
fn packed_models_are_exported_and_packed_for_every_head() {
    let scratch = Scratch::new();
    for name in FIXTURES {
        let model = scratch.folder(&format!("{name}-packed"), packed(name));
        let out = scratch.path().join(format!("{name}-hf"));
        let output = run(&["export", text(&model), "--to", "hf", "--out", text(&out)]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = |folder: &Path| flat(&logits(folder, &["--text", "no fever", "--backend", "candle"])["logits"]);
        assert_eq!(said(&model), said(&out), "{name}: int8 weights as the numbers that they stand for");
    }
    for (name, task, labels) in [
        ("minialbert-sequence", "text-classification", json!(["entailment", "neutral", "contradiction"])),
        ("bert-mlm", "fill-mask", json!([])),
        ("mobilebert-token", "token-classification", json!(["PROBLEM", "TEST", "DRUG"])),
    ] {
        let out = scratch.path().join(name);
        let output = run(&["pack", text(&fixture_path(name)), "--out", text(&out)]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let manifest = std::fs::read(out.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!((&manifest["task"], &manifest["labels"]), (&json!(task), &labels), "{name}");
    }
}

#[test]
fn exporting_overwrites_no_model() {
    let scratch = Scratch::new();
    let model = scratch.folder("model", fixture_files("bert-token"));
    let other = scratch.folder("packed", packed("bert-token"));
    for (out, expected) in [(&model, "would be overwritten"), (&other, "holds a packed model")] {
        refused(&run(&["export", text(&model), "--to", "hf", "--out", text(out)]), &[expected]);
    }
}

//! The command line on the GPU.

use std::process::{Command, Output};

use clinlite::backend::webgpu::Precision;
use serde_json::Value;

use super::shared;
use super::support::fixture_path;

fn tag(backend: &str, allow_software: bool) -> Output {
    let folder = fixture_path("bert-token");
    let note = fixture_path("bert-token").join("vocab.txt");
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.args(["tag", "--format", "jsonl", "--backend", backend, "--model"]).arg(folder).arg(note);
    if allow_software {
        command.env("CLINLITE_SOFTWARE_GPU", "1");
    }
    command.output().expect("runs")
}

fn document(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a document")
}

fn spans(document: &Value) -> Vec<Value> {
    let entities = document["entities"].as_array().expect("entities");
    entities.iter().map(|entity| serde_json::json!([entity["start"], entity["end"], entity["label"]])).collect()
}

#[test]
fn tags_as_on_the_cpu() {
    if shared(Precision::Int8).is_none() {
        return;
    }
    let [cpu, gpu] = [tag("simd", false), tag("webgpu", true)].map(|output| document(&output));
    assert!(!spans(&cpu).is_empty(), "the note has entities");
    assert_eq!(spans(&cpu), spans(&gpu));
    let engine = &gpu["engine"];
    assert_eq!((engine["backend"].as_str(), engine["reason"].as_str()), (Some("webgpu"), Some("asked for")));
}

#[test]
fn software_is_named_and_refused() {
    let Some(backend) = shared(Precision::Int8) else { return };
    if backend.adapter().is_software() {
        let refused = tag("webgpu", false);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && message.contains("software"), "{message}");
        // `auto` goes on without it, and says so.
        let document = document(&tag("auto", false));
        assert_eq!(document["engine"]["backend"], "simd");
        assert!(document["engine"]["reason"].as_str().is_some_and(|reason| reason.contains("software")), "{document}");
    }
}

#[test]
fn auto_takes_the_faster_and_says_so() {
    if shared(Precision::Int8).is_none() {
        return;
    }
    let [cpu, auto] = [tag("simd", false), tag("auto", true)].map(|output| document(&output));
    assert_eq!(spans(&cpu), spans(&auto));
    let (other, engine) = match auto["engine"]["backend"].as_str() {
        Some("webgpu") => ("simd", &auto["engine"]),
        _ => ("webgpu", &auto["engine"]),
    };
    assert_eq!(engine["reason"], format!("faster than {other} in a trial"), "{engine}");
}

#[cfg(target_os = "linux")]
#[test]
fn auto_without_a_driver_is_the_cpu() {
    let folder = fixture_path("bert-token");
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command
        .args(["tag", "--format", "jsonl", "--backend", "auto", "--model"])
        .arg(&folder)
        .arg(folder.join("vocab.txt"));
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    let document = document(&command.output().expect("runs"));
    assert_eq!(document["engine"]["backend"], "simd");
    assert!(
        document["engine"]["reason"].as_str().is_some_and(|reason| reason.contains("no GPU adapter")),
        "{document}"
    );
}

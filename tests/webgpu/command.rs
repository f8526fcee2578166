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

#[test]
fn tags_as_on_the_cpu() {
    if shared(Precision::Int8).is_none() {
        return;
    }
    let [cpu, gpu] = [tag("simd", false), tag("webgpu", true)];
    assert!(cpu.status.success() && gpu.status.success(), "{}", String::from_utf8_lossy(&gpu.stderr));
    let [cpu, gpu] = [cpu, gpu].map(|output| serde_json::from_slice::<Value>(&output.stdout).expect("a document"));
    let spans = |document: &Value| -> Vec<Value> {
        let entities = document["entities"].as_array().expect("entities");
        entities.iter().map(|entity| serde_json::json!([entity["start"], entity["end"], entity["label"]])).collect()
    };
    assert!(!spans(&cpu).is_empty(), "the note has entities");
    assert_eq!(spans(&cpu), spans(&gpu));
    assert_eq!(gpu["engine"]["backend"], "webgpu");
}

#[test]
fn software_is_named_and_refused() {
    let Some(backend) = shared(Precision::Int8) else { return };
    if backend.adapter().is_software() {
        let refused = tag("webgpu", false);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && message.contains("software"), "{message}");
    }
}

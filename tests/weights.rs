//! Model folders as others write them, and as nobody should.

mod forms;
mod fuzz;
mod hostile;
mod tokenizers;
pub(crate) mod torch_file;

use std::collections::HashMap;

use clinlite::ErrorKind;
use clinlite::backend::Backend;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Batch, Config, TokenClassification};
use clinlite::tasks::ner::{TagOptions, Tagger};
use clinlite::weights::folder::Folder;
use clinlite::weights::{Names, Weights};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::support::{fixture, fixture_files};

/// The files of a fixture with one of them changed.
fn changed(name: &str, file: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let mut files = fixture_files(name);
    let bytes = &mut files.iter_mut().find(|(name, _)| name == file).expect("a file of the fixture").1;
    *bytes = change(bytes);
    files
}

/// A fixture whose config has another value in one field.
fn with_config(field: &str, value: serde_json::Value) -> Vec<(String, Vec<u8>)> {
    changed("bert-bio", "config.json", |json| {
        let mut config: serde_json::Value = serde_json::from_slice(json).expect("JSON");
        config[field] = value;
        config.to_string().into_bytes()
    })
}

type Tensors = HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// A fixture whose tensors went through `change`.
fn with_tensors(change: impl FnOnce(&mut Tensors)) -> Vec<(String, Vec<u8>)> {
    changed("bert-bio", "model.safetensors", |bytes| {
        let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
        let owned = |(name, view): (&str, TensorView<'_>)| {
            (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        let mut tensors: Tensors = file.iter().map(owned).collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, (dtype, shape, data))| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).expect("a tensor"))
        });
        safetensors::serialize(views, None).expect("a file")
    })
}

fn load(files: Vec<(String, Vec<u8>)>) -> clinlite::Result<Tagger<SimdBackend>> {
    Tagger::load(SimdBackend::new(), &Folder::from_files(files)?)
}

fn logits(folder: &Folder, weights: &Weights<'_>) -> Vec<f32> {
    let (backend, config) = (SimdBackend::new(), Config::of(folder).expect("a config"));
    let model = TokenClassification::load(&backend, &weights.root(), &config, 7).expect("loads");
    let logits = model.forward(&backend, &Batch::new([&[2, 20, 30, 40, 3][..]])).expect("computes");
    pollster::block_on(backend.to_host(&logits)).expect("reads back")
}

#[test]
fn old_names_without_prefix_give_the_same_numbers() {
    let (new, old) = (fixture("bert-bio"), fixture("bert-old-names"));
    let (new_weights, old_weights) = (new.weights().expect("weights"), old.weights().expect("weights"));
    assert_eq!(logits(&new, &new_weights), logits(&old, &old_weights));
    assert!(new_weights.unused().is_empty(), "{:?}", new_weights.unused());
    let unused = ["bert.pooler.dense.bias", "bert.pooler.dense.weight"];
    assert_eq!(old_weights.unused(), unused);
}

#[test]
fn halves_are_read() {
    // The upper half of an f32 is a bfloat16; with it cut off, both files say the same.
    let cut = |data: &mut Vec<u8>| data.chunks_exact_mut(4).for_each(|value| value[..2].fill(0));
    let upper = |data: &[u8]| data.chunks_exact(4).flat_map(|value| value[2..].to_vec()).collect::<Vec<_>>();
    let full = with_tensors(|tensors| tensors.values_mut().for_each(|(_, _, data)| cut(data)));
    let half = with_tensors(|tensors| {
        for (dtype, _, data) in tensors.values_mut() {
            (*dtype, *data) = (Dtype::BF16, upper(data));
        }
    });
    let (full, half) = (Folder::from_files(full).expect("a folder"), Folder::from_files(half).expect("a folder"));
    let (a, b) = (full.weights().expect("weights"), half.weights().expect("weights"));
    assert_eq!(logits(&full, &a), logits(&half, &b));
}

#[test]
fn a_base_without_a_head_takes_one_from_the_trainer() {
    let (weight, bias): (Vec<f32>, Vec<f32>) = ((0..7 * 32).map(|i| i as f32 / 100.0).collect(), vec![0.5; 7]);
    let bare = with_tensors(|tensors| tensors.retain(|name, _| !name.starts_with("classifier")));
    let folder = Folder::from_files(bare).expect("a folder");
    let mut weights = folder.weights().expect("weights");
    assert_eq!(weights.shape("classifier.weight"), None);
    let config = Config::of(&folder).expect("a config");
    let error = TokenClassification::load(&SimdBackend::new(), &weights.root(), &config, 7).err().expect("no head");
    assert_eq!(error.to_string(), "weight \"classifier.weight\": missing, expected [7, 32]");

    weights.supply("classifier.weight", &[7, 32], weight.clone()).expect("fits");
    weights.supply("classifier.bias", &[7], bias.clone()).expect("fits");
    assert_eq!(weights.shape("classifier.weight"), Some(vec![7, 32]));
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let whole = with_tensors(|tensors| {
        tensors.get_mut("classifier.weight").expect("a head").2 = bytes(&weight);
        tensors.get_mut("classifier.bias").expect("a head").2 = bytes(&bias);
    });
    let whole = Folder::from_files(whole).expect("a folder");
    assert_eq!(logits(&folder, &weights), logits(&whole, &whole.weights().expect("weights")));
    let error = weights.supply("classifier.bias", &[7], vec![0.0; 6]).expect_err("too few");
    assert_eq!(error.kind(), ErrorKind::Weights);
}

#[test]
fn tensors_that_are_wrong_are_named_with_both_shapes() {
    let name = "bert.encoder.layer.1.output.dense.weight";
    type Change = fn(&mut Tensors);
    let cases: &[(Change, ErrorKind, &str)] = &[
        (
            |t| drop(t.remove("bert.encoder.layer.1.output.dense.weight")),
            ErrorKind::Weights,
            "missing, expected [32, 60]",
        ),
        (
            |t| t.get_mut("bert.encoder.layer.1.output.dense.weight").expect("a tensor").1 = vec![60, 32],
            ErrorKind::Weights,
            "expected [32, 60], found [60, 32]",
        ),
        (
            |t| t.get_mut("bert.encoder.layer.1.output.dense.weight").expect("a tensor").0 = Dtype::I32,
            ErrorKind::Unsupported,
            "found I32",
        ),
        (
            |t| t.get_mut("bert.encoder.layer.1.output.dense.weight").expect("a tensor").2[..4].fill(0xff),
            ErrorKind::Weights,
            "the value at 0 is not finite",
        ),
        (
            |t| {
                let data = vec![1; 32 * 60];
                t.insert("bert.encoder.layer.1.output.dense.weight".into(), (Dtype::I8, vec![32, 60], data));
            },
            ErrorKind::Weights,
            ".scale\": missing, expected [32]",
        ),
    ];
    for (change, kind, expected) in cases {
        let error = load(with_tensors(*change)).err().expect(expected);
        assert_eq!(error.kind(), *kind, "{expected}");
        let message = error.to_string();
        assert!(message.contains(name) && message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn giant_and_wrong_settings_cost_nothing() {
    let giant = serde_json::json!(1u64 << 40);
    let cases = [
        ("vocab_size", giant.clone(), ErrorKind::Weights),
        ("max_position_embeddings", giant.clone(), ErrorKind::Weights),
        ("type_vocab_size", giant.clone(), ErrorKind::Weights),
        ("intermediate_size", giant.clone(), ErrorKind::Weights),
        ("hidden_size", giant.clone(), ErrorKind::Weights),
        ("num_hidden_layers", giant, ErrorKind::Weights),
        ("vocab_size", serde_json::json!(10), ErrorKind::Format),
        ("vocab_size", serde_json::json!(-1), ErrorKind::Format),
        ("hidden_size", serde_json::json!("32"), ErrorKind::Format),
        ("hidden_size", serde_json::json!(33), ErrorKind::Unsupported),
        ("hidden_act", serde_json::json!("relu"), ErrorKind::Unsupported),
        ("model_type", serde_json::json!("roberta"), ErrorKind::Unsupported),
        ("position_embedding_type", serde_json::json!("relative_key"), ErrorKind::Unsupported),
        ("id2label", serde_json::json!(null), ErrorKind::Format),
        ("id2label", serde_json::json!({"0": "LABEL_0", "1": "LABEL_1"}), ErrorKind::Unsupported),
    ];
    for (field, value, kind) in cases {
        let error = load(with_config(field, value.clone())).err().expect(field);
        assert_eq!(error.kind(), kind, "{field} = {value}: {error}");
    }
}

/// Cuts and single flipped bits: an error or a model, never a panic.
#[test]
fn damaged_weights_are_refused_or_read_but_never_panic() {
    let whole = fixture_files("bert-bio").into_iter().find(|(name, _)| name == "model.safetensors").expect("weights").1;
    for length in (0..8192).chain([whole.len() / 2, whole.len() - 1]) {
        let error = Weights::from_safetensors(&whole[..length], Names::Bert).err().expect("cut off");
        assert_eq!(error.kind(), ErrorKind::Format, "{length} bytes");
    }
    let header = u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    let mut bytes = whole.clone();
    for at in 0..8 + header {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        let files = changed("bert-bio", "model.safetensors", |_| bytes.clone());
        if let Err(error) = load(files) {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        bytes[at] ^= bit;
    }
    for header in [0u64, 1, u64::MAX, 1 << 40, (16 << 20) + 1] {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&header.to_le_bytes());
        assert_eq!(
            Weights::from_safetensors(&bytes, Names::Bert).err().expect("a wrong length").kind(),
            ErrorKind::Format
        );
    }
}

#[test]
fn both_kinds_of_tokenizer_load() {
    for name in ["bert-bio", "bert-head26", "bert-old-names"] {
        let tagger = Tagger::load(SimdBackend::new(), &fixture(name)).expect(name);
        let tagging = pollster::block_on(tagger.tag("The patient denies pain.", TagOptions::default())).expect(name);
        assert!(tagging.coverage.tokens >= 5, "{name}");
    }
    let files = fixture_files("bert-bio").into_iter().filter(|(name, _)| name != "tokenizer.json").collect();
    let error = load(files).err().expect("no tokenizer");
    assert_eq!(error.to_string(), "the model folder has neither tokenizer.json nor vocab.txt");
}

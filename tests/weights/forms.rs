//! The forms in which a folder may hold its weights: they give the same numbers.

use std::fs;
use std::path::Path;

use clinlite::ErrorKind;
use clinlite::backend::Backend;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Batch, Config, TokenClassification};
use clinlite::weights::folder::Folder;

use super::torch_file::sharded;
use crate::support::{Scratch, folder_at};

fn weights(name: &str) -> Vec<u8> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name);
    fs::read(&place).unwrap_or_else(|e| panic!("{}: {e}", place.display()))
}

/// A folder of the tiny model with its weights in these files.
fn folder(files: Vec<(&str, Vec<u8>)>) -> Folder {
    let config = [("config.json".to_owned(), weights("config.json"))];
    Folder::from_files(config.into_iter().chain(files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes))))
        .expect("a folder")
}

fn logits(folder: &Folder) -> Vec<f32> {
    let (backend, weights) = (SimdBackend::new(), folder.weights().expect("weights"));
    let config = Config::of(folder).expect("a config");
    let model = TokenClassification::load(&backend, &weights.root(), &config, 3).expect("loads");
    assert!(weights.unused().is_empty(), "{:?}", weights.unused());
    let logits = model.forward(&backend, &Batch::new([&[2, 20, 13, 3][..]])).expect("computes");
    pollster::block_on(backend.to_host(&logits)).expect("reads back")
}

#[test]
fn a_pickle_gives_the_logits_of_its_twin() {
    for (pickle, twin) in [
        ("zip.bin", "zip.safetensors"),
        ("legacy.bin", "zip.safetensors"),
        ("parameters.bin", "zip.safetensors"),
        ("strided.bin", "zip.safetensors"),
        ("half.bin", "half.safetensors"),
        ("bfloat16.bin", "bfloat16.safetensors"),
    ] {
        let expected = logits(&folder(vec![("model.safetensors", weights(twin))]));
        assert_eq!(logits(&folder(vec![("pytorch_model.bin", weights(pickle))])), expected, "{pickle}");
    }
}

/// The tiny model in shards of both kinds.
fn shards() -> [Vec<(String, Vec<u8>)>; 2] {
    let pickles = ["pytorch_model.bin.index.json", "shard-1.bin", "shard-2.bin"];
    [sharded(&weights("zip.safetensors")), pickles.map(|name| (name.to_owned(), weights(name))).into()]
}

#[test]
fn shards_are_found_on_the_disk_and_give_the_same_logits() {
    let scratch = Scratch::new();
    let whole = folder(vec![("model.safetensors", weights("zip.safetensors"))]);
    for (i, mut files) in shards().into_iter().enumerate() {
        files.push(("config.json".into(), weights("config.json")));
        files.push(("notes.safetensors".into(), b"of no concern".to_vec()));
        let found = folder_at(&scratch.folder(&format!("shards-{i}"), files)).expect("a folder");
        assert_eq!(found.files().count(), 4, "{found:?}");
        assert_eq!(logits(&found), logits(&whole));
        assert_ne!(found.sha256(), whole.sha256());
    }
}

#[test]
fn the_hash_covers_the_files_that_are_used_and_no_others() {
    for files in shards() {
        let hash = |files: &[(String, Vec<u8>)]| {
            folder(files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect()).sha256().to_owned()
        };
        let whole = hash(&files);
        for i in 0..files.len() {
            let mut other = files.clone();
            other[i].1.push(b' ');
            assert_ne!(hash(&other), whole, "{}", files[i].0);
        }
        let mut more = files.clone();
        more.push(("shard-9.bin".into(), Vec::new()));
        assert_eq!(hash(&more), whole);
    }
    let beside = vec![("model.safetensors", weights("zip.safetensors")), ("pytorch_model.bin", b"not read".to_vec())];
    assert_eq!(folder(beside.clone()).sha256(), folder(beside[..1].to_vec()).sha256());
    assert_eq!(logits(&folder(beside.clone())), logits(&folder(beside[..1].to_vec())));
}

#[test]
fn shards_that_do_not_hold_what_the_index_says_are_refused() {
    for files in shards() {
        let without = |left_out: &str| {
            let kept = files.iter().filter(|(name, _)| name != left_out);
            folder(kept.map(|(name, bytes)| (name.as_str(), bytes.clone())).collect())
        };
        let shard = files.iter().map(|(name, _)| name).find(|name| !name.ends_with(".json")).expect("a shard");
        let error = without(shard).weights().err().expect("a shard is missing");
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("index.json: names") && error.to_string().contains(shard), "{error}");
        // Two shards exchanged.
        let mut exchanged = files.clone();
        let places: Vec<usize> = (0..3).filter(|&i| !files[i].0.ends_with(".json")).collect();
        exchanged[places[0]].1 = files[places[1]].1.clone();
        exchanged[places[1]].1 = files[places[0]].1.clone();
        let exchanged = folder(exchanged.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect());
        let error = exchanged.weights().err().expect("exchanged");
        assert!(error.to_string().contains("which the index places there"), "{error}");
    }
}

#[test]
fn a_folder_without_weights_says_what_is_looked_for() {
    let error = folder(Vec::new()).weights().err().expect("no weights");
    assert!(error.to_string().contains("neither model.safetensors nor pytorch_model.bin"), "{error}");
}

/// MiniALBERT's config may say nothing but `bert`: its weights tell.
#[test]
fn an_architecture_is_told_by_its_weights() {
    let file = |name: &str| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).expect("one value");
        safetensors::serialize([(name, view)], None).expect("a file")
    };
    let cases = [
        ("albert.att_adapters.0.block.0.weight", "minialbert"),
        ("att_adapters.0.block.0.weight", "minialbert"),
        ("bert.encoder.layer.0.output.dense.weight", "bert"),
    ];
    for (name, expected) in cases {
        let told = folder(vec![("model.safetensors", file(name))]);
        assert_eq!(told.architecture().expect("known"), expected, "{name}");
        assert_eq!(told.weights().expect("readable").names().count(), 1);
    }
    let damaged = folder(vec![("pytorch_model.bin", b"PK".to_vec())]);
    assert_eq!(damaged.architecture().expect("as the config says"), "bert");
}

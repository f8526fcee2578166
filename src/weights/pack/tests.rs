use super::*;
use crate::backend::Backend;

/// A "model" of one table, one dense layer and a classifier, with a tensor too many.
fn input() -> Folder {
    let wave = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>();
    let stored = |name: &str, rows: usize, columns: usize| Stored {
        name: name.into(),
        rows,
        columns,
        values: Values::F32(wave(rows * columns)),
        transposed: false,
    };
    let tensors = [
        (Role::Table, stored("embeddings.word_embeddings.weight", 20, 4)),
        (Role::Table, stored("embeddings.token_type_embeddings.weight", 2, 4)),
        (Role::Matrix, stored("encoder.dense.weight", 3, 4)),
        (Role::Vector, stored("encoder.dense.bias", 1, 3)),
        (Role::Matrix, stored("pooler.dense.weight", 4, 4)),
        (Role::Matrix, stored("classifier.weight", 2, 3)),
        (Role::Vector, stored("classifier.bias", 1, 2)),
    ];
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    Folder::from_files([
        file("config.json", br#"{"model_type":"bert","_name_or_path":"/home/someone/run"}"#),
        file("tokenizer.json", b"{}"),
        file("vocab.txt", b"[PAD]\n"),
        file("notes.txt", b"left behind"),
        file("model.safetensors", &write::safetensors(&tensors).expect("serializable")),
    ])
    .expect("a folder")
}

fn load<B: Backend>(backend: &B, root: &Scope<'_>) -> Result<()> {
    root.pp("bert.embeddings.word_embeddings").table(backend, 20, 4)?;
    root.pp("bert.embeddings.token_type_embeddings").table(backend, 2, 4)?;
    root.pp("bert.encoder.dense").linear(backend, 3, 4)?;
    root.pp("classifier").linear(backend, 2, 3)?;
    Ok(())
}

fn named(name: &str) -> About {
    About { name: Some(name.into()), ..About::default() }
}

fn packed(folder: &Folder, about: About, card: Option<&str>) -> Packed {
    pack(folder, about, Says::default(), card.map(|card| card.as_bytes().to_vec()), load).expect("packs")
}

const KEPT: [&str; 2] = ["bert.embeddings.token_type_embeddings.weight", "classifier.weight"];

#[test]
fn matrices_become_int8_and_the_rest_stays() {
    let packed = packed(&input(), named("tiny"), Some("# tiny"));
    let int8: Vec<_> = packed.tensors.iter().filter(|t| t.int8).map(|t| t.name.as_str()).collect();
    assert_eq!(int8, ["bert.embeddings.word_embeddings.weight", "bert.encoder.dense.weight"]);
    for tensor in &packed.tensors {
        // Half a step of a row whose largest value is at most one.
        assert!(tensor.largest_error <= if tensor.int8 { 0.6 / 127.0 } else { 0.0 }, "{tensor:?}");
    }
    assert_eq!(packed.unused, ["bert.pooler.dense.weight"]);
    let names: Vec<_> = packed.files.keys().map(String::as_str).collect();
    assert_eq!(names, ["README.md", "config.json", "manifest.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(packed.files["config.json"], b"{\n  \"model_type\": \"bert\"\n}\n");
    let folder = Folder::from_files(packed.files).expect("verifies");
    let manifest = folder.manifest().expect("a manifest");
    assert_eq!(manifest.quantization.as_ref().expect("stated").kept_f32, KEPT);
    assert!(!manifest.files.iter().any(|(name, _)| name == CARD) && manifest.card.iter().any(|(name, _)| name == CARD));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(packed(&input(), named("tiny"), None).files, packed(&input(), named("tiny"), None).files);
}

#[test]
fn packing_again_changes_what_is_said_but_no_number() {
    let about = About { licence: Some("MIT".into()), ..named("tiny") };
    let first = Folder::from_files(packed(&input(), about, None).files).expect("a folder");
    let figures = About { metrics: Json::parse(br#"{"f1":70}"#).ok(), ..About::default() };
    let again = packed(&first, figures, Some("# with figures"));
    assert_eq!(again.files["model.safetensors"], first.file("model.safetensors").expect("weights"));
    assert!(again.tensors.iter().all(|tensor| tensor.largest_error == 0.0));
    let second = Folder::from_files(again.files).expect("a folder");
    assert_eq!(second.sha256(), first.sha256());
    let manifest = second.manifest().expect("a manifest");
    assert_eq!((manifest.name.as_str(), manifest.licence.as_deref()), ("tiny", Some("MIT")));
    assert_eq!(manifest.metrics, Json::parse(br#"{"f1":70}"#).ok());
}

#[test]
fn a_model_without_a_name_is_refused() {
    let error = pack(&input(), About::default(), Says::default(), None, load).err().expect("no name");
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[test]
fn what_pack_is_told_is_spelt_right() {
    assert!(serde_json::from_str::<About>(r#"{"name":"a","data":[{"name":"d","licence":"CC0-1.0"}]}"#).is_ok());
    assert!(serde_json::from_str::<About>(r#"{"nmae":"a"}"#).is_err());
}

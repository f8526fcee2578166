use super::*;
use crate::weights::manifest::{SCHEMA, Window};

const CONFIG: &[u8] = br#"{"model_type":"bert","id2label":{"0":"O","1":"B-X","2":"I-X"},"cell":{"unknown":[1]}}"#;

fn files() -> Vec<(String, Vec<u8>)> {
    vec![("config.json".into(), CONFIG.to_vec()), ("vocab.txt".into(), b"[PAD]\n".to_vec())]
}

/// The files with a manifest that lists them as they are, after `change`.
fn packed(change: impl FnOnce(&mut Manifest)) -> Vec<(String, Vec<u8>)> {
    let mut files = files();
    let mut manifest = Manifest {
        schema: SCHEMA.into(),
        name: "tiny".into(),
        files: files.iter().map(|(name, bytes)| (name.clone(), FileEntry::of(bytes))).collect(),
        ..Manifest::default()
    };
    change(&mut manifest);
    files.push((manifest::NAME.into(), serde_json::to_vec(&manifest).expect("serializable")));
    files
}

#[test]
fn a_changed_byte_is_refused_with_both_hashes() {
    assert!(Folder::from_files(packed(|_| ())).is_ok());
    let mut files = packed(|_| ());
    files[1].1[0] ^= 1;
    let (expected, found) = (manifest::sha256(b"[PAD]\n"), manifest::sha256(&files[1].1));
    let error = Folder::from_files(files).expect_err("one bit differs");
    assert_eq!(error.kind(), ErrorKind::Hash);
    let message = error.to_string();
    assert!(message.starts_with("vocab.txt: ") && message.contains(&expected) && message.contains(&found), "{message}");
}

#[test]
fn missing_and_unlisted_files_are_refused() {
    let mut missing = packed(|_| ());
    missing.remove(1);
    let unlisted = packed(|manifest| manifest.files.retain(|(name, _)| name != "vocab.txt"));
    let longer = packed(|manifest| manifest.files[1].1.bytes = 7);
    for (files, expected) in [(missing, "missing"), (unlisted, "not listed"), (longer, "(7 bytes), found")] {
        let error = Folder::from_files(files).expect_err(expected);
        assert_eq!(error.kind(), ErrorKind::Hash);
        assert!(error.to_string().starts_with("vocab.txt: ") && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_card_may_be_absent_but_not_changed() {
    let card = |manifest: &mut Manifest| manifest.card.push(("README.md".into(), FileEntry::of(b"# tiny")));
    assert!(Folder::from_files(packed(card)).is_ok());
    for (text, kind) in [("# tiny", None), ("# tuny", Some(ErrorKind::Hash))] {
        let mut files = packed(card);
        files.push(("README.md".into(), text.into()));
        assert_eq!(Folder::from_files(files).err().map(|e| e.kind()), kind, "{text}");
    }
}

#[test]
fn the_hash_of_a_model_changes_with_its_files_and_settings_only() {
    let hash = |files| Folder::from_files(files).expect("a folder").sha256().to_owned();
    let packed_hash = hash(packed(|_| ()));
    assert_eq!(packed_hash, hash(packed(|m| m.licence = Some("MIT".into()))));
    assert_ne!(packed_hash, hash(packed(|m| m.window = Some(Window { max_length: 128, stride: 32 }))));
    let (plain, mut other) = (hash(files()), files());
    other.reverse();
    assert_eq!(plain, hash(other));
    let mut other = files();
    other[1].1.push(b'\n');
    assert_ne!(plain, hash(other));
}

#[test]
fn configs_that_are_refused() {
    let deep = "[".repeat(100_000);
    let long = " ".repeat(MAX_CONFIG + 1);
    for config in ["", "[]", "{", "7", "\u{0}", deep.as_str(), long.as_str()] {
        let error = Folder::from_files([("config.json".into(), config.as_bytes().to_vec())]).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().starts_with("config.json: "), "{error}");
    }
    assert_eq!(Folder::from_files([]).expect_err("empty").to_string(), "the model folder has no config.json");
    let twice = [("config.json".to_owned(), b"{}".to_vec()), ("config.json".to_owned(), b"{}".to_vec())];
    assert_eq!(Folder::from_files(twice).expect_err("twice").to_string(), "two files are named \"config.json\"");
}

fn with_config(config: &str) -> Folder {
    Folder::from_files([("config.json".into(), config.as_bytes().to_vec())]).expect("a config")
}

#[test]
fn architectures() {
    let cases = [
        (r#"{"model_type":"bert"}"#, Ok("bert")),
        (r#"{"model_type":"bert","embedding_size":312,"use_adapter":true}"#, Ok("minialbert")),
        (r#"{"model_type":"roberta"}"#, Ok("roberta")),
        (r#"{"model_type":3}"#, Err("config.json: model_type: expected a string, found a number")),
        ("{}", Err("config.json: model_type is missing, expected \"bert\"")),
    ];
    for (config, expected) in cases {
        let folder = with_config(config);
        assert_eq!(
            folder.architecture().map_err(|e| e.to_string()),
            expected.map(str::to_owned).map_err(str::to_owned),
            "{config}"
        );
    }
}

#[test]
fn labels_are_read_in_the_order_of_their_ids() {
    let folder = Folder::from_files(files()).expect("a folder");
    assert_eq!(folder.label_names().expect("labels"), ["O", "B-X", "I-X"]);
    let cases = [
        ("{}", "id2label is missing"),
        (r#"{"id2label":{}}"#, "id2label is missing"),
        (r#"{"id2label":["O"]}"#, "expected an object"),
        (r#"{"id2label":{"0":"O","2":"B-X"}}"#, "none has the id 1"),
        (r#"{"id2label":{"0":7}}"#, "id2label.0: expected a string, found a number"),
    ];
    for (config, expected) in cases {
        let error = with_config(config).label_names().expect_err(expected);
        assert!(error.to_string().contains(expected), "{config}: {error}");
    }
}

//! Folders with only `vocab.txt` and `tokenizer_config.json`, beside what transformers makes of them.

use clinlite::tasks::read_tokenizer;
use clinlite::text::Tokenizer;
use clinlite::weights::folder::Folder;
use serde_json::Value;

/// `tests/fixtures/text/folders.json`, made by `folders.py`.
fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/text/folders.json")).expect("JSON")
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text").to_owned()).collect()
}

fn tokenizer(vocab: &[String], settings: &Value) -> Tokenizer {
    let mut files = vec![
        ("config.json".to_owned(), b"{}".to_vec()),
        ("vocab.txt".to_owned(), (vocab.join("\n") + "\n").into_bytes()),
    ];
    if !settings.is_null() {
        files.push(("tokenizer_config.json".to_owned(), settings.to_string().into_bytes()));
    }
    read_tokenizer(&Folder::from_files(files).expect("a folder")).expect("a tokenizer")
}

#[test]
fn ids_are_those_of_transformers() {
    let fixture = fixture();
    let (vocab, texts) = (strings(&fixture["vocab"]), strings(&fixture["texts"]));
    let cases = fixture["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 9);
    for case in cases {
        let tokenizer = tokenizer(&vocab, &case["settings"]);
        let found: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text).input_ids).collect();
        let expected: Vec<Vec<u32>> = serde_json::from_value(case["input_ids"].clone()).expect("ids");
        assert_eq!(found, expected, "{}", case["settings"]);
    }
}

#[test]
fn a_capital_and_an_accent_survive_in_a_cased_model() {
    let vocab = strings(&fixture()["vocab"]);
    let pieces = |settings: Value, text: &str| {
        let ids = tokenizer(&vocab, &settings).encode(text).input_ids;
        ids.into_iter().map(|id| vocab[id as usize].clone()).collect::<Vec<_>>().join(" ")
    };
    let cased = || serde_json::json!({"do_lower_case": false});
    assert_eq!(pieces(cased(), "Café Ménière"), "Café Ménière");
    assert_eq!(pieces(serde_json::json!({"do_lower_case": true}), "Café Ménière"), "cafe meniere");
    // What a teacher that says nothing gets, as transformers has it.
    assert_eq!(pieces(serde_json::json!({}), "Café Ménière"), "cafe meniere");
}

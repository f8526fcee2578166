//! A pruned model answers as before where its pieces are kept.

use std::collections::BTreeMap;

use clinlite::ErrorKind;
use clinlite::backend::Backend;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Batch, Config, TokenClassification};
use clinlite::tasks::read_tokenizer;
use clinlite::train::prune::{Options, Pruned, prune};
use clinlite::train::readers::Document;
use clinlite::weights::folder::Folder;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

const WORDS: &[&str] =
    &["fever", "fev", "##er", "cough", "mild", "no", "##ing", "pain", "painful", ".", ",", "µ", "é", "ж"];
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";

/// Special tokens stand where bert-base-uncased has them: after places for words to come.
fn vocabulary() -> Vec<String> {
    let mut pieces = vec!["[PAD]".to_owned(), "[unused0]".into(), "[unused1]".into()];
    pieces.extend(["[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned));
    pieces.extend(WORDS.iter().map(ToString::to_string));
    pieces.extend(LETTERS.chars().map(String::from));
    pieces.extend(LETTERS.chars().map(|c| format!("##{c}")));
    pieces
}

fn tokenizer_json(pieces: &[String]) -> Value {
    let id = |piece: &str| pieces.iter().position(|known| known == piece);
    let special = |piece: &str| json!({"id": piece, "ids": [id(piece)], "tokens": [piece]});
    let added = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|piece| {
        json!({"id": id(piece), "content": piece, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    });
    let token = |piece: &str| json!({"SpecialToken": {"id": piece, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let vocab: BTreeMap<&String, usize> = pieces.iter().zip(0..).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": [token("[CLS]"), text, token("[SEP]")],
                           "pair": [token("[CLS]"), text, token("[SEP]")],
                           "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab}
    })
}

/// Numbers that look random and are the same everywhere.
fn numbers(count: usize, state: &mut u64) -> Vec<u8> {
    let mut number = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.4
    };
    (0..count).flat_map(|_| number().to_le_bytes()).collect()
}

fn weights(rows: usize) -> Vec<u8> {
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |name: &str, shape: &[usize]| shapes.push((name.to_owned(), shape.to_vec()));
    add("bert.embeddings.word_embeddings.weight", &[rows, 32]);
    add("bert.embeddings.position_embeddings.weight", &[64, 32]);
    add("bert.embeddings.token_type_embeddings.weight", &[2, 32]);
    add("classifier.weight", &[3, 32]);
    add("classifier.bias", &[3]);
    add("cls.predictions.decoder.weight", &[rows, 32]);
    add("cls.predictions.decoder.bias", &[rows]);
    add("cls.predictions.bias", &[rows]);
    let mut norms = vec!["bert.embeddings.LayerNorm".to_owned()];
    for layer in 0..2 {
        let at = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
        for part in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
            add(&at(&format!("{part}.weight")), &[32, 32]);
            add(&at(&format!("{part}.bias")), &[32]);
        }
        add(&at("intermediate.dense.weight"), &[64, 32]);
        add(&at("intermediate.dense.bias"), &[64]);
        add(&at("output.dense.weight"), &[32, 64]);
        add(&at("output.dense.bias"), &[32]);
        norms.extend([at("attention.output.LayerNorm"), at("output.LayerNorm")]);
    }
    for norm in norms {
        add(&format!("{norm}.weight"), &[32]);
        add(&format!("{norm}.bias"), &[32]);
    }
    let mut state = 7;
    let data: Vec<_> = shapes.iter().map(|(_, shape)| numbers(shape.iter().product(), &mut state)).collect();
    let views = shapes.iter().zip(&data).map(|((name, shape), data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).expect("sizes agree"))
    });
    safetensors::serialize(views, None).expect("a file")
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let pieces = vocabulary();
    let config = json!({
        "model_type": "bert", "vocab_size": pieces.len(), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0, "sep_token_id": 5, "bos_token_id": null,
        "id2label": {"0": "O", "1": "B-PROBLEM", "2": "I-PROBLEM"}
    });
    let settings =
        json!({"do_lower_case": true, "added_tokens_decoder": {"0": {"content": "[PAD]"}, "5": {"content": "[SEP]"}}});
    BTreeMap::from([
        ("config.json".into(), config.to_string().into_bytes()),
        ("tokenizer.json".into(), tokenizer_json(&pieces).to_string().into_bytes()),
        ("tokenizer_config.json".into(), settings.to_string().into_bytes()),
        ("vocab.txt".into(), (pieces.join("\n") + "\n").into_bytes()),
        ("special_tokens_map.json".into(), b"{\"pad_token\": \"[PAD]\"}".to_vec()),
        ("pytorch_model.bin".into(), vec![1, 2, 3]),
        ("model.safetensors".into(), weights(pieces.len())),
    ])
}

fn folder(files: BTreeMap<String, Vec<u8>>) -> Folder {
    Folder::from_files(files).expect("a folder")
}

fn texts(texts: &[&str]) -> Vec<Document> {
    texts.iter().map(|text| Document { id: String::new(), text: (*text).into(), spans: Vec::new() }).collect()
}

fn pruned(min_count: u64) -> Pruned {
    let options = Options { min_count, keep: vec!["[unused1]".into()] };
    prune(&folder(files()), &texts(&["Mild fever, fever. No pain5", "ж"]), &options).expect("a plain folder")
}

/// The logits of a text, and its ids.
fn logits(folder: &Folder, text: &str) -> (Vec<f32>, Vec<u32>) {
    let backend = SimdBackend::new();
    let config = Config::of(folder).expect("a config");
    let weights = folder.weights().expect("weights");
    let model = TokenClassification::load(&backend, &weights.root(), &config, 3).expect("a model");
    let tokenizer = read_tokenizer(folder).expect("a tokenizer");
    let ids = [&[tokenizer.cls_id()], &tokenizer.encode(text).input_ids[..], &[tokenizer.sep_id()]].concat();
    let logits = model.forward(&backend, &Batch::new([&ids[..]])).expect("logits");
    (pollster::block_on(backend.to_host(&logits)).expect("logits"), ids)
}

#[test]
fn logits_stay_where_the_pieces_stay() {
    let (before, after) = (folder(files()), folder(pruned(1).files));
    for text in ["Mild fever, no pain5.", "fever fever mild", "No. 5", "ж", "zyx 42 abc"] {
        let ((old, old_ids), (new, new_ids)) = (logits(&before, text), logits(&after, text));
        assert_eq!(old, new, "{text}");
        assert_ne!(old_ids, new_ids, "the ids moved");
    }
    let (_, old) = logits(&before, "cough");
    let (_, new) = logits(&after, "cough");
    assert_eq!((old.len(), new.len()), (3, 7), "a word that went is spelt");
}

#[test]
fn ids_are_dense_and_every_file_agrees() {
    let pruned = pruned(1);
    let smaller = folder(pruned.files.clone());
    let kept: Vec<String> = vocabulary()
        .into_iter()
        .filter(|piece| !["[unused0]", "fev", "##er", "cough", "##ing", "painful"].contains(&piece.as_str()))
        .collect();
    let text = String::from_utf8(pruned.files["vocab.txt"].clone()).expect("UTF-8");
    assert_eq!(text.lines().collect::<Vec<_>>(), kept);
    let tokenizer = read_tokenizer(&smaller).expect("a tokenizer");
    let mut pieces: Vec<(u32, String)> = tokenizer.pieces().map(|(piece, id)| (id, piece.to_owned())).collect();
    pieces.sort();
    assert_eq!(pieces, (0..).zip(kept.clone()).collect::<Vec<_>>());
    let config = smaller.config_json();
    assert_eq!(
        (&config["vocab_size"], &config["pad_token_id"], &config["sep_token_id"]),
        (&json!(kept.len()), &json!(0), &json!(4))
    );
    assert_eq!(config["bos_token_id"], Value::Null);
    let json: Value = serde_json::from_slice(&pruned.files["tokenizer.json"]).expect("JSON");
    assert_eq!(json["post_processor"]["special_tokens"]["[SEP]"]["ids"], json!([4]));
    assert_eq!(json["added_tokens"][1]["id"], json!(2));
    let settings: Value = serde_json::from_slice(&pruned.files["tokenizer_config.json"]).expect("JSON");
    assert_eq!(settings["added_tokens_decoder"]["4"]["content"], "[SEP]");
    assert_eq!(pruned.files["special_tokens_map.json"], files()["special_tokens_map.json"]);
    assert_eq!(pruned.left_out, ["pytorch_model.bin"]);
    assert!(!pruned.files.contains_key("pytorch_model.bin"));
}

/// Hugging Face's own crate reads the new file and gives the same ids.
#[test]
fn the_tokenizers_crate_agrees() {
    let files = pruned(1).files;
    let theirs = tokenizers::Tokenizer::from_bytes(&files["tokenizer.json"]).expect("their tokenizer");
    for text in ["Mild fever, no pain5.", "coughing Zyx ж é я", ""] {
        let encoding = theirs.encode(text, true).expect("ids");
        let (_, ours) = logits(&folder(files.clone()), text);
        assert_eq!(encoding.get_ids(), ours, "{text}");
    }
}

#[test]
fn rows_move_in_every_tensor_of_the_vocabulary() {
    let (old, new) = (files(), pruned(1).files);
    let (old, new) = (&old["model.safetensors"], &new["model.safetensors"]);
    let (old, new) = (SafeTensors::deserialize(old).expect("a file"), SafeTensors::deserialize(new).expect("a file"));
    let kept = new.tensor("cls.predictions.bias").expect("a bias").shape()[0];
    for (name, before) in old.tensors() {
        let after = new.tensor(&name).expect("no tensor is lost");
        if before.shape()[0] != vocabulary().len() {
            assert_eq!(before, after, "{name}");
            continue;
        }
        assert_eq!(after.shape()[0], kept, "{name}");
        let width = before.data().len() / before.shape()[0];
        let row = |view: &TensorView<'_>, row: usize| view.data()[row * width..(row + 1) * width].to_vec();
        assert_eq!(row(&before, 0), row(&after, 0), "{name}");
        assert_eq!(row(&before, 6), row(&after, 5), "{name}: [MASK] moved up by [unused0]");
        assert_eq!(row(&before, before.shape()[0] - 1), row(&after, kept - 1), "{name}");
    }
}

#[test]
fn the_report_counts() {
    let rare = pruned(2).report;
    assert_eq!((rare.words, rare.rows[0], rare.unknown), (8, vocabulary().len(), [0, 0]));
    // "fever" occurs twice; "mild", "no" and "pain" once, and are spelt in 4, 2 and 4 pieces; "pain5" has two pieces
    assert_eq!(rare.pieces, [9, 9 + 3 + 1 + 3]);
    assert_eq!(rare.rows[1], pruned(1).report.rows[1] - 3);
    let (before, after) = (rare.bytes[0], rare.bytes[1]);
    let rows = rare.rows[0] - rare.rows[1];
    assert!((before - after).abs_diff(rows * (2 * 32 + 2) * 4) < 64, "{before} - {after}");
}

#[test]
fn what_cannot_be_pruned() {
    let options = Options { min_count: 1, keep: Vec::new() };
    let change = |change: fn(&mut BTreeMap<String, Vec<u8>>)| {
        let mut files = files();
        change(&mut files);
        let error = prune(&folder(files), &texts(&["fever"]), &options).expect_err("refused");
        (error.kind(), error.to_string())
    };
    let (kind, message) = change(|files| drop(files.insert("model.safetensors".into(), weights(50))));
    assert_eq!(kind, ErrorKind::Weights, "{message}");
    assert!(message.contains("expected 93 rows as vocab_size states, found [50"), "{message}");
    let (kind, message) = change(|files| drop(files.insert("vocab.txt".into(), b"[PAD]\nfever\n".to_vec())));
    assert_eq!(
        (kind, message.as_str()),
        (ErrorKind::Format, "vocab.txt: line 2 is another piece than in tokenizer.json")
    );
    let (kind, message) = change(|files| drop(files.remove("model.safetensors")));
    assert_eq!((kind, message.as_str()), (ErrorKind::Format, "the model folder has no model.safetensors"));
    let error = prune(&folder(files()), &[], &options).expect_err("no texts");
    assert_eq!(error.kind(), ErrorKind::Input);
}

//! Raw notes become blocks, and blocks become the batches of a masked language model.

mod fuzz;
mod hostile;
mod masking;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clinlite::ErrorKind;
use clinlite::backend::Backend;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Config, MaskedLm};
use clinlite::text::{Normalization, Tokenizer};
use clinlite::train::corpus::blocks::{Block, Blocks, Corpus, Manifest, Options, write};
use clinlite::train::corpus::notes::sources;
use clinlite::train::corpus::{Masking, Sampler, Vocabulary};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::allocated::peak;
use crate::support::{self, Scratch, fixture_path};

fn fixture(name: &str) -> PathBuf {
    fixture_path("../corpus").join(name)
}

fn vocab() -> Vec<u8> {
    fs::read(fixture_path("bert-mlm/vocab.txt")).expect("a fixture")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_vocab(&vocab(), Normalization::uncased()).expect("a tokenizer")
}

fn options(length: usize, dev_share: f64) -> Options {
    Options { length, dev_share, ..Options::default() }
}

fn make(notes: &[PathBuf], out: &Path, options: &Options) -> clinlite::Result<Manifest> {
    write(&sources(notes)?, &tokenizer(), out, options, |_| {})
}

fn open(place: &Path) -> clinlite::Result<Corpus> {
    Corpus::open(place, &tokenizer())
}

fn all(blocks: &Blocks) -> Vec<Block> {
    blocks.read_all(&(0..blocks.len()).collect::<Vec<_>>()).expect("blocks")
}

/// The pieces of blocks that are of notes.
fn pieces(blocks: &[Block]) -> Vec<u32> {
    let special = [tokenizer().cls_id(), tokenizer().sep_id()];
    blocks.iter().flat_map(|block| &block.input_ids).copied().filter(|id| !special.contains(id)).collect()
}

/// What `make_notes.py` found with Hugging Face's tokenizers.
#[derive(Deserialize)]
struct Expected {
    vocabulary: String,
    dev: Vec<bool>,
    blocks: Vec<ExpectedBlock>,
}

#[derive(Deserialize)]
struct ExpectedBlock {
    input_ids: Vec<u32>,
    begins: Vec<u8>,
}

fn expected() -> Expected {
    let json = fs::read(fixture("expected.json")).expect("a fixture");
    serde_json::from_slice(&json).expect("the form of the script")
}

#[test]
fn every_format_gives_the_same_blocks() {
    let (expected, scratch) = (expected(), Scratch::new());
    let blocks = |block: &ExpectedBlock| Block {
        input_ids: block.input_ids.clone(),
        begins: block.begins.iter().map(|&begins| begins == 1).collect(),
    };
    let expected_blocks: Vec<Block> = expected.blocks.iter().map(blocks).collect();
    let parquet = ["snappy", "zstd", "plain", "delta", "required"].map(|name| format!("{name}.parquet"));
    let names = ["txt", "notes.jsonl", "notes.csv", "notes.tsv"].map(str::to_owned);
    for name in names.into_iter().chain(parquet) {
        let out = scratch.path().join(&name);
        let manifest = make(&[fixture(&name)], &out, &options(16, 0.0)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let corpus = open(&out).expect("what was written");
        assert_eq!(corpus.manifest(), &manifest, "{name}");
        let json = fs::read(out.join("blocks.json")).expect("the file that is written last");
        let hash: String = Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(corpus.sha256(), hash, "{name}");
        assert!(all(corpus.train()) == expected_blocks, "{name}");
        assert!(corpus.dev().is_empty() && manifest.dev.notes == 0, "{name}");
        assert_eq!((manifest.train.notes, manifest.empty_notes), (8, 1), "{name}");
        assert_eq!(manifest.sources.iter().map(|source| source.notes).sum::<u64>(), 9, "{name}");
        assert_eq!(manifest.train.pieces, pieces(&expected_blocks).len() as u64, "{name}");
        assert_eq!(manifest.vocabulary.sha256, expected.vocabulary, "{name}");
    }
}

#[test]
fn a_note_is_set_apart_by_its_text() {
    let scratch = Scratch::new();
    let manifest = make(&[fixture("notes.jsonl")], &scratch.path().join("half"), &options(16, 0.5)).unwrap();
    let corpus = open(&scratch.path().join("half")).unwrap();
    let Expected { dev, .. } = expected();
    let text = fs::read_to_string(fixture("notes.jsonl")).unwrap();
    let notes = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let [mut train, mut apart] = [Vec::new(), Vec::new()];
    for (note, dev) in notes.zip(&dev) {
        let ids = tokenizer().encode(note["text"].as_str().unwrap()).input_ids;
        if *dev { apart.extend(ids) } else { train.extend(ids) }
    }
    assert!(pieces(&all(corpus.train())) == train && pieces(&all(corpus.dev())) == apart);
    assert_eq!(manifest.dev.notes as usize, dev.iter().filter(|&&dev| dev).count());
}

/// 3,000 notes of 0 to 40 words.
fn many() -> Vec<String> {
    const WORDS: [&str; 8] = ["pain", "chested", "no", ".", "a-b", "fevering", "Qq\u{17f}", "x1y2z3x1y2z3x1y2z3"];
    let word = |note: usize, word: usize| WORDS[(note * 7 + word * (note % 5 + 1)) % WORDS.len()];
    (0..3000).map(|note| (0..note * 13 % 41).map(|i| word(note, i)).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_piece_of_every_note_is_in_one_block() {
    let (scratch, notes) = (Scratch::new(), many());
    let lines: String = notes.iter().map(|text| serde_json::json!({ "note": text }).to_string() + "\n").collect();
    let file = scratch.file("many.jsonl", lines);
    let is_dev = |text: &&String| u32::from_be_bytes(*Sha256::digest(text).first_chunk().unwrap()) < u32::MAX / 5;
    let ids = |notes: Vec<&String>| notes.into_iter().flat_map(|text| tokenizer().encode(text).input_ids).collect();
    let (dev, train): (Vec<_>, Vec<_>) = notes.iter().partition(is_dev);
    let [dev, train]: [Vec<u32>; 2] = [ids(dev), ids(train)];
    for length in [8, 17, 128, 512] {
        let out = scratch.path().join(length.to_string());
        let manifest =
            make(std::slice::from_ref(&file), &out, &Options { text_key: "note".into(), ..options(length, 0.2) })
                .unwrap();
        let corpus = open(&out).unwrap();
        let blocks = [corpus.train(), corpus.dev()].map(all);
        assert!(blocks.iter().flatten().all(|block| block.input_ids.len() <= length));
        assert!(pieces(&blocks[0]) == train && pieces(&blocks[1]) == dev, "length {length}");
        assert_eq!((manifest.train.pieces as usize, manifest.dev.pieces as usize), (train.len(), dev.len()));
        assert_eq!((manifest.train.blocks as usize, manifest.dev.blocks as usize), (blocks[0].len(), blocks[1].len()));
    }
}

#[test]
fn the_same_notes_give_the_same_bytes() {
    let scratch = Scratch::new();
    let read = |name: &str| {
        let out = scratch.path().join(name);
        make(&[fixture("txt"), fixture("notes.csv")], &out, &options(16, 0.5)).unwrap();
        let files = ["blocks.json", "blocks-train-00000.bin", "blocks-dev-00000.bin"];
        files.map(|file| fs::read(out.join(file)).unwrap())
    };
    assert!(read("one") == read("two"));
}

#[test]
fn a_step_reads_its_blocks_and_holds_nothing_else() {
    let scratch = Scratch::new();
    let notes = scratch.file("long.txt", "the patient denies chest pain . ".repeat(50_000));
    make(&[notes], &scratch.path().join("out"), &options(128, 0.0)).unwrap();
    let corpus = open(&scratch.path().join("out")).unwrap();
    let sampler = Sampler::new(corpus.train().len(), 1).unwrap();
    let (read, held) = peak(|| sampler.batch(5, 4).iter().map(|&index| corpus.train().read(index)).collect::<Vec<_>>());
    assert!(read.iter().all(Result::is_ok));
    assert!(held < 16 << 10, "{held} bytes for four blocks");
    let beyond = corpus.train().read(corpus.train().len()).expect_err("no such block");
    assert_eq!(beyond.kind(), ErrorKind::Input);
    assert_eq!(format!("{corpus:?}"), "Corpus(Blocks(2381) train, Blocks(0) dev)");
}

/// Blocks are cut at words and otherwise full, so that batches of equal number are batches of equal length. These notes
/// have words of up to 18 pieces, which a block may lack.
#[test]
fn batches_are_of_equal_length() {
    let (scratch, notes) = (Scratch::new(), many());
    let file =
        scratch.file("many.jsonl", notes.iter().map(|text| format!("{}\n", json!({"text": text}))).collect::<String>());
    make(&[file], &scratch.path().join("out"), &options(128, 0.0)).unwrap();
    let corpus = open(&scratch.path().join("out")).unwrap();
    let sampler = Sampler::new(corpus.train().len(), 1).unwrap();
    let last = corpus.train().len() - 1; // is as long as it happens to be
    let pieces = |batch: Vec<u64>| -> Option<usize> {
        let blocks = corpus.train().read_all(&batch).unwrap();
        (!batch.contains(&last)).then(|| blocks.iter().map(|block| block.input_ids.len()).sum())
    };
    let all: Vec<usize> = (0..sampler.steps_per_epoch(16)).filter_map(|step| pieces(sampler.batch(step, 16))).collect();
    let (least, most) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
    assert!(all.len() > 50 && most <= 16 * 128 && least as f64 > 0.9 * most as f64, "{least} to {most}");
}

/// Notes to logits: a row for each label, of the vocabulary.
#[test]
fn a_masked_batch_goes_into_a_model() {
    let scratch = Scratch::new();
    make(&[fixture("notes.csv")], &scratch.path().join("out"), &options(16, 0.0)).unwrap();
    let corpus = open(&scratch.path().join("out")).unwrap();
    let sampler = Sampler::new(corpus.train().len(), 1).unwrap();
    let blocks = corpus.train().read_all(&sampler.batch(0, 4)).unwrap();
    let batch = Masking::new(&tokenizer(), Default::default()).unwrap().batch(&blocks, 1, 0, 0);
    let (folder, backend) = (support::fixture("bert-mlm"), SimdBackend::new());
    let (weights, config) = (folder.weights().unwrap(), Config::of(&folder).unwrap());
    let model = MaskedLm::load(&backend, &weights.root(), &config, true).unwrap();
    let logits = model.forward(&backend, &batch.input, Some(&batch.rows)).unwrap();
    let logits = pollster::block_on(backend.to_host(&logits)).unwrap();
    assert!(batch.labels.len() >= 4 && batch.rows.len() == batch.labels.len());
    assert_eq!(logits.len(), batch.labels.len() * config.shape().vocab_size);
}

#[test]
fn files_of_a_folder_are_read_by_name() {
    let found = sources(&[fixture("notes.csv"), fixture("txt")]).unwrap();
    let names: Vec<_> = found.iter().map(|source| source.path().file_name().unwrap().to_string_lossy()).collect();
    assert_eq!(names, ["notes.csv", "0.txt", "1.txt", "2.txt", "3.txt", "4.txt", "5.txt", "6.txt", "7.txt", "8.txt"]);
}

#[test]
fn a_vocabulary_is_what_it_does() {
    let vocabulary = Vocabulary::of(&tokenizer()).unwrap();
    assert_eq!((vocabulary.sha256, vocabulary.size), (expected().vocabulary, 101));
    assert_eq!(
        vocabulary.special_ids.values().copied().collect::<Vec<_>>(),
        [2, 4, 0, 3, 1],
        "CLS, MASK, PAD, SEP, UNK"
    );
}

fn clinlite(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clinlite")).arg("blocks").args(arguments).output().expect("the program starts")
}

#[test]
fn the_program() {
    let scratch = Scratch::new();
    let (model, out) = (fixture_path("bert-mlm"), scratch.path().join("out"));
    let common = [Path::new("--tokenizer"), &model, Path::new("--out"), &out, Path::new("--length"), Path::new("16")];
    let done = clinlite(&[&[&*fixture("notes.csv")], &common[..]].concat());
    let shown = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && shown.contains("sources         1, 1 notes without a word"), "{shown}");
    assert_eq!(open(&out).unwrap().manifest().length, 16);
    let again = clinlite(&[&[&*fixture("notes.csv")], &common[..]].concat());
    let line = String::from_utf8(again.stderr).unwrap();
    assert!(line.ends_with("out: holds blocks already, name another folder\n") && line.lines().count() == 1, "{line}");
}

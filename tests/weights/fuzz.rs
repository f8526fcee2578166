//! Every file of a model folder, damaged in some thousand ways: a model or an error, never a panic, and no more memory
//! than the files are long.
//!
//! `CLINLITE_FUZZ_FILES=200000 cargo test fuzz` damages each file more often than the 2,000 times of every run.

use std::fs;
use std::path::Path;

use clinlite::backend::simd::SimdBackend;
use clinlite::clinical::Knowledge;
use clinlite::models::Model;
use clinlite::tasks::ner::{TagOptions, Tagger};
use clinlite::weights::folder::Folder;

use super::torch_file::sharded;
use crate::allocated::peak;
use crate::parity::packed;
use crate::support::{fixture_files, fixture_path};

type Files = Vec<(String, Vec<u8>)>;

/// xorshift64*: the same damage on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) as usize % bound.max(1)
    }
}

/// Numbers that break sums and products, in binary and in text.
const LENGTHS: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff_ffff, 1 << 31, 1 << 60, u64::MAX];
const DIGITS: [&str; 6] = ["-1", "0", "1e309", "4294967296", "18446744073709551615", "99999999999999999999999999"];
const WORDS: [&str; 6] = ["null", "[[[[[[[[", "{}", "\"\"", "\u{0}", "\u{FEFF}é"];

/// One to four injuries.
fn damage(bytes: &mut Vec<u8>, random: &mut Random, text: bool) {
    for _ in 0..=random.below(4) {
        // Half of them at the front, where the headers are.
        let len = if random.below(2) == 0 { bytes.len() } else { bytes.len().min(512) };
        let (at, run) = (random.below(len), random.below(64));
        let end = (at + run).min(bytes.len());
        match random.below(if text { 10 } else { 8 }) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            5 | 6 => {
                let number = LENGTHS[random.below(LENGTHS.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            7 => bytes.extend_from_within(at..end),
            _ => {
                let digits = bytes[at..].iter().position(u8::is_ascii_digit).map_or(at, |found| at + found);
                let number = bytes[digits..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let word = if random.below(2) == 0 { DIGITS[random.below(6)] } else { WORDS[random.below(6)] };
                bytes.splice(digits..digits + number, word.bytes());
            }
        }
    }
}

/// Names the damage that a panic came of.
struct Case<'a>(&'a str, usize);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while reading {} damaged for the {}th time", self.0, self.1);
        }
    }
}

fn rounds() -> usize {
    std::env::var("CLINLITE_FUZZ_FILES").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2000)
}

/// Damages one file of a folder again and again; returns how often it was read all the same.
fn fuzz(files: &Files, file: &str, read: impl Fn(Files) -> clinlite::Result<()>) -> usize {
    drop(Knowledge::shipped()); // compiled once, whatever the folder
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ file.len() as u64);
    let text = [".json", ".txt"].iter().any(|end| file.ends_with(end));
    let mut fine = 0;
    for round in 0..rounds() {
        let case = Case(file, round);
        let mut damaged = files.clone();
        let bytes = &mut damaged.iter_mut().find(|(name, _)| name == file).expect("a file of the folder").1;
        let whole = bytes.clone();
        while *bytes == whole {
            damage(bytes, &mut random, text);
        }
        let size: usize = damaged.iter().map(|(_, bytes)| bytes.len()).sum();
        let (result, held) = peak(|| read(damaged));
        assert!(held < 24 * size + (1 << 20), "{held} bytes for a folder of {size}");
        match result {
            Ok(()) => fine += 1,
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        drop(case);
    }
    fine
}

fn tag(files: Files) -> clinlite::Result<()> {
    let tagger = Tagger::load(SimdBackend::new(), &Folder::from_files(files)?)?;
    pollster::block_on(tagger.tag("The patient denies chest pain, 37.9 °C.", TagOptions::default())).map(drop)
}

fn load(files: Files) -> clinlite::Result<()> {
    Model::of(&SimdBackend::new(), &Folder::from_files(files)?).map(drop)
}

#[test]
fn settings_and_tokenizers() {
    let (json, vocab) = (fixture_files("bert-bio"), fixture_files("bert-head26"));
    for (files, name) in
        [(&json, "config.json"), (&json, "tokenizer.json"), (&vocab, "vocab.txt"), (&vocab, "tokenizer_config.json")]
    {
        tag(files.clone()).expect("whole");
        let fine = fuzz(files, name, tag);
        assert!(fine < rounds(), "{name}: nothing was refused");
    }
}

#[test]
fn manifests() {
    let files: Files = packed("bert-bio").into_iter().collect();
    tag(files.clone()).expect("whole");
    assert!(fuzz(&files, "manifest.json", tag) < rounds() / 2);
    // A hash tells every damage to what it covers.
    assert_eq!(fuzz(&files, "tokenizer.json", |files| Folder::from_files(files).map(drop)), 0);
}

/// The tiny model of `tests/fixtures/weights` with its weights in these files.
fn folder(weights: Files) -> Files {
    let place = fixture_path("../weights/config.json");
    let config = fs::read(&place).unwrap_or_else(|e| panic!("{}: {e}", place.display()));
    [("config.json".to_owned(), config)].into_iter().chain(weights).collect()
}

fn bytes(name: &str) -> Vec<u8> {
    let place = Path::new(&fixture_path("../weights")).join(name);
    fs::read(&place).unwrap_or_else(|e| panic!("{}: {e}", place.display()))
}

#[test]
fn weights_of_every_form() {
    for (fixture, name) in [
        ("zip.safetensors", "model.safetensors"),
        ("zip.bin", "pytorch_model.bin"),
        ("legacy.bin", "pytorch_model.bin"),
        ("strided.bin", "pytorch_model.bin"),
        ("parameters.bin", "pytorch_model.bin"),
    ] {
        let files = folder(vec![(name.to_owned(), bytes(fixture))]);
        load(files.clone()).expect("whole");
        let fine = fuzz(&files, name, load);
        assert!(fine < rounds(), "{fixture}: nothing was refused");
    }
}

#[test]
fn indices_of_shards() {
    let pickles = ["pytorch_model.bin.index.json", "shard-1.bin", "shard-2.bin"];
    let pickles = folder(pickles.map(|name| (name.to_owned(), bytes(name))).into());
    let plain = folder(sharded(&bytes("zip.safetensors")));
    for (files, name) in [(&pickles, "pytorch_model.bin.index.json"), (&plain, "model.safetensors.index.json")] {
        load(files.clone()).expect("whole");
        assert!(fuzz(files, name, load) < rounds(), "{name}: nothing was refused");
    }
}

/// A description is a few bytes of a large file: damage to the pickle alone.
#[test]
fn pickles_before_their_storages() {
    let whole = bytes("legacy.bin");
    // After the magic number and before the elements: the first 6,000 bytes are instructions.
    let (magic, rest) = whole.split_at(15);
    let (pickles, rest) = rest.split_at(6000);
    let mut random = Random(7);
    for round in 0..2 * rounds() {
        let case = Case("legacy.bin", round);
        let mut pickles = pickles.to_vec();
        damage(&mut pickles, &mut random, false);
        let file = [magic, &pickles, rest].concat();
        let size = file.len();
        let (result, held) = peak(|| load(folder(vec![("pytorch_model.bin".into(), file)])));
        assert!(held < 24 * size + (1 << 20), "{held} bytes for {size}: {result:?}");
        drop(case);
    }
}

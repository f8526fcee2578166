//! What is refused: with the place, and never with the text.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use clinlite::text::{Normalization, Tokenizer};
use clinlite::train::corpus::Corpus;
use clinlite::train::corpus::blocks::Options;
use clinlite::{Error, ErrorKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{fixture, make, open, options, vocab};
use crate::support::{Scratch, fixture_path};

/// Makes blocks of what cannot be read; nothing must be left of them.
fn refuse(scratch: &Scratch, notes: &Path) -> Error {
    let out = scratch.path().join("out");
    let error = make(&[notes.to_owned()], &out, &options(16, 0.0)).expect_err("refused");
    assert!(!out.exists(), "nothing is left behind: {error}");
    assert!(!error.to_string().contains("Secret") && !error.to_string().contains("secret"), "{error}");
    error
}

#[test]
fn broken_notes_are_named_by_their_place() {
    struct Case {
        file: &'static str,
        bytes: &'static [u8],
        error: &'static str,
    }
    let cases = [
        Case { file: "a.txt", bytes: b"fine\nSecret \xff", error: "a.txt:2: is not UTF-8" },
        Case {
            file: "b.jsonl",
            bytes: b"{\"text\": \"a\"}\n\n[\"Secret\"]\n",
            error: "b.jsonl:3: expected a JSON object with \"text\"",
        },
        Case {
            file: "c.jsonl",
            bytes: b"{\"text\": \"Secret",
            error: "c.jsonl:1: not JSON at column 16, expected an object with \"text\"",
        },
        Case {
            file: "d.jsonl",
            bytes: b"{\"note\": \"Secret\"}",
            error: "d.jsonl:1: expected a JSON object with \"text\"",
        },
        Case { file: "e.jsonl", bytes: b"{\"text\": [\"Secret\"]}", error: "e.jsonl:1: \"text\" is not a string" },
        Case {
            file: "f.jsonl",
            bytes: b"{\"text\": \"Secret \xff\"}",
            error: "f.jsonl:1: not JSON at column 18, expected an object with \"text\"",
        },
        Case { file: "g.csv", bytes: b"Secret,note\na,b\n", error: "g.csv:1: the header has no column \"text\"" },
        Case { file: "h.csv", bytes: b"", error: "h.csv:1: the header has no column \"text\"" },
        Case { file: "i.csv", bytes: b"id,text\n1,a\n2,Secret,b\n", error: "i.csv:3: 3 cells, the header has 2" },
        Case {
            file: "j.csv",
            bytes: b"id,text\n1,\"a\nb\"\n2,\"Secret\n",
            error: "j.csv:4: a quoted cell does not end",
        },
        Case { file: "k.csv", bytes: b"id,text\n1,a\n2,Secret \xff\n", error: "k.csv:3: is not UTF-8" },
        Case { file: "l.tsv", bytes: b"id\ttext\n1\n", error: "l.tsv:2: 1 cells, the header has 2" },
        Case { file: "m.parquet", bytes: b"PAR1 Secret PAR1", error: "m.parquet: damaged, or not a Parquet file" },
        Case {
            file: "n.docx",
            bytes: b"Secret",
            error: "n.docx: expected a folder with, or a .txt, .jsonl, .csv, .tsv or .parquet file",
        },
        Case { file: "o.txt", bytes: b" \n\t", error: "1 notes without a word, 0 set apart, none to learn from" },
        Case { file: "p.csv", bytes: b"id,text\n", error: "0 notes without a word, 0 set apart, none to learn from" },
    ];
    let mut failed = Vec::new();
    for Case { file, bytes, error } in cases {
        let scratch = Scratch::new();
        let found = refuse(&scratch, &scratch.file(file, bytes));
        let expected =
            if error.starts_with(file) { format!("{}/{error}", scratch.path().display()) } else { error.to_owned() };
        if found.to_string() != expected {
            failed.push(format!("{file}: {found}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn columns_that_hold_no_strings() {
    for (file, kind, error) in [
        ("gzip", ErrorKind::Unsupported, "gzip.parquet: compressed with GZIP, expected SNAPPY, ZSTD or nothing"),
        ("lists", ErrorKind::Data, "lists.parquet: has no column \"text\""),
        ("binary", ErrorKind::Data, "binary.parquet: row 2: is not UTF-8"),
    ] {
        let found = refuse(&Scratch::new(), &fixture(&format!("{file}.parquet")));
        assert!(found.kind() == kind && found.to_string().ends_with(error), "{found}");
    }
    let numbers = Scratch::new();
    let options = Options { text_key: "id".into(), ..options(16, 0.0) };
    let found = make(&[fixture("snappy.parquet")], &numbers.path().join("out"), &options).expect_err("numbers");
    assert!(found.to_string().ends_with("snappy.parquet: the column \"id\" holds no strings"), "{found}");
}

#[test]
fn places_that_cannot_be_read_or_written() {
    let scratch = Scratch::new();
    let nothing = scratch.path().join("nothing.txt");
    assert_eq!(refuse(&scratch, &nothing).kind(), ErrorKind::Io);
    symlink(scratch.path().join("nowhere"), scratch.path().join("link.txt")).unwrap();
    assert_eq!(refuse(&scratch, &scratch.path().join("link.txt")).kind(), ErrorKind::Io);
    fs::create_dir(scratch.path().join("empty")).unwrap();
    let empty = refuse(&scratch, &scratch.path().join("empty"));
    assert!(empty.to_string().contains("empty: expected a folder with, or a .txt"), "{empty}");
    let below = scratch.file("file", "").join("out");
    let error = make(&[fixture("notes.csv")], &below, &options(16, 0.0)).expect_err("a file is no folder");
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

/// A shell that allows no file above some kilobytes and lets the program go on: to it the disk is full.
#[test]
fn a_full_disk_leaves_no_corpus() {
    let scratch = Scratch::new();
    let notes = scratch.file("long.txt", "the patient denies chest pain . ".repeat(20_000));
    let mine = scratch.file("out/mine.txt", "");
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_clinlite"), "blocks"])
        .arg(&notes)
        .arg("--tokenizer")
        .arg(fixture_path("bert-mlm"))
        .args(["--dev-share", "0", "--out"])
        .arg(scratch.path().join("out"))
        .output()
        .expect("a shell");
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && line.contains("blocks-train-00000.bin: File too large"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    let left: Vec<_> = fs::read_dir(scratch.path().join("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [mine], "what was there stays, and nothing else");
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let scratch = Scratch::new();
    let left = scratch.file("out/blocks-dev-00007.bin", "half");
    make(&[fixture("notes.csv")], &scratch.path().join("out"), &options(16, 0.0)).expect("blocks");
    assert!(!left.exists());
    open(&scratch.path().join("out")).expect("a corpus");
}

#[test]
fn options_out_of_bounds() {
    let scratch = Scratch::new();
    for (length, share) in [(7, 0.0), (8193, 0.0), (16, 1.0), (16, -0.1), (16, f64::NAN)] {
        let error = make(&[fixture("notes.csv")], &scratch.path().join("out"), &options(length, share));
        assert_eq!(error.expect_err("refused").kind(), ErrorKind::Input);
    }
    // Nothing is left for training when all is set apart.
    let notes = scratch.file("no.txt", "no");
    let error = make(&[notes], &scratch.path().join("out"), &options(16, 0.999_999)).expect_err("all set apart");
    assert_eq!(error.to_string(), "0 notes without a word, 1 set apart, none to learn from");
}

/// A folder of blocks to be damaged.
pub(super) fn corpus(scratch: &Scratch) -> PathBuf {
    let out = scratch.path().join("out");
    make(&[fixture("notes.csv")], &out, &options(16, 0.5)).expect("blocks");
    out
}

fn refusal(place: &Path) -> (ErrorKind, String) {
    let error = open(place).expect_err("refused");
    let message = error.to_string();
    let start = format!("{}: ", place.display());
    (error.kind(), message.strip_prefix(&start).unwrap_or(&message).to_owned())
}

#[test]
fn manifests_that_cannot_be() {
    let cases = [
        ("/version", json!(2), "expected version 1, found 2: make the blocks again"),
        ("/version", json!("1"), "invalid type: string \"1\", expected u32"),
        ("/length", json!(4), "expected a length in 8..=8192, found 4"),
        ("/length", json!(1_u64 << 40), "expected a length in 8..=8192, found 1099511627776"),
        ("/vocabulary/size", json!(0), "expected a size of 1 to 16777216, found 0"),
        ("/vocabulary/size", json!(u32::MAX), "expected a size of 1 to 16777216, found 4294967295"),
        ("/vocabulary/special_ids/[SEP]", json!(101), "the special token \"[SEP]\" with the id 101, of 101"),
        ("/vocabulary/special_ids", json!({}), "the vocabulary has no \"[CLS]\""),
        ("/vocabulary/special_ids/[MASK]", json!(5), "the vocabulary is the same, but"),
        ("/vocabulary/normalization/lowercase", json!(false), "the vocabulary is the same, but"),
        ("/train/blocks", json!(99), "states 99 blocks, its shards have"),
        ("/train/shards/0/blocks", json!(0), "a shard of 0 blocks"),
        ("/train/shards/0/blocks", json!(-1), "invalid value"),
        ("/train/shards/0/file", json!("../../etc/passwd"), "expected a shard \"blocks-train-00000.bin\", found"),
        ("/train/shards/0/file", json!("blocks-dev-00000.bin"), "expected a shard \"blocks-train-00000.bin\", found"),
        ("/train/shards", json!([]), "its shards have 0"),
        ("/dev/text", json!("x"), "unknown field"),
        ("/sources", json!(null), "invalid type: null, expected a sequence"),
    ];
    let scratch = Scratch::new();
    let place = corpus(&scratch);
    let json: Value = serde_json::from_slice(&fs::read(place.join("blocks.json")).unwrap()).unwrap();
    let mut failed = Vec::new();
    for (at, value, error) in cases {
        let mut changed = json.clone();
        match changed.pointer_mut(at) {
            Some(found) => *found = value,
            None => changed["dev"]["text"] = value,
        }
        fs::write(place.join("blocks.json"), changed.to_string()).unwrap();
        let (_, message) = refusal(&place);
        if !message.contains(error) {
            failed.push(format!("{at}: {message}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Changes a shard, and the manifest so that its hash fits.
pub(super) fn rewrite(place: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let (shard, json) = (place.join("blocks-train-00000.bin"), place.join("blocks.json"));
    let mut bytes = fs::read(&shard).unwrap();
    change(&mut bytes);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    manifest["train"]["shards"][0]["sha256"] = hash.into();
    fs::write(shard, bytes).unwrap();
    fs::write(json, manifest.to_string()).unwrap();
}

#[test]
fn shards_that_are_not_as_stated() {
    let scratch = Scratch::new();
    let place = corpus(&scratch);
    let shard = place.join("blocks-train-00000.bin");
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, [&whole[..9], &[whole[9] ^ 1], &whole[10..]].concat()).unwrap();
    let (kind, message) = refusal(&place);
    assert_eq!(kind, ErrorKind::Hash);
    let hashes =
        message.strip_prefix("blocks-train-00000.bin: expected sha256 ").and_then(|rest| rest.split_once(", found "));
    assert!(hashes.is_some_and(|(one, other)| one.len() == 64 && other.len() == 64 && one != other), "{message}");
    fs::write(&shard, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(refusal(&place).0, ErrorKind::Format, "a byte short");
    fs::remove_file(&shard).unwrap();
    assert_eq!(refusal(&place).0, ErrorKind::Io);
    fs::write(&shard, whole).unwrap();
    open(&place).expect("whole again");
    fs::remove_file(place.join("blocks.json")).unwrap();
    assert_eq!(refusal(&place).0, ErrorKind::Io, "a folder that was not finished is none");
}

/// A record has 2 bytes of a count, 16 ids of 2 bytes, and 2 bytes of bits.
#[test]
fn records_that_are_none() {
    for (at, byte, error) in [
        (0, 2, "expected 3 to 16 pieces, found 2"),
        (0, 17, "expected 3 to 16 pieces, found 17"),
        (1, 1, "expected 3 to 16 pieces, found 2"),
        (4, 101, "the id 101, of a vocabulary of 101"),
        (5, 255, "of a vocabulary of 101"),
        (2, 5, "does not begin with [CLS] and end with [SEP]"),
        (0, 5, "something stands behind the last piece"),
    ] {
        let scratch = Scratch::new();
        let place = corpus(&scratch);
        rewrite(&place, |bytes| bytes[at] = byte);
        let corpus = open(&place).expect("the hash fits");
        let error_found = corpus.train().read(0).expect_err("no record");
        assert!(error_found.to_string().starts_with("blocks-train-00000.bin: block 0: "), "{error_found}");
        assert!(error_found.kind() == ErrorKind::Format && error_found.to_string().contains(error), "{error_found}");
        assert!(corpus.train().read(1).is_ok());
    }
}

#[test]
fn another_vocabulary_is_refused_with_both_hashes() {
    let scratch = Scratch::new();
    let place = corpus(&scratch);
    let other = [vocab(), b"##more\n".to_vec()].concat();
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let tokenizer = Tokenizer::from_vocab(&other, Normalization::uncased()).unwrap();
    let error = Corpus::open(&place, &tokenizer).expect_err("another vocabulary");
    assert_eq!(error.kind(), ErrorKind::Hash);
    let (expected, found) = (hash(&other), hash(&vocab()));
    assert!(error.to_string().ends_with(&format!("expected the vocabulary {expected}, found {found}")), "{error}");
    let cased = Tokenizer::from_vocab(&vocab(), Normalization::cased()).unwrap();
    assert_eq!(Corpus::open(&place, &cased).expect_err("cased").kind(), ErrorKind::Format);
    assert!(Corpus::open(&place, &super::tokenizer()).is_ok());
    let without = Tokenizer::from_vocab(b"[UNK]\n[CLS]\n[SEP]\na\n", Normalization::uncased()).unwrap();
    assert_eq!(
        Corpus::open(&place, &without).expect_err("no mask").to_string(),
        format!("{}: the vocabulary has no \"[MASK]\"", place.display())
    );
}

//! Notes and blocks damaged in some thousand ways: what they hold or an error, never a panic.
//!
//! `CLINLITE_FUZZ_FILES=200000 cargo test fuzz` damages each file more often than the 1,000 times of every run.

use std::fs;
use std::panic::{self, AssertUnwindSafe, catch_unwind};

use clinlite::train::corpus::notes::{panic_is_contained, sources};

use super::hostile::{corpus, rewrite};
use super::{fixture, open};
use crate::allocated::peak;
use crate::support::Scratch;

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

/// One to four injuries.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let (at, run) = (random.below(bytes.len()), random.below(64));
        let end = (at + run).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'9'][random.below(8)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.extend_from_within(at..end),
            _ => bytes[at..end].fill(random.below(256) as u8),
        }
    }
}

fn rounds() -> usize {
    std::env::var("CLINLITE_FUZZ_FILES").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1000)
}

/// Damages bytes again and again; `read` says whether they were taken all the same.
fn fuzz(name: &str, whole: &[u8], mut read: impl FnMut(&[u8]) -> clinlite::Result<()>) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ name.len() as u64);
    let mut refused = 0;
    for round in 0..rounds() {
        let mut damaged = whole.to_vec();
        damage(&mut damaged, &mut random);
        let (result, held) = peak(|| catch_unwind(AssertUnwindSafe(|| read(&damaged))));
        let result = result.unwrap_or_else(|_| panic!("{name}, damaged for the {round}th time"));
        assert!(held < 4 << 20, "{name}, damaged for the {round}th time: {held} bytes");
        refused += usize::from(result.is_err_and(|e| !e.to_string().is_empty()));
    }
    assert!(refused > 0, "{name}: nothing was refused");
}

/// Panics that become errors say nothing, as in the program.
fn keep_contained_panics_quiet() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !panic_is_contained() {
            before(info);
        }
    }));
}

#[test]
fn notes_of_every_format() {
    keep_contained_panics_quiet();
    let names =
        ["notes.jsonl", "notes.csv", "notes.tsv", "snappy.parquet", "zstd.parquet", "plain.parquet", "delta.parquet"];
    for name in names {
        let scratch = Scratch::new();
        fuzz(name, &fs::read(fixture(name)).unwrap(), |bytes| {
            for source in sources(&[scratch.file(name, bytes)])? {
                source.notes("text")?.try_for_each(|note| note.map(drop))?;
            }
            Ok(())
        });
    }
}

#[test]
fn blocks_and_what_is_said_of_them() {
    let scratch = Scratch::new();
    let place = corpus(&scratch);
    let [json, shard] = ["blocks.json", "blocks-train-00000.bin"].map(|name| fs::read(place.join(name)).unwrap());
    let read = || {
        let corpus = open(&place)?;
        (0..corpus.train().len()).try_for_each(|index| corpus.train().read(index).map(drop))
    };
    fuzz("blocks.json", &json, |bytes| {
        fs::write(place.join("blocks.json"), bytes).unwrap();
        read()
    });
    fs::write(place.join("blocks.json"), &json).unwrap();
    let mut taken = 0;
    fuzz("a shard", &shard, |bytes| {
        fs::write(place.join("blocks-train-00000.bin"), bytes).unwrap();
        let result = read();
        taken += usize::from(result.is_ok());
        result
    });
    assert!(taken < rounds() / 100, "a hash tells damage: {taken}");
    fuzz("a shard with its hash", &shard, |bytes| {
        rewrite(&place, |shard| *shard = bytes.to_vec());
        read()
    });
}

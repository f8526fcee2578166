//! The rules on a note of 1,000 words: `cargo bench --no-default-features --bench clinical`.
//!
//! The time to compile the rules, to read a note, and to judge its mentions: the minimum of many runs, one thread. In wasm:
//! `node tests/wasm/run.mjs --bench`.

mod note;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clinlite::clinical::{Knowledge, Mention};

fn least(runs: usize, mut work: impl FnMut()) -> Duration {
    let time = |()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    std::iter::repeat_n((), runs).map(time).min().unwrap_or_default()
}

fn main() {
    let knowledge = Knowledge::default();
    println!("compile the rules: {:?}", least(20, || drop(black_box(Knowledge::default()))));
    for words in [100, 1_000, 10_000] {
        let (note, ranges) = note::note(words);
        let mentions: Vec<_> = ranges.iter().map(|range| Mention { range: range.clone(), label: "PROBLEM" }).collect();
        let words = note.split_whitespace().count();
        let reading = knowledge.read(&note);
        let read = least(200, || drop(black_box(knowledge.read(&note))));
        let judge = least(200, || drop(black_box(knowledge.judge(&note, &reading, &mentions))));
        println!("{words} words, {} mentions: read {read:?}, judge {judge:?}", mentions.len());
    }
}

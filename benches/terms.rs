//! A caller's list of half a million terms: `cargo bench --bench terms --no-default-features`.
//!
//! Loading, bytes in memory beside the table, and lookups of terms in another spelling, beside the walk over all lines that
//! the index replaces.

use std::hint::black_box;
use std::time::{Duration, Instant};

use clinlite::clinical::terms::Terms;

const TERMS: usize = 500_000;
const WORDS: [&str; 24] = [
    "acute",
    "chronic",
    "left",
    "right",
    "bilateral",
    "fracture",
    "of",
    "the",
    "femur",
    "artery",
    "stenosis",
    "primary",
    "malignant",
    "neoplasm",
    "lung",
    "liver",
    "disorder",
    "syndrome",
    "type",
    "with",
    "complication",
    "infection",
    "valve",
    "insufficiency",
];

/// Six words and a number, as long as the descriptions of SNOMED CT are on average.
fn term(i: usize) -> String {
    let word = |by: usize| WORDS[i / by % WORDS.len()];
    format!("{} {} {} {} {} {}", word(1), word(24), word(576), word(7), word(13), i)
}

fn main() -> clinlite::Result<()> {
    let table: String = (0..TERMS).map(|i| format!("{}\t{}\tSNOMED CT\n", term(i), 100_000_000 + i)).collect();
    let size = table.len();
    let loads: Vec<(Terms, Duration)> = (0..3)
        .map(|_| {
            let bytes = table.clone().into_bytes();
            let start = Instant::now();
            Ok((Terms::from_tsv(bytes, None)?, start.elapsed()))
        })
        .collect::<clinlite::Result<_>>()?;
    let best = loads.iter().map(|(_, time)| *time).min().unwrap_or_default();
    let terms = &loads[0].0;
    println!("{} terms, {:.1} MB of table: {:.0} ms to load", terms.len(), size as f64 / 1e6, best.as_secs_f64() * 1e3);
    println!("{:.1} MB beside the table", (terms.bytes() - size) as f64 / 1e6);
    let queries: Vec<String> = (0..TERMS).step_by(500).map(|i| term(i).to_uppercase()).collect();
    let start = Instant::now();
    let found: usize = queries.iter().map(|query| black_box(terms.find(query)).len()).sum();
    let each = start.elapsed().as_secs_f64() / queries.len() as f64;
    println!("{:.1} µs a lookup ({found} codes for {} texts)", each * 1e6, queries.len());
    let start = Instant::now();
    let walked = table
        .lines()
        .filter(|line| line.split('\t').next().is_some_and(|term| term.eq_ignore_ascii_case(&queries[500])));
    let walked = black_box(walked.count());
    println!(
        "{:.0} µs a walk over all lines ({walked} codes, no spelling but case)",
        start.elapsed().as_secs_f64() * 1e6
    );
    Ok(())
}

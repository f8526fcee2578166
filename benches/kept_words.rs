//! What is lost when only a teacher's likeliest words are kept: `cargo bench --bench kept_words -- TEACHER BLOCKS`, a
//! folder with a masked-language-model head and a folder of blocks.
//!
//! At the masks of the first 64 blocks, for some numbers of words K and two temperatures: the probability of the K words
//! together, and `KL(p ‖ p_K)` between what the teacher says and what is kept of it, where the words that were left out share
//! their mass equally. The loss that a student sees differs by no more than what it makes of that.

use std::path::Path;

use candle_core::Device;
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::candle::kernels::vocabulary_loss::soft_loss;
use clinlite::backend::top_words::TopWords;
use clinlite::models::{Config, MaskedLm};
use clinlite::tasks::read_tokenizer;
use clinlite::train::corpus::{Corpus, Masking, masking};
use clinlite::train::model::open;
use clinlite::{Error, ErrorKind, Result};

const BLOCKS: u64 = 64;

fn main() -> Result<()> {
    let places: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [teacher, blocks] = &places[..] else {
        return Err(Error::new(ErrorKind::Input, "expected a teacher's folder and a folder of blocks"));
    };
    let (v, logits) = logits(Path::new(teacher), Path::new(blocks))?;
    let rows = logits.len() / v;
    println!("{rows} masks, {v} words");
    println!("| T | K | probability of K words | KL(p, p_K) | entropy of p | bytes a mask |");
    println!("|---|---|---|---|---|---|");
    for temperature in [1.0, 2.0] {
        for k in [8, 64, 256] {
            let top = TopWords::new(&logits, v, k, temperature);
            let (whole, kept) = (masses(&logits, v, temperature), masses(&top.logits, k, temperature));
            let share = whole.iter().zip(&kept).map(|(whole, kept)| (kept - whole).exp()).sum::<f64>() / rows as f64;
            let mut slope = vec![0f32; logits.len()];
            let loss = soft_loss(&spread(&top, v), &logits, v, temperature, 1.0 / rows as f64, &mut slope);
            let bytes = k * (if v <= 1 << 16 { 6 } else { 8 }) + 4;
            println!("| {temperature} | {k} | {share:.4} | {:.5} | {:.3} | {bytes} |", loss.divergence, loss.entropy);
        }
    }
    Ok(())
}

/// What the teacher says at the masks of the first blocks: `V`, and `[M, V]`.
fn logits(teacher: &Path, blocks: &Path) -> Result<(usize, Vec<f32>)> {
    let folder = open(teacher)?;
    let (config, tokenizer) = (Config::of(&folder)?, read_tokenizer(&folder)?);
    let engine = CandleBackend::inference(Device::Cpu);
    let model = MaskedLm::load(&engine, &folder.weights()?.root(), &config, config.is_tied(&folder))?;
    let corpus = Corpus::open(blocks, &tokenizer)?;
    let masking = Masking::new(&tokenizer, masking::Options::default())?;
    let numbers: Vec<u64> = (0..corpus.train().len().min(BLOCKS)).collect();
    let mut logits = Vec::new();
    for part in numbers.chunks(8) {
        let batch = masking.batch(&corpus.train().read_all(part)?, 1, 0, part[0]);
        let said = model.forward(&engine, &batch.input, Some(&batch.rows))?;
        logits.extend(pollster::block_on(engine.to_host(&said))?);
    }
    Ok((config.shape().vocab_size, logits))
}

/// `ln Σ exp(z / T)` of each row.
fn masses(logits: &[f32], v: usize, temperature: f32) -> Vec<f64> {
    let mass = |row: &[f32]| {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let powers = row.iter().map(|z| ((f64::from(*z) - max) / f64::from(temperature)).exp());
        max / f64::from(temperature) + powers.sum::<f64>().ln()
    };
    logits.chunks_exact(v).map(mass).collect()
}

/// Logits that make the distribution of what was kept.
fn spread(top: &TopWords, v: usize) -> Vec<f32> {
    let left = (v - top.k) as f32;
    let mut all = Vec::with_capacity(top.rows() * v);
    for (row, rest) in top.rest.iter().enumerate() {
        let mut logits = vec![top.temperature * (rest - left.ln()); v];
        for i in row * top.k..(row + 1) * top.k {
            logits[top.ids[i] as usize] = top.logits[i];
        }
        all.extend(logits);
    }
    all
}

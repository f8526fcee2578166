//! One training step of the default model's encoder: `cargo bench --bench train_step`; with `-- lora` of low-rank matrices
//! (r = 8 beside query and value) and the head alone.
//!
//! Eight windows of 128 through six layers of 384 with a head of 13 labels: forward, loss, backward, AdamW. Prints the
//! median of the steps; `train_step.py` does the same in PyTorch. Both use all cores, so they want a quiet machine; CPU
//! time is what can be compared on a busy one.

mod allocator;

use std::time::Instant;

use clinlite::Result;
use clinlite::backend::adamw::Settings;
use clinlite::backend::candle::kernels::random::Stream;
use clinlite::backend::candle::{CandleBackend, host};
use clinlite::backend::training::Training;
use clinlite::json::Json;
use clinlite::models::{Batch, Config, Head, TokenClassification};
use clinlite::train::loss::token_loss;
use clinlite::train::recipe::{Lora, Tune};
use clinlite::train::tune;
use clinlite::weights::{Names, Weights};
use safetensors::tensor::{Dtype, TensorView};

const D: usize = 384;
const F: usize = 1536;
const LAYERS: usize = 6;
const VOCABULARY: usize = 30_522;
const LABELS: usize = 13;
const WINDOWS: usize = 8;
const LENGTH: usize = 128;
const STEPS: u64 = 12;

fn main() -> Result<()> {
    allocator::keep_pages();
    let (config, bytes) = (config(), weights());
    let weights = Weights::from_safetensors(&bytes, Names::Bert)?;
    let backend = CandleBackend::training(1);
    let lora = std::env::args().any(|argument| argument == "lora");
    let how = if lora { Tune::Lora(Lora::default()) } else { Tune::default() };
    backend.tune(tune::tuning(&how, 1, &config, Head::TokenClassification)?);
    let model = TokenClassification::load(&backend, &weights.root(), &config, LABELS)?;
    let settings = Settings { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, clip: 1.0, ema: 0.0 };
    backend.restart(false)?;
    let rows = WINDOWS * LENGTH;
    let stream = Stream::new(1, 0, 0);
    let ids: Vec<u32> = (0..rows as u32).map(|i| stream.below(i, VOCABULARY) as u32).collect();
    let batch = Batch::new(ids.chunks(LENGTH));
    let allowed: Vec<u64> = (0..rows as u32).map(|i| 1 << stream.below(i, LABELS)).collect();
    let weight = vec![1.0; rows];
    let (mut seconds, cpu) = (Vec::new(), cpu_seconds());
    for step in 0..STEPS {
        let begun = Instant::now();
        backend.begin(step, 0);
        let logits = model.forward(&backend, &batch)?; // [R, labels]
        let loss = host(&logits, |logits| token_loss(logits, LABELS, &allowed, &weight, rows as f64))?;
        backend.seed(&logits, loss.grad)?;
        backend.backward()?;
        backend.update(&settings, step + 1, &|_| 1e-4)?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let cpu = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    seconds.sort_by(f64::total_cmp);
    let (median, best) = (seconds[seconds.len() / 2], seconds[0]);
    // Two FLOP a multiply-add, three products a weight, attention with its scores computed twice: 3.5 times.
    // Frozen layers need two products a weight, and no look at what lies below the first of low-rank matrices.
    let products = if lora { 4.0 } else { 6.0 };
    let dense = products * (LAYERS * (4 * D * D + 2 * D * F) + D * LABELS) as f64;
    let flop = rows as f64 * (dense + 3.5 * (LAYERS * 4 * LENGTH * D) as f64);
    for (name, seconds) in [("median", median), ("fastest", best)] {
        let (speed, gflops) = (rows as f64 / seconds, flop / seconds / 1e9);
        println!("{name}: {:.0} ms a step, {speed:.0} tokens/s, {gflops:.0} GFLOP/s", 1e3 * seconds);
    }
    if let Some(cpu) = cpu {
        println!("{:.0} tokens per CPU second", rows as f64 * STEPS as f64 / cpu);
    }
    let (learn, all) = tune::share(&backend);
    println!("{learn} of {all} weights learn; {} MiB at most", peak_memory().unwrap_or(0));
    Ok(())
}

/// What Linux says that this process had at most, in MiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// What Linux says that this process has used, all threads.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0) // ticks
}

fn config() -> Config {
    let config = serde_json::json!({
        "vocab_size": VOCABULARY, "hidden_size": D, "num_hidden_layers": LAYERS, "num_attention_heads": 12,
        "intermediate_size": F, "max_position_embeddings": 512, "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.0,
    });
    Config::new("bert", Json::parse(config.to_string().as_bytes()).expect("JSON").root())
        .expect("the fields of a config")
}

/// Random weights under the names of a token classifier.
fn weights() -> Vec<u8> {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("bert.embeddings.word_embeddings.weight".into(), vec![VOCABULARY, D]),
        ("bert.embeddings.position_embeddings.weight".into(), vec![512, D]),
        ("bert.embeddings.token_type_embeddings.weight".into(), vec![2, D]),
    ];
    let mut dense = vec![("classifier".to_owned(), LABELS, D)];
    let mut norms = vec!["bert.embeddings.LayerNorm".to_owned()];
    for layer in 0..LAYERS {
        let at = |name: &str| format!("bert.encoder.layer.{layer}.{name}");
        for name in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
            dense.push((at(name), D, D));
        }
        dense.extend([(at("intermediate.dense"), F, D), (at("output.dense"), D, F)]);
        norms.extend([at("attention.output.LayerNorm"), at("output.LayerNorm")]);
    }
    for (name, n, k) in dense {
        shapes.extend([(format!("{name}.weight"), vec![n, k]), (format!("{name}.bias"), vec![n])]);
    }
    for name in norms {
        shapes.extend([(format!("{name}.weight"), vec![D]), (format!("{name}.bias"), vec![D])]);
    }
    let stream = Stream::new(2, 0, 0);
    let number = |i: usize| (0.1 * (stream.uniform(i as u32) - 0.5)).to_le_bytes();
    let data: Vec<Vec<u8>> =
        shapes.iter().map(|(_, shape)| (0..shape.iter().product()).flat_map(number).collect()).collect();
    let view = |(shape, data)| TensorView::new(Dtype::F32, shape, data).expect("as many values as the shape says");
    let views = shapes.into_iter().zip(&data).map(|((name, shape), data)| (name, view((shape, data))));
    safetensors::serialize(views, None).expect("plain tensors")
}

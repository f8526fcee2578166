//! One step of TinyClinicalBERT's distillation: `cargo bench --bench distil_step`, or on an NVIDIA device
//! `cargo bench --features cuda --bench distil_step -- --device cuda --sequences 512`.
//!
//! A student of 4 layers, 312 wide, learns from a BERT-base what its attention maps, its hidden states and its words at
//! 15 % masked places are: teacher forward, student forward, losses, backward, AdamW. Random weights, random words, dropout of
//! 0.1 in the student. `distil_step.py` does the same in PyTorch. With `--words` it learns words alone, masked ones and the
//! teacher's; with `--kept 64` from the 64 likeliest that the teacher said before, which is not asked again.

mod allocator;

use std::time::Instant;

use clinlite::backend::adamw::Settings;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::candle::kernels::random::Stream;
use clinlite::backend::top_words::TopWords;
use clinlite::backend::training::Training;
use clinlite::json::Json;
use clinlite::models::{Batch, Config, MaskedLm};
use clinlite::train::corpus::MaskedBatch;
use clinlite::train::distil::{LayerLoss, Measure, Objective, Pair, Share, Teacher, draw_missing};
use clinlite::weights::{Names, Weights};
use clinlite::{Error, ErrorKind, Result};

const VOCABULARY: usize = 28_996;
/// Layers, width, width of the feed-forward network.
const TEACHER: [usize; 3] = [12, 768, 3072];
const STUDENT: [usize; 3] = [4, 312, 1200];
const HEADS: usize = 12;

/// What the command line asks for.
struct Work {
    device: String,
    sequences: usize,
    length: usize,
    steps: u64,
    /// Learns no states and no maps.
    words: bool,
    /// Words that the teacher said before, at each mask; 0: it is asked.
    kept: usize,
}

fn main() -> Result<()> {
    allocator::keep_pages();
    let work = Work {
        device: option("--device").unwrap_or_else(|| "cpu".into()),
        sequences: number("--sequences", 4),
        length: number("--length", 128),
        steps: number("--steps", 10) as u64,
        words: std::env::args().any(|argument| argument == "--words"),
        kept: number("--kept", 0),
    };
    match work.device.as_str() {
        "cpu" => run(&work, CandleBackend::training(1), CandleBackend::inference(candle_core::Device::Cpu), || Ok(())),
        #[cfg(feature = "cuda")]
        "cuda" | "cuda-f32" => {
            use clinlite::backend::cuda::{CudaBackend, Device, Precision};
            let precision = if work.device == "cuda" { Precision::Bf16 } else { Precision::F32 };
            let device = Device::open(0, precision)?;
            println!("{}, {precision:?}", device.name()?);
            run(&work, CudaBackend::training(&device, 1)?, CudaBackend::inference(&device)?, || device.wait())?;
            let (free, all) = device.memory()?;
            println!("{:.1} GiB of device memory held at the end", (all - free) as f64 / f64::from(1 << 30));
            Ok(())
        }
        other => Err(Error::new(ErrorKind::Input, format!("--device {other}: not in this build"))),
    }
}

fn run<B: Training>(work: &Work, engine: B, teacher: B, wait: impl Fn() -> Result<()>) -> Result<()> {
    let teacher = Teacher { model: model(&teacher, TEACHER)?, engine: teacher, width: TEACHER[1], drops: false };
    let (student, batch) = (model(&engine, STUDENT)?, material(work));
    let said = (work.kept > 0).then(|| said(&teacher, &batch, work.kept)).transpose()?;
    let teacher = said.is_none().then_some(teacher);
    let objective = if work.words || said.is_some() { words() } else { objective() };
    let pair = Pair::new(engine, student, STUDENT[1], teacher, objective, 1)?;
    let settings = Settings { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-4, clip: 1.0, ema: 0.0 };
    pair.engine.restart(false)?;
    let step = |at: u64| {
        match &said {
            None => pair.learn(at, 0, &batch, Share::WHOLE)?,
            Some(said) => pair.lose_again(at, 0, &batch, Share::WHOLE, said).and_then(|()| pair.engine.backward())?,
        }
        pair.engine.update(&settings, at + 1, &|_| 5e-4)
    };
    (0..3).try_for_each(step)?;
    wait()?;
    let (mut seconds, cpu) = (Vec::new(), cpu_seconds());
    let whole = Instant::now();
    for at in 3..3 + work.steps {
        let begun = Instant::now();
        step(at)?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    wait()?;
    let mean = whole.elapsed().as_secs_f64() / work.steps as f64;
    let cpu = cpu_seconds().zip(cpu).map_or(0.0, |(after, before)| (after - before) / work.steps as f64);
    seconds.sort_by(f64::total_cmp);
    let tokens = (work.sequences * work.length) as f64;
    let flop = tokens * flop_per_token(work.length, batch.rows.len() as f64 / tokens);
    println!("{} sequences of {}, {} masked", work.sequences, work.length, batch.rows.len());
    let handed = seconds[seconds.len() / 2];
    println!(
        "{:.1} ms a step ({:.1} ms until it is handed over, {:.1} ms of all cores together)",
        1e3 * mean,
        1e3 * handed,
        1e3 * cpu
    );
    println!("{:.0} tokens/s, {:.1} TFLOP/s of the least that has to be done", tokens / mean, flop / mean / 1e12);
    let report = pair.engine.report()?;
    println!("losses {:?}, norm of the gradients {:.3}", report.losses, report.gradient_norm);
    Ok(())
}

/// What Linux says that this process has used, all threads.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0) // ticks
}

/// Two FLOP a multiply-add: the teacher forward, the student forward and twice that back, both heads at the masks.
fn flop_per_token(length: usize, masked: f64) -> f64 {
    let body = |[layers, d, f]: [usize; 3]| (layers * (2 * (4 * d * d + 2 * d * f) + 4 * length * d)) as f64;
    let head = |[_, d, _]: [usize; 3]| masked * (2 * (d * d + d * VOCABULARY)) as f64;
    let projected = (5 * 2 * STUDENT[1] * TEACHER[1]) as f64;
    body(TEACHER) + head(TEACHER) + 3.0 * (body(STUDENT) + head(STUDENT) + projected)
}

fn model<B: Training>(engine: &B, [layers, d, f]: [usize; 3]) -> Result<MaskedLm<B>> {
    let config = serde_json::json!({
        "vocab_size": VOCABULARY, "hidden_size": d, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "intermediate_size": f, "max_position_embeddings": 512, "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.0,
    });
    let config = Config::new("bert", Json::parse(config.to_string().as_bytes())?.root())?;
    let mut weights = Weights::from_files([], Names::Bert)?;
    draw_missing(&mut weights, &config, true, 1)?;
    MaskedLm::load(engine, &weights.root(), &config, true)
}

/// The words behind the masks, and the teacher's.
fn words() -> Objective {
    Objective { masked_lm: 1.0, divergence: 1.0, ..Objective::default() }
}

/// What the teacher finds likeliest.
fn said<B: Training>(teacher: &Teacher<B>, batch: &MaskedBatch, kept: usize) -> Result<TopWords> {
    let logits = teacher.model.forward(&teacher.engine, &batch.input, Some(&batch.rows))?;
    Ok(TopWords::new(&pollster::block_on(teacher.engine.to_host(&logits))?, VOCABULARY, kept, 1.0))
}

/// TinyClinicalBERT's.
fn objective() -> Objective {
    let layers = |n: usize, of: fn(usize) -> usize| (0..n).map(|l| [l, of(l)]).collect();
    let squares = |layers, projector| Some(LayerLoss { measure: Measure::Squares, weight: 1.0, layers, projector });
    Objective {
        soft_cross_entropy: 1.0,
        hidden: squares(layers(5, |l| 3 * l), true),
        attention: squares(layers(4, |l| 3 * l + 2), false),
        ..Objective::default()
    }
}

/// Random words; of each sequence 15 % of the rows are masked.
fn material(work: &Work) -> MaskedBatch {
    let count = work.sequences * work.length;
    let stream = Stream::new(1, 0, 0);
    let ids: Vec<u32> = (0..count as u32).map(|i| stream.below(i, VOCABULARY) as u32).collect();
    let masked = (work.length as f64 * 0.15).round() as usize;
    let of = |sequence: usize| (0..masked).map(move |i| (sequence * work.length + i * work.length / masked) as u32);
    let rows: Vec<u32> = (0..work.sequences).flat_map(of).collect();
    let labels = rows.iter().map(|&row| ids[row as usize]).collect();
    MaskedBatch { input: Batch::new(ids.chunks(work.length)), rows, labels }
}

/// The value after a name on the command line.
fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn number(name: &str, otherwise: usize) -> usize {
    option(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

//! The trainer: the same numbers as PyTorch, exact resuming, and that it learns at all.

mod batches;
mod distil;
mod logs;
mod series;
mod tasks;
mod tune;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Tensor;
use clinlite::Error;
use clinlite::backend::adamw::Settings;
use clinlite::backend::candle::kernels::random::Stream;
use clinlite::backend::candle::{CandleBackend, host};
use clinlite::backend::training::{Layout, Quantity, Training};
use clinlite::json::Json;
use clinlite::models::{Batch, Config, TokenClassification};
use clinlite::train::finetune::{Options, Outcome, Places, finetune};
use clinlite::train::loss::token_loss;
use clinlite::train::progress::{Progress, Scored, Step};
use clinlite::weights::{Names, Weights};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use serde_json::json;

use crate::weights::torch_file::{pickled, sharded};

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/training").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What `make_fixtures.py` wrote.
#[derive(Deserialize)]
struct Steps {
    settings: BTreeMap<String, f64>,
    ids: Vec<Vec<u32>>,
    allowed: Vec<u64>,
    losses: Vec<f64>,
    norms: Vec<f64>,
}

struct Tiny {
    backend: CandleBackend,
    model: TokenClassification<CandleBackend>,
    steps: Steps,
    batch: Batch,
}

const LABELS: usize = 5;

impl Tiny {
    fn load() -> Self {
        let config = Config::new("bert", Json::parse(&fixture("config.json")).unwrap().root()).unwrap();
        let bytes = fixture("model.safetensors");
        let weights = Weights::from_safetensors(&bytes, Names::Bert).unwrap();
        let backend = CandleBackend::training(0);
        let model = TokenClassification::load(&backend, &weights.root(), &config, LABELS).unwrap();
        let steps: Steps = serde_json::from_slice(&fixture("steps.json")).unwrap();
        let batch = Batch::new(steps.ids.iter().map(Vec::as_slice));
        Self { backend, model, steps, batch }
    }

    /// Runs forward and backward and returns the loss.
    fn learn(&self, step: u64) -> f64 {
        self.backend.begin(step, 0);
        let logits: Tensor = self.model.forward(&self.backend, &self.batch).unwrap();
        let allowed = &self.steps.allowed;
        let judged = allowed.iter().filter(|bits| **bits != 0).count() as f64;
        let weight = vec![1.0; allowed.len()];
        let loss = host(&logits, |logits| token_loss(logits, LABELS, allowed, &weight, judged)).unwrap();
        self.backend.seed(&logits, loss.grad).unwrap();
        self.backend.backward().unwrap();
        loss.loss
    }

    fn settings(&self) -> Settings {
        let setting = |name: &str| self.steps.settings[name];
        let (weight_decay, clip) = (setting("weight_decay"), setting("clip"));
        Settings { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay, clip, ema: 0.0 }
    }
}

#[test]
fn loss_and_all_gradients_equal_pytorch() {
    let tiny = Tiny::load();
    let loss = tiny.learn(0);
    assert!((loss - tiny.steps.losses[0]).abs() < 1e-5, "{loss} for {}", tiny.steps.losses[0]);
    let bytes = fixture("gradients.safetensors");
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = 0;
    for layout in tiny.backend.layouts() {
        let gradient = tiny.backend.read(layout.name(), Quantity::Gradient).unwrap();
        for part in &layout.parts {
            let view = expected.tensor(&part.name).unwrap();
            let expected: Vec<f32> = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let columns = layout.columns;
            let found = &gradient[part.rows.start * columns..part.rows.end * columns];
            let size = expected.iter().fold(1e-3f32, |max, x| max.max(x.abs()));
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!((found - expected).abs() < 2e-5 * size, "{}[{i}]: {found} for {expected}", part.name);
            }
            names += 1;
        }
    }
    assert_eq!(names, expected.len(), "every parameter of PyTorch has a gradient here");
}

#[test]
fn ten_steps_equal_pytorch() {
    let tiny = Tiny::load();
    let (settings, lr) = (tiny.settings(), tiny.steps.settings["lr"]);
    tiny.backend.restart(false).unwrap();
    for (step, expected) in tiny.steps.losses.iter().enumerate() {
        let loss = tiny.learn(step as u64);
        assert!((loss - expected).abs() < 2e-4 * expected, "step {step}: loss {loss} for {expected}");
        if let Some(expected) = tiny.steps.norms.get(step) {
            tiny.backend.update(&settings, step as u64 + 1, &|_| lr).unwrap();
            let norm = tiny.backend.report().unwrap().gradient_norm;
            assert!((norm - expected).abs() < 2e-3 * expected, "step {step}: norm {norm} for {expected}");
        }
    }
}

#[test]
fn every_parameter_moves() {
    let tiny = Tiny::load();
    let values = |layout: &Layout| tiny.backend.read(layout.name(), Quantity::Value).unwrap();
    let before: Vec<_> = tiny.backend.layouts().iter().map(values).collect();
    tiny.learn(0);
    tiny.backend.restart(false).unwrap();
    tiny.backend.update(&tiny.settings(), 1, &|_| 1e-3).unwrap();
    for (layout, before) in tiny.backend.layouts().iter().zip(before) {
        let moved = values(layout).iter().zip(&before).filter(|(a, b)| a != b).count();
        assert!(moved > 0, "{} did not move", layout.name());
    }
}

/// A folder that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("clinlite-train-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SENTENCES: [&str; 10] = [
    "patient|O had|O acute|B-P renal|I-P failure|I-P",
    "no|O chest|B-P pain|I-P today|O",
    "started|O aspirin|B-D 81|I-D mg|I-D daily|O",
    "denies|O fever|B-P and|O chills|B-P",
    "given|O heparin|B-D for|O pulmonary|B-P embolism|I-P",
    "renal|B-P failure|I-P improved|O",
    "aspirin|B-D and|O heparin|B-D stopped|O",
    "pain|B-P after|O insulin|B-D",
    "insulin|B-D 10|I-D units|I-D",
    "acute|B-P embolism|I-P today|O",
];

/// Ten sentences, and an untrained encoder of two layers, 64 wide, with a vocabulary that spells them.
fn make_world(scratch: &Scratch) -> Places {
    let pairs = |sentence: &str| {
        sentence
            .split(' ')
            .map(|pair| pair.split_once('|').unwrap())
            .fold(String::new(), |lines, (token, tag)| format!("{lines}{token}\t{tag}\n"))
    };
    fs::write(scratch.at("ten.tsv"), SENTENCES.map(pairs).join("\n")).unwrap();
    let base = scratch.at("base");
    fs::create_dir_all(&base).unwrap();
    let letters: Vec<String> = ('a'..='z').chain('0'..='9').map(String::from).collect();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let words = SENTENCES.iter().flat_map(|s| s.split(' ')).filter_map(|pair| pair.split('|').next());
    let mut pieces: Vec<String> = special.iter().map(|s| s.to_string()).chain(letters.clone()).collect();
    pieces.extend(letters.iter().map(|letter| format!("##{letter}")));
    pieces.extend(words.filter(|word| word.len() != 5).map(str::to_owned)); // the others are spelt
    let mut seen = std::collections::BTreeSet::new();
    pieces.retain(|piece| seen.insert(piece.clone()));
    let vocab: serde_json::Map<_, _> = pieces.iter().enumerate().map(|(i, p)| (p.clone(), json!(i))).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    });
    fs::write(base.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let config = json!({
        "model_type": "bert", "vocab_size": pieces.len(), "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 128, "max_position_embeddings": 48, "type_vocab_size": 2,
    });
    fs::write(base.join("config.json"), config.to_string()).unwrap();
    fs::write(base.join("model.safetensors"), random_encoder(pieces.len())).unwrap();
    Places { data: scratch.0.clone(), base, teacher: None, out: scratch.at("run") }
}

fn random_encoder(vocabulary: usize) -> Vec<u8> {
    let (d, f) = (64, 128);
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    let norm = |name: String| ["weight", "bias"].map(|leaf| (format!("{name}.{leaf}"), vec![d])).to_vec();
    for (name, rows) in [("word", vocabulary), ("position", 48), ("token_type", 2)] {
        shapes.push((format!("embeddings.{name}_embeddings.weight"), vec![rows, d]));
    }
    shapes.extend(norm("embeddings.LayerNorm".into()));
    for layer in 0..2 {
        let at = |name: &str| format!("encoder.layer.{layer}.{name}");
        let dense = [
            ("attention.self.query", d, d),
            ("attention.self.key", d, d),
            ("attention.self.value", d, d),
            ("attention.output.dense", d, d),
            ("intermediate.dense", f, d),
            ("output.dense", d, f),
        ];
        for (name, n, k) in dense {
            shapes.push((at(&format!("{name}.weight")), vec![n, k]));
            shapes.push((at(&format!("{name}.bias")), vec![n]));
        }
        shapes.extend(norm(at("attention.output.LayerNorm")));
        shapes.extend(norm(at("output.LayerNorm")));
    }
    let stream = Stream::new(4, 0, 0);
    let mut next = 0;
    let data: Vec<Vec<u8>> = shapes
        .iter()
        .map(|(name, shape)| {
            let base = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            let numbers = (0..shape.iter().product::<usize>()).flat_map(|_| {
                next += 1;
                (base + 0.05 * stream.normal(next)).to_le_bytes()
            });
            numbers.collect()
        })
        .collect();
    let views = shapes.iter().zip(&data);
    let views = views.map(|((name, shape), data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

const RECIPE: &str = r#"
name = "ten"
seed = 3
[model]
types = ["P", "D"]
[data.ten]
format = "conll"
path = "ten.tsv"
[dev.ten]
format = "conll"
path = "ten.tsv"
[window]
max_length = 24
[evaluate]
max_length = 32
stride = 8
times = 2
transitions = 0.0
[train]
lr = 3e-3
batch_tokens = 60
ema = 0.9
[[stage]]
name = "first"
epochs = 8
[[stage]]
name = "second"
epochs = 24
schedule = "cosine"
"#;

const ONE_STAGE: &str = r#"
[[stage]]
name = "first"
epochs = 8
[[stage]]
name = "second"
epochs = 24
schedule = "cosine"
"#;

/// The recipe of ten sentences in one stage of so many steps.
fn one_stage(steps: u64) -> String {
    let train = format!("[train]\ndropout = 0.0\nsteps = {steps}");
    RECIPE.replace(ONE_STAGE, "").replace("[train]", &train)
}

/// Keeps the losses and scores, and asks for a stop after some step.
struct Watch<'a> {
    losses: Vec<f64>,
    scores: Vec<f64>,
    stop_after: Option<u64>,
    stop: &'a AtomicBool,
}

impl Progress for Watch<'_> {
    fn step(&mut self, at: &Step) {
        self.losses.push(at.loss);
        self.stop.store(self.stop_after == Some(at.step), Ordering::Relaxed);
    }

    fn scored(&mut self, at: &Scored) {
        self.scores.push(at.score);
    }
}

/// How the run ended, the loss of each step, the scores.
fn run(recipe: &str, places: &Places, resume: bool, stop_after: Option<u64>) -> (Outcome, Vec<f64>, Vec<f64>) {
    let stop = AtomicBool::new(false);
    let options = Options { resume, checkpoint_every: Duration::from_secs(3600), stop: &stop };
    let mut watch = Watch { losses: Vec::new(), scores: Vec::new(), stop_after, stop: &stop };
    let outcome = finetune(recipe, places, &options, &mut watch).unwrap();
    (outcome, watch.losses, watch.scores)
}

fn refusal(recipe: &str, places: &Places) -> Error {
    let stop = AtomicBool::new(false);
    let options = Options { resume: false, checkpoint_every: Duration::from_secs(3600), stop: &stop };
    finetune(recipe, places, &options, &mut ()).unwrap_err()
}

#[test]
fn ten_sentences_are_learnt_by_heart() {
    let scratch = Scratch::new("overfit");
    let places = make_world(&scratch);
    let recipe = RECIPE.replace("epochs = 24", "epochs = 70").replace("[train]", "[train]\ndropout = 0.0");
    let (outcome, losses, _) = run(&recipe, &places, false, None);
    let (f1, _) = outcome.best.unwrap();
    assert!(!outcome.stopped && f1 > 0.999, "F1 {f1}, last loss {:?}", losses.last());
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(places.out.join("model/config.json")).unwrap()).unwrap();
    assert_eq!(config["id2label"]["3"], "B-D");
    let bytes = fs::read(places.out.join("model/model.safetensors")).unwrap();
    let saved = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(saved.tensor("bert.encoder.layer.1.attention.self.key.weight").unwrap().shape(), [64, 64]);
    assert_eq!(saved.tensor("classifier.bias").unwrap().shape(), [5]);
    let metrics: serde_json::Value =
        serde_json::from_slice(&fs::read(places.out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["dev_score"].as_f64(), Some(f1));
    assert!(!places.out.join("checkpoint.safetensors").exists());
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let scratch = Scratch::new("resume");
    let whole = make_world(&scratch);
    let (outcome, losses, scores) = run(RECIPE, &whole, false, None);
    // Stopped twice, in either stage.
    let parts = Places { out: scratch.at("parts"), ..whole.clone() };
    let (stopped, mut found, mut found_scores) = run(RECIPE, &parts, false, Some(7));
    assert!(stopped.stopped && stopped.step == 7);
    for stop_after in [Some(losses.len() as u64 - 20), None] {
        let (_, losses, scores) = run(RECIPE, &parts, true, stop_after);
        found.extend(losses);
        found_scores.extend(scores);
    }
    assert_eq!(found, losses);
    assert_eq!(found_scores, scores);
    assert_eq!(outcome.step as usize, losses.len());
    let weights = |places: &Places| fs::read(places.out.join("model/model.safetensors")).unwrap();
    assert!(weights(&parts) == weights(&whole), "the weights are the same bytes");
    let lines = |places: &Places| fs::read_to_string(places.out.join("log.jsonl")).unwrap().lines().count();
    assert_eq!(lines(&parts), lines(&whole));
}

/// The base as a pickle, in shards, and with only a `vocab.txt`: the same losses.
#[test]
fn a_run_starts_from_any_form_of_a_base() {
    let scratch = Scratch::new("forms");
    let places = make_world(&scratch);
    let losses = |name: &str| run(RECIPE, &Places { out: scratch.at(name), ..places.clone() }, false, Some(3)).1;
    let expected = losses("whole");
    let at = |name: &str| places.base.join(name);
    let whole = fs::read(at("model.safetensors")).unwrap();
    fs::remove_file(at("model.safetensors")).unwrap();
    for (name, bytes) in sharded(&whole) {
        fs::write(at(&name), bytes).unwrap();
    }
    assert_eq!(losses("shards"), expected);
    fs::remove_file(at("model.safetensors.index.json")).unwrap();
    fs::write(at("pytorch_model.bin"), pickled(&whole)).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(at("tokenizer.json")).unwrap()).unwrap();
    let mut pieces: Vec<(u64, &String)> =
        json["model"]["vocab"].as_object().unwrap().iter().map(|(piece, id)| (id.as_u64().unwrap(), piece)).collect();
    pieces.sort();
    fs::write(at("vocab.txt"), pieces.iter().map(|(_, piece)| format!("{piece}\n")).collect::<String>()).unwrap();
    fs::remove_file(at("tokenizer.json")).unwrap();
    assert_eq!(losses("pickle"), expected);
}

#[test]
fn a_checkpoint_of_another_recipe_is_refused() {
    let scratch = Scratch::new("other");
    let places = make_world(&scratch);
    run(RECIPE, &places, false, Some(3));
    let stop = AtomicBool::new(false);
    let mut options = Options { resume: true, checkpoint_every: Duration::from_secs(3600), stop: &stop };
    let error = finetune(&RECIPE.replace("seed = 3", "seed = 4"), &places, &options, &mut ()).unwrap_err();
    assert!(error.to_string().contains("another recipe"), "{error}");
    options.resume = false;
    let error = finetune(RECIPE, &places, &options, &mut ()).unwrap_err();
    assert!(error.to_string().contains("unfinished run"), "{error}");
    let checkpoint = places.out.join("checkpoint.safetensors");
    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &bytes[..bytes.len() - 9]).unwrap();
    options.resume = true;
    let error = finetune(RECIPE, &places, &options, &mut ()).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

fn command(places: &Places, recipe: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.arg("finetune").arg(recipe).arg("--out").arg(&places.out).arg("--base").arg(&places.base);
    command.arg("--data").arg(&places.data).arg("--resume").stderr(Stdio::piped());
    command
}

#[test]
fn a_terminated_run_goes_on() {
    let scratch = Scratch::new("sigterm");
    let places = make_world(&scratch);
    let recipe = scratch.at("recipe.toml");
    fs::write(&recipe, RECIPE.replace("epochs = 24", "epochs = 400")).unwrap();
    let child = command(&places, &recipe).spawn().unwrap();
    wait_for_steps(&places, 5);
    terminate(child);
    assert!(places.out.join("checkpoint.safetensors").exists());
    let done = logged_steps(&places).len();
    let again = command(&places, &recipe).spawn().unwrap();
    wait_for_steps(&places, done + 5);
    terminate(again);
    let steps = logged_steps(&places);
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>(), "each step once, in order");
}

/// The steps of the log in its order.
fn logged_steps(places: &Places) -> Vec<u64> {
    let log = fs::read_to_string(places.out.join("log.jsonl")).unwrap_or_default();
    // The last line may be half written.
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter(|line| line.get("loss").is_some()).filter_map(|line| line["step"].as_u64()).collect()
}

fn wait_for_steps(places: &Places, count: usize) {
    let begun = Instant::now();
    while logged_steps(places).len() < count {
        assert!(begun.elapsed() < Duration::from_secs(120), "{count} steps took more than two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends SIGTERM and checks how the run ends.
fn terminate(child: Child) {
    assert!(Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(said.contains("go on with --resume"), "{said}");
}

#[test]
fn a_broken_recipe_is_one_clear_line() {
    let scratch = Scratch::new("broken");
    let places = make_world(&scratch);
    let recipe = scratch.at("recipe.toml");
    fs::write(&recipe, RECIPE.replace("path = \"ten.tsv\"", "path = \"none.tsv\"")).unwrap();
    let output = command(&places, &recipe).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("data.ten") && said.contains("none.tsv"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

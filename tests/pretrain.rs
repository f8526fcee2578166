//! Pre-training runs: what they leave, that they go on exactly, and what they refuse.

mod cache;
mod dropout;
mod early;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Device;
use clinlite::backend::candle::CandleBackend;
use clinlite::models::{Head, Model};
use clinlite::tasks::read_tokenizer;
use clinlite::train::corpus::blocks::{self, write};
use clinlite::train::corpus::notes::sources;
use clinlite::train::pretrain::progress::{Logged, Progress};
use clinlite::train::pretrain::recipe::Recipe;
use clinlite::train::pretrain::{Options, Outcome, Places, Role, pretrain};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::logs::{events_equal_the_log, log, shows};
use crate::support::{Scratch, folder_at};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/distillation").join(name)
}

/// TinyClinicalBERT's recipe, smaller.
pub(crate) const TINY: &str = r#"
name = "tiny"
seed = 5
[student.config]
model_type = "bert"
vocab_size = 101
hidden_size = 20
num_hidden_layers = 4
num_attention_heads = 4
intermediate_size = 28
max_position_embeddings = 16
[blocks]
batch_size = 6
[loss]
soft_cross_entropy = 1.0
[loss.attention]
measure = "squares"
weight = 1.0
layers = [[0, 2], [1, 5], [2, 8], [3, 11]]
[loss.hidden]
measure = "squares"
weight = 1.0
layers = [[0, 0], [1, 3], [2, 6], [3, 9], [4, 12]]
projector = true
[train]
lr = 2e-3
steps = 24
warmup_steps = 3
accumulate = 2
log_every = 1
[evaluate]
every = 8
"#;

/// A student that goes on without a teacher.
const ALONE: &str = r#"
name = "alone"
seed = 5
[blocks]
batch_size = 6
[loss]
masked_lm = 1.0
[train]
lr = 2e-3
steps = 3
accumulate = 3
log_every = 1
"#;

/// Sixty notes as blocks of 16 pieces, cut with the tokenizer of the fixtures.
pub(crate) fn places(scratch: &Scratch) -> Places {
    let findings = ["chest pain", "fever", "no fever", "no chest pain", "pain with fever"];
    let note =
        |i: usize| format!("The patient denies {}, aspirin {} mg with {}.", findings[i % 5], i, findings[i / 5 % 5]);
    let notes: String = (0..60).map(|i| format!("{}\n", serde_json::json!({"text": note(i)}))).collect();
    let notes = scratch.file("notes.jsonl", notes);
    let tokenizer = read_tokenizer(&folder_at(&fixture("teacher")).unwrap()).unwrap();
    let options = blocks::Options { length: 16, dev_share: 0.1, ..blocks::Options::default() };
    let out = scratch.path().join("blocks");
    let manifest = write(&sources(&[notes]).unwrap(), &tokenizer, &out, &options, |_| {}).unwrap();
    assert!(
        manifest.train.blocks > 40 && manifest.dev.blocks > 2,
        "{} and {}",
        manifest.train.blocks,
        manifest.dev.blocks
    );
    Places { blocks: out, teacher: Some(fixture("teacher")), base: None, out: scratch.path().join("run") }
}

/// Keeps what is told, and asks for a stop after some step.
struct Watch<'a> {
    losses: Vec<f64>,
    held_out: Vec<(u64, f64)>,
    notes: Vec<String>,
    stop_after: Option<u64>,
    stop: &'a AtomicBool,
}

impl Progress for Watch<'_> {
    fn logged(&mut self, at: &Logged) {
        self.losses.push(at.loss());
        self.stop.store(self.stop_after == Some(at.step), Ordering::Relaxed);
    }

    fn held_out(&mut self, step: u64, loss: f64, _best: bool) {
        self.held_out.push((step, loss));
    }

    fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }
}

fn engine(role: Role) -> clinlite::Result<CandleBackend> {
    Ok(role.on_cpu())
}

/// Runs, perhaps up to a step, and tells what was told.
fn run(recipe: &str, places: &Places, resume: bool, stop_after: Option<u64>) -> clinlite::Result<(Outcome, Told)> {
    let stop = AtomicBool::new(false);
    let options = Options { resume, checkpoint_every: Duration::from_secs(3600), stop: &stop };
    let mut watch = Watch { losses: Vec::new(), held_out: Vec::new(), notes: Vec::new(), stop_after, stop: &stop };
    let outcome = pretrain(recipe, places, &options, engine, &mut watch)?;
    Ok((outcome, Told { losses: watch.losses, held_out: watch.held_out, notes: watch.notes }))
}

#[derive(Debug)]
struct Told {
    losses: Vec<f64>,
    held_out: Vec<(u64, f64)>,
    notes: Vec<String>,
}

fn model_bytes(places: &Places) -> Vec<u8> {
    fs::read(places.out.join("model/model.safetensors")).unwrap()
}

/// The steps of the log in its order.
fn logged_steps(places: &Places) -> Vec<u64> {
    log(&places.out).iter().filter(|line| line.get("loss").is_some()).filter_map(|line| line["step"].as_u64()).collect()
}

#[test]
fn the_recipes_of_the_paper_are_the_papers() {
    let expected = [
        ("distil-clinical-bert", 5e-4),
        ("tiny-clinical-bert", 5e-4),
        ("clinical-mini-albert", 5e-4),
        ("clinical-distil-bert", 5e-5),
        ("clinical-mobile-bert", 5e-5),
    ];
    for (name, lr) in expected {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recipes/pretrain/{name}.toml"));
        let recipe = Recipe::parse(&fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (train, loss) = (recipe.train, &recipe.loss);
        assert_eq!((recipe.name.as_str(), train.lr), (name, lr));
        assert_eq!(
            (train.epochs, train.warmup_steps, train.weight_decay, train.clip),
            (Some(3.0), Some(5000), 1e-4, 1.0)
        );
        assert_eq!((recipe.blocks.batch_size, recipe.blocks.mask, recipe.part()), (192, 0.15, 48));
        let steps: Value = serde_json::from_slice(&fs::read(fixture(name).join("steps.json")).unwrap()).unwrap();
        let stored = |key: &str| steps["weights"][key].as_f64().unwrap_or(0.0) as f32;
        let weight = |loss: &Option<clinlite::train::distil::LayerLoss>| loss.as_ref().map_or(0.0, |loss| loss.weight);
        assert_eq!(loss.masked_lm, stored("hard"), "{name}");
        assert_eq!(loss.divergence + loss.soft_cross_entropy, stored("soft"), "{name}");
        assert_eq!(weight(&loss.attention), stored("maps"), "{name}");
        assert_eq!(weight(&loss.hidden), stored("hidden") + stored("cosine"), "{name}");
    }
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let scratch = Scratch::new();
    let whole = places(&scratch);
    let (outcome, told) = run(TINY, &whole, false, None).unwrap();
    assert_eq!((outcome.step, outcome.stopped, told.losses.len()), (24, false, 24));
    assert_eq!(told.held_out.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [8, 16, 24]);
    assert!(told.losses[23] < told.losses[0] && told.held_out[2].1 < told.held_out[0].1, "{:?}", told.losses);
    let parts = Places { out: scratch.path().join("parts"), ..whole.clone() };
    let (mut losses, mut held_out) = (Vec::new(), Vec::new());
    for (resume, stop_after) in [(false, Some(7)), (true, Some(8)), (true, Some(19)), (true, None)] {
        let (outcome, told) = run(TINY, &parts, resume, stop_after).unwrap();
        assert_eq!(outcome.stopped, stop_after.is_some());
        losses.extend(told.losses);
        held_out.extend(told.held_out);
    }
    assert_eq!((losses, held_out), (told.losses, told.held_out));
    assert!(model_bytes(&parts) == model_bytes(&whole), "the weights are the same bytes");
    assert_eq!(logged_steps(&parts), (1..=24).collect::<Vec<_>>(), "each step once, in order");
    let files = ["recipe.toml", "curve.svg", "metrics.json", "model/config.json", "model/vocab.txt"];
    for file in files {
        assert_eq!(fs::read(parts.out.join(file)).unwrap(), fs::read(whole.out.join(file)).unwrap(), "{file}");
    }
    assert!(!parts.out.join("checkpoint.safetensors").exists());
    // A run that has come to its end stays as it is.
    let (_, told) = run(TINY, &parts, true, None).unwrap();
    assert!(told.losses.is_empty() && told.notes.iter().any(|note| note.contains("nothing to go on with")));
    let error = run(TINY, &parts, false, None).unwrap_err().to_string();
    assert!(error.contains("result of a run"), "{error}");
}

#[test]
fn parts_of_a_step_and_lines_of_the_log_change_nothing() {
    let scratch = Scratch::new();
    let first = places(&scratch);
    let recipe = TINY.replace("[train]", "[train]\ndropout = 0.0").replace("steps = 24", "steps = 4");
    let (_, one) = run(&recipe, &first, false, None).unwrap();
    let other = Places { out: scratch.path().join("other"), ..first.clone() };
    let changed = recipe.replace("accumulate = 2", "accumulate = 1").replace("log_every = 1", "log_every = 3");
    let (_, told) = run(&changed, &other, false, None).unwrap();
    assert_eq!(told.losses.len(), 3, "steps 1, 3 and 4");
    for (found, expected) in told.losses.iter().zip([0, 2, 3].map(|step: usize| one.losses[step])) {
        assert!((found - expected).abs() < 1e-5 * expected, "{found} for {expected}");
    }
}

/// The tensors of a file, with their shapes.
fn shapes(path: &Path) -> BTreeMap<String, Vec<usize>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect()
}

/// Each of the five, as its own base: the result has the tensors that PyTorch has, and answers.
#[test]
fn the_result_is_a_hugging_face_folder() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let names = [
        "distil-clinical-bert",
        "tiny-clinical-bert",
        "clinical-mini-albert",
        "clinical-distil-bert",
        "clinical-mobile-bert",
    ];
    let classes = ["Bert", "Bert", "MiniAlbert", "DistilBert", "MobileBert"];
    for (name, class) in names.into_iter().zip(classes) {
        let places = Places { teacher: None, base: Some(fixture(name)), out: scratch.path().join(name), ..own.clone() };
        let (_, told) = run(ALONE, &places, false, None).unwrap();
        assert!(told.notes.is_empty(), "{name}: {:?}", told.notes);
        let model = places.out.join("model");
        assert_eq!(
            shapes(&model.join("model.safetensors")),
            shapes(&fixture(name).join("model.safetensors")),
            "{name}"
        );
        let folder = folder_at(&model).unwrap();
        assert_eq!(Head::of(&folder).unwrap(), Head::MaskedLm);
        assert_eq!(folder.config_json()["architectures"][0], format!("{class}ForMaskedLM"));
        Model::of(&CandleBackend::inference(Device::Cpu), &folder).unwrap_or_else(|e| panic!("{name}: {e}"));
        // It goes on from where it stands: the loss of a base that was learnt a little is lower.
        let again = Places { base: Some(model), out: scratch.path().join(format!("{name}-again")), ..places };
        assert!(run(ALONE, &again, false, Some(1)).unwrap().1.losses[0] < told.losses[0], "{name}");
    }
}

#[test]
fn layers_of_the_teacher_become_the_student() {
    let scratch = Scratch::new();
    let places = places(&scratch);
    let recipe = ALONE
        .replace("[blocks]", "[student]\nlayers = [1, 3, 5, 7, 9, 11]\n[blocks]")
        .replace("lr = 2e-3", "lr = 1e-9");
    let recipe = recipe.replace("masked_lm = 1.0", "masked_lm = 2.0\ndivergence = 5.0\ntemperature = 2.0");
    let (_, told) = run(&recipe, &places, false, None).unwrap();
    assert!(told.notes[0].contains("start at random"), "{:?}", told.notes);
    let (bytes, teacher) = (model_bytes(&places), fs::read(fixture("teacher/model.safetensors")).unwrap());
    let (own, teacher) = (SafeTensors::deserialize(&bytes).unwrap(), SafeTensors::deserialize(&teacher).unwrap());
    let values = |file: &SafeTensors<'_>, name: &str| -> Vec<f32> {
        file.tensor(name).unwrap().data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    let same = |name: &str, of: &str| {
        let pairs = values(&own, name).into_iter().zip(values(&teacher, of));
        pairs.into_iter().all(|(own, teacher)| (own - teacher).abs() < 1e-6)
    };
    for (layer, of) in (0..6).map(|layer| (layer, 2 * layer + 1)) {
        let name = |layer| format!("bert.encoder.layer.{layer}.attention.self.value.weight");
        assert!(same(&name(layer), &name(of)), "layer {layer}");
    }
    let words = "bert.embeddings.word_embeddings.weight";
    assert!(same(words, words));
    let head = "cls.predictions.transform.dense.weight";
    assert!(!same(head, head), "the head starts at random");
    assert_eq!(folder_at(&places.out.join("model")).unwrap().config_json()["num_hidden_layers"], 6);
}

#[test]
fn the_run_folder_tells_what_happened() {
    let scratch = Scratch::new();
    let places = places(&scratch);
    let (outcome, told) = run(&TINY.replace("steps = 24", "steps = 70"), &places, false, None).unwrap();
    let lines = log(&places.out);
    assert_eq!(lines.len(), 70 + 9);
    for key in ["epoch", "loss", "lr", "gradient_norm", "tokens", "tokens_per_second", "time"] {
        assert!(lines[0][key].is_number(), "{key}");
    }
    let losses = lines[0]["losses"].as_object().unwrap();
    assert_eq!(losses.keys().collect::<Vec<_>>(), ["attention", "hidden", "soft_cross_entropy"]);
    let metrics: Value = serde_json::from_slice(&fs::read(places.out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["held_out_masked_lm"].as_f64(), outcome.held_out);
    assert_eq!(outcome.held_out, told.held_out.last().map(|(_, loss)| *loss));
    let lines = ["sum ", "attention ", "hidden ", "soft cross entropy ", "masked lm, held out ", "optimizer steps"];
    shows(&places.out.join("curve.svg"), &lines);
    events_equal_the_log(&places.out);
}

fn command(places: &Places, recipe: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.arg("pretrain").arg(recipe).arg("--out").arg(&places.out).arg("--blocks").arg(&places.blocks);
    command.args(places.teacher.iter().flat_map(|teacher| ["--teacher".as_ref(), teacher.as_os_str()]));
    command.args(places.base.iter().flat_map(|base| ["--base".as_ref(), base.as_os_str()]));
    command.args(["--resume", "--checkpoint-minutes", "0.001"]).stderr(Stdio::piped());
    command
}

fn wait_for_steps(places: &Places, count: usize, child: &mut Child) {
    let begun = Instant::now();
    while logged_steps(places).len() < count && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{count} steps took more than two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Killed eight times, at whatever it was doing, then left alone.
#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let scratch = Scratch::new();
    let whole = places(&scratch);
    // With more patience than it needs: what is kept is the best, and where the best stood outlives a kill.
    let recipe = TINY.replace("steps = 24", "steps = 160").replace("every = 8", "every = 8\npatience = 100");
    let path = scratch.file("recipe.toml", &recipe);
    run(&recipe, &whole, false, None).unwrap();
    let killed = Places { out: scratch.path().join("killed"), ..whole.clone() };
    for kill in 1..=8 {
        let mut child = command(&killed, &path).spawn().unwrap();
        wait_for_steps(&killed, 18 * kill, &mut child);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    let output = command(&killed, &path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(model_bytes(&killed) == model_bytes(&whole), "the weights are the same bytes");
    assert_eq!(logged_steps(&killed), (1..=160).collect::<Vec<_>>(), "each step once, in order");
    let losses = |places: &Places| log(&places.out).iter().map(|line| line["losses"].clone()).collect::<Vec<_>>();
    assert_eq!(losses(&killed), losses(&whole));
    events_equal_the_log(&killed.out);
}

#[test]
fn a_terminated_run_leaves_a_checkpoint() {
    let scratch = Scratch::new();
    let places = places(&scratch);
    let path = scratch.file("recipe.toml", TINY.replace("steps = 24", "steps = 4000"));
    let mut child = command(&places, &path).spawn().unwrap();
    wait_for_steps(&places, 5, &mut child);
    assert!(Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(
        said.contains("go on with --resume") && said.contains("tokens/s, ") && said.contains(" = attention "),
        "{said}"
    );
    assert!(places.out.join("checkpoint.safetensors").exists());
}

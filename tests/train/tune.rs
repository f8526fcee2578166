//! LoRA and adapters alone: the same numbers as peft and PyTorch, frozen weights that stay, runs that go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use clinlite::backend::adamw::Settings;
use clinlite::backend::candle::{CandleBackend, host};
use clinlite::backend::training::{Quantity, Term, Training};
use clinlite::models::{Batch, Head, Model};
use clinlite::train::adapter::Adapter;
use clinlite::train::finetune::{Options, Places, finetune};
use clinlite::train::model::{Start, open};
use clinlite::train::progress::Progress;
use clinlite::train::recipe::{Lora, Recipe, Tune};
use clinlite::train::{coverage, tune};
use safetensors::tensor::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

use super::{RECIPE, Scratch, command, make_world, refusal, run};

const LABELS: usize = 3;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tuning").join(name)
}

/// What `make_fixtures.py` wrote.
#[derive(Deserialize)]
struct Steps {
    settings: BTreeMap<String, f64>,
    batches: Vec<Labelled>,
    losses: Vec<f64>,
    norms: Vec<f64>,
    logits: Vec<f32>,
}

#[derive(Deserialize)]
struct Labelled {
    input_ids: Vec<Vec<u32>>,
    labels: Vec<u32>,
}

impl Labelled {
    fn batch(&self) -> Batch {
        Batch::new(self.input_ids.iter().map(Vec::as_slice))
    }
}

/// A model of the fixtures, about to be tuned.
struct Tuned {
    start: Start,
    backend: CandleBackend,
    model: Model<CandleBackend>,
    steps: Steps,
}

impl Tuned {
    fn load(name: &str, head: Head, how: &Tune) -> Self {
        let place = fixture(name);
        let base = open(&place).unwrap();
        let start = Start::new(&base, &place, head, &base.label_names().unwrap()).unwrap();
        assert!(start.head_kept);
        let backend = CandleBackend::training(0);
        backend.tune(tune::tuning(how, 7, &start.model, head).unwrap());
        let weights = start.weights(&base, LABELS, 7).unwrap();
        let model = start.load(&backend, &weights.root(), LABELS).unwrap();
        tune::check(how, &start.model, &backend).unwrap();
        let steps = serde_json::from_slice(&fs::read(place.join("steps.json")).unwrap()).unwrap();
        Self { start, backend, model, steps }
    }

    fn learn(&self, step: usize) -> f64 {
        let labelled = &self.steps.batches[step];
        self.backend.begin(step as u64, 0);
        let logits: Tensor = self.model.forward(&self.backend, &labelled.batch()).unwrap();
        let term = Term::CrossEntropy { logits: &logits, labels: &labelled.labels };
        self.backend.lose("hard", term, 1.0).unwrap();
        self.backend.backward().unwrap();
        self.backend.report().unwrap().losses["hard"]
    }

    /// Ten steps, each beside PyTorch's.
    fn ten_steps(&self) {
        let setting = |name: &str| self.steps.settings[name];
        let [beta1, beta2, eps, weight_decay, clip] = ["beta1", "beta2", "eps", "weight_decay", "clip"].map(setting);
        let settings = Settings { beta1, beta2, eps, weight_decay, clip, ema: 0.0 };
        self.backend.restart(false).unwrap();
        for (step, (loss, norm)) in self.steps.losses.iter().zip(&self.steps.norms).enumerate() {
            let found = self.learn(step);
            assert!((found - loss).abs() < 2e-5 * loss, "step {step}: loss {found} for {loss}");
            if step == 0 {
                coverage::check(&self.backend).unwrap();
            }
            self.backend.update(&settings, step as u64 + 1, &|_| setting("lr")).unwrap();
            let found = self.backend.report().unwrap().gradient_norm;
            assert!((found - norm).abs() < 2e-4 * norm, "step {step}: norm {found} for {norm}");
        }
    }

    fn values(&self, learn: bool) -> BTreeMap<String, Vec<f32>> {
        let layouts = self.backend.layouts().into_iter().filter(|layout| layout.learns == learn);
        let value = |name: &str| self.backend.read(name, Quantity::Value).unwrap();
        layouts.map(|layout| (layout.name().to_owned(), value(layout.name()))).collect()
    }
}

/// Shape and numbers by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    file.iter().map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), floats(view.data())))).collect()
}

fn close(found: &[f32], expected: &[f32], name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let size = expected.iter().fold(1e-2f32, |most, x| most.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-4 * size, "{name}[{i}]: {found} for {expected}");
    }
}

fn same(found: &Tensors, expected: &Tensors) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, (shape, numbers)) in expected {
        assert_eq!(&found[name].0, shape, "{name}");
        close(&found[name].1, numbers, name);
    }
}

/// The logits of the first batch by the folder that a run leaves.
fn logits(folder: &Path, batch: &Labelled) -> Vec<f32> {
    let backend = CandleBackend::inference(Device::Cpu);
    let model = Model::of(&backend, &open(folder).unwrap()).unwrap();
    let logits = model.forward(&backend, &batch.batch()).unwrap();
    host(&logits, <[f32]>::to_vec).unwrap()
}

fn check_lora(name: &str, head: Head, targets: Option<&[&str]>) {
    let target_modules = targets.map(|names| names.iter().map(|name| name.to_string()).collect());
    let lora = Lora { r: 4, alpha: 8.0, dropout: 0.0, target_modules };
    let tuned = Tuned::load(name, head, &Tune::Lora(lora.clone()));
    for (name, (_, numbers)) in tensors(&fixture(name).join("first.safetensors")) {
        let name = name.strip_prefix("base_model.model.").unwrap();
        tuned.backend.write(name, Quantity::Value, &numbers).unwrap();
    }
    let frozen = tuned.values(false);
    tuned.ten_steps();
    assert!(!frozen.is_empty() && frozen == tuned.values(false), "frozen weights keep their bits");

    let scratch = Scratch::new(&format!("lora-{name}"));
    let adapter = Adapter { lora: &lora, model: &tuned.start.model, head, base: Some("tiny") };
    adapter.write(&scratch.at("adapter"), &tuned.backend).unwrap();
    let peft = fixture(name).join("adapter");
    let file = "adapter_model.safetensors";
    same(&tensors(&scratch.at("adapter").join(file)), &tensors(&peft.join(file)));
    same_config(&scratch.at("adapter"), &peft);

    tuned.start.write(&scratch.at("model"), &tuned.backend).unwrap();
    let names = |folder: &Path| tensors(&folder.join("model.safetensors")).into_keys().collect::<BTreeSet<_>>();
    assert_eq!(names(&scratch.at("model")), names(&fixture(name)), "the model has the names of its base");
    close(&logits(&scratch.at("model"), &tuned.steps.batches[0]), &tuned.steps.logits, "merged logits");
}

/// Everything that is stated means the same as in peft's own file.
fn same_config(found: &Path, peft: &Path) {
    let read = |folder: &Path| -> Value {
        serde_json::from_slice(&fs::read(folder.join("adapter_config.json")).unwrap()).unwrap()
    };
    let (found, peft) = (read(found), read(peft));
    let set = |value: &Value| value.as_array().unwrap().iter().map(Value::to_string).collect::<BTreeSet<_>>();
    for (key, value) in found.as_object().unwrap() {
        match key.as_str() {
            "base_model_name_or_path" => assert_eq!(value, "tiny"),
            // peft also names the "score" of other models.
            "modules_to_save" => assert!(value[0] == "classifier"),
            "target_modules" => assert_eq!(set(value), set(&peft[key])),
            _ => assert_eq!(value, &peft[key], "{key}"),
        }
    }
}

#[test]
fn ten_steps_of_lora_on_bert_equal_peft() {
    check_lora("bert", Head::TokenClassification, None);
}

#[test]
fn ten_steps_of_lora_on_distilbert_equal_peft() {
    check_lora("distilbert", Head::SequenceClassification, Some(&["q_lin", "v_lin", "lin1"]));
}

#[test]
fn ten_steps_of_adapters_alone_equal_pytorch() {
    let tuned = Tuned::load("minialbert", Head::TokenClassification, &Tune::Adapters {});
    let frozen = tuned.values(false);
    tuned.ten_steps();
    assert!(!frozen.is_empty() && frozen == tuned.values(false), "frozen weights keep their bits");
    let expected = tensors(&fixture("minialbert").join("last.safetensors"));
    let found = tuned.values(true);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "these learn");
    for (name, (_, numbers)) in &expected {
        close(&found[name], numbers, name);
    }
    let scratch = Scratch::new("adapters");
    tuned.start.write(&scratch.at("model"), &tuned.backend).unwrap();
    close(&logits(&scratch.at("model"), &tuned.steps.batches[0]), &tuned.steps.logits, "logits");
}

/// `A` gets no gradient while `B` is zero; that is not let pass once `B` is not.
#[test]
fn a_cut_low_rank_pair_is_found() {
    let tuned = Tuned::load("bert", Head::TokenClassification, &Tune::Lora(Lora::default()));
    let name = "bert.encoder.layer.1.attention.self.value.lora_A.weight";
    tuned.learn(0);
    coverage::check(&tuned.backend).unwrap();
    let b = name.replace("lora_A", "lora_B");
    tuned.backend.write(&b, Quantity::Value, &[0.1; 16 * 8]).unwrap();
    let error = coverage::check(&tuned.backend).unwrap_err().to_string();
    assert_eq!(error, format!("no gradient reaches {name}"));
}

const LORA: &str = "[tune]\nmethod = \"lora\"\nr = 2\nalpha = 16\ndropout = 0.1\ntarget_modules = [\"query\", \"value\", \"dense\"]\n[train]";

fn lora_recipe() -> String {
    RECIPE.replace("[train]", LORA)
}

fn results(places: &Places) -> Vec<Vec<u8>> {
    let files = ["model/model.safetensors", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"];
    files.map(|file| fs::read(places.out.join(file)).unwrap()).to_vec()
}

#[test]
fn a_run_of_low_rank_matrices_learns_and_goes_on_as_if_never_stopped() {
    let scratch = Scratch::new("lora-resume");
    let whole = make_world(&scratch);
    let (_, losses, scores) = run(&lora_recipe(), &whole, false, None);
    assert!(losses[losses.len() - 1] < 0.8 * losses[0], "{losses:?}");
    let parts = Places { out: scratch.at("parts"), ..whole.clone() };
    let (_, mut found, mut found_scores) = run(&lora_recipe(), &parts, false, Some(7));
    let kept = tensors(&parts.out.join("checkpoint.safetensors"));
    let learns = |name: &String| name.contains(".lora_") || name.contains("/classifier.");
    assert!(kept.keys().all(learns) && kept.len() == 4 * (2 * 2 * 5 + 2), "{:?}", kept.keys());
    for stop_after in [Some(losses.len() as u64 - 20), None] {
        let (_, losses, scores) = run(&lora_recipe(), &parts, true, stop_after);
        found.extend(losses);
        found_scores.extend(scores);
    }
    assert_eq!((found, found_scores), (losses, scores));
    assert!(results(&whole) == results(&parts), "the same bytes");
}

#[test]
fn a_killed_run_of_low_rank_matrices_ends_with_the_same_bytes() {
    let scratch = Scratch::new("lora-kill");
    let killed = make_world(&scratch);
    let recipe = scratch.at("recipe.toml");
    let text = lora_recipe().replace("epochs = 24", "epochs = 600");
    fs::write(&recipe, &text).unwrap();
    let mut child = command(&killed, &recipe).args(["--checkpoint-minutes", "0.001"]).spawn().unwrap();
    let begun = Instant::now();
    while !killed.out.join("checkpoint.safetensors").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none(), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.out.join("metrics.json").exists(), "it was killed before its end");
    let output = command(&killed, &recipe).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole = Places { out: scratch.at("whole"), ..killed.clone() };
    run(&text, &whole, false, None);
    assert!(results(&whole) == results(&killed), "the same bytes");
}

struct Notes(Vec<String>);

impl Progress for Notes {
    fn note(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }
}

#[test]
fn a_run_tells_how_much_learns() {
    let scratch = Scratch::new("lora-share");
    let places = make_world(&scratch);
    let stop = AtomicBool::new(true);
    let options = Options { resume: false, checkpoint_every: Duration::from_secs(3600), stop: &stop };
    let mut notes = Notes(Vec::new());
    finetune(&lora_recipe(), &places, &options, &mut notes).unwrap();
    // Rank 2 beside query, value and the dense layers of 64 and 128, in two layers; five labels.
    let learn = 2 * 2 * (2 * 128 + 128 + 192 + 192) + 5 * 65;
    let base = tensors(&places.base.join("model.safetensors"));
    let all = learn + base.values().map(|(_, numbers)| numbers.len()).sum::<usize>();
    assert!(notes.0[0].starts_with(&format!("{learn} of {all} weights learn (")), "{:?}", notes.0);
}

#[test]
fn what_cannot_be_tuned_is_refused_before_the_run() {
    let scratch = Scratch::new("lora-refusals");
    let places = make_world(&scratch);
    let cases = [
        (
            "method = \"lora\"\ntarget_modules = [\"query\", \"q_lin\"]",
            "recipe: tune.target_modules: no dense layer of the encoder is called \"q_lin\", only dense, key, query, value",
        ),
        (
            "method = \"lora\"\ntarget_modules = [\"classifier\"]",
            "recipe: tune.target_modules: no dense layer of the encoder is called \"classifier\", only dense, key, query, value",
        ),
        (
            "method = \"adapters\"",
            "recipe: tune.method: expected a MiniALBERT with adapters to tune, found BertForTokenClassification",
        ),
        ("method = \"lora\"\nr = 0", "recipe: tune.r: expected a rank between 1 and 1024"),
        ("method = \"lora\"\nalpha = nan", "recipe: tune.alpha: expected a finite number above 0"),
    ];
    for (lines, expected) in cases {
        let recipe = RECIPE.replace("[train]", &format!("[tune]\n{lines}\n[train]"));
        assert_eq!(refusal(&recipe, &places).to_string(), expected);
        assert!(!places.out.exists(), "{lines}");
    }
}

#[test]
fn the_recipes_of_tuning_are_recipes() {
    let place = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/tuning").join(name);
    let recipe = |name: &str| Recipe::parse(&fs::read_to_string(place(name)).unwrap()).unwrap();
    let Tune::Lora(lora) = recipe("maccrobat-lora.toml").tune else { panic!("not low-rank") };
    assert_eq!((lora.r, lora.scale(), lora.target_modules), (8, 2.0, None));
    assert!(matches!(recipe("maccrobat-adapters.toml").tune, Tune::Adapters {}));
}

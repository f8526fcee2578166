//! The recipes of the paper against PyTorch: each term, ten steps, and the weights in the end.
//!
//! The objectives are those of `recipes/pretrain`; what they must give was stored by
//! `tests/fixtures/distillation/make_fixtures.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use clinlite::backend::adamw::Settings;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::training::{Layout, Quantity, Training};
use clinlite::models::{Batch, Config, MaskedLm};
use clinlite::train::corpus::MaskedBatch;
use clinlite::train::coverage;
use clinlite::train::distil::{LayerLoss, Measure, Objective, Pair, Share, Teacher};
use clinlite::train::pretrain::recipe::Recipe;
use serde::Deserialize;

use crate::support::folder_at;

const RECIPES: [&str; 5] = [
    "distil-clinical-bert",
    "tiny-clinical-bert",
    "clinical-mini-albert",
    "clinical-distil-bert",
    "clinical-mobile-bert",
];

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/distillation").join(name)
}

/// `batches.json`.
#[derive(Deserialize)]
struct Stored {
    input_ids: Vec<Vec<u32>>,
    rows: Vec<u32>,
    labels: Vec<u32>,
}

/// `steps.json`.
#[derive(Deserialize)]
struct Steps {
    settings: BTreeMap<String, f64>,
    weights: BTreeMap<String, f64>,
    lrs: Vec<f64>,
    float32: Happened,
}

/// What happened in PyTorch.
#[derive(Deserialize)]
struct Happened {
    losses: BTreeMap<String, Vec<f64>>,
    norms: Vec<f64>,
    gradients: BTreeMap<String, f64>,
    after: BTreeMap<String, f64>,
    #[serde(rename = "final")]
    last: BTreeMap<String, Sums>,
}

#[derive(Deserialize)]
struct Sums {
    mean: f64,
    squares: f64,
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let text = fs::read_to_string(place(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn batches() -> Vec<MaskedBatch> {
    let stored: Vec<Stored> = read("batches.json");
    let batch = |Stored { input_ids, rows, labels }| {
        let input = Batch::new(input_ids.iter().map(Vec::as_slice));
        MaskedBatch { input, rows, labels }
    };
    stored.into_iter().map(batch).collect()
}

/// `[loss]` of a recipe of the paper.
fn objective(recipe: &str) -> Objective {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recipes/pretrain/{recipe}.toml"));
    Recipe::parse(&fs::read_to_string(path).unwrap()).unwrap().loss
}

fn model(engine: &CandleBackend, name: &str) -> (MaskedLm<CandleBackend>, usize) {
    let folder = folder_at(&place(name)).unwrap();
    let (config, weights) = (Config::of(&folder).unwrap(), folder.weights().unwrap());
    let model = MaskedLm::load(engine, &weights.root(), &config, config.is_tied(&folder)).unwrap();
    (model, config.shape().hidden_size)
}

/// A recipe's student with its teacher as the run begins.
fn pair(recipe: &str, objective: Objective) -> Pair<CandleBackend> {
    let engine = CandleBackend::training(0);
    let (student, width) = model(&engine, recipe);
    let teacher = objective.needs_teacher().then(|| {
        let engine = CandleBackend::inference(Device::Cpu);
        let (model, width) = model(&engine, "teacher");
        Teacher { engine, model, width, drops: false }
    });
    let pair = Pair::new(engine, student, width, teacher, objective, 0).unwrap();
    if let Ok(bytes) = fs::read(place(recipe).join("projector.safetensors")) {
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (name, view) in file.iter() {
            let values: Vec<f32> = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            // An objective without hidden losses has no projector.
            let _ = pair.engine.write(name, Quantity::Value, &values);
        }
    }
    pair
}

fn settings(steps: &Steps) -> Settings {
    let of = |name: &str| steps.settings[name];
    let [beta1, beta2, eps] = ["beta1", "beta2", "eps"].map(of);
    Settings { beta1, beta2, eps, weight_decay: of("weight_decay"), clip: of("clip"), ema: 0.0 }
}

/// What the fixture calls a loss of ours.
fn stored_name(ours: &str, objective: &Objective) -> &'static str {
    match ours {
        "masked_lm" => "hard",
        "divergence" | "soft_cross_entropy" => "soft",
        "attention" => "maps",
        _ if objective.hidden.as_ref().is_some_and(|loss| loss.measure == Measure::Cosine) => "cosine",
        _ => "hidden",
    }
}

/// What differs by more than a share of what was expected, or of a small number.
fn differs(what: String, found: f64, expected: f64, share: f64, failed: &mut Vec<String>) {
    let close = (found - expected).abs() <= share * expected.abs().max(1e-3); // no number is not close
    if !close {
        failed.push(format!("{what}: {found} for {expected}"));
    }
}

/// Compares losses by name and in sum with stored terms, some of which are summed up and all of which are not weighted.
fn compare_losses(
    found: &BTreeMap<&'static str, f64>,
    objective: &Objective,
    steps: &Steps,
    expected: &dyn Fn(&str) -> f64,
    place: &str,
    failed: &mut Vec<String>,
) {
    assert_eq!(found.len(), steps.weights.len(), "{place}: {found:?}");
    for (name, value) in found {
        let stored = stored_name(name, objective);
        let terms = steps.float32.losses.keys().filter(|term| term.split('.').next() == Some(stored));
        let sum: f64 = terms.map(|term| steps.weights[stored] * expected(term)).sum();
        differs(format!("{place} {name}"), *value, sum, 2e-5, failed);
    }
    differs(format!("{place} total"), found.values().sum(), expected("total"), 2e-5, failed);
}

/// The bias of a key has no gradient but rounding: a softmax does not see it.
fn has_no_gradient(name: &str) -> bool {
    [".key.bias", ".k_lin.bias"].iter().any(|end| name.ends_with(end))
}

/// Each part of each weight by its name, with its numbers.
fn parts(engine: &CandleBackend, what: Quantity) -> Vec<(String, Vec<f32>)> {
    let of = |layout: Layout| {
        let values = engine.read(layout.name(), what).unwrap();
        let range = |part: &clinlite::backend::training::Part| {
            (part.name.clone(), values[part.rows.start * layout.columns..part.rows.end * layout.columns].to_vec())
        };
        layout.parts.iter().map(range).collect::<Vec<_>>()
    };
    engine.layouts().into_iter().flat_map(of).filter(|(name, _)| !has_no_gradient(name)).collect()
}

fn squares(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x).powi(2)).sum()
}

#[test]
fn every_term_alone_equals_pytorch() {
    let (batches, mut failed, mut terms) = (batches(), Vec::new(), 0);
    for recipe in RECIPES {
        let (objective, steps): (_, Steps) = (objective(recipe), read(&format!("{recipe}/steps.json")));
        let layers = |loss: &Option<LayerLoss>| loss.iter().flat_map(|loss| loss.layers.clone()).collect::<Vec<_>>();
        let only = |loss: &LayerLoss, pair| Some(LayerLoss { weight: 1.0, layers: vec![pair], ..loss.clone() });
        let mut alone = Vec::new();
        for pair in layers(&objective.hidden) {
            let hidden = only(objective.hidden.as_ref().unwrap(), pair);
            alone.push((format!("hidden.{}", pair[0]), Objective { hidden, ..Objective::default() }));
        }
        for pair in layers(&objective.attention) {
            let attention = only(objective.attention.as_ref().unwrap(), pair);
            alone.push((format!("attention.{}", pair[0]), Objective { attention, ..Objective::default() }));
        }
        for (term, only) in alone {
            let (ours, layer) = term.split_once('.').unwrap();
            let stored = stored_name(ours, &objective);
            let losses = &steps.float32.losses;
            let expected = losses.get(&format!("{stored}.{layer}")).unwrap_or_else(|| &losses[stored])[0];
            let pair = pair(recipe, only);
            pair.learn(0, 0, &batches[0], Share::WHOLE).unwrap();
            let found = pair.engine.report().unwrap().losses.values().sum();
            differs(format!("{recipe} {term}"), found, expected, 2e-5, &mut failed);
            terms += 1;
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert_eq!(terms, 1 + 4 + 5 + 6 + 6);
}

#[test]
fn ten_steps_of_each_recipe_equal_pytorch() {
    let (batches, mut failed) = (batches(), Vec::new());
    for recipe in RECIPES {
        let (objective, steps): (_, Steps) = (objective(recipe), read(&format!("{recipe}/steps.json")));
        let expected = &steps.float32;
        let pair = pair(recipe, objective.clone());
        pair.engine.restart(false).unwrap();
        for (step, batch) in batches.iter().enumerate() {
            pair.learn(step as u64, 0, batch, Share::WHOLE).unwrap();
            let place = format!("{recipe} step {step}");
            if step == 0 {
                coverage::check(&pair.engine).unwrap();
                for (name, gradient) in parts(&pair.engine, Quantity::Gradient) {
                    let norm = squares(&gradient).sqrt();
                    differs(format!("{place} {name}"), norm, expected.gradients[&name], 5e-5, &mut failed);
                }
            }
            pair.engine.update(&settings(&steps), step as u64 + 1, &|_| steps.lrs[step]).unwrap();
            let report = pair.engine.report().unwrap();
            let losses = |name: &str| expected.losses[name][step];
            compare_losses(&report.losses, &objective, &steps, &losses, &place, &mut failed);
            differs(format!("{place} norm"), report.gradient_norm, expected.norms[step], 5e-5, &mut failed);
        }
        let last = parts(&pair.engine, Quantity::Value);
        let judged = expected.last.keys().filter(|name| !has_no_gradient(name)).count();
        assert_eq!(last.len(), judged, "{recipe}: every parameter of PyTorch is a weight here");
        for (name, values) in last {
            let Sums { mean, squares: sum } = &expected.last[&name];
            differs(format!("{recipe} {name} squares"), squares(&values), *sum, 5e-5, &mut failed);
            let found = values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len() as f64;
            let spread = (sum / values.len() as f64).sqrt();
            differs(format!("{recipe} {name} mean"), (found - mean) / spread + 1.0, 1.0, 5e-5, &mut failed);
        }
        pair.learn(10, 0, &batches[0], Share::WHOLE).unwrap();
        let (losses, after) = (pair.engine.report().unwrap().losses, |name: &str| expected.after[name]);
        compare_losses(&losses, &objective, &steps, &after, &format!("{recipe} after"), &mut failed);
    }
    assert!(failed.is_empty(), "{} differ\n{}", failed.len(), failed.join("\n"));
}

/// Of four sequences, a part with one and one with three: sequences of different length, so that shares differ.
#[test]
fn a_step_in_parts_is_the_same_step() {
    let ids: [&[u32]; 4] = [&[2, 7, 8, 3], &[2, 9, 10, 11, 12, 13, 3], &[2, 14, 3], &[2, 20, 21, 22, 23, 3]];
    let batch = |ids: &[&[u32]], rows: &[u32], labels: &[u32]| MaskedBatch {
        input: Batch::new(ids.iter().copied()),
        rows: rows.to_vec(),
        labels: labels.to_vec(),
    };
    let whole = vec![batch(&ids, &[1, 6, 8, 12, 17], &[30, 31, 32, 33, 34])];
    let split = vec![batch(&ids[..1], &[1], &[30]), batch(&ids[1..], &[2, 4, 8, 13], &[31, 32, 33, 34])];
    let learn = |recipe: &str, parts: &[MaskedBatch]| {
        let pair = pair(recipe, objective(recipe));
        for ((part, batch), share) in (0..).zip(parts).zip(Share::of(parts)) {
            pair.learn(0, part, batch, share).unwrap();
        }
        let norms =
            self::parts(&pair.engine, Quantity::Gradient).into_iter().map(|(name, g)| (name, squares(&g).sqrt()));
        (pair.engine.report().unwrap().losses, norms.collect::<Vec<_>>())
    };
    let mut failed = Vec::new();
    for recipe in RECIPES {
        let ((losses, gradients), (found_losses, found)) = (learn(recipe, &whole), learn(recipe, &split));
        for (name, expected) in losses {
            differs(format!("{recipe} {name}"), found_losses[name], expected, 1e-5, &mut failed);
        }
        for ((name, expected), (_, found)) in gradients.into_iter().zip(found) {
            differs(format!("{recipe} {name}"), found, expected, 5e-5, &mut failed);
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn a_loss_that_does_not_reach_all_of_the_student_is_caught() {
    let hidden = LayerLoss { measure: Measure::Squares, weight: 1.0, layers: vec![[2, 6]], projector: true };
    let pair = pair("tiny-clinical-bert", Objective { hidden: Some(hidden), ..Objective::default() });
    pair.learn(0, 0, &batches()[0], Share::WHOLE).unwrap();
    let error = coverage::check(&pair.engine).unwrap_err().to_string();
    assert!(error.contains("bert.encoder.layer.2.output.dense.weight"), "{error}");
    assert!(error.contains("cls.predictions.transform.dense.weight"), "{error}");
    assert!(!error.contains("layer.1."), "{error}");
}

/// A state that is compared with two others counts twice.
#[test]
fn a_state_may_be_compared_twice() {
    let loss = |layers: Vec<[usize; 2]>| {
        let hidden = LayerLoss { measure: Measure::Cosine, weight: 1.0, layers, projector: false };
        let pair = pair("distil-clinical-bert", Objective { hidden: Some(hidden), ..Objective::default() });
        pair.learn(0, 0, &batches()[0], Share::WHOLE).unwrap();
        pair.engine.report().unwrap().losses["hidden"]
    };
    let (one, other) = (loss(vec![[6, 12]]), loss(vec![[6, 11]]));
    assert!((loss(vec![[6, 12], [6, 11]]) - one - other).abs() < 1e-9);
    assert!((loss(vec![[6, 12], [5, 12]]) - one - loss(vec![[5, 12]])).abs() < 1e-9);
}

/// What is held out is judged by the model as it stands, and nothing is learnt from it.
#[test]
fn what_is_held_out_is_only_judged() {
    let (batches, steps): (_, Steps) = (batches(), read("clinical-distil-bert/steps.json"));
    let pair = pair("clinical-distil-bert", objective("clinical-distil-bert"));
    let found = pair.held_out(&batches[..1]).unwrap().unwrap();
    let expected = steps.float32.losses["hard"][0];
    assert!((found - expected).abs() < 2e-5 * expected, "{found} for {expected}");
    assert!(parts(&pair.engine, Quantity::Gradient).iter().all(|(_, gradient)| squares(gradient) == 0.0));
    let (two, masks) = (&batches[..2], [batches[0].rows.len() as f64, batches[1].rows.len() as f64]);
    let second = pair.held_out(&two[1..]).unwrap().unwrap();
    let mean = (found * masks[0] + second * masks[1]) / (masks[0] + masks[1]);
    assert!((pair.held_out(two).unwrap().unwrap() - mean).abs() < 1e-5 * mean);
}

//! How a run begins, ends early, and is run several times.

use std::fs;
use std::path::Path;
use std::process::Command;

use clinlite::train::finetune::Places;
use clinlite::train::model::open;
use clinlite::train::recipe::Recipe;
use clinlite::train::series;
use clinlite::weights::Weights;
use serde_json::Value;

use crate::logs::shows;

use super::{RECIPE, Scratch, make_world, one_stage, refusal, run};

/// A step of almost no size leaves the layers as they were taken.
#[test]
fn layers_are_taken_in_the_order_of_the_recipe() {
    let scratch = Scratch::new("layers");
    let places = make_world(&scratch);
    let recipe = |layers: &str| {
        one_stage(1)
            .replace("lr = 3e-3", "lr = 1e-12")
            .replace("ema = 0.9", "")
            .replace("[model]", &format!("[model]\nlayers = {layers}"))
    };
    run(&recipe("[1, 0, 1]"), &places, false, None);
    let made = open(&places.out.join("model")).unwrap();
    assert_eq!(made.config_json()["num_hidden_layers"], 3);
    let base = open(&places.base).unwrap();
    let (made, base) = (made.weights().unwrap(), base.weights().unwrap());
    for (at, layer) in [1, 0, 1].into_iter().enumerate() {
        for leaf in ["attention.self.query.weight", "output.dense.bias", "output.LayerNorm.weight"] {
            let numbers = |weights: &Weights<'_>, layer: usize| {
                weights.numbers(&format!("bert.encoder.layer.{layer}.{leaf}")).unwrap()
            };
            let pairs = numbers(&made, at).into_iter().zip(numbers(&base, layer));
            assert!(pairs.into_iter().all(|(found, expected)| (found - expected).abs() < 1e-6), "layer {at}: {leaf}");
        }
    }
    let error = refusal(&recipe("[0, 2]"), &Places { out: scratch.at("beyond"), ..places }).to_string();
    assert!(error.contains("model.layers: expected numbers below 2") && error.contains("found 2"), "{error}");
}

/// At such a learning rate nothing gets better: the first score is the best, and the second is one too many.
#[test]
fn a_stage_ends_when_its_patience_does() {
    let scratch = Scratch::new("patience");
    let mut places = make_world(&scratch);
    let recipe = one_stage(40).replace("lr = 3e-3", "lr = 1e-12").replace("times = 2", "times = 10\npatience = 2");
    let (outcome, losses, scores) = run(&recipe, &places, false, None);
    assert_eq!((outcome.step, scores.len(), losses.len()), (12, 3, 12));
    assert!(!outcome.stopped && places.out.join("metrics.json").exists());
    // Stopped at the step after which it would have ended.
    places.out = scratch.at("again");
    run(&recipe, &places, false, Some(11));
    assert_eq!(run(&recipe, &places, true, None).0.step, 12);
}

fn clinlite(places: &Places, recipe: &Path, options: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    command.arg("finetune").arg(recipe).arg("--out").arg(&places.out).arg("--base").arg(&places.base);
    let output = command.arg("--data").arg(&places.data).args(options).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn seeds_are_run_once_and_averaged() {
    let scratch = Scratch::new("seeds");
    let (places, recipe) = (make_world(&scratch), scratch.at("recipe.toml"));
    fs::write(&recipe, one_stage(12)).unwrap();
    let (good, printed, said) = clinlite(&places, &recipe, &["--seeds", "5,6,7"]);
    assert!(good, "{said}");
    let scores = [5, 6, 7].map(|seed| {
        let folder = places.out.join(format!("seed-{seed}"));
        assert!(fs::read_to_string(folder.join("recipe.toml")).unwrap().contains(&format!("seed = {seed}\n")));
        json_of(&folder.join("metrics.json"))["dev_score"].as_f64().unwrap()
    });
    let found = json_of(&places.out.join("seeds.json"));
    let mean = scores.iter().sum::<f64>() / 3.0;
    let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / 2.0;
    assert!((found["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{found}");
    assert!((found["sd"].as_f64().unwrap() - variance.sqrt()).abs() < 1e-12, "{found}");
    assert!(variance > 0.0, "the seeds differ: {scores:?}");
    let last = format!("mean {:.2}, standard deviation {:.2}", 100.0 * mean, 100.0 * variance.sqrt());
    assert_eq!(printed.lines().last(), Some(&last[..]));
    shows(&places.out.join("seeds.svg"), &["seed 5 ", "seed 6 ", "seed 7 ", "mean ", "dev F1 (%)", "run"]);
    // Nobody watches: a line now and then, with the pace.
    assert!(said.contains("step 1/12: loss ") && said.contains(" tokens/s, ") && said.contains(" s left"), "{said}");
    let weights = places.out.join("seed-5/model/model.safetensors");
    let written = fs::metadata(&weights).unwrap().modified().unwrap();
    let (_, again, said) = clinlite(&places, &recipe, &["--seeds", "5,6,7"]);
    assert!(again == printed && !said.contains("stage"), "{said}");
    assert_eq!(fs::metadata(&weights).unwrap().modified().unwrap(), written);
    fs::write(&recipe, one_stage(13)).unwrap();
    let (good, _, said) = clinlite(&places, &recipe, &["--seeds", "5"]);
    assert!(!good && said.contains("finished run of another recipe"), "{said}");
}

#[test]
fn mean_and_sd_are_those_of_a_sample() {
    let (mean, sd) = series::mean_and_sd(&[2.0, 4.0, 9.0]);
    assert_eq!((mean, sd), (5.0, Some(13f64.sqrt())));
    assert_eq!(series::mean_and_sd(&[2.0]), (2.0, None));
}

#[test]
fn a_grid_names_the_best_learning_rate() {
    let scratch = Scratch::new("grid");
    let (places, recipe) = (make_world(&scratch), scratch.at("recipe.toml"));
    fs::write(&recipe, format!("{}\n[grid]\nlr = [1e-9, 3e-3]\n", one_stage(60))).unwrap();
    let (good, printed, said) = clinlite(&places, &recipe, &["--grid"]);
    assert!(good && printed.contains("best: lr 3e-3"), "{printed}{said}");
    let found = json_of(&places.out.join("grid.json"));
    assert_eq!(found["best"], "lr 3e-3");
    shows(&places.out.join("grid.svg"), &["lr 1e-9 ", "lr 3e-3 ", "dev F1 (%)"]);
    assert_eq!(found["runs"][0]["folder"], "lr-1e-9");
    let best = Recipe::parse(&fs::read_to_string(places.out.join("best.toml")).unwrap()).unwrap();
    assert!(best.train.lr == 3e-3 && best.grid.is_none());
}

#[test]
fn devices_that_are_not_there_are_one_clear_line() {
    let scratch = Scratch::new("device");
    let (places, recipe) = (make_world(&scratch), scratch.at("recipe.toml"));
    fs::write(&recipe, RECIPE).unwrap();
    for (options, expected) in [
        (&["--device", "tpu"][..], "expected cpu, cuda or cuda:N"),
        (&["--precision", "bf16"], "the CPU trains in f32 only"),
        #[cfg(not(feature = "cuda"))]
        (&["--device", "cuda:1"], "--features cuda"),
    ] {
        let (good, _, said) = clinlite(&places, &recipe, options);
        assert!(!good && said.contains(expected), "{options:?}: {said}");
        assert!(!places.out.exists());
    }
}

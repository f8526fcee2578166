//! What a fine-tuning writes down, whole, in parts, and when it is killed.

use std::fs;
use std::process::{Child, Stdio};

use clinlite::train::finetune::Places;
use serde_json::Value;

use super::distil::make_school;
use super::{RECIPE, Scratch, command, logged_steps, make_world, run, wait_for_steps};
use crate::logs::{events_equal_the_log, log, shows};

/// Two stages with a teacher, of which the labels see a part.
fn taught() -> String {
    RECIPE.replace("[train]", "[teacher]\nhard = 0.5\nsoft = 2.0\n[train]").replace("epochs = 24", "epochs = 6")
}

/// The numbers of the log that are no times.
fn numbers(places: &Places) -> Vec<Value> {
    let mut lines = log(&places.out);
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        line.retain(|key, _| key != "time" && key != "tokens_per_second");
    }
    lines
}

#[test]
fn losses_and_scores_are_written_down_once_and_drawn() {
    let scratch = Scratch::new("logs");
    let whole = make_school(&scratch, 6);
    let (outcome, losses, scores) = run(&taught(), &whole, false, None);
    let lines = log(&whole.out);
    assert_eq!(lines.len(), losses.len() + scores.len());
    for line in lines.iter().filter(|line| line["loss"].is_number()) {
        let of = |name: &str| line["losses"][name].as_f64().unwrap();
        let sum = of("hard") + of("soft");
        assert!((line["loss"].as_f64().unwrap() - sum).abs() < 1e-12 * sum, "{line}");
        for key in ["epoch", "lr", "gradient_norm", "tokens", "tokens_per_second", "time"] {
            assert!(line[key].is_number(), "{key}: {line}");
        }
        assert!(line["stage"].is_string(), "{line}");
    }
    events_equal_the_log(&whole.out);
    let best = outcome.best.unwrap();
    let svg = fs::read_to_string(whole.out.join("curve.svg")).unwrap();
    shows(&whole.out.join("curve.svg"), &["sum ", "hard ", "soft ", "dev F1 (%)", "optimizer steps", "loss (log"]);
    assert!(svg.contains(", best ") && best.1 > 0);
    let parts = Places { out: scratch.at("parts"), ..whole.clone() };
    for (resume, stop_after) in [(false, Some(3)), (true, Some(losses.len() as u64 - 2)), (true, None)] {
        run(&taught(), &parts, resume, stop_after);
    }
    assert_eq!(numbers(&parts), numbers(&whole));
    events_equal_the_log(&parts.out);
    assert_eq!(fs::read_to_string(parts.out.join("curve.svg")).unwrap(), svg);
}

/// Without a teacher there is one loss, which has no parts.
#[test]
fn a_loss_alone_is_the_loss() {
    let scratch = Scratch::new("alone");
    let places = make_world(&scratch);
    run(&RECIPE.replace("epochs = 24", "epochs = 2"), &places, false, None);
    events_equal_the_log(&places.out);
    assert!(log(&places.out).iter().all(|line| line.get("losses").is_none()));
    shows(&places.out.join("curve.svg"), &["loss 1", "dev F1 (%)"]);
}

fn start(places: &Places, recipe: &std::path::Path) -> Child {
    let mut command = command(places, recipe);
    command.args(["--checkpoint-minutes", "0.001"]).stderr(Stdio::null()).spawn().unwrap()
}

/// Killed six times, at whatever it was doing, then left alone.
#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let scratch = Scratch::new("killed");
    let whole = make_world(&scratch);
    let (recipe, path) = (RECIPE.replace("times = 2", "times = 9"), scratch.at("recipe.toml"));
    fs::write(&path, &recipe).unwrap();
    let (_, losses, _) = run(&recipe, &whole, false, None);
    let killed = Places { out: scratch.at("again"), ..whole.clone() };
    for kill in 1..=6 {
        let mut child = start(&killed, &path);
        wait_for_steps(&killed, losses.len() * kill / 7);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    assert!(start(&killed, &path).wait().unwrap().success());
    assert_eq!(logged_steps(&killed), (1..=losses.len() as u64).collect::<Vec<_>>(), "each step once, in order");
    assert_eq!(numbers(&killed), numbers(&whole));
    for file in ["model/model.safetensors", "metrics.json", "curve.svg"] {
        assert!(fs::read(killed.out.join(file)).unwrap() == fs::read(whole.out.join(file)).unwrap(), "{file}");
    }
    events_equal_the_log(&killed.out);
}

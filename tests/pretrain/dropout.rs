//! What is dropped: the student's states and attention probabilities, and the teacher's.

use std::path::PathBuf;

use super::refusals::changed;
use super::{TINY, fixture, log, model_bytes, places, run};
use crate::support::Scratch;
use clinlite::train::pretrain::Places;

/// The teacher of the fixtures with a config that drops.
fn dropping_teacher(scratch: &Scratch) -> PathBuf {
    let config = |name: &str, bytes: Vec<u8>| {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let bytes = match name {
            "config.json" => text(bytes)
                .replace("\"attention_probs_dropout_prob\": 0.0", "\"attention_probs_dropout_prob\": 0.1")
                .replace("\"hidden_dropout_prob\": 0.0", "\"hidden_dropout_prob\": 0.1")
                .into_bytes(),
            _ => bytes,
        };
        Some(bytes)
    };
    changed(scratch, "teacher", config)
}

/// The words and the teacher's word on them.
fn recipe(more: &str) -> String {
    let cut = TINY.split_once("[loss]").unwrap().0;
    format!(
        "{cut}[teacher]\n{more}\n[loss]\nmasked_lm = 1.0\ndivergence = 1.0\n[train]\nlr = 2e-3\nsteps = 6\n\
         accumulate = 2\nlog_every = 1\n"
    )
}

/// A loss of a line of the log.
fn loss(places: &Places, step: usize, name: &str) -> f64 {
    let steps: Vec<_> = log(&places.out).into_iter().filter(|line| line.get("loss").is_some()).collect();
    steps[step]["losses"][name].as_f64().unwrap()
}

#[test]
fn a_teacher_drops_for_itself_and_not_for_the_student() {
    let scratch = Scratch::new();
    let own = Places { teacher: Some(dropping_teacher(&scratch)), ..places(&scratch) };
    let out = |name: &str| Places { out: scratch.path().join(name), ..own.clone() };
    let (still, dropping, again) = (out("still"), out("dropping"), out("again"));
    run(&recipe(""), &still, false, None).unwrap();
    run(&recipe("dropout = true"), &dropping, false, None).unwrap();
    // Before the first step moves anything, the student of both runs says the same.
    assert_eq!(loss(&still, 0, "masked_lm"), loss(&dropping, 0, "masked_lm"));
    assert_ne!(loss(&still, 0, "divergence"), loss(&dropping, 0, "divergence"));
    // What the teacher drops follows from seed, step and part: a run that goes on ends the same.
    run(&recipe("dropout = true"), &again, false, Some(3)).unwrap();
    run(&recipe("dropout = true"), &again, true, None).unwrap();
    assert!(model_bytes(&again) == model_bytes(&dropping), "the weights are the same bytes");
    // A teacher whose config drops nothing says the same in either mode.
    let even = [("even", ""), ("odd", "dropout = true")].map(|(name, more)| {
        let places = Places { teacher: Some(fixture("teacher")), ..out(name) };
        run(&recipe(more), &places, false, None).unwrap();
        model_bytes(&places)
    });
    assert!(even[0] == even[1]);
}

#[test]
fn probabilities_are_dropped_as_the_recipe_says() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let losses = |name: &str, lines: &str| {
        let places = Places { out: scratch.path().join(name), ..own.clone() };
        let recipe = TINY.replace("steps = 24", "steps = 2").replace("[train]", &format!("[train]\n{lines}"));
        let told = run(&recipe, &places, false, None).unwrap().1;
        (told.losses, told.held_out)
    };
    let without = losses("without", "dropout = 0.0");
    assert_eq!(without, losses("stated", "dropout = 0.0\nattention_dropout = 0.0"));
    let with = losses("with", "dropout = 0.0\nattention_dropout = 0.5");
    assert_ne!(without.0[0], with.0[0]);
    assert_eq!(losses("default", "dropout = 0.1"), losses("both", "dropout = 0.1\nattention_dropout = 0.1"));
}

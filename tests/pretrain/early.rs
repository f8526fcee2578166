//! Patience: a run that no longer gets better ends, and its best weights are what is left.

use std::fs;

use clinlite::train::pretrain::Places;
use serde_json::Value;

use super::{TINY, model_bytes, places, run};
use crate::logs::{events_equal_the_log, log, shows};
use crate::support::Scratch;

/// At such a learning rate the held-out loss soon goes up and down, whatever the step.
fn wild(patience: &str) -> String {
    let recipe = TINY.replace("warmup_steps = 3", "schedule = \"constant\"").replace("lr = 2e-3", "lr = 3e-2");
    recipe.replace("steps = 24", "steps = 400").replace("every = 8", &format!("every = 3\n{patience}"))
}

/// Steps and losses of the looks at what was set apart.
fn looks(places: &Places) -> Vec<(u64, f64)> {
    log(&places.out).iter().filter_map(|line| Some((line["step"].as_u64()?, line["held_out"].as_f64()?))).collect()
}

fn metrics(places: &Places) -> Value {
    serde_json::from_slice(&fs::read(places.out.join("metrics.json")).unwrap()).unwrap()
}

#[test]
fn a_run_ends_when_its_patience_does_and_keeps_the_best() {
    let scratch = Scratch::new();
    let patient = places(&scratch);
    let (outcome, told) = run(&wild("patience = 3"), &patient, false, None).unwrap();
    let looks = looks(&patient);
    assert_eq!(looks, told.held_out);
    let (at, (step, lowest)) = looks.iter().copied().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).unwrap();
    assert_eq!(looks.len(), at + 4, "three looks after the best: {looks:?}");
    let steps = 3 * looks.len() as u64;
    assert!(steps < 400 && !outcome.stopped, "{outcome:?}");
    assert_eq!((outcome.step, outcome.held_out), (steps, Some(lowest)));
    let metrics = metrics(&patient);
    assert_eq!([&metrics["steps"], &metrics["kept_step"]].map(|value| value.as_u64().unwrap()), [steps, step]);
    assert_eq!(metrics["held_out_masked_lm"].as_f64(), Some(lowest));
    // The weights are those of a run that has no more steps than that: the learning rate does not move.
    let short = Places { out: scratch.path().join("short"), ..patient.clone() };
    run(&wild("").replace("steps = 400", &format!("steps = {step}")), &short, false, None).unwrap();
    assert!(model_bytes(&patient) == model_bytes(&short), "the weights of step {step}");
    events_equal_the_log(&patient.out);
    shows(&patient.out.join("curve.svg"), &["masked lm, held out ", "sum "]);
    // What has ended stays so, and says when.
    let (again, told) = run(&wild("patience = 3"), &patient, true, None).unwrap();
    assert!(again == outcome && told.losses.is_empty());
}

/// Stopped right after the best, in between, and one step before the end.
#[test]
fn patience_outlives_a_stop() {
    let scratch = Scratch::new();
    let whole = places(&scratch);
    let (outcome, _) = run(&wild("patience = 3"), &whole, false, None).unwrap();
    let best = metrics(&whole)["kept_step"].as_u64().unwrap();
    let parts = Places { out: scratch.path().join("parts"), ..whole.clone() };
    let mut ended = Vec::new();
    for (resume, stop_after) in
        [(false, Some(best)), (true, Some(best + 4)), (true, Some(outcome.step - 1)), (true, None)]
    {
        ended.push(run(&wild("patience = 3"), &parts, resume, stop_after).unwrap().0);
    }
    assert!(ended[..3].iter().all(|outcome| outcome.stopped));
    assert_eq!(ended[3], outcome);
    for file in ["model/model.safetensors", "metrics.json", "curve.svg"] {
        assert!(fs::read(parts.out.join(file)).unwrap() == fs::read(whole.out.join(file)).unwrap(), "{file}");
    }
    events_equal_the_log(&parts.out);
}

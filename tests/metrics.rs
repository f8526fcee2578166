//! Scores against seqeval.

use clinlite::train::metrics::{Mode, Report, Score, Scorer};
use serde_json::Value;

fn tags(sentence: &str) -> Vec<&str> {
    sentence.split(' ').collect()
}

fn micro_f1(gold: &str, predicted: &str, mode: Mode) -> f64 {
    let mut scorer = Scorer::new(mode);
    scorer.add_tags(&tags(gold), &tags(predicted)).expect("known tags");
    scorer.report().micro.f1
}

/// The golden vectors that every tool of the field is compared by; the figures are those of seqeval 1.2.2.
#[test]
fn golden_vectors() {
    let cases = [
        ("B-P I-P O", "I-P I-P O", 1.0, 0.0),
        ("B-P I-P O B-T", "B-P I-T O B-T", 0.4, 0.5),
        ("B-P I-P I-P O", "O B-P I-P O", 0.0, 0.0),
        ("B-P B-P O", "B-P I-P O", 0.0, 0.0),
        ("B-P I-P I-P", "B-P O B-P", 0.0, 0.0),
        ("B-P I-P O", "B-T I-T O", 0.0, 0.0),
    ];
    for (gold, predicted, default, strict) in cases {
        assert_eq!(micro_f1(gold, predicted, Mode::Default), default, "default: {gold} -> {predicted}");
        assert_eq!(micro_f1(gold, predicted, Mode::StrictIob2), strict, "strict: {gold} -> {predicted}");
    }
}

fn close(name: &str, found: &Score, expected: &Value) -> Option<String> {
    let figures = [found.precision, found.recall, found.f1];
    let same = figures.iter().enumerate().all(|(i, figure)| {
        let expected = expected[i].as_f64().expect("a number");
        (figure - expected).abs() < 1e-8
    });
    let support = expected[3].as_u64().is_none_or(|support| support == found.support as u64);
    (!same || !support).then(|| format!("{name}: {found:?}, expected {expected}"))
}

fn differences(found: &Report, expected: &Value) -> Vec<String> {
    let means = [("micro", &found.micro), ("macro", &found.macro_average), ("weighted", &found.weighted)];
    let mut wrong: Vec<_> = means.iter().filter_map(|(name, score)| close(name, score, &expected[name])).collect();
    let labels = expected["labels"].as_object().expect("labels");
    if !labels.keys().eq(found.labels.keys()) {
        wrong.push(format!("labels {:?}", found.labels.keys()));
        return wrong;
    }
    wrong.extend(labels.iter().filter_map(|(label, score)| close(label, &found.labels[label], score)));
    wrong
}

/// `tests/fixtures/metrics/make_fixtures.py` wrote what seqeval says.
#[test]
fn equal_to_seqeval() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("fixtures/metrics/seqeval.json")).expect("the fixture is JSON");
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (number, case) in cases.iter().enumerate() {
        let modes =
            [("default", Mode::Default), ("strict IOB2", Mode::StrictIob2), ("strict IOBES", Mode::StrictIobes)];
        for (name, mode) in modes.into_iter().filter(|(name, _)| case.get(name).is_some()) {
            let mut scorer = Scorer::new(mode);
            let sentences = |side: &str| -> Vec<String> {
                let list = case[side].as_array().expect("sentences");
                list.iter().map(|tags| tags.as_str().expect("tags").to_owned()).collect()
            };
            for (gold, predicted) in sentences("gold").iter().zip(&sentences("predicted")) {
                scorer.add_tags(&tags(gold), &tags(predicted)).expect("known tags");
            }
            let found = differences(&scorer.report(), &case[name]);
            wrong.extend(found.into_iter().map(|difference| format!("case {number}, {name}: {difference}")));
            compared += 1;
        }
    }
    assert_eq!(compared, 480);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn intervals_hold_the_figure() {
    let mut scorer = Scorer::new(Mode::StrictIob2);
    for i in 0..40 {
        let predicted = if i % 4 == 0 { "B-P O O B-T" } else { "B-P I-P O B-T" };
        scorer.add_tags(&tags("B-P I-P O B-T"), &tags(predicted)).expect("known tags");
    }
    let (report, intervals) = (scorer.report(), scorer.intervals(1));
    let micro = intervals.micro.expect("documents");
    assert!(micro.low < report.micro.f1 && report.micro.f1 < micro.high, "{micro:?} around {:?}", report.micro);
    let label = intervals.labels["P"];
    assert!(label.low < 0.75 && 0.75 < label.high, "{label:?}");
    assert_eq!(intervals.labels["T"].low, 1.0);
    assert_eq!(intervals, scorer.intervals(1));
}

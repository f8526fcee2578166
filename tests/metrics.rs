//! Scores against seqeval, nervaluate and scikit-learn.

use clinlite::text::Encoding;
use clinlite::train::metrics::nervaluate::{self, ByMatching};
use clinlite::train::metrics::pieces::{gold_tags, predicted_tags};
use clinlite::train::metrics::{Mode, Report, Score, Scorer, classification, entities, relations};
use serde_json::Value;

fn tags(sentence: &str) -> Vec<&str> {
    sentence.split(' ').collect()
}

fn micro_f1(gold: &str, predicted: &str, mode: Mode) -> f64 {
    let mut scorer = Scorer::new(mode);
    scorer.add_tags(&tags(gold), &tags(predicted)).expect("known tags");
    scorer.report().micro.f1
}

/// The golden vectors that every tool of the field is compared by; the figures are those of seqeval 1.2.2 and
/// nervaluate 1.2.1 (strict, exact, partial, type).
#[test]
fn golden_vectors() {
    let cases = [
        ("B-P I-P O", "I-P I-P O", 1.0, 0.0, [1.0, 1.0, 1.0, 1.0]),
        ("B-P I-P O B-T", "B-P I-T O B-T", 0.4, 0.5, [0.4, 0.4, 0.6, 0.8]),
        ("B-P I-P I-P O", "O B-P I-P O", 0.0, 0.0, [0.0, 0.0, 0.5, 1.0]),
        ("B-P B-P O", "B-P I-P O", 0.0, 0.0, [0.0, 0.0, 0.333, 0.667]),
        ("B-P I-P I-P", "B-P O B-P", 0.0, 0.0, [0.0, 0.0, 0.333, 0.667]),
        ("B-P I-P O", "B-T I-T O", 0.0, 0.0, [0.0, 1.0, 1.0, 0.0]),
    ];
    for (gold, predicted, default, strict, four) in cases {
        assert_eq!(micro_f1(gold, predicted, Mode::Default), default, "default: {gold} -> {predicted}");
        assert_eq!(micro_f1(gold, predicted, Mode::StrictIob2), strict, "strict: {gold} -> {predicted}");
        let mut scorer = nervaluate::Scorer::default();
        let side = |text: &str| entities(&tags(text), Mode::Default).expect("known tags");
        scorer.add_entities(&side(gold), &side(predicted));
        let overall = scorer.report().overall;
        for (name, expected) in ["strict", "exact", "partial", "ent_type"].into_iter().zip(four) {
            let f1 = overall[name].f1;
            assert!((f1 - expected).abs() < 5e-4, "{name}: {gold} -> {predicted}: {f1}, expected {expected}");
        }
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
    // scikit-learn has no micro average where it equals accuracy
    let means = means.iter().filter(|(name, _)| expected.get(name).is_some());
    let mut wrong: Vec<_> = means.filter_map(|(name, score)| close(name, score, &expected[name])).collect();
    let labels = expected["labels"].as_object().expect("labels");
    if !labels.keys().eq(found.labels.keys()) {
        wrong.push(format!("labels {:?}", found.labels.keys()));
        return wrong;
    }
    wrong.extend(labels.iter().filter_map(|(label, score)| close(label, &found.labels[label], score)));
    wrong
}

fn cases(json: &str) -> Vec<Value> {
    serde_json::from_str(json).expect("the fixture is JSON")
}

/// The sentences of one side of a case.
fn sentences(case: &Value, side: &str) -> Vec<String> {
    let list = case[side].as_array().expect("sentences");
    list.iter().map(|tags| tags.as_str().expect("tags").to_owned()).collect()
}

/// How often a fixture was compared, and what differs.
fn against_seqeval(cases: &[Value], modes: &[(&str, Mode)]) -> (usize, Vec<String>) {
    let (mut compared, mut wrong) = (0, Vec::new());
    for (number, case) in cases.iter().enumerate() {
        for &(name, mode) in modes.iter().filter(|(name, _)| case.get(name).is_some()) {
            let mut scorer = Scorer::new(mode);
            for (gold, predicted) in sentences(case, "gold").iter().zip(&sentences(case, "predicted")) {
                scorer.add_tags(&tags(gold), &tags(predicted)).expect("known tags");
            }
            let found = differences(&scorer.report(), &case[name]);
            wrong.extend(found.into_iter().map(|difference| format!("case {number}, {name}: {difference}")));
            compared += 1;
        }
    }
    (compared, wrong)
}

/// `tests/fixtures/metrics/make_fixtures.py` wrote what seqeval says.
#[test]
fn equal_to_seqeval() {
    let modes = [("default", Mode::Default), ("strict IOB2", Mode::StrictIob2), ("strict IOBES", Mode::StrictIobes)];
    let (compared, wrong) = against_seqeval(&cases(include_str!("fixtures/metrics/seqeval.json")), &modes);
    assert_eq!(compared, 480);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// `tests/fixtures/metrics/make_more.py` wrote this and the following.
#[test]
fn equal_to_seqeval_in_the_rarer_schemes() {
    let modes = [
        ("strict IOB1", Mode::StrictIob1),
        ("strict IOE1", Mode::StrictIoe1),
        ("strict IOE2", Mode::StrictIoe2),
        ("strict BILOU", Mode::StrictBilou),
    ];
    let cases = cases(include_str!("fixtures/metrics/schemes.json"));
    let (compared, wrong) = against_seqeval(&cases, &modes);
    assert_eq!(compared, cases.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn tallied(found: &ByMatching, expected: &Value) -> Vec<String> {
    let expected = expected.as_object().expect("strategies");
    assert!(expected.keys().eq(found.keys()), "{:?}", found.keys());
    let same = |name: &str, figures: &Value| {
        let found = &found[name];
        let t = found.tally;
        let counts = [t.correct, t.incorrect, t.partial, t.missed, t.spurious];
        let whole = counts.iter().enumerate().all(|(i, &count)| figures[i].as_u64() == Some(count as u64));
        let parts = [found.precision, found.recall, found.f1];
        whole && parts.iter().enumerate().all(|(i, p)| (figures[i + 5].as_f64().expect("a number") - p).abs() < 1e-8)
    };
    let wrong = expected.iter().filter(|(name, figures)| !same(name, figures));
    wrong.map(|(name, figures)| format!("{name}: {:?}, expected {figures}", found[name.as_str()])).collect()
}

#[test]
fn equal_to_nervaluate() {
    let mut wrong = Vec::new();
    for (number, case) in cases(include_str!("fixtures/metrics/nervaluate.json")).iter().enumerate() {
        let mut scorer = nervaluate::Scorer::default();
        for (gold, predicted) in sentences(case, "gold").iter().zip(&sentences(case, "predicted")) {
            let side = |text: &str| entities(&tags(text), Mode::Default).expect("known tags");
            scorer.add_entities(&side(gold), &side(predicted));
        }
        let report = scorer.report();
        let mut found = tallied(&report.overall, &case["overall"]);
        let labels = case["labels"].as_object().expect("labels");
        assert!(labels.keys().eq(report.labels.keys()), "case {number}: {:?}", report.labels.keys());
        labels.iter().for_each(|(label, expected)| found.extend(tallied(&report.labels[label], expected)));
        wrong.extend(found.into_iter().map(|difference| format!("case {number}, {difference}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The tag of a word for each of its pieces, and seqeval over pieces.
#[test]
fn equal_to_the_protocol_of_the_seed() {
    let mut wrong = Vec::new();
    for (number, case) in cases(include_str!("fixtures/metrics/pieces.json")).iter().enumerate() {
        let widths = case["widths"].as_array().expect("widths");
        let mut words = Vec::new();
        for width in widths.iter().map(|width| width.as_u64().expect("a width") as usize) {
            let start = words.last().map_or(0, |word: &std::ops::Range<usize>| word.end);
            words.push(start..start + width);
        }
        let pieces = words.last().map_or(0, |word| word.end);
        let offsets = (0..pieces).map(|at| at..at + 1).collect();
        let encoding = Encoding { input_ids: vec![0; pieces], offsets, words, neutral: vec![] };
        let gold: Vec<String> = tags(case["words"].as_str().expect("tags")).into_iter().map(str::to_owned).collect();
        let labels = tags(case["predicted"].as_str().expect("tags"));
        let mut scorer = Scorer::new(Mode::Default);
        let predicted = predicted_tags(&encoding, &labels, &[], |_| true);
        scorer.add_tags(&gold_tags(&encoding, &gold), &predicted).expect("known tags");
        let found = differences(&scorer.report(), case);
        wrong.extend(found.into_iter().map(|difference| format!("case {number}: {difference}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn equal_to_scikit_learn() {
    let mut wrong = Vec::new();
    for (number, case) in cases(include_str!("fixtures/metrics/sklearn.json")).iter().enumerate() {
        let side = |name: &str| -> Vec<Vec<String>> { serde_json::from_value(case[name].clone()).expect("labels") };
        let mut scorer = classification::Scorer::new();
        for (gold, predicted) in side("gold").iter().zip(&side("predicted")) {
            scorer.add_many(gold, predicted);
        }
        let report = scorer.report(1);
        let found = differences(&report.figures, case);
        wrong.extend(found.into_iter().map(|difference| format!("case {number}: {difference}")));
        if (report.accuracy - case["accuracy"].as_f64().expect("a number")).abs() > 1e-8 {
            wrong.push(format!("case {number}: accuracy {}", report.accuracy));
        }
        let interval = report.intervals.accuracy.expect("texts");
        if report.texts > 8 && !(interval.low <= report.accuracy && report.accuracy <= interval.high) {
            wrong.push(format!("case {number}: accuracy outside its interval"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let json = serde_json::to_value(classification::Scorer::new().report(1)).expect("JSON");
    assert_eq!((&json["accuracy"], &json["macro"]["f1"]), (&0.0.into(), &0.0.into()));
}

/// Of a text of one label micro F1 is accuracy, and its interval the same.
#[test]
fn one_label_a_text() {
    let mut scorer = classification::Scorer::new();
    (0..60).for_each(|i| scorer.add("CC", if i % 3 == 0 { "ROS" } else { "CC" }));
    let report = scorer.report(7);
    assert!((report.accuracy - 2.0 / 3.0).abs() < 1e-12 && (report.figures.micro.f1 - report.accuracy).abs() < 1e-12);
    assert_eq!(report.intervals.accuracy, report.intervals.f1.micro);
    let interval = report.intervals.macro_f1.expect("texts");
    assert!(interval.low < report.figures.macro_average.f1 && report.figures.macro_average.f1 < interval.high);
}

#[test]
fn relations_by_any_key() {
    let mut scorer = relations::Scorer::new("none");
    let pair = |a: &str, b: &str| ((a.to_owned(), b.to_owned()), "CID".to_owned());
    scorer.add([pair("D1", "D9"), pair("D2", "D8")], [pair("D1", "D9"), pair("D1", "D8"), pair("D2", "D9")]);
    let micro = scorer.report().micro;
    assert!((micro.f1 - 0.4).abs() < 1e-12 && micro.support == 2, "{micro:?}");
    assert_eq!(scorer.documents(), 1);
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

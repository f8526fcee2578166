//! Classification, inference and relations: the same sequences, logits and scores as PyTorch on the same texts.
//!
//! The fixtures are tiny random models; `fixtures/tasks/make_fixtures.py` made them and names the versions.

use std::path::{Path, PathBuf};

use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::export;
use clinlite::tasks::classify::{Classifier, ClassifyOptions};
use clinlite::tasks::ner::{self, Tagger};
use clinlite::tasks::nli::Nli;
use clinlite::tasks::relation::{Entity, Extraction, Extractor, RelationOptions};
use clinlite::tasks::sequences::{self, Answer, Job};
use clinlite::tasks::settings::Pooling;
use clinlite::text::OffsetUnit;
use clinlite::text::markers::Markers;
use clinlite::text::offsets::to_bytes;
use clinlite::weights::folder::Folder;
use clinlite::{Error, ErrorKind};
use pollster::block_on;
use serde_json::{Value, json};

use crate::support::{fixture, fixture_files, folder_at};

/// The largest difference that a logit or a score may show in `f32`.
const TOLERANCE: f64 = 1e-4;

/// Words of the fixtures, which must not turn up in any error.
const SECRETS: [&str; 4] = ["patient", "rash", "fever", "😀"];

pub(crate) fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tasks").join(name)
}

fn model(name: &str) -> Folder {
    folder_at(&place(name)).expect("a fixture")
}

/// The questions of a fixture and what PyTorch answers.
pub(crate) fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place(name).join("expected.json")).expect("a fixture");
    serde_json::from_str(&text).expect("a list")
}

pub(crate) fn string<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().expect("a text")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn same(what: &str, expected: &Value, found: &[f32]) {
    let expected = numbers(expected);
    assert_eq!(expected.len(), found.len(), "{what}");
    for (expected, found) in expected.iter().zip(found) {
        assert!((expected - f64::from(*found)).abs() <= TOLERANCE, "{what}: expected {expected}, found {found}");
    }
}

fn same_ids(what: &str, expected: &Value, job: &Job) {
    let found: Vec<_> = job.frames().iter().map(|frame| frame.input_ids.clone()).collect();
    assert_eq!(*expected, json!(found), "{what}");
}

fn check_answer(what: &str, case: &Value, answer: &Answer) {
    same(what, &case["logits"], &answer.logits);
    same(what, &case["scores"], &answer.scores);
    assert_eq!(answer.coverage.windows, case["input_ids"].as_array().expect("a list").len(), "{what}");
    let scores = numbers(&case["scores"]);
    let highest = scores.iter().copied().fold(0.0, f64::max);
    let holds = |&score: &f64| if answer.model.multi_label { score >= 0.5 } else { score == highest };
    let mut held: Vec<usize> = (0..scores.len()).filter(|&label| holds(&scores[label])).collect();
    held.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    assert_eq!(answer.labels, held, "{what}");
}

fn check_classify<B: Backend>(engine: impl Fn() -> B) {
    for name in ["classify", "multi-label"] {
        let classifier = Classifier::load(engine(), &model(name)).expect("loads");
        for (i, case) in cases(name).iter().enumerate() {
            let (what, text) = (format!("{name} {i}"), string(case, "text"));
            same_ids(&what, &case["input_ids"], &classifier.start(text).expect("frames"));
            let answer = block_on(classifier.classify(text, ClassifyOptions::default())).expect("answers");
            check_answer(&what, case, &answer);
        }
    }
}

fn check_nli<B: Backend>(engine: impl Fn() -> B) {
    let nli = Nli::load(engine(), &model("nli")).expect("loads");
    for (i, case) in cases("nli").iter().enumerate() {
        let (what, premise, hypothesis) = (format!("nli {i}"), string(case, "premise"), string(case, "hypothesis"));
        same_ids(&what, &case["input_ids"], &nli.start(premise, hypothesis).expect("frames"));
        check_answer(&what, case, &block_on(nli.infer(premise, hypothesis)).expect("answers"));
    }
}

/// The entities of a case; Python counts code points.
fn entities(case: &Value) -> Vec<Entity> {
    let number = |value: &Value| value.as_u64().expect("a number") as usize;
    let entity = |entity: &Value| {
        let borders = [number(&entity["start"]), number(&entity["end"])];
        let borders = to_bytes(string(case, "text"), &borders, OffsetUnit::CodePoint).expect("borders");
        Entity { start: borders[0], end: borders[1], label: string(entity, "label").into() }
    };
    case["entities"].as_array().expect("a list").iter().map(entity).collect()
}

/// Every pair with the label that PyTorch gives it, and its score.
fn check_relations(what: &str, case: &Value, found: &Extraction, none: bool) {
    let pairs = case["pairs"].as_array().expect("a list");
    assert_eq!(found.coverage.pairs, pairs.len(), "{what}");
    assert_eq!(json!(found.coverage.pairs_too_far), case["pairs_too_far"], "{what}");
    let likeliest =
        |scores: &[f64]| (0..scores.len()).fold(0, |most, i| if scores[i] > scores[most] { i } else { most });
    let expected = pairs.iter().map(|pair| (pair, numbers(&pair["scores"])));
    let expected: Vec<_> = expected.filter(|(_, scores)| none || likeliest(scores) != 0).collect();
    assert_eq!(found.relations.len(), expected.len(), "{what}");
    for ((pair, scores), relation) in expected.iter().zip(&found.relations) {
        assert_eq!((json!(relation.head), json!(relation.tail)), (pair["head"].clone(), pair["tail"].clone()));
        assert_eq!(relation.label, likeliest(scores), "{what}");
        assert!((scores[relation.label] - f64::from(relation.score)).abs() < TOLERANCE, "{what}");
    }
}

fn check_relation<B: Backend>(engine: impl Fn() -> B) {
    for name in ["relation", "relation-replaced"] {
        let extractor = Extractor::load(engine(), &model(name), None).expect("loads");
        for (i, case) in cases(name).iter().enumerate() {
            let (what, text) = (format!("{name} {i}"), string(case, "text"));
            let job = extractor.start(text, entities(case), RelationOptions::default()).expect("frames");
            let ids = case["pairs"].as_array().expect("a list").iter().map(|pair| pair["input_ids"][0].clone());
            same_ids(&what, &ids.collect(), job.sequences());
            for none in [false, true] {
                let options = RelationOptions { none, ..RelationOptions::default() };
                let found = block_on(extractor.extract(text, entities(case), options)).expect("answers");
                check_relations(&what, case, &found, none);
            }
        }
    }
}

fn candle() -> CandleBackend {
    CandleBackend::inference(candle_core::Device::Cpu)
}

#[test]
fn classification_agrees_with_pytorch() {
    check_classify(candle);
    check_classify(SimdBackend::new);
    check_classify(SimdBackend::scalar);
}

#[test]
fn inference_agrees_with_pytorch() {
    check_nli(candle);
    check_nli(SimdBackend::new);
    check_nli(SimdBackend::scalar);
}

#[test]
fn relations_agree_with_pytorch() {
    check_relation(candle);
    check_relation(SimdBackend::new);
    check_relation(SimdBackend::scalar);
}

#[test]
fn options_of_the_caller() {
    let classifier = Classifier::load(SimdBackend::new(), &model("multi-label")).expect("loads");
    let case = &cases("multi-label")[1];
    let text = string(case, "text");
    let answer = |pooling, threshold| block_on(classifier.classify(text, ClassifyOptions { pooling, threshold }));
    let [mean, max] = [Pooling::Mean, Pooling::Max].map(|pooling| answer(Some(pooling), 0.0).expect("answers"));
    assert_eq!((mean.labels.len(), mean.threshold), (4, Some(0.0)));
    assert!(max.logits.iter().zip(&mean.logits).all(|(max, mean)| max > mean), "{max:?} {mean:?}");
    assert_eq!(answer(None, 1.0).expect("answers").labels, [0; 0]);
    let extractor = Extractor::load(SimdBackend::new(), &model("relation-replaced"), None).expect("loads");
    let case = &cases("relation-replaced")[1];
    let job = |options| extractor.start(string(case, "text"), entities(case), options).expect("frames");
    let near = RelationOptions { max_pieces: Some(4), ..RelationOptions::default() };
    let far = RelationOptions { max_lines: Some(0), ..RelationOptions::default() };
    assert_eq!((job(near).progress().1, job(far).progress().1), (1, 1));
    let found = block_on(extractor.extract(string(case, "text"), entities(case), near)).expect("answers");
    assert_eq!((found.coverage.pairs, found.coverage.pairs_too_far, found.coverage.pairs_beyond), (4, 0, 8));
}

fn failed<T>(outcome: clinlite::Result<T>) -> Error {
    let error = outcome.err().expect("a refusal");
    for secret in SECRETS {
        assert!(!format!("{error} {error:?}").to_lowercase().contains(secret), "note text in {error}");
    }
    error
}

#[test]
fn texts_that_cannot_be_asked_about() {
    let classifier = Classifier::load(SimdBackend::new(), &model("classify")).expect("loads");
    let nli = Nli::load(SimdBackend::new(), &model("nli")).expect("loads");
    let extractor = Extractor::load(SimdBackend::new(), &model("relation"), None).expect("loads");
    let text = "No fever 😀, no rash";
    let entity = |start, end| {
        vec![Entity { start: 3, end: 8, label: "DRUG".into() }, Entity { start, end, label: "EFFECT".into() }]
    };
    let start = |start, end| extractor.start(text, entity(start, end), RelationOptions::default()).map(drop);
    let threshold = ClassifyOptions { threshold: f32::NAN, ..ClassifyOptions::default() };
    let cases: [(&str, clinlite::Result<()>, &str); 11] = [
        ("empty", classifier.start("").map(drop), "the text holds no word"),
        ("white space", classifier.start(" \r\n\u{200b}").map(drop), "the text holds no word"),
        (
            "threshold",
            block_on(classifier.classify(text, threshold)).map(drop),
            "threshold: expected a number from 0 to 1",
        ),
        (
            "unfinished",
            classifier.finish(classifier.start(text).expect("frames"), ClassifyOptions::default()).map(drop),
            "0 of 1",
        ),
        ("empty premise", nli.start(" ", text).map(drop), "the premise holds no word"),
        ("empty hypothesis", nli.start(text, "").map(drop), "the hypothesis holds no word"),
        (
            "long hypothesis",
            nli.start(text, &"rash ".repeat(15)).map(drop),
            "hypothesis: the second text has 15 pieces, beside the first at most 14 fit",
        ),
        ("inside a character", start(9, 11), "entity 2: expected a part of the 22 bytes"),
        ("beyond the end", start(9, 23), "found 9..23"),
        ("backwards", start(8, 3), "found 8..3"),
        ("empty entity", start(4, 4), "found 4..4"),
    ];
    for (name, outcome, expected) in cases {
        let error = failed(outcome);
        assert_eq!(error.kind(), ErrorKind::Input, "{name}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    let job = nli.start(text, text).expect("frames");
    let shown = format!("{job:?} {:?} {:?}", job.frames(), failed(nli.sequences().pass(&job, 1)));
    assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
}

/// A fixture whose `config.json` was changed.
fn changed(name: &str, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Folder {
    let owned = |(file, _): (&str, usize)| (file.to_owned(), model(name).file(file).expect("its own").to_vec());
    let folder = model(name);
    let mut files: Vec<_> = folder.files().map(owned).collect();
    let config = files.iter_mut().find(|(name, _)| name == "config.json").expect("a config");
    let Value::Object(mut fields) = serde_json::from_slice(&config.1).expect("JSON") else { panic!("an object") };
    change(&mut fields);
    config.1 = serde_json::to_vec(&fields).expect("JSON");
    Folder::from_files(files).expect("a folder")
}

#[test]
fn models_of_another_task() {
    let backend = SimdBackend::new;
    let stated = |task: &'static str| changed("classify", move |c| c["clinlite"]["task"] = task.into());
    let silent = changed("relation", |c| drop(c.remove("clinlite")));
    let regression = changed("classify", |c| drop(c.insert("problem_type".into(), "regression".into())));
    let many = changed("nli", |c| drop(c.insert("problem_type".into(), "multi_label_classification".into())));
    let tagger = fixture("bert-bio");
    let cases: [(clinlite::Result<()>, ErrorKind, &str); 8] = [
        (
            Classifier::load(backend(), &tagger).map(drop),
            ErrorKind::Task,
            "made for token-classification, not for classify",
        ),
        (Tagger::load(backend(), &silent).map(drop), ErrorKind::Task, "made for text-classification, not for ner"),
        (Tagger::load(backend(), &stated("nli")).map(drop), ErrorKind::Task, "made for nli, not for ner"),
        (Nli::load(backend(), &stated("classify")).map(drop), ErrorKind::Task, "made for classify, not for nli"),
        (Classifier::load(backend(), &regression).map(drop), ErrorKind::Unsupported, "problem_type \"regression\""),
        (Nli::load(backend(), &many).map(drop), ErrorKind::Unsupported, "multi-label model is not implemented for nli"),
        (Extractor::load(backend(), &silent, None).map(drop), ErrorKind::Unsupported, "name the markers"),
        (Classifier::load(backend(), &stated("poetry")).map(drop), ErrorKind::Format, "config.json: clinlite"),
    ];
    for (outcome, kind, expected) in cases {
        let error = failed(outcome);
        assert!(error.to_string().contains(expected) && error.kind() == kind, "{error:?}");
    }
    assert_eq!(fixture_files("bert-bio").len(), tagger.files().count());
    Nli::load(backend(), &changed("nli", |c| drop(c.remove("clinlite")))).expect("a folder that states no task loads");
    let extractor = Extractor::load(backend(), &silent, Some(Markers::Replaced)).expect("loads");
    assert_eq!((extractor.asked().markers, extractor.asked().none.as_str()), (Markers::Replaced, "none"));
}

#[test]
fn documents_state_what_was_asked_and_are_the_same_twice() {
    let classifier = Classifier::load(SimdBackend::new(), &model("multi-label")).expect("loads");
    let text = string(&cases("multi-label")[1], "text").to_owned();
    let classification = || {
        let answer = block_on(classifier.classify(&text, ClassifyOptions::default())).expect("answers");
        serde_json::to_string(&export::classification::document(&answer, &text)).expect("JSON")
    };
    assert_eq!(classification(), classification());
    let document: Value = serde_json::from_str(&classification()).expect("JSON");
    assert_eq!(document["schema"], "clinlite/classification/1");
    assert_eq!((&document["threshold"], &document["pooling"]), (&json!(0.5), &json!("mean")));
    assert_eq!((&document["model"]["task"], &document["model"]["multi_label"]), (&json!("classify"), &json!(true)));
    let windows = cases("multi-label")[1]["input_ids"].as_array().expect("a list").len();
    assert_eq!(
        (&document["coverage"]["windows"], &document["coverage"]["truncated"]),
        (&json!(windows), &json!(false))
    );
    let extractor = Extractor::load(SimdBackend::new(), &model("relation"), None).expect("loads");
    let case = &cases("relation")[0];
    let text = string(case, "text");
    let options = RelationOptions { none: true, ..RelationOptions::default() };
    let found = block_on(extractor.extract(text, entities(case), options)).expect("answers");
    for unit in [OffsetUnit::CodePoint, OffsetUnit::Utf16, OffsetUnit::Utf8] {
        let document = export::relations::document(&found, text, unit).expect("its own text");
        assert_eq!((document.schema, document.offset_unit), ("clinlite/relations/1", unit.name()));
        let places: Vec<_> = document.entities.iter().map(|entity| (entity.start, entity.end, entity.text)).collect();
        let begin = OffsetUnit::length(unit, "Rash 😀 after ");
        assert_eq!(places[1], (begin, begin + 7, "aspirin"));
        let pairs: Vec<_> = document.relations.iter().map(|r| (r.head.as_str(), r.tail.as_str(), r.label)).collect();
        assert_eq!(pairs, [("T2", "T1", "none"), ("T2", "T3", "causes")]);
    }
}

/// What a pool of workers does: passes judged in another instance, in any order, and taken over in their own.
#[test]
fn passes_may_be_judged_elsewhere() {
    let load = || Classifier::load(SimdBackend::new(), &model("classify")).expect("loads");
    let (here, there, text) = (load(), load(), "No fever, no rash. ".repeat(20));
    let (mut job, other) = (here.start(&text).expect("frames"), there.start(&text).expect("frames"));
    let passes = job.progress().1;
    assert!(passes > 2, "{passes} passes");
    let judge = |pass| block_on(there.sequences().judge(&pass)).expect("judges").remove(0).into_logits();
    let pass = |step| there.sequences().pass(&other, step).expect("a step");
    let mut logits: Vec<_> = (0..passes).rev().map(|step| judge(pass(step))).collect();
    logits.reverse();
    let judged = |job: &Job, pass, logits| here.sequences().judged(job, pass, logits);
    assert!(failed(judged(&job, 0, vec![0.0])).to_string().contains("logits, found 1"));
    assert!(failed(judged(&job, passes, logits[0].clone())).to_string().contains("there is no pass"));
    let second = judged(&job, 1, logits[1].clone()).expect("of this job");
    assert!(failed(job.accept(second)).to_string().contains("expected pass 0, found 1"));
    for (pass, logits) in logits.into_iter().enumerate() {
        let accepted = judged(&job, pass, logits).expect("of this job");
        job.accept(accepted).expect("the next");
    }
    let answer = here.finish(job, ClassifyOptions::default()).expect("answers");
    let alone = block_on(here.classify(&text, ClassifyOptions::default())).expect("answers");
    assert_eq!((answer.logits, answer.scores), (alone.logits, alone.scores));
}

/// The same for the windows of a note.
#[test]
fn windows_may_be_judged_elsewhere() {
    let load = || Tagger::load(SimdBackend::new(), &fixture("bert-bio")).expect("loads").with_window(16, 4);
    let (here, there, note) = (load(), load(), "No fever, no rash. ".repeat(20));
    let (mut job, other) =
        (here.start(&note, Default::default()).expect("cuts"), there.start(&note, Default::default()).expect("cuts"));
    let windows = job.progress().1;
    assert!(windows > 2, "{windows} windows");
    let judge = |pass| block_on(there.judge(&pass)).expect("judges").remove(0).into_logits();
    let pass = |window| there.pass(&other, window).expect("a window");
    let mut logits: Vec<_> = (0..windows).rev().map(|window| judge(pass(window))).collect();
    logits.reverse();
    assert!(failed(here.judged(&job, 0, vec![0.0])).to_string().contains("logits, found 1"));
    assert!(failed(here.judged(&job, windows, logits[0].clone())).to_string().contains("there is no window"));
    for (window, logits) in logits.into_iter().enumerate() {
        let accepted = here.judged(&job, window, logits).expect("of this note");
        job.accept(accepted).expect("the next");
    }
    let tagging = here.finish(job).expect("finishes");
    let alone = block_on(here.tag(&note, Default::default())).expect("tags");
    assert_eq!(tagging.entities, alone.entities);
}

/// What an engine that likes large batches is given: windows of two notes and pairs of two texts, read in one pass.
#[test]
fn steps_that_are_read_together_say_what_each_says_alone() {
    let tagger = Tagger::load(SimdBackend::new(), &fixture("bert-bio")).expect("loads").with_window(16, 4);
    let start = |note: &str| tagger.start(note, Default::default()).expect("cuts");
    let (long, short) = (start(&"No fever, no rash. ".repeat(20)), start("Cough."));
    let asked = [(&long, 2), (&short, 0), (&long, 0), (&long, 1)];
    let alone = |(job, window)| block_on(tagger.judge(&tagger.pass(job, window).expect("a window"))).expect("judges");
    let expected: Vec<_> = asked.into_iter().flat_map(alone).map(ner::Judged::into_logits).collect();
    let mut passes = asked.into_iter().map(|(job, window)| tagger.pass(job, window).expect("a window"));
    let mut all = passes.next().expect("four");
    passes.for_each(|pass| all.append(pass));
    assert!((16 * 3 + 3..16 * 4).contains(&all.rows()), "{}", all.rows());
    let found = block_on(tagger.judge(&all)).expect("judges").into_iter().map(ner::Judged::into_logits);
    assert_eq!(found.collect::<Vec<_>>(), expected);

    let nli = Nli::load(SimdBackend::new(), &model("nli")).expect("loads");
    let jobs = ["Fever and rash.", "No cough at all."].map(|premise| nli.start(premise, "Fever.").expect("frames"));
    let [mut first, second] = [0, 1].map(|i| nli.sequences().pass(&jobs[i], 0).expect("a step"));
    let judge = |pass| block_on(nli.sequences().judge(pass)).expect("judges").remove(0).into_logits();
    let expected = [judge(&first), judge(&second)];
    first.append(second);
    let found = block_on(nli.sequences().judge(&first)).expect("judges").into_iter();
    assert_eq!(found.map(sequences::Judged::into_logits).collect::<Vec<_>>(), expected);
}

//! Relations, pairs and texts: small worlds that a small encoder learns by heart, through the recipe that a user writes.

use std::fs;

use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Head, Model};
use clinlite::tasks::read_tokenizer;
use clinlite::tasks::settings::{Relations, Settings, Task};
use clinlite::text::markers::Markers;
use clinlite::train::evaluate::sequences::Exam;
use clinlite::train::model::open;
use clinlite::train::readers::{DataSet, Format};
use clinlite::train::recipe::{Metric, Recipe};
use clinlite::train::sequences::{candidates, gold};
use serde_json::json;

use super::{Scratch, make_world, run};

const TRAIN: &str = "
[window]
max_length = 48
[evaluate]
max_length = 48
stride = 8
times = 2
[train]
lr = 3e-3
dropout = 0.0
batch_size = 4
epochs = 60
";

const CLASSIFY: &str = r#"
name = "texts"
seed = 3
[model]
task = "classify"
labels = ["drug", "problem"]
[data.texts]
format = "jsonl"
path = "texts.jsonl"
[dev.texts]
format = "jsonl"
path = "texts.jsonl"
"#;

const MULTI: &str = r#"
name = "several"
seed = 3
[model]
task = "classify"
labels = ["drug", "problem", "empty"]
multi_label = true
[data.texts]
format = "jsonl"
path = "several.jsonl"
[dev.texts]
format = "jsonl"
path = "several.jsonl"
"#;

const NLI: &str = r#"
name = "pairs"
seed = 3
[model]
task = "nli"
labels = ["no", "yes"]
[data.pairs]
format = "jsonl"
path = "pairs.jsonl"
[dev.pairs]
format = "jsonl"
path = "pairs.jsonl"
"#;

const RELATION: &str = r#"
name = "joined"
seed = 3
[model]
task = "relation"
labels = ["none", "CAUSES"]
[relations]
markers = "replaced"
pairs = [["DRUG", "PROBLEM"]]
[data.notes]
format = "brat"
path = "notes"
[dev.notes]
format = "brat"
path = "notes"
"#;

fn write_worlds(scratch: &Scratch) {
    let lines = |values: Vec<serde_json::Value>| values.iter().map(|v| format!("{v}\n")).collect::<String>();
    let texts =
        [("aspirin 81", "drug"), ("renal failure", "problem"), ("heparin given", "drug"), ("chest pain", "problem")];
    let texts = texts.map(|(text, label)| json!({"text": text, "label": label})).to_vec();
    fs::write(scratch.at("texts.jsonl"), lines(texts)).unwrap();
    let several = vec![
        json!({"text": "aspirin after pain", "labels": ["drug", "problem"]}),
        json!({"text": "heparin 10 units", "labels": ["drug"]}),
        json!({"text": "acute renal failure", "labels": ["problem"]}),
        json!({"text": "today", "labels": ["empty"]}),
    ];
    fs::write(scratch.at("several.jsonl"), lines(several)).unwrap();
    // The same words on both sides: only the pair decides.
    let mut pairs = Vec::new();
    for (premise, hypothesis, label) in
        [("fever", "fever", "yes"), ("fever", "pain", "no"), ("pain", "pain", "yes"), ("pain", "fever", "no")]
    {
        pairs.push(json!({"premise": format!("patient had {premise}"), "hypothesis": hypothesis, "label": label}));
    }
    fs::write(scratch.at("pairs.jsonl"), lines(pairs)).unwrap();
    fs::create_dir_all(scratch.at("notes")).unwrap();
    let note = |name: &str, text: &str, ann: &str| {
        fs::write(scratch.at(&format!("notes/{name}.txt")), text).unwrap();
        fs::write(scratch.at(&format!("notes/{name}.ann")), ann).unwrap();
    };
    note(
        "a",
        "pain after aspirin and heparin",
        "T1\tPROBLEM 0 4\tpain\nT2\tDRUG 11 18\taspirin\nT3\tDRUG 23 30\theparin\nR1\tCAUSES Arg1:T2 Arg2:T1\n",
    );
    note(
        "b",
        "fever after insulin and aspirin",
        "T1\tPROBLEM 0 5\tfever\nT2\tDRUG 12 19\tinsulin\nT3\tDRUG 24 31\taspirin\nR1\tCAUSES Arg1:T2 Arg2:T1\n",
    );
}

#[test]
fn every_task_is_learnt_by_heart() {
    let scratch = Scratch::new("tasks");
    let mut places = make_world(&scratch);
    write_worlds(&scratch);
    for (recipe, metric) in
        [(CLASSIFY, Metric::MacroF1), (MULTI, Metric::MacroF1), (NLI, Metric::Accuracy), (RELATION, Metric::MicroF1)]
    {
        let text = format!("{recipe}{TRAIN}");
        let recipe = Recipe::parse(&text).unwrap();
        places.out = scratch.at(&recipe.name);
        let (outcome, losses, _) = run(&text, &places, false, None);
        let (score, _) = outcome.best.unwrap();
        assert!(score > 0.999, "{}: {score}, last loss {:?}", recipe.name, losses.last());
        assert_eq!(recipe.metric(), metric);
        check_folder(&recipe, &places.out.join("model"), &places.data);
    }
}

/// What was written is read back as what it is, and answers the same on the product's engine.
fn check_folder(recipe: &Recipe, place: &std::path::Path, data: &std::path::Path) {
    let folder = open(place).unwrap();
    assert_eq!(Head::of(&folder).unwrap(), Head::SequenceClassification);
    assert_eq!(folder.label_names().unwrap(), recipe.labels());
    let settings = Settings::of(&folder).unwrap();
    assert_eq!(settings, recipe.settings());
    assert!(folder.config_json().get("label_transitions").is_none());
    let problem = if recipe.model.multi_label { "multi_label_classification" } else { "single_label_classification" };
    assert_eq!(folder.config_json()["problem_type"], problem);
    let (backend, tokenizer) = (SimdBackend::new(), read_tokenizer(&folder).unwrap());
    let Model::SequenceClassification(model) = Model::of(&backend, &folder).unwrap() else { panic!("another head") };
    let mut exam = Exam::new(recipe.labels(), settings, recipe.model.multi_label, 48);
    for set in recipe.dev.values() {
        if recipe.model.task == Task::Relation {
            exam.add_relations(&set.read_relations(data).unwrap(), &tokenizer);
        } else {
            exam.add_texts(&set.read_sequences(data).unwrap(), &tokenizer).unwrap();
        }
    }
    let figures = pollster::block_on(exam.figures(&backend, &model)).unwrap();
    assert!(figures.value(recipe.metric()) > 0.999, "{}: {figures:?}", recipe.name);
}

#[test]
fn a_stopped_classifier_goes_on_as_if_it_had_not_been() {
    let scratch = Scratch::new("tasks-resume");
    let mut places = make_world(&scratch);
    write_worlds(&scratch);
    let recipe = format!("{NLI}{}", TRAIN.replace("epochs = 60", "epochs = 9"));
    places.out = scratch.at("whole");
    let (_, whole, _) = run(&recipe, &places, false, None);
    places.out = scratch.at("halves");
    let (outcome, mut halves, _) = run(&recipe, &places, false, Some(4));
    assert!(outcome.stopped);
    halves.extend(run(&recipe, &places, true, None).1);
    assert_eq!(whole, halves);
}

#[test]
fn what_a_recipe_of_a_task_may_say() {
    let cases = [
        (CLASSIFY, "labels = [\"drug\", \"problem\"]", "labels = []", "model.labels: expected between 1 and 63 labels"),
        (CLASSIFY, "labels = [\"drug\"", "labels = [\"problem\"", "model.labels: expected to differ"),
        (CLASSIFY, "task = \"classify\"", "task = \"classify\"\ntypes = [\"A\"]", "model.types: expected none"),
        (NLI, "task = \"nli\"", "task = \"nli\"\nmulti_label = true", "model.multi_label"),
        (NLI, "[data.pairs]", "[relations]\n[data.pairs]", "relations: expected none unless"),
        (RELATION, "\"none\", ", "", "model.labels: expected \"none\""),
        (RELATION, "markers = \"replaced\"", "markers = \"both\"", "unknown variant"),
    ];
    for (recipe, from, to, expected) in cases {
        let text = format!("{recipe}{TRAIN}").replace(from, to);
        let error = Recipe::parse(&text).expect_err(to).to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn a_label_that_the_model_lacks_names_the_text() {
    let scratch = Scratch::new("tasks-label");
    let mut places = make_world(&scratch);
    write_worlds(&scratch);
    places.out = scratch.at("run");
    let recipe = format!("{CLASSIFY}{TRAIN}").replace("\"problem\"]", "\"issue\"]");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let options = clinlite::train::finetune::Options {
        resume: false,
        checkpoint_every: std::time::Duration::from_secs(60),
        stop: &stop,
    };
    let error = clinlite::train::finetune::finetune(&recipe, &places, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("data.texts: text") && error.contains("\"problem\" is not one of model.labels"), "{error}");
    assert!(!error.contains("renal"), "{error}");
}

const ABSTRACTS: &str = "1|t|Aspirin and renal failure
1|a|Failure after aspirin but not after heparin.
1\t0\t7\tAspirin\tChemical\tD1
1\t12\t25\trenal failure\tDisease\tD2|D3
1\t26\t33\tFailure\tDisease\tD2
1\t40\t47\taspirin\tChemical\tD1
1\t62\t69\theparin\tChemical\tD4
1\tCID\tD1\tD2
";

#[test]
fn concepts_are_asked_about_once_by_their_closest_mentions() {
    let scratch = Scratch::new("concepts");
    let places = make_world(&scratch);
    fs::write(scratch.at("abstracts.PubTator.txt"), ABSTRACTS).unwrap();
    let documents = DataSet::whole(Format::Pubtator, "abstracts.PubTator.txt").read_relations(&places.data).unwrap();
    let tokenizer = read_tokenizer(&open(&places.base).unwrap()).unwrap();
    let pairs = vec![("Chemical".to_owned(), "Disease".to_owned())];
    let relations = Relations { markers: Markers::Replaced, pairs, ..Relations::default() };
    let found = candidates(&documents[0], &relations, &tokenizer, 48);
    let shown: Vec<_> = found.iter().map(|c| (c.pair.0.as_str(), c.pair.1.as_str(), c.label.as_str())).collect();
    let expected = [("D1", "D2", "CID"), ("D1", "D3", "none"), ("D4", "D2", "none"), ("D4", "D3", "none")];
    assert_eq!(shown, expected);
    assert!(found.iter().all(|candidate| candidate.frame.is_some()));
    assert_eq!(gold(&documents[0]).len(), 1);
    // In a window of eight rows only neighbours fit.
    let close = candidates(&documents[0], &relations, &tokenizer, 12);
    assert!(close.iter().any(|candidate| candidate.frame.is_none()), "some are too far apart");
}

//! A student and its teacher: PyTorch's numbers, that the teacher alone is enough, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use clinlite::ErrorKind;
use clinlite::backend::candle::{CandleBackend, host};
use clinlite::backend::training::{Quantity, Training};
use clinlite::tasks::read_tokenizer;
use clinlite::train::finetune::Places;
use clinlite::train::loss::token_loss;
use clinlite::train::recipe::Recipe;
use clinlite::train::teacher::Teacher;
use clinlite::weights::folder::Folder;
use safetensors::tensor::{SafeTensors, TensorView};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{LABELS, RECIPE, SENTENCES, Scratch, Tiny, fixture, make_world, one_stage, refusal, run};

/// What `make_teacher.py` wrote.
#[derive(Deserialize)]
struct Taught {
    hard: f32,
    soft: f32,
    temperature: f32,
    taught: Vec<u32>,
    hard_loss: f64,
    soft_loss: f64,
    gradients: BTreeMap<String, Vec<f32>>,
}

/// The tiny model with the rows of its classifier in reverse order, as a folder.
fn reversed() -> Folder {
    let bytes = fixture("model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let mut data = view.data().to_vec();
        if name.starts_with("classifier.") {
            let row = data.len() / LABELS;
            data = data.chunks_exact(row).rev().flatten().copied().collect();
        }
        tensors.push((name.to_owned(), view.dtype(), view.shape().to_vec(), data));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let weights = safetensors::serialize(views, None).unwrap();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let pieces: String = special.into_iter().chain(('a'..='z').map(String::from)).map(|p| format!("{p}\n")).collect();
    let files =
        [("config.json", fixture("config.json")), ("vocab.txt", pieces.into_bytes()), ("model.safetensors", weights)];
    Folder::from_files(files.map(|(name, bytes)| (name.to_owned(), bytes))).unwrap()
}

#[test]
fn labels_and_teacher_together_equal_pytorch() {
    let expected: Taught = serde_json::from_slice(&fixture("teacher.json")).unwrap();
    let recipe = format!(
        "name = \"t\"\nseed = 1\n[model]\ntypes = [\"A\", \"B\"]\n[teacher]\nhard = {}\nsoft = {}\ntemperature = {}\n\
         [unlabelled.x]\npath = \"x\"\n[window]\nmax_length = 16",
        expected.hard, expected.soft, expected.temperature
    );
    let (recipe, folder) = (Recipe::parse(&recipe).unwrap(), reversed());
    let tokenizer = read_tokenizer(&folder).unwrap();
    let teacher = Teacher::open(&folder, &recipe, &tokenizer, CandleBackend::inference(Device::Cpu)).unwrap();
    let Tiny { backend, model, steps, batch } = Tiny::load();
    backend.begin(0, 0);
    let logits: Tensor = model.forward(&backend, &batch).unwrap();
    let judged = steps.allowed.iter().filter(|bits| **bits != 0).count() as f64 / f64::from(expected.hard);
    let weight = vec![1.0; steps.allowed.len()];
    let hard = host(&logits, |logits| token_loss(logits, LABELS, &steps.allowed, &weight, judged)).unwrap();
    backend.seed(&logits, hard.grad).unwrap();
    teacher.lose(&backend, &logits, &batch, Some(&expected.taught)).unwrap();
    backend.backward().unwrap();
    let soft = backend.report().unwrap().losses["soft"];
    assert!((hard.loss - expected.hard_loss).abs() < 1e-5, "{} for {}", hard.loss, expected.hard_loss);
    assert!((soft - expected.soft_loss).abs() < 1e-5, "{soft} for {}", expected.soft_loss);
    let mut compared = 0;
    for layout in backend.layouts() {
        let gradient = backend.read(layout.name(), Quantity::Gradient).unwrap();
        for part in layout.parts.iter().filter(|part| expected.gradients.contains_key(&part.name)) {
            let (found, expected) = (
                &gradient[part.rows.start * layout.columns..part.rows.end * layout.columns],
                &expected.gradients[&part.name],
            );
            let size = expected.iter().fold(1e-3f32, |max, x| max.max(x.abs()));
            assert_eq!(found.len(), expected.len(), "{}", part.name);
            let far = found.iter().zip(expected).find(|(found, expected)| (*found - *expected).abs() > 2e-5 * size);
            assert!(far.is_none(), "{}: {far:?}", part.name);
            compared += 1;
        }
    }
    assert_eq!(compared, expected.gradients.len());
}

/// The world of ten sentences with a teacher who learnt them for so many steps, and the ten as text without labels.
pub(super) fn make_school(scratch: &Scratch, steps: u64) -> Places {
    let world = make_world(scratch);
    run(&one_stage(steps), &Places { out: scratch.at("teacher"), ..world.clone() }, false, None);
    let text = |sentence: &str| {
        let words: Vec<_> = sentence.split(' ').filter_map(|pair| pair.split('|').next()).collect();
        format!("{}\n", json!({"id": sentence.len(), "text": words.join(" ")}))
    };
    fs::write(scratch.at("notes.jsonl"), SENTENCES.map(text).concat()).unwrap();
    Places { teacher: Some(scratch.at("teacher/model")), ..world }
}

/// A student of notes that only its teacher judges.
fn silver(steps: u64) -> String {
    let recipe = one_stage(steps);
    let (before, after) = recipe.split_once("[data.ten]").unwrap();
    let (_, after) = after.split_once("[dev.ten]").unwrap();
    format!("{before}[teacher]\nhard = 0.0\n[unlabelled.notes]\npath = \"notes.jsonl\"\n[dev.ten]{after}")
}

#[test]
fn a_student_learns_from_its_teacher_alone() {
    let scratch = Scratch::new("silver");
    let places = make_school(&scratch, 160);
    let (outcome, losses, _) = run(&silver(160), &places, false, None);
    let (f1, _) = outcome.best.unwrap();
    assert!(f1 > 0.95, "F1 {f1}, losses {:?} to {:?}", losses.first(), losses.last());
    assert!(losses[losses.len() - 1] < 0.05 * losses[0], "{:?} to {:?}", losses.first(), losses.last());
}

#[test]
fn a_stopped_student_goes_on_as_if_it_had_not_been() {
    let scratch = Scratch::new("silver-resume");
    let mut places = make_school(&scratch, 4);
    let recipe = format!(
        "{}\n[teacher]\n[unlabelled.notes]\npath = \"notes.jsonl\"\n[[stage]]\nname = \"both\"\nsets = {{ ten = 1.0, notes = 0.5 }}\n",
        one_stage(14).replace("dropout = 0.0\n", "")
    );
    places.out = scratch.at("whole");
    let (_, whole, scores) = run(&recipe, &places, false, None);
    places.out = scratch.at("halves");
    let (outcome, mut halves, _) = run(&recipe, &places, false, Some(5));
    assert!(outcome.stopped);
    let (_, rest, rest_scores) = run(&recipe, &places, true, None);
    halves.extend(rest);
    assert_eq!(halves, whole);
    assert_eq!(rest_scores, scores);
}

#[test]
fn teachers_of_something_else_are_refused() {
    let scratch = Scratch::new("refusals");
    let places = make_school(&scratch, 2);
    let folder = places.teacher.clone().unwrap();
    let says = |recipe: &str, expected: &[&str]| {
        let error = refusal(recipe, &places).to_string();
        for expected in expected {
            assert!(error.contains(expected), "expected {expected:?}: {error}");
        }
    };
    let other = silver(3).replace("types = [\"P\", \"D\"]", "types = [\"D\", \"P\"]");
    says(&other, &["teacher ", "[\"O\", \"B-P\", \"I-P\", \"B-D\"", "[\"O\", \"B-D\", \"I-D\", \"B-P\"", "same order"]);
    let tokenizer = fs::read(folder.join("tokenizer.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&tokenizer).unwrap();
    let vocab = &mut json["model"]["vocab"];
    (vocab["patient"], vocab["heparin"]) = (vocab["heparin"].clone(), vocab["patient"].clone());
    assert!(vocab["patient"].is_u64() && vocab["heparin"].is_u64(), "both words are pieces");
    fs::write(folder.join("tokenizer.json"), json.to_string()).unwrap();
    says(&silver(3), &["its vocabulary has", "as piece"]);
    fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
    let weights = fs::read(folder.join("model.safetensors")).unwrap();
    fs::write(folder.join("model.safetensors"), with_zero_bias(&weights)).unwrap();
    says(&silver(3), &["classifier.bias is missing or all zeros"]);
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    says(&silver(3), &["teacher ", "model.safetensors"]);
    fs::remove_file(folder.join("config.json")).unwrap();
    says(&silver(3), &["teacher ", "config.json"]);
    fs::write(scratch.at("notes.jsonl"), "\n").unwrap();
    fs::remove_dir_all(&folder).unwrap();
    says(&silver(3), &["teacher "]);
}

#[test]
fn a_classifier_learns_from_its_teacher_alone() {
    let scratch = Scratch::new("silver-classify");
    let world = make_world(&scratch);
    let texts =
        [("aspirin 81", "drug"), ("renal failure", "problem"), ("heparin given", "drug"), ("chest pain", "problem")];
    let line = |(text, label)| format!("{}\n", json!({"text": text, "label": label}));
    fs::write(scratch.at("texts.jsonl"), texts.map(line).concat()).unwrap();
    let recipe = |learn: &str| {
        format!(
            "name = \"texts\"\nseed = 3\n[model]\ntask = \"classify\"\nlabels = [\"drug\", \"problem\"]\n{learn}\n\
             [dev.texts]\nformat = \"jsonl\"\npath = \"texts.jsonl\"\n[window]\nmax_length = 48\n[evaluate]\nmax_length = 48\n\
             stride = 8\n[train]\nlr = 3e-3\ndropout = 0.0\nbatch_size = 4\nepochs = 60\n"
        )
    };
    let labels = recipe("[data.texts]\nformat = \"jsonl\"\npath = \"texts.jsonl\"");
    run(&labels, &Places { out: scratch.at("teacher"), ..world.clone() }, false, None);
    let places = Places { teacher: Some(scratch.at("teacher/model")), ..world };
    let silver = recipe("[teacher]\nhard = 0.0\n[unlabelled.notes]\npath = \"texts.jsonl\"");
    let (outcome, losses, _) = run(&silver, &places, false, None);
    assert!(outcome.best.unwrap().0 > 0.999, "{:?} to {:?}", losses.first(), losses.last());
}

#[test]
fn silver_text_that_is_empty_is_refused() {
    let scratch = Scratch::new("empty");
    let places = make_school(&scratch, 2);
    fs::write(scratch.at("notes.jsonl"), "\n{\"text\": \" \"}\n").unwrap();
    let error = refusal(&silver(3), &places);
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("unlabelled.notes") && error.to_string().contains("holds no text"), "{error}");
}

#[test]
fn a_teacher_that_nobody_or_only_the_command_names_is_refused() {
    let scratch = Scratch::new("nobody");
    let world = make_world(&scratch);
    fs::write(scratch.at("notes.jsonl"), "{\"text\": \"fever\"}\n").unwrap();
    let error = refusal(&silver(3), &world).to_string();
    assert!(error.contains("--teacher") && error.contains("teacher.base"), "{error}");
    let error = refusal(RECIPE, &Places { teacher: Some(world.base.clone()), ..world.clone() }).to_string();
    assert!(error.contains("there is no [teacher]"), "{error}");
    // An encoder whose head is yet to be made.
    let error = refusal(&silver(3), &Places { teacher: Some(world.base.clone()), ..world }).to_string();
    assert!(error.contains("an encoder without a head"), "{error}");
}

#[test]
fn what_a_recipe_with_a_teacher_may_say() {
    let good = silver(3);
    let cases = [
        ("hard = 0.0", "hard = -1.0", "teacher.hard: expected 0 or more"),
        ("hard = 0.0", "soft = 0.0", "teacher.soft: expected above 0"),
        ("hard = 0.0", "temperature = 0.0", "teacher.temperature: expected above 0"),
        ("[teacher]\nhard = 0.0\n", "", "unlabelled: expected a [teacher]"),
        ("[dev.ten]", "[data.notes]\nformat = \"conll\"\npath = \"x\"\n[dev.ten]", "expected other names than"),
        ("types = [\"P\", \"D\"]", "task = \"nli\"\nlabels = [\"a\"]", "unlabelled: expected none"),
        ("times = 2", "times = 2\npatience = 0", "evaluate.patience: expected above 0"),
        ("steps = 3", "steps = 0", "steps: expected above 0"),
        ("types = [\"P\", \"D\"]", "types = [\"P\", \"D\"]\nlayers = []", "model.layers: expected at least one"),
    ];
    Recipe::parse(&good).unwrap();
    for (from, to, expected) in cases {
        assert!(good.contains(from), "{from}");
        let error = Recipe::parse(&good.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
}

/// The arms of the comparison differ in what docs/distillation.md says, and in nothing else.
#[test]
fn students_with_and_without_a_teacher_are_otherwise_equal() {
    for set in ["maccrobat2020", "bc5cdr"] {
        let read = |arm: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recipes/distil/{set}/{arm}.toml"));
            let text = fs::read_to_string(path).unwrap();
            Recipe::parse(&text).unwrap();
            let mut table: toml::Table = toml::from_str(&text).unwrap();
            table.remove("name");
            table
        };
        let [teacher, mut student, long, mut distilled] = ["teacher", "student", "student-long", "distilled"].map(read);
        for key in ["data", "dev", "window", "evaluate"] {
            assert_eq!(teacher[key], distilled[key], "{set}: {key}");
        }
        for key in ["teacher", "unlabelled", "stage"] {
            assert!(distilled.remove(key).is_some(), "{set}: {key}");
        }
        assert_eq!(distilled, long, "{set}");
        assert!(student["train"].as_table_mut().unwrap().remove("epochs").is_some());
        student["train"].as_table_mut().unwrap().insert("steps".into(), long["train"]["steps"].clone());
        assert_eq!(student, long, "{set}");
    }
}

/// The weights of a folder with a head as it is drawn.
fn with_zero_bias(bytes: &[u8]) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let zeros = vec![0; file.tensor("classifier.bias").unwrap().data().len()];
    let views = file.iter().map(|(name, view)| {
        let data = if name == "classifier.bias" { &zeros[..] } else { view.data() };
        (name, TensorView::new(view.dtype(), view.shape().to_vec(), data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

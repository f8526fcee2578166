//! A teacher that is asked once: what is kept, who reads it, and what is refused.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clinlite::ErrorKind;
use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::top_words::TopWords;
use clinlite::backend::training::{Quantity, Term, Training};
use clinlite::backend::{Stored, Values};
use clinlite::train::pretrain::progress::{Logged, Progress};
use clinlite::train::pretrain::{Options, Outcome, Places, Role, pretrain};
use serde::Deserialize;

use super::{TINY, fixture, model_bytes, places};
use crate::support::Scratch;

/// The words and the teacher's word on them, with two masks a block that come again; three epochs.
fn recipe(teacher: &str) -> String {
    let cut = TINY.split_once("[blocks]").unwrap().0;
    format!(
        "{cut}[teacher]\n{teacher}\n[blocks]\nbatch_size = 6\nmasks = 2\nmask_seed = 9\n[loss]\nmasked_lm = 1.0\n\
         divergence = 2.0\ntemperature = 2.0\n[train]\nlr = 2e-3\nepochs = 3\naccumulate = 2\nlog_every = 1\n"
    )
}

#[derive(Default)]
struct Watch {
    losses: Vec<f64>,
    asked: Vec<(u64, u64)>,
    /// After so many blocks of a teacher that is asked.
    stop_at: Option<u64>,
}

/// `Progress` wants `&mut`, `Options` the flag.
struct Listener<'a>(&'a RefCell<Watch>, &'a AtomicBool);

impl Progress for Listener<'_> {
    fn asked(&mut self, blocks: u64, of: u64) {
        let mut watch = self.0.borrow_mut();
        watch.asked.push((blocks, of));
        if watch.stop_at.is_some_and(|at| blocks >= at) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn logged(&mut self, at: &Logged) {
        self.0.borrow_mut().losses.push(at.loss());
    }
}

/// How a run ended, its losses, and how often a teacher was made and asked.
struct Told {
    outcome: Outcome,
    losses: Vec<f64>,
    asked: Vec<(u64, u64)>,
    teachers: usize,
}

fn run(recipe: &str, places: &Places, stop_at: Option<u64>) -> clinlite::Result<Told> {
    let watch = RefCell::new(Watch { stop_at, ..Watch::default() });
    let (stop, teachers) = (AtomicBool::new(false), RefCell::new(0));
    let engine = |role: Role| {
        *teachers.borrow_mut() += usize::from(role == Role::Answer);
        Ok(role.on_cpu())
    };
    let options = Options { resume: true, checkpoint_every: Duration::from_secs(3600), stop: &stop };
    let outcome = pretrain(recipe, places, &options, engine, &mut Listener(&watch, &stop))?;
    let Watch { losses, asked, .. } = watch.into_inner();
    Ok(Told { outcome, losses, asked, teachers: teachers.into_inner() })
}

/// The files of the one cache beside the blocks.
fn files(places: &Places) -> Vec<PathBuf> {
    let folders: Vec<_> = fs::read_dir(places.blocks.join("teacher")).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let mut files: Vec<_> = fs::read_dir(&folders[0]).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "bin"));
    files.sort();
    files
}

#[test]
fn all_words_kept_are_the_teacher_itself() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let out = |name: &str| Places { out: scratch.path().join(name), ..own.clone() };
    let asked = run(&recipe(""), &out("asked"), None).unwrap();
    let kept = run(&recipe("cache = { top = 101 }"), &out("kept"), None).unwrap();
    assert_eq!((asked.losses.len(), asked.teachers, kept.teachers), (kept.losses.len(), 1, 1));
    for (step, (found, expected)) in kept.losses.iter().zip(&asked.losses).enumerate() {
        assert!((found - expected).abs() < 2e-5 * expected, "step {step}: {found} for {expected}");
    }
    // With fewer words the loss is another one, and not by much.
    let folder = scratch.path().join("few");
    let few = recipe(&format!("cache = {{ top = 32, folder = {:?} }}", folder.display().to_string()));
    let few = run(&few, &out("few-run"), None).unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    let off = (few.losses[0] - asked.losses[0]).abs() / asked.losses[0];
    assert!(off > 1e-6 && off < 0.05, "{off}");
}

#[test]
fn the_teacher_is_asked_once_for_all_that_ask_the_same() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let out = |name: &str| Places { out: scratch.path().join(name), ..own.clone() };
    let cached = recipe("cache = { top = 16 }");
    let first = run(&cached, &out("first"), None).unwrap();
    let (blocks, of) = first.asked.last().copied().unwrap();
    assert_eq!((first.teachers, blocks, files(&own).len()), (1, of, 2), "three epochs of two masks");
    // The same run, another seed, another student, other weights, other batches.
    let others = [
        cached.clone(),
        cached.replace("seed = 5", "seed = 6"),
        cached.replace("hidden_size = 20", "hidden_size = 24"),
        cached.replace("divergence = 2.0", "divergence = 1.0"),
        cached.replace("batch_size = 6", "batch_size = 4").replace("lr = 2e-3", "lr = 1e-3"),
    ];
    for (i, other) in others.iter().enumerate() {
        let told = run(other, &out(&format!("other-{i}")), None).unwrap();
        assert_eq!((told.teachers, told.asked.len(), files(&own).len()), (0, 0, 2), "{i}");
        assert_eq!(told.losses == first.losses, i == 0, "{i}");
    }
    // Other masks, other words are other caches.
    for (from, to) in [("mask_seed = 9", "mask_seed = 8"), ("top = 16", "top = 17"), ("temperature = 2.0", "")] {
        let told = run(&cached.replace(from, to), &out(&format!("{to}-run")), None).unwrap();
        assert_eq!(told.teachers, 1, "{to}");
    }
}

#[test]
fn a_cache_that_was_not_finished_goes_on() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let cached = recipe("cache = { top = 16 }");
    let whole = Places { out: scratch.path().join("whole"), ..own.clone() };
    run(&cached, &whole, None).unwrap();
    let kept: Vec<_> = files(&own).iter().map(|file| fs::read(file).unwrap()).collect();
    fs::remove_dir_all(own.blocks.join("teacher")).unwrap();
    // Stopped in the second file: the first is kept.
    let half = run(&cached, &own, Some(1)).unwrap();
    assert!(half.outcome.stopped && half.outcome.step == 0 && files(&own).is_empty());
    let (_, of) = half.asked[0];
    let half = run(&cached, &own, Some(of / 2 + 1)).unwrap();
    assert!(half.outcome.stopped && files(&own).len() == 1);
    let rest = run(&cached, &own, None).unwrap();
    assert_eq!((rest.asked.last().unwrap().1, rest.outcome.stopped), (of / 2, false));
    let again: Vec<_> = files(&own).iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(again == kept && model_bytes(&own) == model_bytes(&whole), "the same bytes");
}

#[test]
fn files_that_are_not_as_they_were_written() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let cached = recipe("cache = { top = 16 }");
    let out = |name: &str| Places { out: scratch.path().join(name), ..own.clone() };
    run(&cached, &out("first"), None).unwrap();
    let (first, second) = (files(&own)[0].clone(), files(&own)[1].clone());
    let whole = fs::read(&first).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let long = vec![0; 50 << 20];
    let other = fs::read(second).unwrap();
    let cases: [(&str, &[u8], ErrorKind); 5] = [
        ("flipped", &flipped, ErrorKind::Hash),
        ("cut", &whole[..whole.len() - 40], ErrorKind::Hash),
        ("none", &[], ErrorKind::Format),
        ("of another mask", &other, ErrorKind::Format),
        ("too long", &long, ErrorKind::Format),
    ];
    for (what, bytes, kind) in cases {
        fs::write(&first, bytes).unwrap();
        let error = run(&cached, &out("bad"), None).err().unwrap_or_else(|| panic!("{what}: it ran"));
        let said = error.to_string();
        assert_eq!(error.kind(), kind, "{what}: {said}");
        assert!(said.starts_with("teacher.cache: ") && said.contains("words-0000-000000.bin: remove it"), "{said}");
    }
    fs::remove_file(&first).unwrap();
    assert_eq!(run(&cached, &out("mended"), None).unwrap().teachers, 1);
    assert!(fs::read(&first).unwrap() == whole, "made again");
}

#[test]
fn more_words_than_there_are() {
    let scratch = Scratch::new();
    let error = run(&recipe("cache = { top = 102 }"), &places(&scratch), None).err().unwrap().to_string();
    assert!(error.contains("teacher.cache.top: 102 words of a vocabulary of 101"), "{error}");
}

/// `top_words.json`.
#[derive(Deserialize)]
struct Fixture {
    rows: usize,
    words: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    k: usize,
    temperature: f32,
    student: Vec<f32>,
    teacher: Vec<f32>,
    divergence: f64,
    cross_entropy: f64,
    gradient: Vec<f32>,
}

#[test]
fn the_losses_against_the_likeliest_words_equal_pytorch() {
    let text = fs::read_to_string(fixture("top_words.json")).unwrap();
    let Fixture { rows, words, cases } = serde_json::from_str(&text).unwrap();
    for case in cases {
        let top = TopWords::new(&case.teacher, words, case.k, case.temperature);
        let stored = || Stored {
            name: "z".into(),
            rows,
            columns: words,
            values: Values::F32(case.student.clone()),
            transposed: false,
        };
        let lose = |cross: bool| {
            let engine = CandleBackend::training(0);
            engine.begin(0, 0);
            let table = engine.table(stored()).unwrap();
            let logits = &engine.embed(&[(&table, &(0..rows as u32).collect::<Vec<_>>())]).unwrap();
            let term = match cross {
                true => Term::TopSoftCrossEntropy { logits, teacher: &top },
                false => Term::TopDivergence { logits, teacher: &top },
            };
            engine.lose("loss", term, 1.0).unwrap();
            engine.backward().unwrap();
            (engine.report().unwrap().losses["loss"], engine.read("z", Quantity::Gradient).unwrap())
        };
        for (cross, expected) in [(false, case.divergence), (true, case.cross_entropy)] {
            let (loss, gradient) = lose(cross);
            assert!(
                (loss - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{loss} for {expected}, {} words",
                case.k
            );
            let off = gradient.iter().zip(&case.gradient).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(off < 1e-6, "{off}");
        }
    }
}

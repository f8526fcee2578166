//! What a run refuses, and what it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use clinlite::ErrorKind;
use clinlite::text::{Normalization, Tokenizer};
use clinlite::train::checkpoint::Checkpoint;
use clinlite::train::corpus::blocks::{self, write};
use clinlite::train::corpus::notes::sources;
use clinlite::train::pretrain::{Options, Places, pretrain};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use super::{ALONE, TINY, command, engine, fixture, places, run};
use crate::support::Scratch;

/// What a run says that does not come to its end.
fn refusal(recipe: &str, places: &Places, resume: bool) -> String {
    run(recipe, places, resume, None).err().map_or_else(|| panic!("it ran: {recipe}"), |error| error.to_string())
}

/// A copy of a fixture whose files some function changed; without bytes a file is left out.
pub(super) fn changed(
    scratch: &Scratch,
    of: &str,
    change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>,
) -> std::path::PathBuf {
    let mut files = Vec::new();
    for entry in fs::read_dir(fixture(of)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(bytes) = change(&name, fs::read(&path).unwrap()) {
            files.push((name, bytes));
        }
    }
    scratch.folder(&format!("changed-{}", files.len()), files)
}

/// A file of tensors without some, or with other numbers.
fn tensors(bytes: &[u8], keep: impl Fn(&str) -> bool, change: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let kept: Vec<_> = file.iter().filter(|(name, _)| keep(name)).collect();
    let data: Vec<Vec<u8>> = kept
        .iter()
        .map(|(name, view)| {
            let mut data = view.data().to_vec();
            change(name, &mut data);
            data
        })
        .collect();
    let views = kept.iter().zip(&data);
    let views =
        views.map(|((name, view), data)| (*name, TensorView::new(view.dtype(), view.shape().to_vec(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn a_teacher_that_cannot_teach() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let refused = |teacher: &Path| refusal(TINY, &Places { teacher: Some(teacher.to_owned()), ..own.clone() }, false);
    let missing = refused(&scratch.path().join("nowhere"));
    assert!(missing.contains("teacher: ") && missing.contains("nowhere: no such folder"), "{missing}");
    for file in ["config.json", "model.safetensors", "vocab.txt"] {
        let teacher = changed(&scratch, "teacher", |name, bytes| (name != file).then_some(bytes));
        let error = refused(&teacher);
        assert!(error.contains(&teacher.display().to_string()) && error.contains(file), "{file}: {error}");
        fs::remove_dir_all(teacher).unwrap();
    }
    let headless = changed(&scratch, "teacher", |name, bytes| {
        let cut = || tensors(&bytes, |name| !name.starts_with("cls."), |_, _| {});
        Some(if name == "model.safetensors" { cut() } else { bytes.clone() })
    });
    let error = refused(&headless);
    assert!(error.contains("no masked-language-model head") && error.contains("cls.predictions"), "{error}");
    let error = refusal(TINY, &Places { teacher: None, ..own.clone() }, false);
    assert!(error.contains("no teacher: name a folder with --teacher"), "{error}");
}

#[test]
fn vocabularies_that_differ() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let swap = |name: &str, bytes: Vec<u8>| match name {
        "vocab.txt" => Some(String::from_utf8(bytes).unwrap().replace("fever\nmg", "mg\nfever").into_bytes()),
        _ => Some(bytes),
    };
    let base = changed(&scratch, "tiny-clinical-bert", swap);
    let error = refusal(TINY, &Places { base: Some(base.clone()), ..own.clone() }, false);
    assert!(error.contains("101 pieces, sha256 ") && error.contains("id 94 is \"mg\" and \"fever\""), "{error}");
    let error = refusal(ALONE, &Places { base: Some(base), teacher: None, ..own.clone() }, false);
    assert!(error.starts_with("blocks: ") && error.contains("expected the vocabulary"), "{error}");
    let error = refusal(&TINY.replace("vocab_size = 101", "vocab_size = 104"), &own, false);
    assert!(error.contains("vocab_size: 104 and 101"), "{error}");
    let error = refusal(&TINY.replace("vocab_size = 101", "vocab_size = 99"), &own, false);
    assert!(error.contains("101 pieces, the model 99 rows"), "{error}");
}

#[test]
fn blocks_that_do_not_fit() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let error = refusal(TINY, &Places { blocks: scratch.path().join("nowhere"), ..own.clone() }, false);
    assert!(error.starts_with("blocks: ") && error.contains("nowhere"), "{error}");
    let vocab = fs::read(fixture("teacher/vocab.txt")).unwrap();
    let tokenizer = Tokenizer::from_vocab(&vocab, Normalization::uncased()).unwrap();
    let make = |text: &str, length: usize, name: &str| {
        let notes = scratch.file(&format!("{name}/note.txt"), text);
        let (out, options) = (
            scratch.path().join(format!("{name}-blocks")),
            blocks::Options { length, dev_share: 0.0, ..Default::default() },
        );
        write(&sources(&[notes]).unwrap(), &tokenizer, &out, &options, |_| {}).unwrap();
        Places { blocks: out, ..own.clone() }
    };
    let none = make("fever", 16, "none");
    let stated = fs::read(none.blocks.join("blocks.json")).unwrap();
    let mut stated: serde_json::Value = serde_json::from_slice(&stated).unwrap();
    (stated["train"]["blocks"], stated["train"]["shards"]) = (0.into(), serde_json::json!([]));
    fs::write(none.blocks.join("blocks.json"), stated.to_string()).unwrap();
    let error = refusal(TINY, &none, false);
    assert!(error.contains("none-blocks") && error.contains("no blocks to sample from"), "{error}");
    let error = refusal(TINY, &make("fever", 32, "long"), false);
    assert!(error.contains("blocks of 32 pieces, the student takes at most 16"), "{error}");
    let patient = TINY.replace("every = 8", "every = 8\npatience = 2");
    let error = refusal(&patient, &make("fever", 16, "patient"), false);
    assert!(error.contains("evaluate.patience: no notes are set apart"), "{error}");
    let shard = own.blocks.join("blocks-train-00000.bin");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[9] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let error = refusal(TINY, &own, false);
    assert!(error.contains("blocks-train-00000.bin") && error.contains("sha256"), "{error}");
}

#[test]
fn recipes_that_do_not_fit() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let cases = [
        ("[3, 11]", "[3, 12]", "attention.layers: no pair [3, 12] in a student of 4 and a teacher of 12 layers"),
        ("[4, 12]", "[5, 12]", "hidden.layers: no pair [5, 12]"),
        ("projector = true", "", "projector = true"),
        ("num_attention_heads = 4", "num_attention_heads = 5", "5 and 4 heads"),
        ("soft_cross_entropy = 1.0", "soft_cross_entropy = -1.0", "expected weights of 0 and more"),
        ("soft_cross_entropy = 1.0", "temperature = 0.0", "temperature: expected above 0"),
        ("measure = \"squares\"", "measure = \"angles\"", "measure"),
        ("model_type = \"bert\"", "model_type = \"gpt2\"", "gpt2"),
        ("hidden_size = 20", "hidden_size = 21", "hidden_size 21"),
        ("[student.config]\nmodel_type = \"bert\"", "[other]\nmodel_type = \"bert\"", "other"),
    ];
    for (from, to, expected) in cases {
        let recipe = TINY.replacen(from, to, 1);
        assert_ne!(recipe, TINY, "{from}");
        let error = refusal(&recipe, &own, false);
        assert!(error.contains(expected), "{to}: {error}");
    }
    let layers = |layers: &str| ALONE.replace("[blocks]", &format!("[student]\nlayers = {layers}\n[blocks]"));
    assert!(refusal(&layers("[1, 12]"), &own, false).contains("no layer 12 in a teacher of 12 layers"));
    assert!(refusal(&layers("[]"), &own, false).contains("at least one layer"));
    assert!(refusal(ALONE, &own, false).contains("no student"));
    let useless = Places { base: Some(fixture("tiny-clinical-bert")), ..own.clone() };
    assert!(refusal(ALONE, &useless, false).contains("nothing in [loss] compares with it"));
}

/// A loss that leaves part of the student as it is.
#[test]
fn a_cut_graph() {
    let scratch = Scratch::new();
    let error = refusal(&TINY.replace("soft_cross_entropy = 1.0", ""), &places(&scratch), false);
    assert!(error.contains("no gradient reaches cls.predictions"), "{error}");
}

#[test]
fn numbers_that_are_none() {
    let scratch = Scratch::new();
    let own = Places { teacher: None, ..places(&scratch) };
    // A base that calculates beyond what 32 bits hold: the loss of the first step is no number.
    let broken = changed(&scratch, "tiny-clinical-bert", |name, bytes| {
        let most = |name: &str, data: &mut Vec<u8>| {
            if name == "bert.encoder.layer.1.output.dense.weight" {
                data.as_chunks_mut().0.iter_mut().for_each(|b| *b = f32::MAX.to_le_bytes());
            }
        };
        Some(if name == "model.safetensors" { tensors(&bytes, |_| true, most) } else { bytes.clone() })
    });
    let error = refusal(ALONE, &Places { base: Some(broken), ..own.clone() }, false);
    assert!(error.contains("the loss of masked_lm is not finite at step 1: lower the learning rate"), "{error}");
    // Gradients beyond what 32 bits hold.
    let base = Places { base: Some(fixture("tiny-clinical-bert")), ..own };
    let huge = ALONE.replace("masked_lm = 1.0", "masked_lm = 3e38");
    let error = refusal(&huge, &base, false);
    assert!(error.contains("the gradient of ") && error.contains("is not finite at step 1"), "{error}");
    // The same in the middle of a run: the checkpoint stays.
    run(ALONE, &base, false, Some(1)).unwrap();
    let path = base.out.join("checkpoint.safetensors");
    let checkpoint = spoiled(&fs::read(&path).unwrap());
    fs::write(&path, &checkpoint).unwrap();
    let error = refusal(ALONE, &base, true);
    assert!(error.contains("the loss of masked_lm is not finite at step 2"), "{error}");
    assert!(fs::read(&path).unwrap() == checkpoint);
}

/// A base that calculates beyond what 32 bits hold wherever a six is read, which the notes have in one place: its words'
/// table is spoiled there, and its decoder is another matrix.
fn spoiled_at_a_word(scratch: &Scratch) -> std::path::PathBuf {
    const TABLE: &str = "bert.embeddings.word_embeddings.weight";
    let vocab = fs::read_to_string(fixture("tiny-clinical-bert/vocab.txt")).unwrap();
    let six = vocab.lines().position(|piece| piece == "6").unwrap();
    let untie = |bytes: &[u8]| {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let table = file.tensor(TABLE).unwrap();
        let (shape, mut spoiled) = (table.shape().to_vec(), table.data().to_vec());
        spoiled.chunks_exact_mut(4 * shape[1]).nth(six).unwrap().as_chunks_mut().0.fill(f32::MAX.to_le_bytes());
        let mut views: BTreeMap<String, TensorView<'_>> =
            file.iter().map(|(name, view)| (name.to_owned(), view)).collect();
        views.insert("cls.predictions.decoder.weight".to_owned(), views[TABLE].clone());
        views.insert(TABLE.to_owned(), TensorView::new(Dtype::F32, shape, &spoiled).unwrap());
        safetensors::serialize(views, None).unwrap()
    };
    changed(scratch, "tiny-clinical-bert", |name, bytes| {
        Some(match name {
            "model.safetensors" => untie(&bytes),
            "config.json" => String::from_utf8(bytes)
                .unwrap()
                .replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false")
                .into_bytes(),
            _ => bytes,
        })
    })
}

/// A step that moves nothing stops the run although nobody looked at it: at the next line of the log, and before a
/// checkpoint is written.
#[test]
fn numbers_that_are_none_between_two_lines_of_the_log() {
    let scratch = Scratch::new();
    let own = Places { teacher: None, base: Some(spoiled_at_a_word(&scratch)), ..places(&scratch) };
    let recipe = ALONE.replace("steps = 3", "steps = 11");
    let out = |name: &str| Places { out: scratch.path().join(name), ..own.clone() };
    let each = refusal(&recipe, &out("each"), false);
    let step: u64 = each.split_once("at step ").unwrap().1.split(':').next().unwrap().parse().unwrap();
    assert!((2..=10).contains(&step) && each.contains("the loss of masked_lm is not finite"), "{each}");
    let last = refusal(&recipe.replace("log_every = 1", "log_every = 50"), &out("last"), false);
    assert!(last.contains(&format!("not finite at step {step}:")), "one such step, {step}: {last}");
    // With a checkpoint after every step there is none of the step that moved nothing.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let every = Options { resume: false, checkpoint_every: std::time::Duration::ZERO, stop: &stop };
    let (rare, places) = (recipe.replace("log_every = 1", "log_every = 50"), out("checkpoints"));
    let error = pretrain(&rare, &places, &every, engine, &mut ()).unwrap_err().to_string();
    assert!(error.contains(&format!("not finite at step {step}:")), "{error}");
    let kept = Checkpoint::read(&places.out.join("checkpoint.safetensors")).unwrap();
    assert_eq!(kept.position.step, step - 1);
}

/// A checkpoint with a weight that calculates beyond what 32 bits hold, and with the hash of what it holds.
fn spoiled(bytes: &[u8]) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let mut data: BTreeMap<String, Vec<u8>> =
        file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    let weight = data.get_mut("weight/bert.encoder.layer.1.output.dense.weight").unwrap();
    weight.as_chunks_mut().0.iter_mut().for_each(|b| *b = f32::MAX.to_le_bytes());
    let mut stated = SafeTensors::read_metadata(bytes).unwrap().1.metadata().clone().unwrap();
    let mut hash = Sha256::new();
    hash.update(&stated["clinlite"]);
    data.iter().for_each(|(name, bytes)| hash.update([name.as_bytes(), bytes].concat()));
    stated.insert("sha256".to_owned(), hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
    let view =
        |(name, bytes): (&String, &Vec<u8>)| (name.clone(), file.tensor(name).unwrap().shape().to_vec(), bytes.clone());
    let views: Vec<_> = data.iter().map(view).collect();
    let views =
        views.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, Some(stated)).unwrap()
}

#[test]
fn checkpoints_that_do_not_fit() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    run(TINY, &own, false, Some(3)).unwrap();
    assert!(refusal(TINY, &own, false).contains("unfinished run here"));
    let error = refusal(&TINY.replace("seed = 5", "seed = 6"), &own, true);
    assert!(error.contains("of another recipe, student, teacher or blocks"), "{error}");
    let path = own.out.join("checkpoint.safetensors");
    let whole = fs::read(&path).unwrap();
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 1;
    let mut moved = whole.clone();
    let step = br#"step\":3"#;
    let at = moved.windows(step.len()).position(|bytes| bytes == step).unwrap();
    moved[at + step.len() - 1] = b'4';
    let cases: [(&str, &[u8]); 5] = [
        ("cut", &whole[..whole.len() - 9]),
        ("flipped", &flipped),
        ("moved", &moved),
        ("none", &[]),
        ("text", b"not tensors"),
    ];
    for (what, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        let error = refusal(TINY, &own, true);
        assert!(error.contains("checkpoint.safetensors: damaged"), "{what}: {error}");
        assert!(error.len() < 400, "{what}: {error}");
    }
    fs::write(&path, whole).unwrap();
    assert!(run(TINY, &own, true, None).is_ok(), "nothing else was changed");
}

/// A disk that takes small files only: the log goes on, the checkpoint does not fit.
#[test]
fn a_full_disk() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let recipe = scratch.file("recipe.toml", TINY.replace("steps = 24", "steps = 4000"));
    let run = command(&own, &recipe);
    let quoted: Vec<String> =
        std::iter::once(run.get_program()).chain(run.get_args()).map(|a| format!("'{}'", a.display())).collect();
    // Blocks of 512 or 1,024 bytes: either is less than a checkpoint.
    let script = format!("trap '' XFSZ; ulimit -f 100; exec {}", quoted.join(" "));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("checkpoint.safetensors: File too large"), "{said}");
    let left: Vec<_> = fs::read_dir(&own.out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn the_command_line_says_one_clear_line() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let recipe = scratch.file("recipe.toml", TINY.replace("lr = 2e-3", "lr = 2"));
    let output = command(&own, &recipe).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("train.lr: expected between 0 and 1"), "{said}");
    let said = |arguments: &[&str]| {
        let output = command(&own, &recipe).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    if cfg!(not(feature = "cuda")) {
        let cuda = said(&["--device", "cuda:1"]);
        assert!(cuda.contains("cargo build --release --features cuda"), "{cuda}");
    }
    assert!(said(&["--device", "tpu"]).contains("expected cpu, cuda or cuda:N"));
    assert!(said(&["--precision", "bf16"]).contains("the CPU trains in f32 only"));
}

#[test]
fn errors_have_kinds() {
    let scratch = Scratch::new();
    let own = places(&scratch);
    let kind = |recipe: &str, places: &Places| run(recipe, places, false, None).err().map(|error| error.kind());
    assert_eq!(kind("seed = ", &own), Some(ErrorKind::Input));
    assert_eq!(kind(TINY, &Places { teacher: Some("nowhere".into()), ..own.clone() }), Some(ErrorKind::Io));
}

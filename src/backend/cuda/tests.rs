//! Each operation, loss and step of the optimizer against the CPU kernels, on a device: `cargo test --features cuda --lib
//! cuda -- --include-ignored`.

use super::*;
use crate::backend::adamw::Settings;
use crate::backend::candle::CandleBackend;
use crate::backend::operations::{Operation, dense, input, norm_layer, numbers, operations, stored};
use crate::backend::top_words::TopWords;
use crate::backend::training::{Quantity, Skipped, Term, Training};
use crate::error::ErrorKind;

/// What an engine that trains made of something: its result, and the gradients by weight.
type Outcome = (Vec<f32>, BTreeMap<String, Vec<f32>>);

fn device(precision: Precision) -> Arc<Device> {
    Device::open(0, precision).expect("a device, its driver, cuBLAS and the run-time compiler")
}

fn values<B: Backend>(backend: &B, x: &B::Tensor) -> Vec<f32> {
    pollster::block_on(backend.to_host(x)).expect("reads back")
}

fn gradients<B: Training>(backend: &B) -> BTreeMap<String, Vec<f32>> {
    let learn = backend.layouts().into_iter().filter(|layout| layout.learns);
    let names = learn.map(|layout| layout.name().to_owned());
    names.map(|name| (name.clone(), backend.read(&name, Quantity::Gradient).expect("a gradient"))).collect()
}

fn outcome<B: Training>(backend: &B, operation: Operation<B>) -> Outcome {
    backend.begin(5, 1);
    let y = operation(backend).expect("runs");
    let result = values(backend, &y);
    backend.seed(&y, numbers(result.len(), 99)).expect("fits");
    backend.backward().expect("walks back");
    (result, gradients(backend))
}

/// The largest difference, beside the largest number.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1f32, |most, x| most.max(x.abs()));
    let off = found.iter().zip(expected).map(|(a, b)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY });
    off.fold(0f32, f32::max) / size
}

fn compare(name: &str, found: &Outcome, expected: &Outcome, tolerance: f32, failed: &mut Vec<String>) {
    let off = difference(&found.0, &expected.0);
    if off > tolerance {
        failed.push(format!("{name}: the result differs by {off:e}"));
    }
    for (weight, gradient) in &expected.1 {
        let off = difference(&found.1[weight], gradient);
        if off > tolerance {
            failed.push(format!("{name}: the gradient of {weight} differs by {off:e}"));
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA device"]
fn operations_and_their_gradients_equal_the_cpu() {
    let mut failed = Vec::new();
    for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::Bf16, 2e-2)] {
        let device = device(precision);
        let here = operations::<CudaBackend>().into_iter().chain(more());
        let there = operations::<CandleBackend>().into_iter().chain(more());
        for ((name, here), (_, there)) in here.zip(there) {
            let found = outcome(&CudaBackend::training(&device, 3).expect("memory"), here);
            let expected = outcome(&CandleBackend::training(3), there);
            compare(&format!("{name}, {precision:?}"), &found, &expected, tolerance, &mut failed);
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// Shapes that take other ways on a device: wide accesses, heads of 26 and 64, rows of a vocabulary.
fn more<B: Backend>() -> [(&'static str, Operation<B>); 5] {
    [
        ("a layer of 312", layer_of_312),
        ("heads of 64, equal lengths", heads_of_64),
        ("rows of a vocabulary", vocabulary),
        ("wide rows", wide_rows),
        ("one row looked up often", often),
    ]
}

fn layer_of_312<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 45, 312, 1)?;
    let parts = ["q", "k", "v"].map(|name| small(name, 312, 312));
    let layer = Linear { weight: backend.matrix(&parts)?, bias: Some(backend.vector(&[stored("bias", 1, 936, 5)])?) };
    let qkv = backend.linear(&x, &layer, Activation::None)?;
    let y = backend.attention(Qkv::Joined(&qkv), 12, &Lengths::new(vec![17, 28]))?;
    let y = backend.add_norm(&y, Some(&x), &norm_layer(backend, 312)?)?;
    let layer = Linear { weight: backend.matrix(&[small("inner", 40, 312)])?, bias: None };
    backend.linear(&y, &layer, Activation::Gelu)
}

/// A matrix that leaves numbers about as large as they are.
fn small(name: &str, rows: usize, columns: usize) -> Stored {
    let values = numbers(rows * columns, name.len() as u64 + u64::from(name.as_bytes()[0]));
    let values = values.iter().map(|x| x / (columns as f32).sqrt()).collect();
    Stored { values: crate::backend::Values::F32(values), ..stored(name, rows, columns, 0) }
}

fn heads_of_64<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 64, 3 * 2 * 64, 1)?;
    backend.attention(Qkv::Joined(&x), 2, &Lengths::new(vec![32, 32]))
}

fn vocabulary<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 9, 16, 1)?;
    let layer = Linear { weight: backend.matrix(&[small("w", 1031, 16)])?, bias: None };
    let y = backend.linear(&x, &layer, Activation::Gelu)?;
    backend.linear(&y, &dense(backend, 5, 1031, &["back"])?, Activation::None)
}

fn wide_rows<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let x = input(backend, "x", 5, 1200, 1)?;
    backend.add_norm(&x, None, &norm_layer(backend, 1200)?)
}

fn often<B: Backend>(backend: &B) -> Result<B::Tensor> {
    let table = backend.table(stored("a", 3, 24, 1))?;
    let ids: Vec<u32> = (0..200).map(|i| if i % 50 == 7 { 2 } else { 0 }).collect();
    backend.embed(&[(&table, &ids)])
}

/// A loss on the result of something, and the gradients that it makes.
fn loss<B: Training>(backend: &B, lose: Loss<B>) -> Outcome {
    backend.begin(1, 0);
    lose(backend).expect("fits");
    backend.backward().expect("walks back");
    let report = backend.report().expect("reads back");
    (report.losses.values().map(|loss| *loss as f32).collect(), gradients(backend))
}

/// Builds something and loses on it.
type Loss<B> = fn(&B) -> Result<()>;

fn losses<B: Training>() -> [(&'static str, Loss<B>); 5] {
    [
        ("at the masks", words),
        ("against the likeliest words", likeliest_words),
        ("hidden states", states),
        ("attention maps", maps),
        ("a map without its context", map_alone),
    ]
}

/// Three losses on the same logits; 1,031 words, so that rows are rounded up.
fn words<B: Training>(backend: &B) -> Result<()> {
    let x = input(backend, "x", 13, 24, 1)?;
    let (y, t) = (dense(backend, 1031, 24, &["w"])?, dense(backend, 1031, 24, &["t"])?);
    let (logits, teacher) = (backend.linear(&x, &y, Activation::None)?, backend.linear(&x, &t, Activation::Tanh)?);
    let (logits, teacher) = (&logits, &teacher);
    let labels: Vec<u32> = (0..13).map(|i| (i * 79) % 1031).collect();
    backend.lose("hard", Term::CrossEntropy { logits, labels: &labels }, 2.0)?;
    backend.lose("soft", Term::Divergence { logits, teacher, temperature: 2.0 }, 5.0)?;
    backend.lose("entropy", Term::SoftCrossEntropy { logits, teacher }, 0.5)
}

/// Of 1,031 words eight, and all.
fn likeliest_words<B: Training>(backend: &B) -> Result<()> {
    let x = input(backend, "x", 13, 24, 1)?;
    let logits = &backend.linear(&x, &dense(backend, 1031, 24, &["w"])?, Activation::None)?;
    let said = numbers(13 * 1031, 5);
    let some = TopWords::new(&said, 1031, 8, 2.0);
    let all = TopWords::new(&said, 1031, 1031, 1.0);
    backend.lose("soft", Term::TopDivergence { logits, teacher: &some }, 5.0)?;
    backend.lose("entropy", Term::TopSoftCrossEntropy { logits, teacher: &all }, 0.5)
}

fn states<B: Training>(backend: &B) -> Result<()> {
    let (x, t) = (input(backend, "x", 21, 24, 1)?, input(backend, "t", 21, 24, 2)?);
    backend.lose("cosine", Term::Cosine { x: &x, teacher: &t }, 3.0)?;
    backend.lose("squares", Term::MeanSquares { x: &x, teacher: &t }, 3.0)
}

fn maps<B: Training>(backend: &B) -> Result<()> {
    let lengths = Lengths::new(vec![8, 5, 8]);
    let (map, context) = attention(backend, "x", 1, &lengths)?;
    let teacher = attention(backend, "t", 2, &lengths)?.0;
    backend.lose("squares", Term::MeanSquares { x: &map, teacher: &teacher }, 300.0)?;
    backend.lose("divergence", Term::MapDivergence { map: &map, teacher: &teacher }, 30.0)?;
    backend.seed(&context, numbers(21 * 20, 7))
}

fn map_alone<B: Training>(backend: &B) -> Result<()> {
    let lengths = Lengths::new(vec![8, 8]);
    let map = attention(backend, "x", 1, &lengths)?.0;
    let teacher = attention(backend, "t", 2, &lengths)?.0;
    backend.lose("divergence", Term::MapDivergence { map: &map, teacher: &teacher }, 300.0)
}

/// The map of an attention, and its result.
fn attention<B: Training>(backend: &B, name: &str, key: u64, lengths: &Lengths) -> Result<(B::Tensor, B::Tensor)> {
    backend.watch(&[Site::AttentionMap(0)]);
    let x = input(backend, name, lengths.rows(), 60, key)?;
    backend.observe_attention(0, Qkv::Joined(&x), 4, lengths)?;
    let context = backend.attention_with_dropout(Qkv::Joined(&x), 4, lengths, 0.2)?;
    Ok((backend.seen(Site::AttentionMap(0)).expect("was asked for"), context))
}

#[test]
#[ignore = "needs an NVIDIA device"]
fn losses_and_their_gradients_equal_the_cpu() {
    let mut failed = Vec::new();
    for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::Bf16, 3e-2)] {
        let device = device(precision);
        for ((name, here), (_, there)) in losses().into_iter().zip(losses()) {
            let found = loss(&CudaBackend::training(&device, 3).expect("memory"), here);
            let expected = loss(&CandleBackend::training(3), there);
            compare(&format!("{name}, {precision:?}"), &found, &expected, tolerance, &mut failed);
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// Weights, moments and averages after some steps, by name.
fn trained<B: Training>(backend: &B) -> BTreeMap<String, Vec<f32>> {
    let settings = Settings { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.1, clip: 0.5, ema: 0.9 };
    let learn = |step: u64| {
        backend.begin(step, 0);
        states(backend).expect("fits");
        backend.backward().expect("walks back");
    };
    learn(0);
    backend.restart(true).expect("memory");
    for step in 1..=3 {
        backend.update(&settings, step, &|name| if name == "x" { 1e-2 } else { 2e-2 }).expect("moves");
        learn(step);
    }
    let mut kept = BTreeMap::new();
    for name in ["x", "t"] {
        for what in [Quantity::Value, Quantity::First, Quantity::Second, Quantity::Average] {
            kept.insert(format!("{name} {what:?}"), backend.read(name, what).expect("is kept"));
        }
    }
    kept
}

#[test]
#[ignore = "needs an NVIDIA device"]
fn the_optimizer_equals_the_cpu() {
    let found = trained(&CudaBackend::training(&device(Precision::F32), 3).expect("memory"));
    for (name, expected) in trained(&CandleBackend::training(3)) {
        let off = difference(&found[&name], &expected);
        assert!(off < 1e-5, "{name} differs by {off:e}");
    }
}

#[test]
#[ignore = "needs an NVIDIA device"]
fn gradients_that_are_not_finite_move_nothing() {
    let backend = CudaBackend::training(&device(Precision::Bf16), 3).expect("memory");
    let settings = Settings { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.1, clip: 0.5, ema: 0.0 };
    backend.begin(0, 0);
    let x = input(&backend, "x", 4, 8, 1).expect("runs");
    backend.restart(false).expect("memory");
    backend.seed(&x, vec![f32::NAN; 32]).expect("fits");
    backend.backward().expect("walks back");
    let before = backend.read("x", Quantity::Value).expect("is kept");
    backend.update(&settings, 1, &|_| 1e-2).expect("runs");
    let report = backend.report().expect("reads back");
    assert!(!report.gradient_norm.is_finite());
    assert_eq!(report.skipped, Some(Skipped { first: 1, count: 1 }));
    assert_eq!(backend.read("x", Quantity::Value).expect("is kept"), before);
    assert!(backend.read("x", Quantity::Gradient).expect("is kept").iter().all(|g| *g == 0.0), "cleared");
}

/// Low-rank matrices and all else that learns move, frozen weights keep their bits.
#[test]
#[ignore = "needs an NVIDIA device"]
fn frozen_weights_do_not_move() {
    let device = device(Precision::Bf16);
    let settings = Settings { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.1, clip: 0.5, ema: 0.9 };
    for (name, operation) in operations::<CudaBackend>() {
        let backend = CudaBackend::training(&device, 3).expect("memory");
        outcome(&backend, operation);
        backend.restart(true).expect("memory");
        let values = |learns: bool| -> Vec<_> {
            let layouts = backend.layouts().into_iter().filter(|layout| layout.learns == learns);
            layouts.map(|layout| backend.read(layout.name(), Quantity::Value).expect("is kept")).collect()
        };
        let (frozen, learning) = (values(false), values(true));
        backend.update(&settings, 1, &|_| 1e-2).expect("moves");
        backend.swap_average().expect("runs");
        backend.swap_average().expect("runs");
        assert!(values(false) == frozen, "{name}");
        assert!(values(true).iter().zip(&learning).all(|(after, before)| after != before), "{name}");
    }
}

/// Two runs of the same steps end with the same bytes.
#[test]
#[ignore = "needs an NVIDIA device"]
fn runs_are_repeatable() {
    let run = || {
        let backend = CudaBackend::training(&device(Precision::Bf16), 3).expect("memory");
        outcome(&backend, layer_of_312).1
    };
    assert!(run() == run());
}

#[test]
fn a_machine_without_cuda_is_told_what_is_missing() {
    match Device::open(0, Precision::F32) {
        Ok(device) => assert!(!device.name().expect("has a name").is_empty()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Backend);
            assert!(error.to_string().starts_with("cuda: "), "{error}");
        }
    }
}

/// A process alone sums nothing away; two add up, each on a device of its own, where there are two.
#[test]
#[ignore = "needs an NVIDIA device and NCCL"]
fn sums_over_devices_are_sums() {
    let sizes = if device::count().expect("a driver") > 1 { vec![1, 2] } else { vec![1] };
    for size in sizes {
        let id = Nccl::id().expect("NCCL");
        let rank = move |rank: usize| {
            let device = Device::open(rank, Precision::F32).expect("a device");
            let nccl = Nccl::join(&device, rank, size, id).expect("joins");
            let backend = CudaBackend::training(&device, 1).expect("an engine");
            let before = outcome(&backend, layer_of_312).1;
            let names: Vec<String> = before.keys().cloned().collect();
            names.chunks(2).for_each(|bucket| backend.begin_sum(&nccl, bucket).expect("begins"));
            backend.finish_sums(&nccl).expect("ends");
            (before, gradients(&backend))
        };
        let threads: Vec<_> = (0..size).map(|number| std::thread::spawn(move || rank(number))).collect();
        for thread in threads {
            let (before, after) = thread.join().expect("a rank");
            for (name, gradient) in before {
                let expected: Vec<f32> = gradient.iter().map(|g| g * size as f32).collect();
                assert_eq!(after[&name], expected, "{name}");
            }
        }
    }
}

#[test]
fn a_machine_without_nccl_is_told_so() {
    // Where it is there, it tells its version.
    match nccl_version() {
        Ok(version) => assert!(version > 20_000, "{version}"),
        Err(error) => assert!(error.to_string().starts_with("cuda: not found: NCCL (libnccl)"), "{error}"),
    }
}

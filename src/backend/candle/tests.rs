//! Each fused operation against the composed formula with candle's own gradients, and against finite differences, at
//! odd sizes and ragged lengths.

use super::kernels::token_loss::token_loss;
use super::*;
use crate::backend::Values;
use crate::backend::adamw::Settings;
use crate::backend::operations::{
    Operation, dense, embed_repeated, input, norm_layer, numbers, operations, stored, tied, tune,
};
use crate::backend::training::{Quantity, Skipped, Training};
use crate::backend::tuning::{LowRank, Tuning};

/// The result, and the gradients of `Σ result · upstream` by parameter.
fn fused(operation: Operation<CandleBackend>) -> (CandleBackend, Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let backend = CandleBackend::training(3);
    backend.begin(5, 1);
    let y = operation(&backend).unwrap();
    let values = host(&y, <[f32]>::to_vec).unwrap();
    backend.seed(&y, numbers(values.len(), 99)).unwrap();
    backend.backward().unwrap();
    let learn = backend.layouts().into_iter().filter(|layout| layout.learns);
    let names = learn.map(|layout| layout.name().to_owned());
    let gradients = names.map(|name| (name.clone(), backend.read(&name, Quantity::Gradient).unwrap())).collect();
    (backend, values, gradients)
}

fn composed(operation: Operation<CandleBackend>) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let backend = CandleBackend::composed(Device::Cpu, 3);
    backend.begin(5, 1);
    let y = operation(&backend).unwrap();
    let values: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
    let upstream = Tensor::from_vec(numbers(values.len(), 99), y.dims(), &Device::Cpu).unwrap();
    let gradients = (y * upstream).unwrap().sum_all().unwrap().backward().unwrap();
    let by_name = |(name, parameter): (String, Arc<Parameter>)| {
        let gradient = gradients.get(parameter.value()).unwrap_or_else(|| panic!("{name}: candle has no gradient"));
        (name, gradient.flatten_all().unwrap().to_vec1().unwrap())
    };
    let learn = backend.parameters().into_iter().filter(|(_, parameter)| parameter.learns());
    (values, learn.map(by_name).collect())
}

/// The largest difference, relative to the largest expected value.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1e-3f32, |max, x| max.max(x.abs()));
    found.iter().zip(expected).fold(0f32, |max, (a, b)| max.max((a - b).abs())) / size
}

#[test]
fn fused_operations_equal_the_composed_formula() {
    for (name, operation) in operations() {
        let (_, y, gradients) = fused(operation);
        let (expected, expected_gradients) = composed(operation);
        assert!(difference(&y, &expected) < 5e-6, "{name}: result differs by {}", difference(&y, &expected));
        assert_eq!(gradients.keys().collect::<Vec<_>>(), expected_gradients.keys().collect::<Vec<_>>(), "{name}");
        for (parameter, gradient) in &gradients {
            let off = difference(gradient, &expected_gradients[parameter]);
            assert!(off < 2e-5, "{name}: the gradient of {parameter} differs by {off}");
        }
    }
}

/// With frozen weights and low-rank matrices, and weights that are used twice.
#[test]
fn each_weight_that_learns_is_named_once_when_its_gradient_is_whole() {
    for (name, operation) in operations() {
        let backend = CandleBackend::training(3);
        backend.begin(5, 1);
        let y = operation(&backend).unwrap();
        backend.seed(&y, numbers(y.elem_count(), 99)).unwrap();
        let mut told = Vec::new();
        let tell = &mut |weight: &str| {
            told.push((weight.to_owned(), backend.read(weight, Quantity::Gradient)?));
            Ok(())
        };
        backend.backward_telling(tell).unwrap();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let (_, _, gradients) = fused(operation);
        assert_eq!(told, gradients.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn gradients_equal_finite_differences() {
    for (name, operation) in operations() {
        let (_, _, gradients) = fused(operation);
        for (parameter, gradient) in gradients {
            for i in [0, gradient.len() / 3, gradient.len() - 1] {
                let slope = finite_difference(operation, &parameter, i);
                let expected = f64::from(gradient[i]);
                let tolerance = 2e-2 * expected.abs().max(1.0);
                assert!((slope - expected).abs() < tolerance, "{name}: {parameter}[{i}]: {expected} for {slope}");
            }
        }
    }
}

/// `(f(w + h) − f(w − h)) / 2h` of `f = Σ result · upstream`.
fn finite_difference(operation: Operation<CandleBackend>, parameter: &str, i: usize) -> f64 {
    const H: f32 = 5e-3;
    let run = |step: f32| {
        let backend = CandleBackend::training(3);
        backend.begin(5, 1);
        operation(&backend).unwrap();
        backend.parameters()[parameter].write(|values| values[i] += step).unwrap();
        // The same weights again, now changed: a training backend hands out what it already has under a name.
        backend.begin(5, 1);
        let y = operation(&backend).unwrap();
        let y = host(&y, <[f32]>::to_vec).unwrap();
        y.iter().zip(numbers(y.len(), 99)).map(|(y, u)| f64::from(*y) * f64::from(u)).sum::<f64>()
    };
    (run(H) - run(-H)) / f64::from(2.0 * H)
}

#[test]
fn long_sequences_and_many_rows_agree_too() {
    fn operation(backend: &CandleBackend) -> Result<Tensor> {
        let x = input(backend, "x", 515, 24, 1)?;
        let qkv = backend.linear(&x, &dense(backend, 24, 24, &["q", "k", "v"])?, Activation::None)?;
        let y = backend.attention(Qkv::Joined(&qkv), 2, &Lengths::new(vec![300, 3, 212]))?;
        backend.add_norm(&y, Some(&x), &norm_layer(backend, 24)?)
    }
    let (_, y, gradients) = fused(operation);
    let (expected, expected_gradients) = composed(operation);
    assert!(difference(&y, &expected) < 2e-5);
    for (parameter, gradient) in &gradients {
        let off = difference(gradient, &expected_gradients[parameter]);
        assert!(off < 5e-5, "the gradient of {parameter} differs by {off}");
    }
}

#[test]
fn gradients_add_up_over_parts_and_clear() {
    let backend = CandleBackend::training(0);
    let run = |part| {
        backend.begin(1, part);
        let y = embed_repeated(&backend).unwrap();
        backend.seed(&y, vec![1.0; y.elem_count()]).unwrap();
        backend.backward().unwrap();
    };
    run(0);
    let table = backend.parameters()["a"].clone();
    assert_eq!(table.gradient().touched_rows(), [6, 2, 0]);
    let once = table.gradient().get().unwrap().to_vec();
    run(1);
    assert!(table.gradient().get().unwrap().iter().zip(&once).all(|(twice, once)| *twice == 2.0 * once));
    assert_eq!(table.gradient().squared_norm(19), 19.0 * (16.0 + 16.0 + 4.0));
    table.gradient().clear(19);
    assert!(table.gradient().get().unwrap().iter().all(|g| *g == 0.0));
    assert!(table.gradient().touched_rows().is_empty());
}

#[test]
fn a_tied_table_counts_and_clears_in_all_its_rows() {
    let (backend, ..) = fused(tied);
    let table = backend.parameters()["a"].clone();
    let mut gradient = table.gradient();
    let expected: f64 = gradient.get().unwrap().iter().map(|g| f64::from(*g).powi(2)).sum();
    assert!(gradient.is_whole() && (gradient.squared_norm(5) - expected).abs() < 1e-5 * expected);
    gradient.clear(5);
    assert!(!gradient.is_whole() && gradient.get().unwrap().iter().all(|g| *g == 0.0));
}

/// What attention with dropout makes of one head whose probabilities are all `1 / L` and whose values are all one: a row
/// of the result is the kept share of the row's probabilities, scaled.
fn kept_shares(backend: &CandleBackend, step: u64, part: u32) -> Vec<f32> {
    const L: usize = 256;
    let same = |name: &str, columns: usize, value: f32| {
        let values = Values::F32(vec![value; L * columns]);
        let table = backend.table(Stored { values, ..stored(name, L, columns, 1) }).unwrap();
        backend.embed(&[(&table, &(0..L as u32).collect::<Vec<_>>())]).unwrap()
    };
    backend.begin(step, part);
    let (query_key, value) = (same("qk", 2 * 4, 0.5), same("v", 4, 1.0));
    let qkv = Qkv::Apart { query_key: &query_key, value: &value };
    let y = backend.attention_with_dropout(qkv, 1, &Lengths::new(vec![L]), 0.25).unwrap();
    host(&y, |y| y.iter().step_by(4).copied().collect()).unwrap()
}

#[test]
fn attention_drops_the_stated_share_anew_in_each_step_and_part() {
    let backend = CandleBackend::training(7);
    let shares = kept_shares(&backend, 3, 0);
    // 65,536 draws of 0.75: the deviation of the mean is 0.0017, scaled 0.0023; that of a row of 256 is 0.036.
    let mean = shares.iter().map(|s| f64::from(*s)).sum::<f64>() / shares.len() as f64;
    let variance = shares.iter().map(|s| (f64::from(*s) - mean).powi(2)).sum::<f64>() / shares.len() as f64;
    assert!((mean - 1.0).abs() < 0.009, "{mean}");
    assert!((variance.sqrt() - 0.0361).abs() < 0.006, "{}", variance.sqrt());
    assert_eq!(shares, kept_shares(&backend, 3, 0), "the same step again");
    for other in [kept_shares(&backend, 4, 0), kept_shares(&backend, 3, 1)] {
        assert_ne!(shares, other);
    }
    assert_ne!(shares, kept_shares(&CandleBackend::training(8), 3, 0));
}

#[test]
fn maps_are_shown_before_dropout_and_evaluation_drops_no_probability() {
    let run = |training: bool, p: f32| {
        let backend = CandleBackend::training(1);
        backend.watch(&[Site::AttentionMap(0)]);
        if training {
            backend.begin(0, 0);
        }
        let (x, lengths) = (input(&backend, "x", 9, 24, 1).unwrap(), Lengths::new(vec![5, 4]));
        backend.observe_attention(0, Qkv::Joined(&x), 2, &lengths).unwrap();
        let y = backend.attention_with_dropout(Qkv::Joined(&x), 2, &lengths, p).unwrap();
        let map = backend.seen(Site::AttentionMap(0)).unwrap();
        [y, map].map(|tensor| host(&tensor, <[f32]>::to_vec).unwrap())
    };
    let ([plain, map], [dropped, same_map], [asked, _]) = (run(true, 0.0), run(true, 0.5), run(false, 0.5));
    assert_eq!(map, same_map);
    assert_eq!(plain, asked);
    assert_ne!(plain, dropped);
}

#[test]
fn evaluation_drops_and_records_nothing() {
    let backend = CandleBackend::training(0);
    backend.evaluate();
    let x = input(&backend, "x", 4, 5, 1).unwrap();
    let y = backend.dropout(x.clone(), 0.5).unwrap();
    assert_eq!(host(&x, <[f32]>::to_vec).unwrap(), host(&y, <[f32]>::to_vec).unwrap());
    backend.seed(&y, vec![1.0; 20]).unwrap();
    backend.backward().unwrap();
    assert!(backend.parameters()["x"].gradient().get().is_none());
}

#[test]
fn frozen_weights_get_no_gradient_and_do_not_move() {
    for (name, operation) in operations() {
        let (backend, ..) = fused(operation);
        backend.restart(true).unwrap();
        let values = || -> Vec<_> {
            let frozen = backend.parameters().into_values().filter(|parameter| !parameter.learns());
            frozen
                .map(|parameter| (parameter.gradient().get().is_none(), parameter.read(<[f32]>::to_vec).unwrap()))
                .collect()
        };
        let before = values();
        let settings = Settings { beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1, clip: 1.0, ema: 0.5 };
        backend.update(&settings, 1, &|_| 1e-2).unwrap();
        backend.swap_average().unwrap();
        assert!(before == values() && before.iter().all(|(no_gradient, _)| *no_gradient), "{name}");
        let moved = backend.layouts().into_iter().filter(|layout| layout.learns);
        for layout in moved {
            assert!(!backend.read(layout.name(), Quantity::First).unwrap().is_empty(), "{name}: {}", layout.name());
        }
    }
}

#[test]
fn nothing_is_recorded_below_the_lowest_weight_that_learns() {
    let backend = CandleBackend::training(3);
    tune(&backend, &["below", "below.bias", "x"], &[], 0.0);
    backend.begin(1, 0);
    let x = input(&backend, "x", 4, 5, 1).unwrap();
    let y = backend.linear(&x, &dense(&backend, 5, 5, &["below"]).unwrap(), Activation::Gelu).unwrap();
    assert!(!backend.recording());
    backend.linear(&y, &dense(&backend, 3, 5, &["w"]).unwrap(), Activation::None).unwrap();
    assert!(backend.recording());
    backend.begin(2, 0);
    assert!(!backend.recording());
}

#[test]
fn low_rank_matrices_that_do_not_fit_are_refused() {
    let backend = CandleBackend::training(3);
    let pair = |part: &Stored| {
        let (a, b) = (stored("a", 3, part.columns + 1, 1), stored("b", part.rows, 3, 2));
        Some(LowRank { a, b, scale: 1.0, dropout: 0.0 })
    };
    backend.tune(Tuning { beside: Box::new(pair), ..Tuning::default() });
    let Err(error) = dense(&backend, 4, 5, &["w"]) else { panic!("taken") };
    let expected = "w: expected low-rank matrices ([3, 5], [4, 3]), found ([3, 6], [4, 3])";
    assert_eq!(error.to_string(), expected);
}

/// Also when a later step is as it should be.
#[test]
fn steps_whose_gradients_are_not_finite_are_counted() {
    let backend = CandleBackend::training(0);
    let settings = Settings { beta1: 0.9, beta2: 0.99, eps: 1e-6, weight_decay: 0.1, clip: 1.0, ema: 0.0 };
    let report = |step: u64, slope: f32| {
        backend.begin(step, 0);
        let x = input(&backend, "x", 4, 5, 1).unwrap();
        if step == 1 {
            backend.restart(false).unwrap();
        }
        backend.seed(&x, vec![slope; 20]).unwrap();
        backend.backward().unwrap();
        let before = backend.read("x", Quantity::Value).unwrap();
        backend.update(&settings, step, &|_| 1e-2).unwrap();
        assert_eq!(before == backend.read("x", Quantity::Value).unwrap(), !slope.is_finite(), "step {step}");
        backend.report().unwrap().skipped
    };
    assert_eq!(report(1, 1.0), None);
    assert_eq!(report(2, f32::NAN), Some(Skipped { first: 2, count: 1 }));
    assert_eq!(report(3, 1.0), Some(Skipped { first: 2, count: 1 }));
    assert_eq!(report(4, f32::INFINITY), Some(Skipped { first: 2, count: 2 }));
    backend.restart(false).unwrap();
    assert_eq!(backend.report().unwrap().skipped, None);
}

/// `logsumexp(all) − logsumexp(allowed)` by candle, mean over judged rows.
fn composed_loss(logits: &Tensor, allowed: &[u64]) -> Tensor {
    let n = logits.dim(1).unwrap();
    let mut losses = Vec::new();
    for (row, &bits) in allowed.iter().enumerate().filter(|(_, bits)| **bits != 0) {
        let z = logits.narrow(0, row, 1).unwrap();
        let labels: Vec<u32> = (0..n as u32).filter(|label| bits >> label & 1 == 1).collect();
        let some = z.index_select(&Tensor::new(labels, &Device::Cpu).unwrap(), 1).unwrap();
        losses.push((z.log_sum_exp(1).unwrap() - some.log_sum_exp(1).unwrap()).unwrap());
    }
    Tensor::cat(&losses, 0).unwrap().mean_all().unwrap()
}

#[test]
fn token_loss_equals_the_composed_formula() {
    let (rows, n) = (45, 13);
    let sets = [1 << 4, 0, 0b1_1000_0000_0111, (1 << 13) - 1, 1];
    let allowed: Vec<u64> = (0..rows).map(|row| sets[row % sets.len()]).collect();
    let judged = allowed.iter().filter(|bits| **bits != 0).count() as f64;
    let logits: Vec<f32> = numbers(rows * n, 5).iter().map(|z| 4.0 * z).collect();
    let variable = candle_core::Var::from_vec(logits.clone(), (rows, n), &Device::Cpu).unwrap();
    let expected = composed_loss(&variable, &allowed);
    let gradients = expected.backward().unwrap();
    let gradient: Vec<f32> = gradients.get(&variable).unwrap().flatten_all().unwrap().to_vec1().unwrap();

    let found = token_loss(&logits, n, &allowed, &vec![1.0; rows], judged);
    let expected = f64::from(expected.to_scalar::<f32>().unwrap());
    assert!((found.loss - expected).abs() < 1e-5, "{} for {expected}", found.loss);
    assert!(difference(&found.grad, &gradient) < 1e-5);
    let row = |r: usize| &found.grad[r * n..(r + 1) * n];
    assert!(row(1).iter().all(|g| *g == 0.0), "a row that is not judged has no gradient");
    assert!(row(3).iter().all(|g| g.abs() < 1e-9), "a row that may be anything has no gradient");
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_their_names() {
    let backend = CandleBackend::inference(Device::Cpu);
    let x = input(&backend, "x", 4, 5, 1).unwrap();
    let layer = dense(&backend, 3, 6, &["encoder.dense"]).unwrap();
    let error = backend.linear(&x, &layer, Activation::None).unwrap_err();
    assert_eq!(error.to_string(), "encoder.dense: expected [rows, 6], found [4, 5]");
    let table = backend.table(stored("table", 4, 5, 1)).unwrap();
    let error = backend.embed(&[(&table, &[4])]).unwrap_err();
    assert_eq!(error.to_string(), "table: id 4 in a table of 4 rows");
    assert!(backend.attention(Qkv::Joined(&x), 2, &Lengths::new(vec![4])).is_err());
}

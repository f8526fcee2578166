//! Each kernel beside its twin, at sizes that fill no tile.

use clinlite::Result;
use clinlite::backend::webgpu::kernels::{
    self, add_norm::add_norm, attention::attention, attention_exact::attention_exact, linear::linear,
    linear::linear_int8, linear_small::linear_small,
};
use clinlite::backend::webgpu::{Precision, WebGpuBackend};
use clinlite::backend::{Activation, Backend, Lengths, Linear, Norm, NormKind, Qkv, Stored, Values};

use super::checks::host;
use super::sources::TILES;
use super::{opened, options, shared};

const ACTS: [Activation; 4] = [Activation::None, Activation::Gelu, Activation::Relu, Activation::Tanh];

/// Rows, outputs and inputs. Up to eight rows are `linear_small`'s.
const PRODUCTS: [[usize; 3]; 9] = [
    [1, 1, 1],
    [2, 67, 130],
    [8, 33, 5],
    [9, 1, 1],
    [17, 33, 65],
    [33, 65, 17],
    [65, 129, 31],
    [131, 70, 100],
    [40, 16, 16],
];

/// Values in -1..1.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b1) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn stored(rows: usize, columns: usize, values: Values) -> Stored {
    Stored { name: "w".into(), rows, columns, values, transposed: false }
}

fn tensor(backend: &WebGpuBackend, values: &[f32], columns: usize) -> Result<<WebGpuBackend as Backend>::Tensor> {
    let rows = values.len() / columns;
    let table = backend.table(stored(rows, columns, Values::F32(values.to_vec())))?;
    let ids: Vec<u32> = (0..rows as u32).collect();
    backend.embed(&[(&table, &ids)])
}

fn near(case: &str, expected: &[f32], found: &[f32]) {
    within(2e-6, case, expected, found);
}

/// `tolerance` is a part of the largest magnitude.
fn within(tolerance: f32, case: &str, expected: &[f32], found: &[f32]) {
    let largest = expected.iter().fold(1e-3, |best: f32, x| best.max(x.abs()));
    assert_eq!(expected.len(), found.len(), "{case}");
    for (i, (x, y)) in expected.iter().zip(found).enumerate() {
        assert!((x - y).abs() <= tolerance * largest, "{case}: [{i}] expected {x}, found {y}");
    }
}

fn product(backend: &WebGpuBackend, x: &[f32], weight: Stored, bias: &[f32], act: Activation) -> Vec<f32> {
    let inputs = weight.columns;
    let run = || -> Result<Vec<f32>> {
        let bias = backend.vector(&[stored(1, bias.len(), Values::F32(bias.to_vec()))])?;
        let linear = Linear { weight: backend.matrix(&[weight])?, bias: Some(bias) };
        host(backend, &backend.linear(&tensor(backend, x, inputs)?, &linear, act)?)
    };
    run().expect("computes")
}

/// Both forms of a product with an engine.
fn products(backend: &WebGpuBackend, tile: &str) {
    for (case, [m, n, k]) in PRODUCTS.into_iter().enumerate() {
        let (x, weight, bias) = (noise(m * k, 1), noise(n * k, 2), noise(n, 3));
        let act = ACTS[case % 4];
        let name = format!("{tile}: {m} x {n} x {k} {act:?}");
        let found = product(backend, &x, stored(n, k, Values::F32(weight.clone())), &bias, act);
        let twin = if m <= 8 { linear_small } else { linear };
        near(&name, &twin(&x, &weight, &bias, k, act), &found);

        let data: Vec<i8> = weight.iter().map(|x| (x * 127.5) as i8).collect();
        let scales: Vec<f32> = noise(n, 4).iter().map(|x| 0.01 * (x.abs() + 0.1)).collect();
        let int8 = Values::Int8 { data: data.clone(), scales: scales.clone() };
        let found = product(backend, &x, stored(n, k, int8), &bias, act);
        near(&format!("int8 {name}"), &linear_int8(&x, &data, &scales, &bias, k, act), &found);
    }
}

#[test]
fn products_are_those_of_their_twins_with_every_tile() {
    let Some(mut backend) = opened(options(Precision::Int8)) else { return };
    for tile in TILES.map(Some).into_iter().chain([None]) {
        pollster::block_on(backend.use_tile(tile)).expect("compiles");
        products(&backend, &format!("{tile:?}"));
    }
}

#[test]
fn norms_are_those_of_their_twin() {
    let Some(backend) = shared(Precision::F32) else { return };
    for kind in [NormKind::LayerNorm { eps: 1e-5 }, NormKind::NoNorm] {
        for columns in [1, 3, 16, 26, 255, 257, 312, 768] {
            let (x, residual) = (noise(7 * columns, 1), noise(7 * columns, 2));
            let (weight, bias) = (noise(columns, 3), noise(columns, 4));
            let vector = |values: &[f32]| backend.vector(&[stored(1, columns, Values::F32(values.to_vec()))]).unwrap();
            let norm = Norm { weight: vector(&weight), bias: vector(&bias), kind };
            let (x_tensor, other) =
                (tensor(backend, &x, columns).unwrap(), tensor(backend, &residual, columns).unwrap());
            let found = backend.add_norm(&x_tensor, Some(&other), &norm).unwrap();
            let expected = add_norm(&x, Some(&residual), &weight, &bias, kind);
            near(&format!("{kind:?} of {columns}"), &expected, &host(backend, &found).unwrap());
        }
    }
}

#[test]
fn attention_is_that_of_its_twin_at_any_width_and_length() {
    let Some(backend) = shared(Precision::F32) else { return };
    let cases: [(usize, usize, &[usize]); 8] = [
        (1, 1, &[1, 3]),
        (26, 2, &[5, 0, 64, 65]),
        (52, 2, &[7, 31, 33]),
        (64, 2, &[32, 129]),
        (64, 1, &[70]),
        (130, 2, &[17, 40]),
        (128, 1, &[67]),
        (8, 2, &[1100]),
    ];
    for (hidden, heads, lengths) in cases {
        let lengths = Lengths::new(lengths.to_vec());
        let qkv: Vec<f32> = noise(lengths.rows() * 3 * hidden, 5).iter().map(|x| 2.0 * x).collect();
        let found = tensor(backend, &qkv, 3 * hidden).unwrap();
        let found = backend.attention(Qkv::Joined(&found), heads, &lengths).unwrap();
        let expected = attention(&qkv, hidden, heads, &lengths);
        near(&format!("{hidden} in {heads} heads, {lengths:?}"), &expected, &host(backend, &found).unwrap());
    }
}

#[test]
fn attention_of_int8_is_that_of_its_twin() {
    let Some(backend) = shared(Precision::Int8) else { return };
    let cases: [(usize, usize, &[usize]); 7] = [
        (1, 1, &[1, 3]),
        (26, 2, &[5, 0, 64, 65]),
        (52, 2, &[7, 31, 33]),
        (64, 2, &[32, 129]),
        (64, 1, &[70]),
        (130, 2, &[17, 40]),
        (8, 2, &[520]),
    ];
    for (hidden, heads, lengths) in cases {
        let lengths = Lengths::new(lengths.to_vec());
        let x = tensor(backend, &noise(lengths.rows() * 8, 5), 8).unwrap();
        let data = noise(3 * hidden * 8, 6).iter().map(|x| (x * 127.5) as i8).collect();
        let weight = stored(3 * hidden, 8, Values::Int8 { data, scales: vec![0.01; 3 * hidden] });
        let linear = Linear { weight: backend.matrix(&[weight]).unwrap(), bias: None };
        let qkv = backend.linear(&x, &linear, Activation::None).unwrap();
        let found = backend.attention(Qkv::Joined(&qkv), heads, &lengths).unwrap();
        let expected = attention_exact(&host(backend, &qkv).unwrap(), hidden, heads, &lengths);
        // A driver may fuse a multiplication and an addition, and a weight become one of 32,767 more.
        let case = format!("{hidden} in {heads} heads, {lengths:?}");
        within(1e-4, &case, &expected, &host(backend, &found).unwrap());
    }
}

#[test]
fn moves_are_those_of_their_twins() {
    let Some(backend) = shared(Precision::F32) else { return };
    let lengths = Lengths::new(vec![1, 0, 6, 2, 61]);
    let (x, y) = (noise(70 * 19, 1), noise(70 * 19, 2));
    let (x_tensor, y_tensor) = (tensor(backend, &x, 19).unwrap(), tensor(backend, &y, 19).unwrap());
    let found = |tensor: Result<_>| host(backend, &tensor.unwrap()).unwrap();
    assert!(found(backend.add(&x_tensor, &y_tensor)) == kernels::add::add(&x, &y));
    let list: Vec<u32> = (0..300).map(|i| i * 7 % 70).collect();
    assert!(found(backend.rows(&x_tensor, &list)) == kernels::rows::rows(&x, 19, &list));
    assert!(found(backend.columns(&x_tensor, 3..18)) == kernels::columns::columns(&x, 19, 3..18));
    assert!(found(backend.trigram(&x_tensor, &lengths)) == kernels::trigram::trigram(&x, 19, &lengths));
    // The sum of a tensor with itself reads one place twice.
    assert!(found(backend.add(&x_tensor, &x_tensor)) == kernels::add::add(&x, &x));
}

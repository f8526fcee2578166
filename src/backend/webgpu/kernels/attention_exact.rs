//! Attention in integers, as on the CPU.

use super::attention::{ROWS, scale};
use super::quantize::quotient;
use crate::backend::Lengths;

/// The largest query and key, and the largest value.
const QUERY_KEY: f32 = 4095.0;
const VALUE: f32 = 1023.0;

/// The weight of a row's best score is two to the power of this.
const WEIGHT_LOG2: f32 = 14.9997;

/// Keys whose part of the context is summed in integers.
const RUN: usize = 64;

/// Rows below this magnitude become zeros.
const SMALLEST: f32 = 1e-30;

/// For each workgroup of a head the first row of its sequence, the length of that, the first of its own rows, and the number of
/// the sequence.
pub(in super::super) fn tiles(lengths: &Lengths) -> Vec<[u32; 4]> {
    let of_sequence = |(number, rows): (usize, std::ops::Range<usize>)| {
        let (first, length) = (rows.start as u32, rows.len() as u32);
        (0..rows.len()).step_by(ROWS).map(move |begin| [first, length, begin as u32, number as u32])
    };
    lengths.ranges().enumerate().flat_map(of_sequence).collect()
}

/// The twin of `attention_exact.wgsl` and `head_scales.wgsl`; `qkv` is `[rows, 3 · hidden]`, the result `[rows, hidden]`.
pub fn attention_exact(qkv: &[f32], hidden: usize, heads: usize, lengths: &Lengths) -> Vec<f32> {
    let width = hidden / heads;
    let mut out = vec![0.0; qkv.len() / 3];
    for rows in lengths.ranges().filter(|rows| !rows.is_empty()) {
        for column in (0..hidden).step_by(width) {
            let part = |part: usize, most: f32| Part::new(qkv, &rows, (3, part), hidden, column..column + width, most);
            let (query, key, value) = (part(0, QUERY_KEY), part(1, QUERY_KEY), part(2, VALUE));
            let unit = query.worth * key.worth * scale(width);
            for (row, query) in rows.clone().zip(query.rows) {
                let context = context(&query, &key.rows, &value, unit);
                out[row * hidden + column..][..width].copy_from_slice(&context);
            }
        }
    }
    out
}

/// Query, key or value of one head of one sequence, as integers.
struct Part {
    rows: Vec<Vec<i32>>,
    /// What one is worth.
    worth: f32,
}

impl Part {
    fn new(
        x: &[f32],
        rows: &std::ops::Range<usize>,
        (parts, part): (usize, usize),
        hidden: usize,
        columns: std::ops::Range<usize>,
        most: f32,
    ) -> Self {
        let row = |row: usize| &x[(parts * row + part) * hidden..][columns.clone()];
        let largest = rows.clone().flat_map(row).fold(0.0, |best: f32, x| best.max(x.abs()));
        let (mut inverse, mut worth) = (0.0, 0.0);
        if largest >= SMALLEST {
            (inverse, worth) = (quotient(most, largest), quotient(largest, most));
        }
        let integers = |r| row(r).iter().map(|x| (x * inverse).round_ties_even() as i32).collect();
        Self { rows: rows.clone().map(integers).collect(), worth }
    }
}

fn context(query: &[i32], keys: &[Vec<i32>], value: &Part, unit: f32) -> Vec<f32> {
    let sum = |key: &Vec<i32>| query.iter().zip(key).map(|(x, y)| x * y).sum::<i32>();
    let sums: Vec<i32> = keys.iter().map(sum).collect();
    let best = sums.iter().copied().fold(i32::MIN, i32::max) as f32 * unit - WEIGHT_LOG2;
    let weight = |&sum: &i32| exp2_short(sum as f32 * unit - best).round_ties_even() as i32;
    let weights: Vec<i32> = sums.iter().map(weight).collect();
    let mut context = vec![0.0; query.len()];
    for (weights, values) in weights.chunks(RUN).zip(value.rows.chunks(RUN)) {
        for (c, context) in context.iter_mut().enumerate() {
            *context += weights.iter().zip(values).map(|(weight, value)| weight * value[c]).sum::<i32>() as f32;
        }
    }
    let total = weights.iter().sum::<i32>() as f32;
    let scale = if value.worth > 0.0 { quotient(value.worth, total) } else { 0.0 };
    context.iter().map(|x| x * scale).collect()
}

fn exp2_short(x: f32) -> f32 {
    let bounded = x.max(-100.0);
    let whole = bounded.round_ties_even();
    let f = bounded - whole;
    let high = f * 5.517_164e-2 + 0.242_611_12;
    let low = f * 0.693_261 + 0.999_928_06;
    (high * (f * f) + low) * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

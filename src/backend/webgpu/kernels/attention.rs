//! Scaled dot-product attention inside each sequence and head.

use crate::backend::Lengths;

/// Query rows of a workgroup.
pub(super) const ROWS: usize = 64;

/// The score of a key that does not exist.
const NOTHING: f32 = -1e30;

/// For each workgroup of a head the first row of its sequence, the length of that, and the first of its own rows.
pub(in super::super) fn tiles(lengths: &Lengths) -> Vec<[u32; 3]> {
    let of_sequence = |rows: std::ops::Range<usize>| {
        let (first, length) = (rows.start as u32, rows.len() as u32);
        (0..rows.len()).step_by(ROWS).map(move |begin| [first, length, begin as u32])
    };
    lengths.ranges().flat_map(of_sequence).collect()
}

/// What scores are multiplied with, because powers are of two: `log2(e) / √d`.
pub(in super::super) fn scale(width: usize) -> f32 {
    std::f32::consts::LOG2_E / (width as f32).sqrt()
}

/// The twin of `attention.wgsl`; `qkv` is `[rows, 3 · hidden]`, the result `[rows, hidden]`.
pub fn attention(qkv: &[f32], hidden: usize, heads: usize, lengths: &Lengths) -> Vec<f32> {
    let width = hidden / heads;
    let mut out = vec![0.0; qkv.len() / 3];
    let part = |part: usize, row: usize, column: usize| &qkv[(3 * row + part) * hidden + column..][..width];
    for [first, length, begin] in tiles(lengths).into_iter().map(|tile| tile.map(|number| number as usize)) {
        for column in (0..hidden).step_by(width) {
            for row in begin..length.min(begin + ROWS) {
                let query: Vec<f32> = part(0, first + row, column).iter().map(|x| x * scale(width)).collect();
                let keys = (first..first + length).map(|key| (part(1, key, column), part(2, key, column)));
                let context = context(&query, &keys.collect::<Vec<_>>());
                out[(first + row) * hidden + column..][..width].copy_from_slice(&context);
            }
        }
    }
    out
}

/// One query: keys and values four at a time, with a running maximum and sum.
fn context(query: &[f32], keys: &[(&[f32], &[f32])]) -> Vec<f32> {
    let (mut best, mut sum, mut context) = (NOTHING, 0.0, vec![0.0; query.len()]);
    for keys in keys.chunks(4) {
        let dot = |key: &[f32]| query.iter().zip(key).map(|(x, y)| x * y).sum::<f32>();
        let scores: Vec<f32> = keys.iter().map(|(key, _)| dot(key)).collect();
        let higher = scores.iter().copied().fold(best, f32::max);
        if higher > best {
            let smaller = (best - higher).exp2();
            best = higher;
            sum *= smaller;
            context.iter_mut().for_each(|x| *x *= smaller);
        }
        for (score, (_, value)) in scores.iter().zip(keys) {
            let weight = (score - best).exp2();
            sum += weight;
            context.iter_mut().zip(*value).for_each(|(x, y)| *x += weight * y);
        }
    }
    context.iter().map(|x| x / sum).collect()
}

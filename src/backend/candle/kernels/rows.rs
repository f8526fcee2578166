//! Moving rows and columns about, and the way back.

use std::ops::Range;

use crate::backend::Lengths;

/// Some rows of `x` `[R, H]`; their numbers have been checked.
pub fn select(x: &[f32], rows: &[u32], h: usize) -> Vec<f32> {
    rows.iter().flat_map(|&row| &x[row as usize * h..][..h]).copied().collect()
}

/// The gradient of `x` from that of [`select`]. A row may have been taken several times.
pub fn select_backward(grad: &[f32], rows: &[u32], len: usize, h: usize) -> Vec<f32> {
    let mut out = vec![0f32; len];
    for (grad, &row) in grad.chunks_exact(h).zip(rows) {
        add(&mut out[row as usize * h..][..h], grad);
    }
    out
}

/// Some neighbouring columns of `x` `[R, H]`.
pub fn columns(x: &[f32], columns: Range<usize>, h: usize) -> Vec<f32> {
    x.chunks_exact(h).flat_map(|row| &row[columns.clone()]).copied().collect()
}

/// The gradient of `x` from that of [`columns`].
pub fn columns_backward(grad: &[f32], columns: Range<usize>, h: usize) -> Vec<f32> {
    let mut out = vec![0f32; grad.len() / columns.len() * h];
    for (to, grad) in out.chunks_exact_mut(h).zip(grad.chunks_exact(columns.len())) {
        to[columns.clone()].copy_from_slice(grad);
    }
    out
}

/// `[next, own, previous]` of each row of `x` `[R, H]` in its own sequence: `[R, 3H]`.
pub fn trigram(x: &[f32], lengths: &Lengths, h: usize) -> Vec<f32> {
    let mut out = vec![0f32; 3 * x.len()];
    for (row, reader, part) in readers(lengths) {
        out[(3 * reader + part) * h..][..h].copy_from_slice(&x[row * h..][..h]);
    }
    out
}

/// The gradient of `x` from that of [`trigram`].
pub fn trigram_backward(grad: &[f32], lengths: &Lengths, h: usize) -> Vec<f32> {
    let mut out = vec![0f32; grad.len() / 3];
    for (row, reader, part) in readers(lengths) {
        add(&mut out[row * h..][..h], &grad[(3 * reader + part) * h..][..h]);
    }
    out
}

/// Which row is read by which, and as which of its three parts: as the next one by the row before, as its own, as the
/// previous one by the row after.
fn readers(lengths: &Lengths) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
    lengths.ranges().flat_map(|rows| {
        rows.clone().flat_map(move |row| {
            let readers = [(row.wrapping_sub(1), 0), (row, 1), (row + 1, 2)];
            let inside = readers.into_iter().filter(|(reader, _)| rows.contains(reader)).collect::<Vec<_>>();
            inside.into_iter().map(move |(reader, part)| (row, reader, part))
        })
    })
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

//! Each row between its neighbours.

use crate::backend::Lengths;

/// For each row 1 if its sequence has a next one, 2 if it has a previous one, 3 if both, 0 if neither.
pub(in super::super) fn neighbours(lengths: &Lengths) -> impl Iterator<Item = u32> {
    lengths.ranges().flat_map(|rows| {
        let (first, end) = (rows.start, rows.end);
        rows.map(move |row| u32::from(row + 1 < end) + 2 * u32::from(row > first))
    })
}

/// The twin of `trigram.wgsl`: `x` is `[rows, columns]`.
pub fn trigram(x: &[f32], columns: usize, lengths: &Lengths) -> Vec<f32> {
    let mut out = Vec::with_capacity(3 * x.len());
    for (row, neighbours) in neighbours(lengths).enumerate() {
        for column in 0..3 * columns {
            let at = row * columns + column % columns;
            out.push(match column / columns {
                0 if neighbours & 1 != 0 => x[at + columns],
                1 => x[at],
                2 if neighbours & 2 != 0 => x[at - columns],
                _ => 0.0,
            });
        }
    }
    out
}

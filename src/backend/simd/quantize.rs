//! Activations as int8 with one scale a row, chosen from the row's largest magnitude, in the order in which products read
//! them.
//!
//! A scale a row costs nothing in the product and keeps one outlier row (`[CLS]`, `[SEP]`) from flattening all others. A
//! strip holds the rows of one register tile, step by step: `[M/rows][K/depth][rows][words]`, so a product reads it from
//! end to end.

use super::lanes::{Form, Kernel, Lanes, MAGIC, WIDTH, padded};

/// Rows below this magnitude become zeros: their scale would not be a normal number.
const SMALLEST: f32 = 1e-30;

/// `x ≈ scales[r] · quantized[r]`, rows filled up with zeros to whole vectors.
pub(crate) struct Quantize<'a> {
    /// `[M, columns]`.
    pub(crate) x: &'a [f32],
    pub(crate) columns: usize,
    /// [`strips_len`] words.
    pub(crate) strips: &'a mut [u32],
    /// `[M]`.
    pub(crate) scales: &'a mut [f32],
}

/// The inputs of a quantised row, filled up.
pub(crate) fn padded_columns(columns: usize) -> usize {
    columns.next_multiple_of(WIDTH)
}

/// The words of a strip of `strip` rows.
pub(crate) fn strip_len(form: Form, strip: usize, columns: usize) -> usize {
    padded_columns(columns) / form.depth * form.words * strip
}

/// The words of the strips of all rows.
pub(crate) fn strips_len(form: Form, strip: usize, rows: usize, columns: usize) -> usize {
    rows.div_ceil(strip) * strip_len(form, strip, columns)
}

impl Kernel for Quantize<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { x, columns, strips, scales } = self;
        let rows = x.chunks(L::ROWS * columns).zip(scales.chunks_mut(L::ROWS));
        for ((rows, scales), strip) in rows.zip(strips.chunks_exact_mut(strip_len(L::FORM, L::ROWS, columns))) {
            for (r, (row, scale)) in rows.chunks_exact(columns).zip(scales).enumerate() {
                let largest = magnitude(lanes, row);
                *scale = largest / 127.0;
                quantize_row(lanes, row, inverse(largest, 127.0), &mut strip[r * L::FORM.words..]);
            }
        }
    }
}

/// What turns magnitudes up to `largest` into integers up to `most`.
pub(crate) fn inverse(largest: f32, most: f32) -> f32 {
    if largest >= SMALLEST { most / largest } else { 0.0 }
}

/// The largest magnitude of a row.
#[inline(always)]
pub(crate) fn magnitude<L: Lanes>(lanes: L, row: &[f32]) -> f32 {
    let mut best = lanes.splat(0.0);
    let (whole, rest) = row.as_chunks::<WIDTH>();
    for x in whole {
        best = lanes.max(best, lanes.abs(lanes.load(x)));
    }
    lanes.peak(lanes.max(best, lanes.abs(lanes.load(&padded(rest)))))
}

/// Writes a row into the strip that `to` is the rest of, from its first step on.
#[inline(always)]
fn quantize_row<L: Lanes>(lanes: L, row: &[f32], inverse: f32, to: &mut [u32]) {
    let (inverse, magic) = (lanes.splat(inverse), lanes.splat(MAGIC));
    let (stride, steps) = (L::ROWS * L::FORM.words, WIDTH / L::FORM.depth);
    let (whole, rest) = row.as_chunks::<WIDTH>();
    let last = padded(rest);
    let vectors = whole.iter().chain((!rest.is_empty()).then_some(&last));
    for (x, to) in vectors.zip(to.chunks_mut(steps * stride)) {
        let n = lanes.add(lanes.mul(lanes.load(x), inverse), magic);
        assert!(to.len() >= (steps - 1) * stride + L::FORM.words, "too short a strip");
        // Safety: the line above.
        unsafe { lanes.store_inputs(n, to.as_mut_ptr(), stride) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Target;
    use super::super::reference;
    use super::*;

    /// The input of a row and column in strips.
    fn input(strips: &[u32], (form, strip): (Form, usize), columns: usize, row: usize, column: usize) -> i32 {
        let at = row / strip * strip_len(form, strip, columns);
        let at = at + (column / form.depth * strip + row % strip) * form.words;
        let byte = |word: u32| i32::from(word.to_le_bytes()[column % form.depth]);
        match form {
            Form { depth: 2, .. } => i32::from((strips[at] >> (16 * (column % 2))) as i16),
            Form { words: 2, .. } => byte(strips[at]) - byte(strips[at + 1]),
            Form { offset, .. } => byte(strips[at]) - offset,
        }
    }

    fn quantized(target: Target, x: &[f32], columns: usize) -> (Vec<i32>, Vec<f32>) {
        let (rows, (form, strip)) = (x.len() / columns, target.int8_form());
        let (mut strips, mut scales) = (vec![9; strips_len(form, strip, rows, columns)], vec![9.0; rows]);
        target.run(Quantize { x, columns, strips: &mut strips, scales: &mut scales });
        let full = padded_columns(columns);
        let at = |i: usize| input(&strips, (form, strip), columns, i / full, i % full);
        ((0..rows * full).map(at).collect(), scales)
    }

    #[test]
    fn the_same_integers_as_the_reference() {
        for columns in [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 65, 128, 384] {
            let x: Vec<f32> = (0..7 * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.13).collect();
            for target in Target::all() {
                let (found, scales) = quantized(target, &x, columns);
                for ((row, found), found_scale) in
                    x.chunks(columns).zip(found.chunks(padded_columns(columns))).zip(scales)
                {
                    let (mut expected, scale) = reference::quantize(row);
                    expected.resize(found.len(), 0);
                    assert_eq!(found_scale.to_bits(), scale.to_bits(), "{}, {columns} columns", target.name());
                    assert!(found.iter().zip(&expected).all(|(x, y)| *x == i32::from(*y)), "{columns} columns");
                }
            }
        }
    }

    #[test]
    fn rows_without_magnitude_are_zeros() {
        let (found, scales) = quantized(Target::detect(), &[0.0, -0.0, 0.0, 1e-38, 0.0, 0.0], 3);
        assert_eq!(found, [0; 16]);
        assert!(scales[0] == 0.0 && scales[1] < 1e-39);
    }

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let (found, scales) = quantized(Target::detect(), &[127.0, 0.5, 1.5, -2.5], 4);
        assert_eq!((&found[..4], scales.as_slice()), (&[127, 0, 2, -2][..], &[1.0][..]));
    }
}

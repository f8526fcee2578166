//! Activations as int8 with one scale a row, chosen from the row's largest magnitude.
//!
//! A scale a row costs nothing in the product and keeps one outlier row (`[CLS]`, `[SEP]`) from flattening all others.

use super::lanes::{Kernel, Lanes, MAGIC, WIDTH, padded};

/// Rows below this magnitude become zeros: their scale would not be a normal number.
const SMALLEST: f32 = 1e-30;

/// `x ≈ scales[r] · quantized[r]`, rows filled up with zeros.
pub(crate) struct Quantize<'a> {
    /// `[M, columns]`.
    pub(crate) x: &'a [f32],
    pub(crate) columns: usize,
    /// `[M, padded_columns(columns)]`.
    pub(crate) quantized: &'a mut [i16],
    /// `[M]`.
    pub(crate) scales: &'a mut [f32],
}

/// The length of a quantised row.
pub(crate) fn padded_columns(columns: usize) -> usize {
    columns.next_multiple_of(2)
}

impl Kernel for Quantize<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let rows = self.x.chunks_exact(self.columns);
        let to = self.quantized.chunks_exact_mut(padded_columns(self.columns));
        for ((row, to), scale) in rows.zip(to).zip(self.scales) {
            let largest = magnitude(lanes, row);
            *scale = largest / 127.0;
            let inverse = if largest >= SMALLEST { 127.0 / largest } else { 0.0 };
            quantize_row(lanes, row, inverse, to);
        }
    }
}

#[inline(always)]
fn magnitude<L: Lanes>(lanes: L, row: &[f32]) -> f32 {
    let mut best = lanes.splat(0.0);
    let (whole, rest) = row.as_chunks::<WIDTH>();
    for x in whole {
        best = lanes.max(best, lanes.abs(lanes.load(x)));
    }
    lanes.peak(lanes.max(best, lanes.abs(lanes.load(&padded(rest)))))
}

#[inline(always)]
fn quantize_row<L: Lanes>(lanes: L, row: &[f32], inverse: f32, to: &mut [i16]) {
    let (inverse, magic) = (lanes.splat(inverse), lanes.splat(MAGIC));
    let (whole, rest) = row.as_chunks::<WIDTH>();
    let (to_whole, to_rest) = to.as_chunks_mut::<WIDTH>();
    for (x, to) in whole.iter().zip(to_whole.iter_mut()) {
        lanes.low_halves(lanes.add(lanes.mul(lanes.load(x), inverse), magic), to);
    }
    let mut last = [0; WIDTH];
    lanes.low_halves(lanes.add(lanes.mul(lanes.load(&padded(rest)), inverse), magic), &mut last);
    // Seven values and a zero fill one more whole vector.
    let to_rest = if to_whole.len() > whole.len() { &mut to_whole[whole.len()][..] } else { to_rest };
    for (to, from) in to_rest.iter_mut().zip(&last) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Target;
    use super::super::reference;
    use super::*;

    #[test]
    fn the_same_integers_as_the_reference() {
        for columns in [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 65, 128, 384] {
            let x: Vec<f32> = (0..3 * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.13).collect();
            for target in [Target::detect(), Target::Scalar] {
                let (mut quantized, mut scales) = (vec![9; 3 * padded_columns(columns)], vec![0.0; 3]);
                target.run(Quantize { x: &x, columns, quantized: &mut quantized, scales: &mut scales });
                for (r, row) in x.chunks(columns).enumerate() {
                    let (mut expected, scale) = reference::quantize(row);
                    expected.resize(padded_columns(columns), 0);
                    let found = &quantized[r * expected.len()..(r + 1) * expected.len()];
                    assert_eq!(scales[r].to_bits(), scale.to_bits(), "{}, {columns} columns", target.name());
                    assert!(found.iter().zip(&expected).all(|(x, y)| *x == i16::from(*y)), "{columns} columns");
                }
            }
        }
    }

    #[test]
    fn rows_without_magnitude_are_zeros() {
        let (mut quantized, mut scales) = ([9; 8], [9.0; 2]);
        let x = [0.0, -0.0, 0.0, 1e-38, 0.0, 0.0];
        Target::detect().run(Quantize { x: &x, columns: 3, quantized: &mut quantized, scales: &mut scales });
        assert_eq!(quantized, [0; 8]);
        assert!(scales[0] == 0.0 && scales[1] < 1e-39);
    }

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let (mut quantized, mut scales) = ([0; 4], [0.0]);
        let x = [127.0, 0.5, 1.5, -2.5];
        Target::detect().run(Quantize { x: &x, columns: 4, quantized: &mut quantized, scales: &mut scales });
        assert_eq!((quantized, scales), ([127, 0, 2, -2], [1.0]));
    }
}

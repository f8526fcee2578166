//! Symmetric int8, one scale a row: `value ≈ scale · integer`, integers in -127..=127.

/// The rows of a matrix as integers with their scales.
pub(super) struct Quantized {
    pub(super) data: Vec<i8>,
    pub(super) scales: Vec<f32>,
}

/// The largest integer.
const MAX: f32 = 127.0;

/// The largest scale whose multiples are finite.
const LARGEST: f32 = f32::MAX / 128.0;

/// Candidate scales as parts of `max / 127`. Clipping the largest values of a row makes all others finer.
const SHRINK: [f32; 9] = [1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.9];

/// Chooses for each row of `[rows, columns]` the scale of least squared error.
pub(super) fn quantize(values: &[f32], columns: usize) -> Quantized {
    let mut data = Vec::with_capacity(values.len());
    let mut scales = Vec::with_capacity(values.len() / columns.max(1));
    for row in values.chunks_exact(columns.max(1)) {
        let scale = best_scale(row);
        scales.push(scale);
        data.extend(row.iter().map(|&value| integer(value, scale)));
    }
    Quantized { data, scales }
}

/// A row of zeros keeps a scale of one: scales are positive.
fn best_scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0f32, |most, value| most.max(value.abs()));
    let full = (largest / MAX).min(LARGEST);
    if !full.is_normal() {
        return 1.0;
    }
    let candidates = SHRINK.iter().map(|shrink| refit(row, full * shrink));
    let best = candidates.map(|scale| (squared_error(row, scale), scale)).min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(full, |(_, scale)| scale)
}

/// The best scale for the integers that `scale` gives: `Σ value · integer / Σ integer²`.
fn refit(row: &[f32], scale: f32) -> f32 {
    let (mut dot, mut square) = (0f64, 0f64);
    for &value in row {
        let integer = f64::from(integer(value, scale));
        dot += f64::from(value) * integer;
        square += integer * integer;
    }
    let fitted = (dot / square) as f32;
    if fitted.is_normal() && fitted > 0.0 { fitted.min(LARGEST) } else { scale }
}

fn integer(value: f32, scale: f32) -> i8 {
    (value / scale).round().clamp(-MAX, MAX) as i8
}

fn squared_error(row: &[f32], scale: f32) -> f64 {
    let error = |&value: &f32| f64::from(value) - f64::from(integer(value, scale)) * f64::from(scale);
    row.iter().map(|value| error(value).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut unit = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        (0..n).map(|_| (0..6).map(|_| unit()).sum::<f32>() - 3.0).collect()
    }

    #[test]
    fn hand_computed() {
        let Quantized { data, scales } = quantize(&[0.0, 127.0, -127.0, 1.0, 0.0, 0.0, 0.0, 0.0], 4);
        assert_eq!(
            (data.as_slice(), scales.as_slice()),
            ([0, 127, -127, 1, 0, 0, 0, 0].as_slice(), [1.0, 1.0].as_slice())
        );
    }

    #[test]
    fn never_worse_than_the_plain_maximum() {
        for columns in [1, 2, 3, 26, 384] {
            let values = random(32 * columns, columns as u64);
            let quantized = quantize(&values, columns);
            for (row, &scale) in values.chunks_exact(columns).zip(&quantized.scales) {
                let plain = row.iter().fold(0f32, |most, value| most.max(value.abs())) / MAX;
                assert!(squared_error(row, scale) <= squared_error(row, plain), "{columns} columns");
            }
            assert!(quantized.data.iter().all(|&value| value > i8::MIN));
        }
    }

    #[test]
    fn extremes_stay_finite() {
        let tiny = f32::from_bits(1);
        for row in [[f32::MAX, 1.0], [f32::MIN, f32::MAX], [tiny, 0.0], [f32::MIN_POSITIVE, tiny], [-0.0, 0.0]] {
            let Quantized { data, scales } = quantize(&row, 2);
            assert!(scales[0].is_finite() && scales[0] > 0.0, "{row:?}");
            assert!(data.iter().all(|&value| (f32::from(value) * scales[0]).is_finite()), "{row:?}");
        }
    }
}

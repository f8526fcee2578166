//! Weights in the order in which the kernels read them: panels of eight outputs, all inputs of a panel in a row.
//!
//! `f32`: `[N/8][K][8]`. int8: `[N/8][K/depth][8][depth]`, the inputs of one step of one output side by side, one scale an
//! output. `N` and, for int8, `K` are filled up to multiples of eight with zeros: the kernels know no tails.

use std::sync::Arc;

use super::lanes::{Form, WIDTH};
use super::quantize::padded_columns;
use crate::backend::table::check;
use crate::backend::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// The most inputs of an int8 matrix: `127 · 128 · K` must stay below `2^31`.
const MOST_INT8_INPUTS: usize = 1 << 17;

/// A weight matrix `[N, K]`. The form is that of the file: `f32` stays `f32`, int8 stays int8. A clone shares the panels.
#[derive(Clone)]
pub struct Matrix {
    /// `N`.
    pub(crate) outputs: usize,
    /// `K`.
    pub(crate) inputs: usize,
    pub(crate) panels: Arc<Panels>,
}

/// The two forms of a [`Matrix`].
pub(crate) enum Panels {
    /// `[N/8][K][8]`.
    F32(Vec<f32>),
    /// Exact products.
    Int8(Int8Panels),
}

/// Panels of int8 weights, filled up with zeros.
pub(crate) struct Int8Panels {
    /// Whose kernels read them.
    pub(crate) form: Form,
    /// `[N/8][K/depth][8][depth]`.
    pub(crate) data: Vec<i8>,
    /// `[N]`.
    pub(crate) scales: Vec<f32>,
    /// `[N]`, what a sum begins with: takes away what the form's offset adds.
    pub(crate) begin: Vec<i32>,
}

impl Matrix {
    /// Packs the parts, stacked along their outputs. If one of them is `f32`, all become `f32`.
    pub(crate) fn pack(parts: &[Stored], form: Form) -> Result<Self> {
        let inputs = parts.first().map_or(0, |part| part.columns);
        for part in parts {
            check(part)?;
            if part.columns != inputs {
                return Err(refuse(part, format!("expected {inputs} columns, found {}", part.columns)));
            }
        }
        let outputs = parts.iter().map(|part| part.rows).sum();
        let panels = match int8_parts(parts) {
            Some(_) if inputs > MOST_INT8_INPUTS => {
                return Err(refuse(&parts[0], format!("an int8 matrix has at most {MOST_INT8_INPUTS} columns")));
            }
            Some(rows) => Panels::Int8(pack_int8(&rows, inputs, form)),
            None => {
                let values: Vec<f32> = parts.iter().flat_map(Stored::to_f32).collect();
                let mut data = vec![0.0; panel_len(outputs, inputs)];
                pack_f32(&values, inputs, outputs, inputs, 1.0, &mut data);
                Panels::F32(data)
            }
        };
        Ok(Self { outputs, inputs, panels: Arc::new(panels) })
    }
}

/// A vector, filled up with zeros to a multiple of eight. A clone shares the numbers.
#[derive(Clone)]
pub struct Vector {
    pub(crate) len: usize,
    pub(crate) values: Arc<[f32]>,
}

impl Vector {
    pub(crate) fn join(parts: &[Stored]) -> Result<Self> {
        for part in parts {
            check(part)?;
        }
        let mut values: Vec<f32> = parts.iter().flat_map(Stored::to_f32).collect();
        let len = values.len();
        values.resize(len.next_multiple_of(WIDTH), 0.0);
        Ok(Self { len, values: values.into() })
    }
}

fn refuse(part: &Stored, message: String) -> Error {
    Error::new(ErrorKind::Weights, format!("weight {:?}: {message}", part.name))
}

/// The length of the `f32` panels of an `[n, k]` matrix.
pub(crate) fn panel_len(n: usize, k: usize) -> usize {
    n.next_multiple_of(WIDTH) * k
}

/// Writes rows `[n, k]`, `stride` apart, times `scale` into panels `[n/8][k][8]`.
#[inline(always)]
pub(crate) fn pack_f32(rows: &[f32], stride: usize, n: usize, k: usize, scale: f32, panels: &mut [f32]) {
    let mut rows = rows.chunks(stride).take(n);
    for panel in panels.chunks_exact_mut(k * WIDTH) {
        let panel = panel.as_chunks_mut::<WIDTH>().0;
        for lane in 0..WIDTH {
            match rows.next() {
                Some(row) => panel.iter_mut().zip(row).for_each(|(to, from)| to[lane] = from * scale),
                None => panel.iter_mut().for_each(|to| to[lane] = 0.0),
            }
        }
    }
}

/// The int8 rows of all parts with their scales; none if a part is `f32`.
fn int8_parts(parts: &[Stored]) -> Option<Vec<(&[i8], f32)>> {
    let mut rows = Vec::new();
    for part in parts {
        let Values::Int8 { data, scales } = &part.values else { return None };
        rows.extend(data.chunks_exact(part.columns).zip(scales.iter().copied()));
    }
    (!rows.is_empty()).then_some(rows)
}

fn pack_int8(rows: &[(&[i8], f32)], inputs: usize, form: Form) -> Int8Panels {
    let (width, padded) = (rows.len().next_multiple_of(WIDTH), padded_columns(inputs));
    let mut panels =
        Int8Panels { form, data: vec![0; width * padded], scales: vec![0.0; width], begin: vec![0; width] };
    for (n, (row, scale)) in rows.iter().enumerate() {
        panels.scales[n] = *scale;
        panels.begin[n] = -form.offset * row.iter().map(|&value| i32::from(value)).sum::<i32>();
        let panel = &mut panels.data[n / WIDTH * WIDTH * padded..][..WIDTH * padded];
        match form.depth {
            2 => spread::<2>(row, n % WIDTH, panel),
            _ => spread::<4>(row, n % WIDTH, panel),
        }
    }
    panels
}

/// Writes the row of one output into its panel, `[K/DEPTH][8][DEPTH]`. Copies of a known size: 36 ms less in WebAssembly for
/// 10.6 million weights.
fn spread<const DEPTH: usize>(row: &[i8], output: usize, panel: &mut [i8]) {
    let places = panel.as_chunks_mut::<DEPTH>().0.iter_mut().skip(output).step_by(WIDTH);
    let (steps, rest) = row.as_chunks::<DEPTH>();
    let mut last = [0; DEPTH];
    last[..rest.len()].copy_from_slice(rest);
    for (to, step) in places.zip(steps.iter().chain((!rest.is_empty()).then_some(&last))) {
        *to = *step;
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::PAIRS;
    use super::*;

    fn stored(rows: usize, columns: usize, values: Values) -> Stored {
        Stored { name: "w".into(), rows, columns, values, transposed: false }
    }

    #[test]
    fn f32_panels() {
        let values = (0..27).map(|x| x as f32).collect(); // [9, 3]
        let matrix = Matrix::pack(&[stored(9, 3, Values::F32(values))], PAIRS).expect("a matrix");
        let Panels::F32(data) = &*matrix.panels else { panic!("the form of the file") };
        assert_eq!(data.len(), 2 * 3 * 8);
        assert_eq!(data[..9], [0., 3., 6., 9., 12., 15., 18., 21., 1.]);
        assert_eq!(data[24..26], [24., 0.]);
    }

    #[test]
    fn int8_panels() {
        let values = Values::Int8 { data: (0..27).collect(), scales: (1..10).map(|x| x as f32).collect() };
        let parts = [stored(9, 3, values)];
        let panels = |form| match Arc::into_inner(Matrix::pack(&parts, form).expect("a matrix").panels) {
            Some(Panels::Int8(panels)) => panels,
            _ => panic!("the form of the file"),
        };
        let Int8Panels { data, scales, begin, .. } = panels(PAIRS);
        assert_eq!(data.len(), 2 * 8 * 8);
        assert_eq!(data[..4], [0, 1, 3, 4]);
        assert_eq!(data[16..20], [2, 0, 5, 0], "an odd K ends with a zero");
        assert_eq!(data[64..68], [24, 25, 0, 0]);
        assert_eq!(scales[8..], [9., 0., 0., 0., 0., 0., 0., 0.]);
        assert_eq!(begin, [0; 16]);
        let Int8Panels { data, begin, .. } = panels(Form { depth: 4, words: 1, offset: 128 });
        assert_eq!(data[..8], [0, 1, 2, 0, 3, 4, 5, 0]);
        assert_eq!(begin[..3], [-128 * 3, -128 * 12, -128 * 21]);
    }

    #[test]
    fn refusals() {
        let short = stored(2, 3, Values::F32(vec![0.0; 5]));
        assert!(Matrix::pack(&[short], PAIRS).is_err_and(|e| e.to_string().contains("[2, 3]")));
        let scales = stored(2, 1, Values::Int8 { data: vec![1, 2], scales: vec![1.0] });
        assert!(Matrix::pack(&[scales], PAIRS).is_err());
        let (two, three) = (stored(1, 2, Values::F32(vec![0.0; 2])), stored(1, 3, Values::F32(vec![0.0; 3])));
        assert!(
            Matrix::pack(&[two, three], PAIRS).is_err_and(|e| e.to_string().contains("expected 2 columns, found 3"))
        );
        let deep = Values::Int8 { data: vec![1; MOST_INT8_INPUTS + 1], scales: vec![1.0] };
        assert!(Matrix::pack(&[stored(1, MOST_INT8_INPUTS + 1, deep)], PAIRS).is_err());
    }
}

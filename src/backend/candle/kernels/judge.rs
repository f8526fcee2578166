//! What judges a loss: the same formula from candle's elementary operations in `f64`, with candle's own gradient, and
//! finite differences of that formula.

use candle_core::{D, DType, Device, Result, Tensor, Var};

use super::random::Stream;

/// Deterministic normal numbers around zero.
pub(super) fn numbers(len: usize, key: u64, deviation: f32) -> Vec<f32> {
    let stream = Stream::new(key, 0, 0);
    (0..len as u32).map(|i| deviation * stream.normal(i)).collect()
}

/// `ln softmax(z)`, row by row.
pub(super) fn log_softmax(z: &Tensor) -> Result<Tensor> {
    let centred = z.broadcast_sub(&z.max_keepdim(D::Minus1)?.detach())?;
    centred.broadcast_sub(&centred.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// A tensor that cannot learn.
pub(super) fn constant(values: &[f32], dims: (usize, usize)) -> Tensor {
    Tensor::from_slice(values, dims, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
}

/// Two rows of four, whose losses PyTorch was asked for (2.11).
pub(super) const STUDENT: [f32; 8] = [0.5, -1.25, 3.0, -0.75, 0.0, 2.0, -0.5, 1.5];
/// As [`STUDENT`].
pub(super) const TEACHER: [f32; 8] = [1.0, -0.5, 2.0, 0.25, -1.0, 0.5, 0.75, 3.0];

/// Compares a loss and its gradient with what PyTorch says.
pub(super) fn is_pytorch_s(kernel: impl Fn(&mut [f32]) -> f64, loss: f64, grad: &[f32]) {
    let mut found_grad = vec![0f32; grad.len()];
    let found = kernel(&mut found_grad);
    assert!((found - loss).abs() < 5e-7, "{found} for {loss}");
    for (found, expected) in found_grad.iter().zip(grad) {
        assert!((found - expected).abs() < 2e-7 * expected.abs().max(1.0), "{found} for {expected}");
    }
}

/// Where a loss is judged.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) student: Vec<f32>,
    pub(super) dims: (usize, usize),
}

impl Case {
    /// `kernel` returns the loss and adds to the gradient.
    pub(super) fn judge(&self, formula: impl Fn(&Tensor) -> Result<Tensor>, kernel: impl Fn(&mut [f32]) -> f64) {
        let mut grad = vec![0f32; self.student.len()];
        let found = kernel(&mut grad);
        let student = Var::from_tensor(&constant(&self.student, self.dims)).unwrap();
        let loss = formula(&student).unwrap();
        let value = loss.to_scalar::<f64>().unwrap();
        assert!((found - value).abs() < 1e-6 * value.abs().max(1.0), "{}: {found} for {value}", self.name);

        let expected = loss.backward().unwrap().remove(&student).unwrap().flatten_all().unwrap();
        let expected = expected.to_vec1::<f64>().unwrap();
        let size = expected.iter().fold(0f64, |max, g| max.max(g.abs()));
        for (i, (found, expected)) in grad.iter().zip(&expected).enumerate() {
            let off = (f64::from(*found) - expected).abs() / size;
            assert!(off < 2e-6, "{}: gradient [{i}] {found} for {expected}", self.name);
        }
        self.differ(&formula, &expected, size);

        let once = grad.clone();
        kernel(&mut grad);
        let twice = grad.iter().zip(&once).all(|(twice, once)| (twice - 2.0 * once).abs() < 1e-6 * size as f32);
        assert!(twice, "{}: a second loss adds to the gradient", self.name);
    }

    /// Checks candle's gradient where it is largest and at some other places.
    fn differ(&self, formula: &impl Fn(&Tensor) -> Result<Tensor>, gradient: &[f64], size: f64) {
        const H: f64 = 1e-4;
        // A probability must not become negative.
        let size_of = |x: f64| x.abs().clamp(1e-6, 1.0);
        let len = gradient.len();
        let steepest = (0..len).find(|&i| gradient[i].abs() == size).unwrap();
        let student = constant(&self.student, self.dims).flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for i in [0, steepest, len / 3, len - 1] {
            let at = |step: f64| {
                let mut moved = student.clone();
                moved[i] += step * size_of(student[i]);
                let moved = Tensor::from_vec(moved, self.dims, &Device::Cpu).unwrap();
                formula(&moved).unwrap().to_scalar::<f64>().unwrap()
            };
            let slope = (at(H) - at(-H)) / (2.0 * H * size_of(student[i]));
            assert!(
                (slope - gradient[i]).abs() < 1e-5 * size,
                "{}: slope [{i}] {slope} for {}",
                self.name,
                gradient[i]
            );
        }
    }
}

//! The squared difference between a student and its teacher: of hidden states, of attention maps.

use rayon::prelude::*;

use super::{dot, vectorised};

/// Elements of one piece of work.
const PIECE: usize = 1 << 14;
/// Elements whose terms are added in `f32` before they are added in `f64`.
const BLOCK: usize = 256;

/// `scale · Σ (student − teacher)²`: PyTorch's `mse_loss` when `scale` is one over the number of elements.
///
/// Both have the same shape, whatever it is; the gradient of the student is added to `grad`.
pub fn square_loss(student: &[f32], teacher: &[f32], scale: f64, grad: &mut [f32]) -> f64 {
    let pieces = grad.par_chunks_mut(PIECE).zip(student.par_chunks(PIECE)).zip(teacher.par_chunks(PIECE));
    let sums: Vec<f64> =
        pieces.map(|((grad, student), teacher)| square_piece(student, teacher, 2.0 * scale, grad)).collect();
    scale * sums.iter().sum::<f64>()
}

vectorised! {
    fn square_piece(student: &[f32], teacher: &[f32], slope: f64, grad: &mut [f32]) -> f64 {
        let mut differences = [0f32; BLOCK];
        let mut sum = 0.0;
        for ((grad, student), teacher) in grad.chunks_mut(BLOCK).zip(student.chunks(BLOCK)).zip(teacher.chunks(BLOCK)) {
            let differences = &mut differences[..grad.len()];
            for (((difference, g), s), t) in differences.iter_mut().zip(grad).zip(student).zip(teacher) {
                *difference = s - t;
                *g = difference.mul_add(slope as f32, *g);
            }
            sum += f64::from(dot(differences, differences));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::{Case, STUDENT, TEACHER, constant, is_pytorch_s, numbers};
    use super::*;

    #[test]
    fn square_loss_equals_the_formula() {
        for dims in [(1, 5), (131, 257)] {
            let len = dims.0 * dims.1;
            let teacher = numbers(len, 1, 2.0);
            let t = constant(&teacher, dims);
            let case = Case { name: "square", student: numbers(len, 2, 1.0), dims };
            let scale = 1.0 / len as f64;
            case.judge(
                |s| (s - &t)?.sqr()?.sum_all()? * scale,
                |grad| square_loss(&case.student, &teacher, scale, grad),
            );
        }
    }

    /// `mse_loss`.
    #[test]
    fn pytorch_s_numbers() {
        let grad = [-0.125, -0.1875, 0.25, -0.25, 0.25, 0.375, -0.3125, -0.375];
        is_pytorch_s(|grad| square_loss(&STUDENT, &TEACHER, 1.0 / 8.0, grad), 1.234_375, &grad);
    }
}

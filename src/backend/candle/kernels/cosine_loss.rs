//! The angle between the hidden states of a student and its teacher.

use rayon::prelude::*;

use super::{ROWS, dot, vectorised};

/// Added to the squared length of every row, as in PyTorch's `CosineEmbeddingLoss`: a row of zeros has no direction.
const EPS: f64 = 1e-12;

/// `scale · Σ_r (1 − cos(student[r], teacher[r]))`: PyTorch's `CosineEmbeddingLoss` with targets of one when `scale` is
/// `1 / R`.
///
/// Both are `[R, H]`; the gradient of the student's rows is added to `grad`.
pub fn cosine_loss(student: &[f32], teacher: &[f32], h: usize, scale: f64, grad: &mut [f32]) -> f64 {
    let piece = ROWS * h;
    let pieces = grad.par_chunks_mut(piece).zip(student.par_chunks(piece)).zip(teacher.par_chunks(piece));
    let losses: Vec<f64> =
        pieces.map(|((grad, student), teacher)| cosine_block(student, teacher, h, scale, grad)).collect();
    losses.iter().sum()
}

vectorised! {
    fn cosine_block(student: &[f32], teacher: &[f32], h: usize, scale: f64, grad: &mut [f32]) -> f64 {
        let mut loss = 0.0;
        for ((grad, s), t) in grad.chunks_exact_mut(h).zip(student.chunks_exact(h)).zip(teacher.chunks_exact(h)) {
            let (ss, tt) = (f64::from(dot(s, s)) + EPS, f64::from(dot(t, t)) + EPS);
            let inverse = 1.0 / (ss * tt).sqrt();
            let cosine = f64::from(dot(s, t)) * inverse;
            loss += scale * (1.0 - cosine);
            // d(−cos)/ds = cos · s / |s|² − t / (|s| |t|)
            let (along, towards) = ((scale * cosine / ss) as f32, (-scale * inverse) as f32);
            for ((g, s), t) in grad.iter_mut().zip(s).zip(t) {
                *g = s.mul_add(along, t.mul_add(towards, *g));
            }
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use candle_core::D;

    use super::super::judge::{Case, STUDENT, TEACHER, constant, is_pytorch_s, numbers};
    use super::*;

    #[test]
    fn cosine_loss_equals_the_formula() {
        let dims = (67, 19);
        let teacher = numbers(67 * 19, 1, 2.0);
        let t = constant(&teacher, dims);
        let case = Case { name: "cosine", student: numbers(67 * 19, 2, 1.0), dims };
        case.judge(
            |s| {
                let lengths = (s.sqr()?.sum(D::Minus1)? * t.sqr()?.sum(D::Minus1)?)?.sqrt()?;
                let cosine = ((s * &t)?.sum(D::Minus1)? / lengths)?;
                (1.0 - cosine)?.sum_all()? * 0.25
            },
            |grad| cosine_loss(&case.student, &teacher, 19, 0.25, grad),
        );
    }

    /// `cosine_embedding_loss` with targets of one.
    #[test]
    fn pytorch_s_numbers() {
        let loss = |grad: &mut [f32]| cosine_loss(&STUDENT, &TEACHER, 4, 0.5, grad);
        let grad = [
            -0.044_705_81,
            -0.016_875_118,
            -0.010_955_572,
            -0.045_500_97,
            0.059_641_734,
            0.064_229_555,
            -0.068_243_906,
            -0.108_387_38,
        ];
        is_pytorch_s(loss, 0.248_117_357, &grad);
    }

    #[test]
    fn a_row_of_zeros_stays_finite() {
        let mut grad = [0f32; 2];
        assert_eq!(cosine_loss(&[0.0, 0.0], &[3.0, 4.0], 2, 1.0, &mut grad), 1.0);
        assert!(grad.iter().all(|g| g.is_finite()));
    }
}

//! The divergence between the attention maps of a student and its teacher, as MiniALBERT is distilled with it.

use rayon::prelude::*;

use super::{math, sum, vectorised};

/// Added to every probability on both sides: a map may hold zeros.
const EPS: f32 = 1e-12;
/// Elements of one piece of work.
const PIECE: usize = 1 << 14;
/// Elements whose terms are added in `f32` before they are added in `f64`.
const BLOCK: usize = 256;

/// `scale · Σ p_t · (ln p_t − ln p_s)` with `p = map + 1e-12`: PyTorch's `KLDivLoss` with `mean` when `scale` is one over
/// the number of elements. That mean is over keys as well as queries, so it is small.
///
/// Both are attention maps as [`super::attention::maps`] makes them; the gradient of the student's is added to `grad`,
/// for [`super::attention::maps_backward`].
pub fn map_loss(student: &[f32], teacher: &[f32], scale: f64, grad: &mut [f32]) -> f64 {
    let pieces = grad.par_chunks_mut(PIECE).zip(student.par_chunks(PIECE)).zip(teacher.par_chunks(PIECE));
    let sums: Vec<f64> =
        pieces.map(|((grad, student), teacher)| map_piece(student, teacher, scale as f32, grad)).collect();
    scale * sums.iter().sum::<f64>()
}

vectorised! {
    fn map_piece(student: &[f32], teacher: &[f32], scale: f32, grad: &mut [f32]) -> f64 {
        let mut terms = [0f32; BLOCK];
        let mut total = 0.0;
        for ((grad, student), teacher) in grad.chunks_mut(BLOCK).zip(student.chunks(BLOCK)).zip(teacher.chunks(BLOCK)) {
            let terms = &mut terms[..grad.len()];
            for (((term, g), s), t) in terms.iter_mut().zip(grad).zip(student).zip(teacher) {
                let ratio = (t + EPS) / (s + EPS);
                *term = (t + EPS) * math::ln(ratio);
                *g = ratio.mul_add(-scale, *g);
            }
            total += f64::from(sum(terms));
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::{Case, constant, is_pytorch_s, log_softmax, numbers};
    use super::*;

    fn maps(dims: (usize, usize), key: u64) -> Vec<f32> {
        let scores = constant(&numbers(dims.0 * dims.1, key, 1.0), dims);
        let maps = log_softmax(&scores).unwrap().exp().unwrap().flatten_all().unwrap();
        maps.to_vec1::<f64>().unwrap().iter().map(|p| *p as f32).collect()
    }

    #[test]
    fn map_loss_equals_the_formula() {
        let dims = (301, 77);
        let (student, mut teacher) = (maps(dims, 1), maps(dims, 2));
        teacher[5] = 0.0;
        let t = (constant(&teacher, dims) + 1e-12).unwrap();
        let case = Case { name: "map", student, dims };
        let scale = 3.0 / (dims.0 * dims.1) as f64;
        case.judge(
            |s| (&t * (t.log()? - (s + 1e-12)?.log()?)?)?.sum_all()? * scale,
            |grad| map_loss(&case.student, &teacher, scale, grad),
        );
    }

    /// `KLDivLoss` with `mean` of `ln(student + 1e-12)` and `teacher + 1e-12`.
    #[test]
    fn pytorch_s_numbers() {
        let student = [0.1, 0.2, 0.7, 0.0, 0.25, 0.25, 0.5, 1e-8];
        let teacher = [0.3, 0.1, 0.6, 0.0, 0.0, 0.4, 0.35, 0.25];
        let grad = [-0.375, -0.0625, -0.107_142_87, -0.125, 0.0, -0.2, -0.087_5, -3_124_687.5];
        is_pytorch_s(|grad| map_loss(&student, &teacher, 1.0 / 8.0, grad), 0.561_189_413, &grad);
    }

    #[test]
    fn zeros_on_both_sides_stay_finite() {
        let mut grad = [0f32; 2];
        let loss = map_loss(&[0.0, 1.0], &[1.0, 0.0], 1.0, &mut grad);
        let expected = 1e12f64.ln() * (1.0 - 1e-12);
        assert!((loss - expected).abs() < 1e-5 && grad.iter().all(|g| g.is_finite()), "{loss} {grad:?}");
    }
}

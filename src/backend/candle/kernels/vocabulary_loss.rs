//! Losses over the whole vocabulary: against the right word, and against what a teacher says.
//!
//! Axes: `M` rows, the masked ones as a rule, and `V` words. A row of logits (113 KiB of the seed's 28,996 words) stays
//! in the cache of a core, so its exponentials are computed twice rather than kept: nothing has the size of `V` but
//! logits and gradient. Every loss adds to the gradient that it is given, so that several on the same logits add up.

use rayon::prelude::*;

use super::{dot, math, vectorised};

/// Words whose terms are added in `f32` before they are added in `f64`.
const BLOCK: usize = 256;

/// `scale · Σ_m (logsumexp(z[m]) − z[m][labels[m]])`: PyTorch's `cross_entropy` when `scale` is `1 / M`.
///
/// `logits` is `[M, V]`, and its gradient is added to `grad`. Labels have been checked.
pub fn hard_loss(logits: &[f32], v: usize, labels: &[u32], scale: f64, grad: &mut [f32]) -> f64 {
    let rows = grad.par_chunks_mut(v).zip(logits.par_chunks(v)).zip(labels);
    let losses: Vec<f64> = rows.map(|((grad, logits), &label)| hard_row(logits, label as usize, scale, grad)).collect();
    losses.iter().sum()
}

/// What a student `q` makes of the distributions `p` of its teacher. Both readings have the same gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftLoss {
    /// `KL(p ‖ q) = Σ p · (ln p − ln q)`.
    pub divergence: f64,
    /// `−Σ p · ln p`: what no student can avoid.
    pub entropy: f64,
}

impl SoftLoss {
    /// `−Σ p · ln q`.
    pub fn cross_entropy(&self) -> f64 {
        self.divergence + self.entropy
    }

    /// `scale` times the sum of the losses of all rows, in order.
    pub(super) fn sum(rows: &[Self], scale: f64) -> Self {
        let total = |of: fn(&Self) -> f64| scale * rows.iter().map(of).sum::<f64>();
        Self { divergence: total(|row| row.divergence), entropy: total(|row| row.entropy) }
    }
}

/// `scale · Σ_m KL(softmax(teacher[m] / T) ‖ softmax(student[m] / T))`, summed over the words: PyTorch's `kl_div` with
/// `batchmean` when `scale` is `1 / M`. The factor `T²` of the recipes belongs to `scale`.
///
/// Both logits are `[M, V]`; the gradient of the student's is added to `grad`.
pub fn soft_loss(
    student: &[f32],
    teacher: &[f32],
    v: usize,
    temperature: f32,
    scale: f64,
    grad: &mut [f32],
) -> SoftLoss {
    let rows = grad.par_chunks_mut(v).zip(student.par_chunks(v)).zip(teacher.par_chunks(v));
    let rows: Vec<SoftLoss> =
        rows.map(|((grad, student), teacher)| soft_row(student, teacher, 1.0 / temperature, scale, grad)).collect();
    SoftLoss::sum(&rows, scale)
}

/// The softmax of one row of `z / T`: `exp((z − max) / T) / mass`.
#[derive(Clone, Copy)]
pub(super) struct Softmax {
    pub(super) max: f32,
    pub(super) mass: f64,
}

impl Softmax {
    #[inline(always)]
    pub(super) fn of(z: &[f32], inverse: f32) -> Self {
        let max = super::max(z);
        let mut powers = [0f32; BLOCK];
        let mut mass = 0.0;
        for z in z.chunks(BLOCK) {
            for (power, z) in powers.iter_mut().zip(z) {
                *power = math::exp((z - max) * inverse);
            }
            mass += f64::from(super::sum(&powers[..z.len()]));
        }
        Self { max, mass }
    }
}

vectorised! {
    fn hard_row(logits: &[f32], label: usize, scale: f64, grad: &mut [f32]) -> f64 {
        let Softmax { max, mass } = Softmax::of(logits, 1.0);
        let share = (scale / mass) as f32;
        for (g, z) in grad.iter_mut().zip(logits) {
            *g = math::exp(z - max).mul_add(share, *g);
        }
        grad[label] -= scale as f32;
        scale * (mass.ln() + f64::from(max) - f64::from(logits[label]))
    }

    /// The loss without, the gradient with `scale`.
    fn soft_row(student: &[f32], teacher: &[f32], inverse: f32, scale: f64, grad: &mut [f32]) -> SoftLoss {
        let (s, t) = (Softmax::of(student, inverse), Softmax::of(teacher, inverse));
        let (s_share, t_share) = ((1.0 / s.mass) as f32, (1.0 / t.mass) as f32);
        let (s_log, t_log) = (s.mass.ln() as f32, t.mass.ln() as f32);
        let slope = (scale * f64::from(inverse)) as f32;
        let (mut p, mut log_p, mut log_ratio) = ([0f32; BLOCK], [0f32; BLOCK], [0f32; BLOCK]);
        let mut loss = SoftLoss::default();
        for ((grad, student), teacher) in grad.chunks_mut(BLOCK).zip(student.chunks(BLOCK)).zip(teacher.chunks(BLOCK)) {
            let n = grad.len();
            let (p, log_p, log_ratio) = (&mut p[..n], &mut log_p[..n], &mut log_ratio[..n]);
            let (student, teacher) = (&student[..n], &teacher[..n]);
            for i in 0..n {
                let (a, b) = ((teacher[i] - t.max) * inverse, (student[i] - s.max) * inverse);
                p[i] = math::exp(a) * t_share;
                log_p[i] = a - t_log;
                log_ratio[i] = log_p[i] - (b - s_log);
                grad[i] = (math::exp(b) * s_share - p[i]).mul_add(slope, grad[i]);
            }
            loss.divergence += f64::from(dot(p, log_ratio));
            loss.entropy -= f64::from(dot(p, log_p));
        }
        loss
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::super::judge::{Case, STUDENT, TEACHER, is_pytorch_s, log_softmax, numbers};
    use super::*;

    const ROWS: usize = 7;
    const V: usize = 611;

    #[test]
    fn hard_loss_equals_the_formula() {
        let labels: Vec<u32> = (0..ROWS as u32).map(|row| row * 101 % V as u32).collect();
        let picked = Tensor::new(labels.clone(), &Device::Cpu).unwrap().unsqueeze(1).unwrap();
        let case = Case { name: "hard", student: numbers(ROWS * V, 1, 4.0), dims: (ROWS, V) };
        case.judge(
            |z| log_softmax(z)?.gather(&picked, 1)?.sum_all()? * -0.3,
            |grad| hard_loss(&case.student, V, &labels, 0.3, grad),
        );
    }

    #[test]
    fn both_readings_of_soft_loss_equal_the_formula() {
        let teacher = numbers(ROWS * V, 2, 5.0);
        let log_p = |t: f64| {
            let teacher = Tensor::from_slice(&teacher, (ROWS, V), &Device::Cpu)?.to_dtype(DType::F64)?;
            log_softmax(&(teacher / t)?)
        };
        for (temperature, scale) in [(1.0, 0.5), (2.0, 4.0 / ROWS as f64), (0.7, 1.0)] {
            let case = Case { name: "soft", student: numbers(ROWS * V, 3, 4.0), dims: (ROWS, V) };
            let loss = |grad: &mut [f32]| soft_loss(&case.student, &teacher, V, temperature as f32, scale, grad);
            let divergence = |z: &Tensor| {
                let (log_p, log_q) = (log_p(temperature)?, log_softmax(&(z / temperature)?)?);
                (log_p.exp()? * (log_p - log_q)?)?.sum_all()? * scale
            };
            let cross_entropy = |z: &Tensor| {
                let log_q = log_softmax(&(z / temperature)?)?;
                (log_p(temperature)?.exp()? * log_q)?.sum_all()? * -scale
            };
            case.judge(divergence, |grad| loss(grad).divergence);
            case.judge(cross_entropy, |grad| loss(grad).cross_entropy());
        }
    }

    #[test]
    fn a_student_that_agrees_has_neither_divergence_nor_gradient() {
        let logits = numbers(ROWS * V, 4, 6.0);
        let mut grad = vec![0f32; logits.len()];
        let loss = soft_loss(&logits, &logits, V, 2.0, 1.0, &mut grad);
        assert_eq!(loss.divergence, 0.0);
        assert!(loss.entropy > 0.0 && grad.iter().all(|g| *g == 0.0));
    }

    /// `cross_entropy`, `4 · kl_div` at temperature 2 with `batchmean`, and `cross_entropy` of soft targets.
    #[test]
    fn pytorch_s_numbers() {
        let hard = |grad: &mut [f32]| hard_loss(&STUDENT, 4, &[2, 0], 0.5, grad);
        let hard_grad = [
            0.036_649_44,
            0.006_368_719,
            -0.053_518_385,
            0.010_500_24,
            -0.462_900_52,
            0.274_130_17,
            0.022_501_973,
            0.166_268_35,
        ];
        is_pytorch_s(hard, 1.357_107_52, &hard_grad);
        let soft = |grad: &mut [f32]| soft_loss(&STUDENT, &TEACHER, 4, 2.0, 4.0 / 2.0, grad).divergence;
        let soft_grad = [
            -0.078_838_825,
            -0.047_439_255,
            0.208_396_76,
            -0.082_118_71,
            0.073_702_805,
            0.246_938_15,
            -0.068_139_4,
            -0.252_501_5,
        ];
        is_pytorch_s(soft, 0.616_770_506, &soft_grad);
        let cross = |grad: &mut [f32]| soft_loss(&STUDENT, &TEACHER, 4, 1.0, 0.5, grad).cross_entropy();
        let cross_grad = [
            -0.076_632_19,
            -0.018_907_826,
            0.138_550_22,
            -0.043_010_205,
            0.029_504_672,
            0.240_092_59,
            -0.021_203_136,
            -0.248_394_19,
        ];
        is_pytorch_s(cross, 1.280_184_627, &cross_grad);
    }

    #[test]
    fn no_rows_have_no_loss() {
        assert_eq!(hard_loss(&[], V, &[], f64::INFINITY, &mut []), 0.0);
    }
}

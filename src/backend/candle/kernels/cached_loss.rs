//! The loss against a teacher of whom only the likeliest words were kept, [`TopWords`].
//!
//! Axes as in [`super::vocabulary_loss`], and `K` words that were kept of each row.

use rayon::prelude::*;

use super::vocabulary_loss::{SoftLoss, Softmax};
use super::{math, vectorised};
use crate::backend::top_words::{TopWords, log_sum_exp};

/// [`super::vocabulary_loss::soft_loss`] against such a teacher: `logits` of the student are `[M, V]`, and their
/// gradient is added to `grad`. Ids have been checked.
pub fn cached_loss(logits: &[f32], v: usize, teacher: &TopWords, scale: f64, grad: &mut [f32]) -> SoftLoss {
    let rows = grad.par_chunks_mut(v).zip(logits.par_chunks(v)).enumerate();
    let rows: Vec<SoftLoss> =
        rows.map(|(row, (grad, logits))| Likely::new(teacher, row, v).loss(logits, scale, grad)).collect();
    SoftLoss::sum(&rows, scale)
}

/// A teacher's distribution at one row.
struct Likely<'a> {
    ids: &'a [u32],
    logits: &'a [f32],
    inverse: f64,
    /// `ln p = z / T − log_mass`.
    log_mass: f64,
    /// How many words were left out.
    left: f64,
    /// `ln p` of each of them.
    log_left: f64,
}

impl<'a> Likely<'a> {
    fn new(teacher: &'a TopWords, row: usize, v: usize) -> Self {
        let kept = row * teacher.k..(row + 1) * teacher.k;
        let (ids, logits) = (&teacher.ids[kept.clone()], &teacher.logits[kept]);
        let (inverse, left) = (1.0 / f64::from(teacher.temperature), (v - teacher.k) as f64);
        let rest = if left > 0.0 { f64::from(teacher.rest[row]) } else { f64::NEG_INFINITY };
        let log_mass = log_sum_exp(logits.iter().map(|z| f64::from(*z) * inverse).chain([rest]));
        Self { ids, logits, inverse, log_mass, left, log_left: rest - log_mass - left.max(1.0).ln() }
    }

    /// The loss without, the gradient with `scale`.
    fn loss(&self, student: &[f32], scale: f64, grad: &mut [f32]) -> SoftLoss {
        let (slope, each) = (scale * self.inverse, self.log_left.exp());
        let (softmax, total) = flat_row(student, self.inverse as f32, slope as f32, each as f32, grad);
        let log_q = |z: f64| (z - f64::from(softmax.max)) * self.inverse - softmax.mass.ln();
        let (mut divergence, mut entropy, mut kept) = (0.0, 0.0, 0.0);
        for (&id, &z) in self.ids.iter().zip(self.logits) {
            let (log_p, z_student) = (f64::from(z) * self.inverse - self.log_mass, f64::from(student[id as usize]));
            divergence += log_p.exp() * (log_p - log_q(z_student));
            entropy -= log_p.exp() * log_p;
            kept += z_student;
            grad[id as usize] -= (slope * (log_p.exp() - each)) as f32;
        }
        if each > 0.0 {
            let mean = (total - kept) / self.left;
            divergence += self.left * each * (self.log_left - log_q(mean));
            entropy -= self.left * each * self.log_left;
        }
        SoftLoss { divergence, entropy }
    }
}

vectorised! {
    /// The gradient against a teacher that gives `each` to every word; the student's softmax and the sum of its logits.
    fn flat_row(student: &[f32], inverse: f32, slope: f32, each: f32, grad: &mut [f32]) -> (Softmax, f64) {
        let softmax = Softmax::of(student, inverse);
        let share = (1.0 / softmax.mass) as f32;
        for (g, z) in grad.iter_mut().zip(student) {
            let power = math::exp((z - softmax.max) * inverse);
            *g = power.mul_add(share, -each).mul_add(slope, *g);
        }
        (softmax, student.chunks(256).map(|z| f64::from(super::sum(z))).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::{Case, constant, log_softmax, numbers};
    use super::super::vocabulary_loss::soft_loss;
    use super::*;

    const ROWS: usize = 5;
    const V: usize = 301;

    /// `p` of each word by the rule, the slow way.
    fn spread(teacher: &[f32], k: usize, temperature: f32) -> Vec<f32> {
        let mut all = Vec::new();
        for row in teacher.chunks(V) {
            let mut order: Vec<usize> = (0..V).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            let power = |i: usize| (f64::from(row[i]) / f64::from(temperature)).exp();
            let mass: f64 = (0..V).map(power).sum();
            let rest: f64 = order[k..].iter().map(|&i| power(i)).sum();
            let mut p = vec![rest / mass / (V - k).max(1) as f64; V];
            order[..k].iter().for_each(|&i| p[i] = power(i) / mass);
            all.extend(p.iter().map(|p| *p as f32));
        }
        all
    }

    #[test]
    fn cached_loss_equals_the_formula() {
        let teacher = numbers(ROWS * V, 6, 3.0);
        for (k, temperature) in [(1, 1.0), (8, 2.0), (300, 1.0), (301, 2.0)] {
            let p = constant(&spread(&teacher, k, temperature), (ROWS, V));
            let case = Case { name: "cached", student: numbers(ROWS * V, 7, 3.0), dims: (ROWS, V) };
            let top = TopWords::new(&teacher, V, k, temperature);
            assert_eq!(top.ids.len(), ROWS * k);
            case.judge(
                |z| (&p * (p.log()? - log_softmax(&(z / f64::from(temperature))?)?)?)?.sum_all()? * 0.4,
                |grad| cached_loss(&case.student, V, &top, 0.4, grad).divergence,
            );
        }
    }

    #[test]
    fn all_words_kept_is_the_whole_teacher() {
        let (student, teacher) = (numbers(ROWS * V, 8, 3.0), numbers(ROWS * V, 9, 3.0));
        let (mut whole, mut cached) = (vec![0f32; ROWS * V], vec![0f32; ROWS * V]);
        let expected = soft_loss(&student, &teacher, V, 2.0, 1.0, &mut whole);
        let found = cached_loss(&student, V, &TopWords::new(&teacher, V, V, 2.0), 1.0, &mut cached);
        assert!((found.divergence - expected.divergence).abs() < 1e-5, "{found:?} for {expected:?}");
        assert!((found.entropy - expected.entropy).abs() < 1e-5, "{found:?} for {expected:?}");
        assert!(whole.iter().zip(&cached).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn nothing_left_over_is_nothing_shared() {
        let top =
            TopWords { k: 2, temperature: 1.0, ids: vec![3, 0], logits: vec![0.0, 0.0], rest: vec![f32::NEG_INFINITY] };
        let mut grad = [0f32; 4];
        let loss = cached_loss(&[0.0; 4], 4, &top, 1.0, &mut grad);
        assert!((loss.divergence - 2f64.ln()).abs() < 1e-7 && (loss.entropy - 2f64.ln()).abs() < 1e-7, "{loss:?}");
        assert_eq!(grad, [-0.25, 0.25, 0.25, -0.25]);
    }
}

//! `y += scale · x · Aᵀ · Bᵀ` in some neighbouring columns of `y`.

use std::ops::Range;

use super::matmul::{Into, Threads, View, ViewMut, product};

/// What is computed.
#[derive(Clone, Debug)]
pub struct Shape {
    /// R.
    pub rows: usize,
    /// N, the columns of `y`.
    pub n: usize,
    /// K, the columns of `x` and of `A`.
    pub k: usize,
    /// The rows of `A` and the columns of `B`.
    pub r: usize,
    /// Those of `y` that are added to, as many as `B` has rows.
    pub columns: Range<usize>,
    /// What the product counts.
    pub scale: f32,
}

impl Shape {
    fn some<'a>(&self, y: &'a [f32]) -> View<'a> {
        View::new(y.get(self.columns.start..).unwrap_or_default(), self.rows, self.columns.len(), self.n)
    }
}

/// `x` is `[R, K]`, `a` `[r, K]`, `b` `[columns, r]`. Returns `scale · x · Aᵀ`, `[R, r]`, which the backward pass needs.
pub fn forward(y: &mut [f32], x: &[f32], a: &[f32], b: &[f32], shape: &Shape) -> Vec<f32> {
    let &Shape { rows, n, k, r, ref columns, scale } = shape;
    let mut inner = vec![0f32; rows * r];
    let (x, a, b) = (View::new(x, rows, k, k), View::new(a, r, k, k), View::new(b, columns.len(), r, r));
    product(ViewMut::new(&mut inner, rows, r, r), x, a.t(), scale, Into::Fresh, Threads::All);
    let some = ViewMut::new(y.get_mut(columns.start..).unwrap_or_default(), rows, columns.len(), n);
    product(some, View::new(&inner, rows, r, r), b.t(), 1.0, Into::Sum, Threads::All);
    inner
}

/// Adds to the gradient of `b` and returns that of `x · Aᵀ`, `[R, r]`; `grad` is that of all of `y`.
pub fn backward_b(grad: &[f32], inner: &[f32], b: &[f32], b_grad: &mut [f32], shape: &Shape) -> Vec<f32> {
    let &Shape { rows, r, ref columns, scale, .. } = shape;
    let grad = shape.some(grad);
    let b_grad = ViewMut::new(b_grad, columns.len(), r, r);
    product(b_grad, grad.t(), View::new(inner, rows, r, r), 1.0, Into::Sum, Threads::All);
    let mut inner_grad = vec![0f32; rows * r];
    let b = View::new(b, columns.len(), r, r);
    product(ViewMut::new(&mut inner_grad, rows, r, r), grad, b, scale, Into::Fresh, Threads::All);
    inner_grad
}

//! An engine that computes nothing and keeps every weight that a model asks for.
//!
//! Loading a model onto it says what the model needs and in which role, for any architecture.

use std::cell::RefCell;
use std::ops::Range;

use crate::backend::{Activation, Backend, Lengths, Linear, Norm, Qkv, Stored};
use crate::error::{Error, ErrorKind, Result};

/// What a weight is to the model that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Rows to look up.
    Table,
    /// The weight of a dense layer.
    Matrix,
    /// A bias, or a parameter of a norm.
    Vector,
}

/// Collects the weights of a model in the order in which it asks for them.
#[derive(Default)]
pub struct Recorder {
    weights: RefCell<Vec<(Role, Stored)>>,
}

impl Recorder {
    /// What was asked for.
    pub(super) fn into_weights(self) -> Vec<(Role, Stored)> {
        self.weights.into_inner()
    }

    fn keep(&self, role: Role, parts: &[Stored]) {
        self.weights.borrow_mut().extend(parts.iter().map(|part| (role, part.clone())));
    }
}

fn computes_nothing<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Backend, "the recorder of weights computes nothing"))
}

impl Backend for Recorder {
    type Tensor = ();
    type Matrix = ();
    type Table = ();
    type Vector = ();

    fn name(&self) -> &'static str {
        "recorder"
    }

    fn table(&self, stored: Stored) -> Result<()> {
        self.weights.borrow_mut().push((Role::Table, stored));
        Ok(())
    }

    fn matrix(&self, parts: &[Stored]) -> Result<()> {
        self.keep(Role::Matrix, parts);
        Ok(())
    }

    fn vector(&self, parts: &[Stored]) -> Result<()> {
        self.keep(Role::Vector, parts);
        Ok(())
    }

    fn embed(&self, _: &[(&(), &[u32])]) -> Result<()> {
        computes_nothing()
    }

    fn linear(&self, _: &(), _: &Linear<Self>, _: Activation) -> Result<()> {
        computes_nothing()
    }

    fn add_norm(&self, _: &(), _: Option<&()>, _: &Norm<Self>) -> Result<()> {
        computes_nothing()
    }

    fn attention(&self, _: Qkv<'_, ()>, _: usize, _: &Lengths) -> Result<()> {
        computes_nothing()
    }

    fn add(&self, _: &(), _: &()) -> Result<()> {
        computes_nothing()
    }

    fn rows(&self, _: &(), _: &[u32]) -> Result<()> {
        computes_nothing()
    }

    fn columns(&self, _: &(), _: Range<usize>) -> Result<()> {
        computes_nothing()
    }

    fn trigram(&self, _: &(), _: &Lengths) -> Result<()> {
        computes_nothing()
    }

    async fn to_host(&self, _: &()) -> Result<Vec<f32>> {
        computes_nothing()
    }
}

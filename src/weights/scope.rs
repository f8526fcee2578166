//! A place in the tree of weight names, from which models take what they are made of.

use std::fmt::Display;

use safetensors::tensor::Dtype;

use super::floats::{floats, integers};
use super::survey::Survey;
use super::{Found, Weights, refuse};
use crate::backend::{Backend, Linear, Norm, NormKind, Stored, Values};
use crate::error::Result;

/// A place in the tree of weight names: `bert.encoder.layer.0`.
pub struct Scope<'a> {
    weights: &'a Weights<'a>,
    prefix: String,
    /// Takes down what is asked for, in place of reading it.
    survey: Option<&'a Survey>,
}

impl<'a> Scope<'a> {
    pub(super) fn root(weights: &'a Weights<'a>) -> Self {
        Self { weights, prefix: String::new(), survey: None }
    }

    pub(super) fn survey(weights: &'a Weights<'a>, survey: &'a Survey) -> Self {
        Self { weights, prefix: String::new(), survey: Some(survey) }
    }

    /// The place one step (or a dotted path) further down.
    pub fn pp(&self, part: impl Display) -> Scope<'a> {
        Scope { prefix: self.full(&part.to_string()), ..*self }
    }

    /// `{prefix}.weight` as rows to look up, `[rows, columns]`.
    pub fn table<B: Backend>(&self, backend: &B, rows: usize, columns: usize) -> Result<B::Table> {
        backend.table(self.stored_matrix("weight", rows, columns)?)
    }

    /// `{prefix}.weight` `[outputs, inputs]` and `{prefix}.bias` `[outputs]`.
    pub fn linear<B: Backend>(&self, backend: &B, outputs: usize, inputs: usize) -> Result<Linear<B>> {
        let weight = backend.matrix(&[self.stored_matrix("weight", outputs, inputs)?])?;
        let bias = Some(backend.vector(&[self.stored_vector("bias", outputs)?])?);
        Ok(Linear { weight, bias })
    }

    /// Several dense layers of equal shape below this place as one, their outputs side by side in the order given.
    pub fn linear_stack<B: Backend>(
        &self,
        backend: &B,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<B>> {
        let matrices: Vec<_> =
            names.iter().map(|name| self.pp(name).stored_matrix("weight", outputs, inputs)).collect::<Result<_>>()?;
        let vectors: Vec<_> =
            names.iter().map(|name| self.pp(name).stored_vector("bias", outputs)).collect::<Result<_>>()?;
        Ok(Linear { weight: backend.matrix(&matrices)?, bias: Some(backend.vector(&vectors)?) })
    }

    /// `{prefix}.weight` and `{prefix}.bias`, both `[columns]`.
    pub fn norm<B: Backend>(&self, backend: &B, columns: usize, kind: NormKind) -> Result<Norm<B>> {
        let weight = backend.vector(&[self.stored_vector("weight", columns)?])?;
        let bias = backend.vector(&[self.stored_vector("bias", columns)?])?;
        Ok(Norm { weight, bias, kind })
    }

    /// `{prefix}.weight` `[outputs, inputs]` without a bias.
    pub fn matrix<B: Backend>(&self, backend: &B, outputs: usize, inputs: usize) -> Result<B::Matrix> {
        backend.matrix(&[self.stored_matrix("weight", outputs, inputs)?])
    }

    /// The matrix `[outputs, inputs]` that `{prefix}.weight` holds transposed, as `[inputs, outputs]`.
    pub fn transposed<B: Backend>(&self, backend: &B, outputs: usize, inputs: usize) -> Result<B::Matrix> {
        backend.matrix(&[self.stored_matrix("weight", inputs, outputs)?.turned()])
    }

    /// `{prefix}.bias` `[columns]`.
    pub fn vector<B: Backend>(&self, backend: &B, columns: usize) -> Result<B::Vector> {
        backend.vector(&[self.stored_vector("bias", columns)?])
    }

    fn stored_matrix(&self, leaf: &str, rows: usize, columns: usize) -> Result<Stored> {
        let name = self.full(leaf);
        if let Some(survey) = self.survey {
            survey.note(self.weights, &name, &[rows, columns])?;
            return Ok(Stored { name, rows, columns, values: Values::F32(Vec::new()), transposed: false });
        }
        let values = match self.weights.find(&name, &[rows, columns])? {
            Found::Supplied(values) => Values::F32(values.to_vec()),
            Found::File(view) if view.dtype() == Dtype::I8 => {
                let scale = format!("{name}.scale");
                let Found::File(scales) = self.weights.find(&scale, &[rows])? else {
                    return Err(refuse(&scale, "scales cannot be supplied".into()));
                };
                Values::Int8 { data: integers(&view, &name)?, scales: positive(floats(&scales, &scale)?, &scale)? }
            }
            Found::File(view) => Values::F32(floats(&view, &name)?),
        };
        Ok(Stored { name, rows, columns, values, transposed: false })
    }

    fn stored_vector(&self, leaf: &str, columns: usize) -> Result<Stored> {
        let name = self.full(leaf);
        if let Some(survey) = self.survey {
            survey.note(self.weights, &name, &[columns])?;
            return Ok(Stored { name, rows: 1, columns, values: Values::F32(Vec::new()), transposed: false });
        }
        let values = match self.weights.find(&name, &[columns])? {
            Found::Supplied(values) => values.to_vec(),
            Found::File(view) => floats(&view, &name)?,
        };
        Ok(Stored { name, rows: 1, columns, values: Values::F32(values), transposed: false })
    }

    fn full(&self, leaf: &str) -> String {
        if self.prefix.is_empty() { leaf.to_owned() } else { format!("{}.{leaf}", self.prefix) }
    }
}

fn positive(scales: Vec<f32>, name: &str) -> Result<Vec<f32>> {
    match scales.iter().position(|&scale| scale <= 0.0) {
        Some(row) => Err(refuse(name, format!("the scale of row {row} is not positive"))),
        None => Ok(scales),
    }
}

//! Where numbers come from.
//!
//! [`Weights`] reads one `model.safetensors` (plain or packed) without copying; a [`Scope`] walks its names the way
//! Hugging Face writes them and hands checked tensors to a [`Backend`]. [`folder`] is the set of files that make a
//! model, [`manifest`] states what each file must be, [`pack`] makes the small int8 folder that ships.
//!
//! A packed matrix or table is stored under its own name as `I8 [rows, columns]` with its scales beside it as
//! `{name}.scale`, `F32 [rows]`.

pub mod folder;
pub mod manifest;
pub mod pack;

use std::fmt::Display;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::backend::{Backend, Linear, Norm, Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// The tensors of one safetensors file.
pub struct Weights<'a> {
    tensors: SafeTensors<'a>,
}

impl<'a> Weights<'a> {
    /// Reads the header; every offset and size is checked against the file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the bytes are not a whole safetensors file.
    pub fn from_safetensors(bytes: &'a [u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::new(ErrorKind::Format, format!("model.safetensors is damaged or truncated: {e:?}")))?;
        Ok(Self { tensors })
    }

    /// The root of the names.
    pub fn root(&self) -> Scope<'_> {
        Scope { weights: self, prefix: String::new() }
    }

    /// All names, in no particular order.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.names()
    }
}

/// A place in the tree of weight names: `bert.encoder.layer.0`.
pub struct Scope<'a> {
    weights: &'a Weights<'a>,
    prefix: String,
}

impl<'a> Scope<'a> {
    /// The place one step (or a dotted path) further down.
    pub fn pp(&self, part: impl Display) -> Scope<'a> {
        let prefix = if self.prefix.is_empty() { part.to_string() } else { format!("{}.{part}", self.prefix) };
        Scope { weights: self.weights, prefix }
    }

    /// `{prefix}.weight` as rows to look up, `[rows, columns]`.
    pub fn table<B: Backend>(&self, backend: &B, rows: usize, columns: usize) -> Result<B::Table> {
        backend.table(self.matrix("weight", rows, columns)?)
    }

    /// `{prefix}.weight` `[outputs, inputs]` and `{prefix}.bias` `[outputs]`.
    pub fn linear<B: Backend>(&self, backend: &B, outputs: usize, inputs: usize) -> Result<Linear<B>> {
        let weight = backend.matrix(&[self.matrix("weight", outputs, inputs)?])?;
        let bias = Some(backend.vector(&[self.vector("bias", outputs)?])?);
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
            names.iter().map(|name| self.pp(name).matrix("weight", outputs, inputs)).collect::<Result<_>>()?;
        let vectors: Vec<_> = names.iter().map(|name| self.pp(name).vector("bias", outputs)).collect::<Result<_>>()?;
        Ok(Linear { weight: backend.matrix(&matrices)?, bias: Some(backend.vector(&vectors)?) })
    }

    /// `{prefix}.weight` and `{prefix}.bias`, both `[columns]`.
    pub fn norm<B: Backend>(&self, backend: &B, columns: usize, eps: f32) -> Result<Norm<B>> {
        let weight = backend.vector(&[self.vector("weight", columns)?])?;
        let bias = backend.vector(&[self.vector("bias", columns)?])?;
        Ok(Norm { weight, bias, eps })
    }

    fn matrix(&self, leaf: &str, rows: usize, columns: usize) -> Result<Stored> {
        let name = format!("{}.{leaf}", self.prefix);
        let view = self.view(&name, &[rows, columns])?;
        let values = match view.dtype() {
            Dtype::I8 => {
                let scales = self.view(&format!("{name}.scale"), &[rows])?;
                Values::Int8 { data: int8(view.data()), scales: floats(&scales, &name)? }
            }
            _ => Values::F32(floats(&view, &name)?),
        };
        Ok(Stored { name, rows, columns, values })
    }

    fn vector(&self, leaf: &str, columns: usize) -> Result<Stored> {
        let name = format!("{}.{leaf}", self.prefix);
        let values = Values::F32(floats(&self.view(&name, &[columns])?, &name)?);
        Ok(Stored { name, rows: 1, columns, values })
    }

    fn view(&self, name: &str, expected: &[usize]) -> Result<TensorView<'a>> {
        let refuse = |message: String| Error::new(ErrorKind::Weights, format!("weight {name:?}: {message}"));
        let tensors: &'a SafeTensors<'a> = &self.weights.tensors;
        let view = tensors.tensor(name).map_err(|_| refuse(format!("missing, expected {expected:?}")))?;
        if view.shape() != expected {
            return Err(refuse(format!("expected {expected:?}, found {:?}", view.shape())));
        }
        Ok(view)
    }
}

fn int8(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&byte| byte.cast_signed()).collect()
}

fn floats(view: &TensorView<'_>, name: &str) -> Result<Vec<f32>> {
    let bytes = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        other => {
            let message = format!("weight {name:?}: expected F32 or packed I8, found {other:?}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let message = format!("weight {name:?}: value {} at {at} is not finite", values[at]);
        return Err(Error::new(ErrorKind::Weights, message));
    }
    Ok(values)
}

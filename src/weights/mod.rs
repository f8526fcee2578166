//! Where numbers come from.
//!
//! [`Weights`] reads the tensors of `model.safetensors` (plain or packed) or `pytorch_model.bin`, whole or in shards,
//! without copying what lies in order; a [`Scope`] walks their names the way Hugging Face writes them and hands checked
//! tensors to a [`Backend`](crate::backend::Backend). [`folder`] is the set of files that make a model, [`manifest`]
//! states what each file must be, [`pack`] makes the small int8 folder that ships.
//!
//! A packed matrix or table is stored under its own name as `I8 [rows, columns]` with its scales beside it as
//! `{name}.scale`, `F32 [rows]`.

mod file;
mod floats;
pub mod folder;
mod header;
pub mod manifest;
mod names;
pub mod pack;
#[cfg(feature = "train")]
mod pytorch;
mod scope;
mod shards;
mod survey;

use std::cell::Cell;

use safetensors::tensor::TensorView;

use self::file::Raw;
pub use self::names::Names;
pub use self::scope::Scope;
pub use self::survey::Wanted;
use crate::error::{Error, ErrorKind, Result};
use crate::sort;

/// The tensors of a model, by the names that it asks for: with the prefix of its encoder, and with `weight` and `bias`
/// where an old file says `gamma` and `beta`.
pub struct Weights<'a> {
    /// In the order of their names.
    tensors: Vec<Tensor<'a>>,
    supplied: Vec<(String, Supplied)>,
}

/// A tensor of the files.
struct Tensor<'a> {
    name: String,
    raw: Raw<'a>,
    /// Whether a model has asked for it.
    used: Cell<bool>,
}

/// A tensor that does not come from the file.
struct Supplied {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl<'a> Weights<'a> {
    /// Reads one safetensors file: its header; every offset and size is checked against the file.
    ///
    /// # Errors
    /// As [`Weights::from_files`].
    pub fn from_safetensors(bytes: &'a [u8], names: Names) -> Result<Self> {
        Self::from_files([("model.safetensors", bytes)], names)
    }

    /// Reads the files that together hold the tensors of a model, each with its name: `….safetensors`, or `….bin` for a
    /// pickle of `torch.save`, which is read but never run.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the bytes are not whole, are not what they say, or two tensors have one meaning;
    /// [`ErrorKind::Unsupported`] for a pickle of more than tensors, and for any in a build without `train`.
    pub fn from_files<'n>(files: impl IntoIterator<Item = (&'n str, &'a [u8])>, names: Names) -> Result<Self> {
        Self::from_shards(files, &[], names)
    }

    /// As [`Weights::from_files`], and each tensor must be in the file where `places` says.
    fn from_shards<'n>(
        files: impl IntoIterator<Item = (&'n str, &'a [u8])>,
        places: &[(String, String)],
        names: Names,
    ) -> Result<Self> {
        let (mut tensors, mut first) = (Vec::new(), "");
        for (file, bytes) in files {
            first = if first.is_empty() { file } else { first };
            let found = file::read(file, bytes)?;
            let mut held: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            sort::by(&mut held, Ord::cmp);
            let lacks = |name: &str| held.binary_search(&name).is_err();
            let lacking = places.iter().find(|(name, place)| *place == file && lacks(name));
            if let Some((name, _)) = lacking {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("{file}: has no {name:?}, which the index places there"),
                ));
            }
            tensors.extend(found);
        }
        let tensors = names::canonical(tensors, names).map_err(|e| e.at(first))?;
        let tensor = |(name, raw)| Tensor { name, raw, used: Cell::new(false) };
        Ok(Self { tensors: tensors.into_iter().map(tensor).collect(), supplied: Vec::new() })
    }

    /// Lets values stand in for a tensor, whether the file has it or not: the head of a model that is to be
    /// fine-tuned. `shape` is `[rows, columns]` or `[columns]`.
    ///
    /// # Errors
    /// [`ErrorKind::Weights`] when the shape does not fit the number of values.
    pub fn supply(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) -> Result<()> {
        let name = name.into();
        let size = shape.iter().try_fold(1usize, |size, &n| size.checked_mul(n));
        if size != Some(values.len()) {
            let message = format!("weight {name:?}: {} values do not fill {shape:?}", values.len());
            return Err(Error::new(ErrorKind::Weights, message));
        }
        self.supplied.retain(|(other, _)| *other != name);
        self.supplied.push((name, Supplied { shape: shape.to_vec(), values }));
        Ok(())
    }

    /// The shape of a tensor, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self.stand_in(name) {
            Some(supplied) => Some(supplied.shape.clone()),
            None => Some(self.tensor(name)?.raw.shape.clone()),
        }
    }

    fn stand_in(&self, name: &str) -> Option<&Supplied> {
        named(&self.supplied, name)
    }

    fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        let at = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name));
        at.ok().map(|at| &self.tensors[at])
    }

    /// Keeps these layers of the encoder, in this order, under the numbers 0, 1, 2, ….
    pub fn take_layers(&mut self, layers: &[usize]) {
        const LAYER: &str = ".layer.";
        let mut kept = Vec::new();
        for tensor in std::mem::take(&mut self.tensors) {
            let place = tensor.name.split_once(LAYER).and_then(|(before, after)| {
                let (number, rest) = after.split_once('.')?;
                Some((before, number.parse::<usize>().ok()?, rest))
            });
            let Some((before, number, rest)) = place else {
                kept.push(tensor);
                continue;
            };
            for (at, _) in layers.iter().enumerate().filter(|(_, layer)| **layer == number) {
                let (name, raw) = (format!("{before}{LAYER}{at}.{rest}"), tensor.raw.clone());
                kept.push(Tensor { name, raw, used: Cell::new(false) });
            }
        }
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        self.tensors = kept;
    }

    /// Leaves out tensors of the files.
    pub fn leave_out(&mut self, unwanted: impl Fn(&str) -> bool) {
        self.tensors.retain(|tensor| !unwanted(&tensor.name));
    }

    /// The numbers of a tensor, row by row; a packed matrix has none of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Weights`] when there is no such tensor or it holds no floating-point numbers.
    pub fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        match self.find(name, &self.shape(name).unwrap_or_default())? {
            Found::Supplied(values) => Ok(values.to_vec()),
            Found::File(view) => floats::floats(&view, name),
        }
    }

    /// The root of the names.
    pub fn root(&self) -> Scope<'_> {
        Scope::root(self)
    }

    /// All names of the files as models ask for them, in order. Buffers such as `position_ids` are no weights.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|tensor| tensor.name.as_str())
    }

    /// The tensors of the files that nothing has asked for since it was read, in order: a pooler, an MLM head.
    pub fn unused(&self) -> Vec<&str> {
        self.tensors.iter().filter(|tensor| !tensor.used.get()).map(|tensor| tensor.name.as_str()).collect()
    }
}

/// Where a tensor was found.
enum Found<'w> {
    Supplied(&'w [f32]),
    File(TensorView<'w>),
}

impl Weights<'_> {
    /// A tensor of exactly this shape. The shape is compared before anything is allocated, so that a config with giant
    /// numbers costs nothing.
    fn find(&self, name: &str, expected: &[usize]) -> Result<Found<'_>> {
        let tensor = self.tensor(name);
        let (shape, found) = match (self.stand_in(name), tensor) {
            (Some(supplied), _) => (&supplied.shape, Found::Supplied(&supplied.values)),
            (None, Some(Tensor { raw, .. })) => (&raw.shape, Found::File(raw.view().map_err(|e| refuse(name, e))?)),
            (None, None) => return Err(refuse(name, format!("missing, expected {expected:?}"))),
        };
        if shape != expected {
            return Err(refuse(name, format!("expected {expected:?}, found {shape:?}")));
        }
        if let Some(tensor) = tensor {
            tensor.used.set(true);
        }
        Ok(found)
    }
}

fn refuse(name: &str, message: String) -> Error {
    Error::new(ErrorKind::Weights, format!("weight {name:?}: {message}"))
}

/// What a list has under a name.
fn named<'l, T>(list: &'l [(impl AsRef<str>, T)], name: &str) -> Option<&'l T> {
    list.iter().find(|(other, _)| other.as_ref() == name).map(|(_, entry)| entry)
}

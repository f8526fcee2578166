//! Where numbers come from.
//!
//! [`Weights`] reads one `model.safetensors` (plain or packed) without copying; a [`Scope`] walks its names the way
//! Hugging Face writes them and hands checked tensors to a [`Backend`]. [`folder`] is the set of files that make a
//! model, [`manifest`] states what each file must be, [`pack`] makes the small int8 folder that ships.
//!
//! A packed matrix or table is stored under its own name as `I8 [rows, columns]` with its scales beside it as
//! `{name}.scale`, `F32 [rows]`.

mod floats;
pub mod folder;
pub mod manifest;
mod names;
pub mod pack;
mod scope;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::{SafeTensors, TensorView};

pub use self::scope::Scope;
use crate::error::{Error, ErrorKind, Result};

/// More than the header of any encoder needs; the format itself allows 100 MB.
const MAX_HEADER: u64 = 16 << 20;

/// The tensors of one safetensors file, by the names that models ask for: with `bert.`, and with `weight` and `bias`
/// where an old file says `gamma` and `beta`.
pub struct Weights<'a> {
    tensors: SafeTensors<'a>,
    names: BTreeMap<String, String>,
    supplied: BTreeMap<String, Supplied>,
    used: RefCell<BTreeSet<String>>,
}

/// A tensor that does not come from the file.
struct Supplied {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl<'a> Weights<'a> {
    /// Reads the header; every offset and size is checked against the file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the bytes are not a whole safetensors file, or two tensors have one meaning.
    pub fn from_safetensors(bytes: &'a [u8]) -> Result<Self> {
        let refuse = |message: String| Error::new(ErrorKind::Format, message).at("model.safetensors");
        if let Some(header) = bytes.first_chunk().map(|b| u64::from_le_bytes(*b)).filter(|&n| n > MAX_HEADER) {
            return Err(refuse(format!("expected a header of at most {MAX_HEADER} bytes, found {header}")));
        }
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|e| refuse(format!("damaged or truncated: {e}").to_lowercase()))?;
        let names = names::canonical(tensors.names().into_iter())?;
        Ok(Self { tensors, names, supplied: BTreeMap::new(), used: RefCell::default() })
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
        self.supplied.insert(name, Supplied { shape: shape.to_vec(), values });
        Ok(())
    }

    /// The shape of a tensor, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self.supplied.get(name) {
            Some(supplied) => Some(supplied.shape.clone()),
            None => Some(self.tensors.tensor(self.names.get(name)?).ok()?.shape().to_vec()),
        }
    }

    /// The root of the names.
    pub fn root(&self) -> Scope<'_> {
        Scope::root(self)
    }

    /// All names of the file as models ask for them, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The tensors of the file that nothing has asked for since it was read, in order: a pooler, an MLM head.
    pub fn unused(&self) -> Vec<&str> {
        let used = self.used.borrow();
        self.names().filter(|name| !used.contains(*name)).collect()
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
        let (shape, found) = match (self.supplied.get(name), self.names.get(name)) {
            (Some(supplied), _) => (supplied.shape.clone(), Found::Supplied(&supplied.values)),
            (None, Some(stored)) => {
                let view = self.tensors.tensor(stored).map_err(|e| refuse(name, e.to_string()))?;
                (view.shape().to_vec(), Found::File(view))
            }
            (None, None) => return Err(refuse(name, format!("missing, expected {expected:?}"))),
        };
        if shape != expected {
            return Err(refuse(name, format!("expected {expected:?}, found {shape:?}")));
        }
        self.used.borrow_mut().insert(name.to_owned());
        Ok(found)
    }
}

fn refuse(name: &str, message: String) -> Error {
    Error::new(ErrorKind::Weights, format!("weight {name:?}: {message}"))
}

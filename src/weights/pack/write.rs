//! `model.safetensors` of the folders that this room makes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, View};

use super::Role;
use crate::backend::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// A tensor on its way into a file.
pub(super) struct Raw {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Raw {
    pub(super) fn floats(values: &[f32], shape: Vec<usize>) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape, bytes }
    }

    fn integers(values: &[i8], shape: Vec<usize>) -> Self {
        Self { dtype: Dtype::I8, shape, bytes: values.iter().map(|value| value.cast_unsigned()).collect() }
    }
}

impl View for Raw {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The bytes of the file. They depend on the tensors only: the crate sorts by type and name.
pub(super) fn safetensors(weights: &[(Role, Stored)]) -> Result<Vec<u8>> {
    let mut tensors = BTreeMap::new();
    for (role, stored) in weights {
        let Stored { name, rows, columns, values, .. } = &stored.in_file_order();
        let shape = if *role == Role::Vector { vec![*columns] } else { vec![*rows, *columns] };
        match values {
            Values::F32(values) => drop(tensors.insert(name.clone(), Raw::floats(values, shape))),
            Values::Int8 { data, scales } => {
                tensors.insert(name.clone(), Raw::integers(data, shape));
                tensors.insert(format!("{name}.scale"), Raw::floats(scales, vec![*rows]));
            }
        }
    }
    file(tensors, None)
}

/// The bytes of a file of these tensors, and of what its `format` says.
pub(super) fn file(tensors: BTreeMap<String, Raw>, format: Option<&str>) -> Result<Vec<u8>> {
    // Collected, because the map is another one where safetensors is built without std.
    let metadata = format.map(|format| std::iter::once(("format".to_owned(), format.to_owned())).collect());
    safetensors::serialize(tensors, metadata).map_err(|e| Error::new(ErrorKind::Format, e.to_string()))
}

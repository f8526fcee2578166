//! From what a pickle says about tensors to their bytes.

use std::borrow::Cow;

use safetensors::tensor::Dtype;

use super::value::{Element, Pickle, Storage, Tensor, Value};
use super::{malformed, unsupported};
use crate::error::Result;
use crate::weights::file::{Raw, Tensors};

/// Tied weights are stored once and named twice. What all tensors together hold is at most this often what the file
/// holds: a small file cannot name one storage a thousand times and so fill the memory of the one who loads it.
const MAX_SHARING: u64 = 8;

/// The entries of a state dict as tensors. `bytes_of` finds a storage by its key, `file_len` is the length of the file.
///
/// # Errors
/// What is not a flat dict of names and tensors; a tensor outside its storage; a storage of another length than it says.
pub(super) fn tensors<'a>(
    pickle: &Pickle<'a>,
    bytes_of: impl Fn(&Storage<'_>) -> Result<&'a [u8]>,
    file_len: usize,
) -> Result<Tensors<'a>> {
    let entries = pickle.value.and_then(|value| pickle.dict(value)).ok_or_else(|| malformed("not a state dict"))?;
    let mut found = Tensors::with_capacity(entries.len());
    let mut budget = MAX_SHARING.saturating_mul(file_len as u64);
    for (key, value) in entries {
        let Value::Text(name) = key else { return Err(malformed("a state dict with a key that is not a name")) };
        let Value::Tensor(at) = value else {
            let message = "is not a tensor: expected a state dict, as model.state_dict() gives it";
            return Err(unsupported(message).at(format!("entry {name:?}")));
        };
        let tensor = &pickle.tensors[*at];
        let storage = &pickle.storages[tensor.storage];
        let raw = cut(tensor, storage, &bytes_of, &mut budget).map_err(|e| e.at(format!("weight {name:?}")))?;
        found.push(((*name).to_owned(), raw));
    }
    Ok(found)
}

fn cut<'a>(
    tensor: &Tensor,
    storage: &Storage<'_>,
    bytes_of: impl Fn(&Storage<'_>) -> Result<&'a [u8]>,
    budget: &mut u64,
) -> Result<Raw<'a>> {
    let too_large = || malformed(format!("shape {:?} is larger than any memory", tensor.shape));
    let size = storage.element.size();
    let claimed = storage.len.checked_mul(size).ok_or_else(too_large)?;
    let bytes = bytes_of(storage)?;
    if bytes.len() as u64 != claimed {
        let (len, found) = (storage.len, bytes.len());
        return Err(malformed(format!("a storage of {len} elements has {claimed} bytes, found {found}")));
    }
    let elements = tensor.shape.iter().try_fold(1u64, |all, &axis| all.checked_mul(axis)).ok_or_else(too_large)?;
    inside(tensor, elements, storage.len)?;
    let shared = elements.checked_mul(size).and_then(|len| budget.checked_sub(len));
    *budget = shared.ok_or_else(|| malformed("the tensors share their bytes too often"))?;
    let whole = |n: u64| usize::try_from(n).map_err(|_| too_large());
    let shape = tensor.shape.iter().map(|&axis| whole(axis)).collect::<Result<Vec<_>>>()?;
    let (from, len, size) = (whole(tensor.offset * size)?, whole(elements * size)?, whole(size)?);
    let data = match elements {
        0 => Cow::Borrowed(&[][..]),
        _ if in_order(tensor) => Cow::Borrowed(&bytes[from..from + len]),
        _ => Cow::Owned(gather(tensor, &bytes[from..], len, size)),
    };
    Ok(Raw { dtype: dtype(storage.element), shape, data })
}

/// Refuses a tensor that reaches beyond its storage, or names its elements more than once.
fn inside(tensor: &Tensor, elements: u64, storage: u64) -> Result<()> {
    let Tensor { offset, shape, strides, .. } = tensor;
    if shape.len() != strides.len() {
        return Err(malformed(format!("{} axes with {} strides", shape.len(), strides.len())));
    }
    let reach = |last: Option<u64>, (&axis, &stride): (&u64, &u64)| last?.checked_add((axis - 1).checked_mul(stride)?);
    let last = match elements {
        0 => Some(*offset),
        _ => shape.iter().zip(strides).fold(Some(*offset), reach).and_then(|last| last.checked_add(1)),
    };
    if last.is_none_or(|last| last > storage) || elements > storage {
        return Err(malformed(format!(
            "shape {shape:?} with strides {strides:?} from {offset} does not lie in a storage of {storage} elements"
        )));
    }
    Ok(())
}

/// Whether the elements lie row after row without gaps.
fn in_order(tensor: &Tensor) -> bool {
    let mut expected = 1;
    tensor.shape.iter().zip(&tensor.strides).rev().all(|(&axis, &stride)| {
        let fits = axis == 1 || stride == expected;
        expected *= axis;
        fits
    })
}

/// The elements row after row, of a tensor that lies [`inside`] `bytes`: a transposed or a sliced one.
fn gather(tensor: &Tensor, bytes: &[u8], len: usize, size: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(len);
    let mut index = vec![0u64; tensor.shape.len()];
    while data.len() < len {
        let place: u64 = index.iter().zip(&tensor.strides).map(|(i, stride)| i * stride).sum();
        let from = place as usize * size;
        data.extend_from_slice(&bytes[from..from + size]);
        for (i, &axis) in index.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < axis {
                break;
            }
            *i = 0;
        }
    }
    data
}

fn dtype(element: Element) -> Dtype {
    match element {
        Element::F64 => Dtype::F64,
        Element::F32 => Dtype::F32,
        Element::F16 => Dtype::F16,
        Element::BF16 => Dtype::BF16,
        Element::I64 => Dtype::I64,
        Element::I32 => Dtype::I32,
        Element::I16 => Dtype::I16,
        Element::I8 => Dtype::I8,
        Element::U8 => Dtype::U8,
        Element::Bool => Dtype::BOOL,
    }
}

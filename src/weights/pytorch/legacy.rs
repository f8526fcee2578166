//! The form before torch 1.6: five pickles one after the other (magic number, version, machine, state dict, keys), then
//! for each key the number of elements and the elements.

use std::collections::BTreeMap;

use super::value::{Pickle, Storage, Value};
use super::{malformed, pickle, slice, storage, unsupported};
use crate::error::Result;
use crate::weights::file::Tensors;

/// The first pickle: the number 0x1950a86a20f9469cfc6c.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const VERSION: i64 = 1001;

pub(super) fn read(bytes: &[u8]) -> Result<Tensors<'_>> {
    let mut rest = &bytes[MAGIC.len()..];
    let mut next = || -> Result<Pickle<'_>> {
        let (pickle, len) = pickle::read(rest)?;
        rest = &rest[len..];
        Ok(pickle)
    };
    let (version, machine) = (next()?, next()?);
    if version.value != Some(Value::Int(VERSION)) {
        return Err(unsupported(format!("another version than {VERSION}")));
    }
    let little = machine.value.and_then(|value| machine.dict(value)).unwrap_or_default();
    if little.contains(&(Value::Text("little_endian"), Value::Bool(false))) {
        return Err(unsupported("written on a big-endian machine"));
    }
    let (state, keys) = (next()?, next()?);
    let storages = storages(&state, &keys, rest)?;
    let bytes_of = |storage: &Storage<'_>| match storages.get(storage.key) {
        Some(&(first, bytes)) if first == *storage => Ok(bytes),
        Some(_) => Err(malformed(format!("storage {:?} is described in two ways", storage.key))),
        None => Err(malformed(format!("there is no storage {:?}", storage.key))),
    };
    storage::tensors(&state, bytes_of, bytes.len())
}

/// The bytes of each storage, with the first description of it.
fn storages<'a>(
    state: &Pickle<'a>,
    keys: &Pickle<'a>,
    mut rest: &'a [u8],
) -> Result<BTreeMap<&'a str, (Storage<'a>, &'a [u8])>> {
    let described: BTreeMap<&str, Storage<'_>> = state.storages.iter().rev().map(|one| (one.key, *one)).collect();
    let keys = keys.value.and_then(|value| keys.sequence(value)).ok_or_else(|| malformed("no list of storages"))?;
    let mut found = BTreeMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err(malformed("the key of a storage is not a text")) };
        let storage = *described.get(key).ok_or_else(|| malformed(format!("storage {key:?} belongs to no tensor")))?;
        let short = || malformed(format!("damaged or truncated: storage {key:?} is not whole"));
        let (len, after) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let len = u64::from_le_bytes(*len);
        if len != storage.len {
            return Err(malformed(format!("storage {key:?}: expected {} elements, found {len}", storage.len)));
        }
        let bytes = len.checked_mul(storage.element.size()).and_then(|len| slice(after, 0, len)).ok_or_else(short)?;
        rest = &after[bytes.len()..];
        if found.insert(*key, (storage, bytes)).is_some() {
            return Err(malformed(format!("storage {key:?} is listed twice")));
        }
    }
    Ok(found)
}

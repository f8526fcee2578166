//! `pytorch_model.bin`: the tensors of a state dict that `torch.save` wrote, and nothing else of it.
//!
//! A pickle is a program. This room reads it without running it: [`pickle`] knows the instructions that a state dict is
//! written with and refuses every other one, and of the names that a pickle may call it knows the ones that describe a
//! tensor, as data. Nothing is imported, called or built by name. What a file claims is compared with what it holds
//! before anything is allocated: [`archive`] finds the storages of a file of torch 1.6 or later, [`legacy`] those of an
//! earlier one, and [`storage`] cuts the tensors out of them, borrowed where they lie in order.

mod archive;
mod legacy;
mod pickle;
mod storage;
mod value;

use super::file::Tensors;
use crate::error::{Error, ErrorKind, Result};

/// Reads either form.
///
/// # Errors
/// [`ErrorKind::Format`] when the file is damaged or lies about its sizes; [`ErrorKind::Unsupported`] when it holds
/// more than tensors, named.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors<'_>> {
    if bytes.starts_with(b"PK\x03\x04") {
        archive::read(bytes)
    } else if bytes.starts_with(legacy::MAGIC) {
        legacy::read(bytes)
    } else {
        Err(malformed("neither a zip archive nor the older form of torch.save"))
    }
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, message)
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

/// The bytes `from..from + len`, if they are there.
fn slice(bytes: &[u8], from: u64, len: u64) -> Option<&[u8]> {
    let from = usize::try_from(from).ok()?;
    bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
}

#[cfg(test)]
mod tests;

//! One file of weights: its tensors, borrowed from its bytes.

use std::borrow::Cow;

use safetensors::tensor::{Dtype, TensorView};

use super::header;
use crate::error::Result;

/// A tensor as its file stores it: whole, row by row, little-endian.
#[derive(Clone)]
pub(super) struct Raw<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) data: Cow<'a, [u8]>,
}

impl Raw<'_> {
    /// The same tensor in the form that the rest of this room reads.
    ///
    /// # Errors
    /// When the bytes do not fill the shape.
    pub(super) fn view(&self) -> Result<TensorView<'_>, String> {
        TensorView::new(self.dtype, self.shape.clone(), &self.data).map_err(|e| e.to_string())
    }
}

/// Tensors by the names of their file.
pub(super) type Tensors<'a> = Vec<(String, Raw<'a>)>;

/// Reads a file; the end of its name tells its form.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) when the bytes are not whole or not what they say;
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a pickle that holds more than tensors, and for any pickle
/// in a build without `train`.
pub(super) fn read<'a>(name: &str, bytes: &'a [u8]) -> Result<Tensors<'a>> {
    let read = if name.ends_with(".bin") { pickled(bytes) } else { header::read(bytes) };
    read.map_err(|e| e.at(name))
}

#[cfg(feature = "train")]
fn pickled(bytes: &[u8]) -> Result<Tensors<'_>> {
    super::pytorch::read(bytes)
}

#[cfg(not(feature = "train"))]
fn pickled(_: &[u8]) -> Result<Tensors<'_>> {
    use crate::error::{Error, ErrorKind};
    let message = "this build reads no pickles: convert the folder on a computer with `clinlite export FOLDER --to hf`";
    Err(Error::new(ErrorKind::Unsupported, message))
}

#[cfg(all(test, not(feature = "train")))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_build_without_the_trainer_says_how_to_convert_a_pickle() {
        let error = read("pytorch_model.bin", b"PK\x03\x04").err().expect("no reader of pickles");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with("pytorch_model.bin: "), "{error}");
        assert!(error.to_string().contains("clinlite export FOLDER --to hf"), "{error}");
    }
}

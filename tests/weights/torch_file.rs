//! Writes what `torch.save` would write, and what it never would: pickles put together instruction by instruction.

use std::io::{Cursor, Write};

use safetensors::tensor::{Dtype, SafeTensors};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A pickle being written.
#[derive(Clone)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    pub(crate) fn new() -> Self {
        Self(b"\x80\x02".to_vec())
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub(crate) fn int(self, value: i64) -> Self {
        self.raw(b"\x8a\x08").raw(&value.to_le_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(crate) fn storage(self, class: &str, key: &str, len: i64) -> Self {
        self.raw(b"(").text("storage").global("torch", class).text(key).text("cpu").int(len).raw(b"tQ")
    }

    fn axes(self, axes: &[i64]) -> Self {
        axes.iter().fold(self.raw(b"("), |pickle, &axis| pickle.int(axis)).raw(b"t")
    }

    /// `_rebuild_tensor_v2` of a storage of `len` floats.
    pub(crate) fn tensor(self, key: &str, len: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Self {
        let call = self.global("torch._utils", "_rebuild_tensor_v2").raw(b"(").storage("FloatStorage", key, len);
        call.int(offset).axes(shape).axes(strides).raw(b"\x89").ordered_dict().raw(b"tR")
    }

    pub(crate) fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").raw(b")R")
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// A state dict of one tensor `w`.
pub(crate) fn one_tensor(len: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    Pickle::new().ordered_dict().text("w").tensor("0", len, offset, shape, strides).raw(b"s").end()
}

/// The zip of torch 1.6 and later.
pub(crate) fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: String, bytes: &[u8]| {
        zip.start_file(name, options).expect("a new entry");
        zip.write_all(bytes).expect("memory");
    };
    add("model/data.pkl".into(), pickle);
    add("model/byteorder".into(), b"little");
    for (key, bytes) in storages {
        add(format!("model/data/{key}"), bytes);
    }
    zip.finish().expect("an archive").into_inner()
}

/// The form before torch 1.6.
pub(crate) fn legacy(state: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend(Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s").end());
    file.extend(state);
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |pickle, (key, ..)| pickle.text(key));
    file.extend(keys.raw(b"e").end());
    for (_, len, bytes) in storages {
        file.extend(len.to_le_bytes());
        file.extend_from_slice(bytes);
    }
    file
}

/// The `f32` tensors of a safetensors file as `pytorch_model.bin`.
pub(crate) fn pickled(safetensors: &[u8]) -> Vec<u8> {
    let file = SafeTensors::deserialize(safetensors).expect("a safetensors file");
    let (mut pickle, mut storages) = (Pickle::new().ordered_dict(), Vec::new());
    for (i, (name, view)) in file.tensors().into_iter().enumerate() {
        assert_eq!(view.dtype(), Dtype::F32, "{name}");
        let shape: Vec<i64> = view.shape().iter().map(|&axis| axis as i64).collect();
        let strides: Vec<i64> = (1..=shape.len()).map(|from| shape[from..].iter().product()).collect();
        let len = shape.iter().product();
        pickle = pickle.text(&name).tensor(&i.to_string(), len, 0, &shape, &strides).raw(b"s");
        storages.push((i.to_string(), view.data()));
    }
    let storages: Vec<(&str, &[u8])> = storages.iter().map(|(key, bytes)| (key.as_str(), *bytes)).collect();
    archive(&pickle.end(), &storages)
}

/// A safetensors file in two, with the index that names them.
pub(crate) fn sharded(safetensors: &[u8]) -> Vec<(String, Vec<u8>)> {
    let file = SafeTensors::deserialize(safetensors).expect("a safetensors file");
    let mut tensors = file.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut files, mut places) = (Vec::new(), serde_json::Map::new());
    for (i, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let name = format!("model-{:05}-of-00002.safetensors", i + 1);
        places.extend(part.iter().map(|(tensor, _)| (tensor.clone(), name.clone().into())));
        let views = part.iter().map(|(tensor, view)| (tensor.as_str(), view.clone()));
        files.push((name, safetensors::serialize(views, None).expect("a file")));
    }
    let index = serde_json::json!({"metadata": {"total_size": safetensors.len()}, "weight_map": places});
    files.push(("model.safetensors.index.json".into(), index.to_string().into_bytes()));
    files
}

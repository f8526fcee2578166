//! The header of a safetensors file: `u64` length, JSON of names, types, shapes and places, then the data.
//!
//! The format is that of <https://huggingface.co/docs/safetensors>: tensors lie end to end, without holes, and fill the
//! file. The crate reads it too, through readers that serde derives; ours is the JSON of the house.

use std::borrow::Cow;

use safetensors::tensor::Dtype;

use super::file::{Raw, Tensors};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Json, Node, choice, count, string};
use crate::sort;

/// More than the header of any encoder needs; the format itself allows 100 MB.
const MAX_BYTES: u64 = 16 << 20;

/// What is said of the whole file: an object of strings.
const METADATA: &str = "__metadata__";

const DTYPES: [(&str, Dtype); 22] = [
    ("BOOL", Dtype::BOOL),
    ("F4", Dtype::F4),
    ("F6_E2M3", Dtype::F6_E2M3),
    ("F6_E3M2", Dtype::F6_E3M2),
    ("U8", Dtype::U8),
    ("I8", Dtype::I8),
    ("F8_E5M2", Dtype::F8_E5M2),
    ("F8_E4M3", Dtype::F8_E4M3),
    ("F8_E8M0", Dtype::F8_E8M0),
    ("F8_E4M3FNUZ", Dtype::F8_E4M3FNUZ),
    ("F8_E5M2FNUZ", Dtype::F8_E5M2FNUZ),
    ("I16", Dtype::I16),
    ("U16", Dtype::U16),
    ("F16", Dtype::F16),
    ("BF16", Dtype::BF16),
    ("I32", Dtype::I32),
    ("U32", Dtype::U32),
    ("F32", Dtype::F32),
    ("C64", Dtype::C64),
    ("F64", Dtype::F64),
    ("I64", Dtype::I64),
    ("U64", Dtype::U64),
];

/// A tensor as the header states it.
struct Stated<'h> {
    name: &'h str,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bytes of the data.
    start: usize,
    end: usize,
}

/// The tensors of a file, borrowed from its bytes.
///
/// # Errors
/// [`ErrorKind::Format`] for a header that is too long, is no such JSON, or does not divide the data.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors<'_>> {
    let (header, data) = split(bytes)?;
    let json = Json::parse(header).map_err(|e| e.at("header"))?;
    let stated = json.root().fields(|name, json| match name {
        METADATA => json.fields(|_, value| string(value)).map(|_| None),
        name => Stated::read(name, json).map(Some),
    })?;
    let stated: Vec<Stated<'_>> = stated.into_iter().flatten().collect();
    check_places(&stated, data.len())?;
    let tensor = |Stated { name, dtype, shape, start, end }| {
        (String::from(name), Raw { dtype, shape, data: Cow::Borrowed(&data[start..end]) })
    };
    Ok(stated.into_iter().map(tensor).collect())
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let truncated = |message: String| refuse(format!("truncated: {message}"));
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(truncated(format!("expected the 8 bytes of a length, found {}", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_BYTES {
        return Err(refuse(format!("expected a header of at most {MAX_BYTES} bytes, found {length}")));
    }
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    split.ok_or_else(|| truncated(format!("expected a header of {length} bytes, found {}", rest.len())))
}

impl<'h> Stated<'h> {
    fn read(name: &'h str, json: Node<'_>) -> Result<Self> {
        let place = |json: Node<'_>| match json.items(count)?[..] {
            [start, end] if start <= end => Ok((start, end)),
            _ => json.expected("a start and an end"),
        };
        let (start, end) = json.field("data_offsets", place)?;
        let (_, dtype) = json.field("dtype", |json| choice(json, &DTYPES, |(name, _)| name))?;
        Ok(Self { name, dtype, shape: json.field("shape", |json| json.items(count))?, start, end })
    }

    /// The bytes of this shape, if they are whole.
    fn size(&self) -> Option<usize> {
        let numbers = self.shape.iter().try_fold(1usize, |size, &n| size.checked_mul(n))?;
        let bits = numbers.checked_mul(self.dtype.bitsize())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}

/// Each tensor begins where the one before it ends and is as long as its shape; the last one ends with the data.
fn check_places(stated: &[Stated<'_>], length: usize) -> Result<()> {
    let mut places: Vec<&Stated<'_>> = stated.iter().collect();
    sort::by(&mut places, |a, b| (a.start, a.end).cmp(&(b.start, b.end)));
    let mut at = 0;
    for tensor in places {
        let Stated { name, dtype, shape, start, end } = tensor;
        if *start != at {
            return Err(refuse(format!("{name:?} begins at byte {start} of the data, expected {at}")));
        }
        if tensor.size() != Some(end - start) {
            return Err(refuse(format!("{name:?}: {} bytes do not fill {dtype} {shape:?}", end - start)));
        }
        at = *end;
    }
    match at == length {
        true => Ok(()),
        false => Err(refuse(format!("damaged or truncated: expected {at} bytes of data, found {length}"))),
    }
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::Format, message)
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![7; data]].concat()
    }

    #[test]
    fn what_is_read_is_what_the_crate_reads() {
        for (header, data) in [
            ("{}", 0),
            (r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}   "#, 24),
            (
                r#"{"b":{"dtype":"I8","shape":[3],"data_offsets":[4,7]},"none":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},
                "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"c":{"dtype":"F4","shape":[2],"data_offsets":[7,8]}}"#,
                8,
            ),
        ] {
            let file = file(header, data);
            let expected = SafeTensors::deserialize(&file).expect(header);
            let mut found = read(&file).expect(header);
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            let mut expected = expected.tensors();
            expected.sort_by(|(a, _), (b, _)| a.cmp(b));
            assert_eq!(found.len(), expected.len());
            for ((name, raw), (expected_name, view)) in found.iter().zip(&expected) {
                assert_eq!((name, raw.dtype, &*raw.shape), (expected_name, view.dtype(), view.shape()));
                assert_eq!(raw.data.as_ptr(), view.data().as_ptr(), "{name}");
                assert_eq!(raw.data.len(), view.data().len(), "{name}");
            }
        }
        for (name, dtype) in DTYPES {
            assert_eq!(dtype.to_string(), name);
            assert_eq!(serde_json::to_value(dtype).expect("a name"), name);
        }
    }

    #[test]
    fn what_does_not_divide_the_data_is_refused() {
        let one = |dtype: &str, shape: &str, places: &str| {
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{places}}}}}"#)
        };
        let two = |first: &str, second: &str| {
            let tensor = |places: &str| format!(r#"{{"dtype":"U8","shape":[4],"data_offsets":{places}}}"#);
            format!(r#"{{"a":{},"b":{}}}"#, tensor(first), tensor(second))
        };
        let cases = [
            (one("F32", "[2]", "[0,8]"), 9, "expected 8 bytes of data, found 9"),
            (one("F32", "[2]", "[0,8]"), 7, "expected 8 bytes of data, found 7"),
            (one("F32", "[2]", "[0,4]"), 4, "\"a\": 4 bytes do not fill F32 [2]"),
            (one("F4", "[3]", "[0,2]"), 2, "do not fill F4 [3]"),
            (one("F32", "[4294967296,4294967296]", "[0,0]"), 0, "do not fill F32"),
            (one("F32", "[4611686018427387904]", "[0,0]"), 0, "do not fill F32"),
            (one("F32", "[1]", "[4,0]"), 4, "a.data_offsets: expected a start and an end"),
            (one("F32", "[1]", "[0,4,4]"), 4, "a.data_offsets: expected a start and an end"),
            (one("F32", "[1]", "[-4,0]"), 4, "a.data_offsets[0]: expected a whole number"),
            (one("F32", "[1.0]", "[0,4]"), 4, "a.shape[0]: expected a whole number"),
            (one("F33", "[1]", "[0,4]"), 4, "a.dtype: expected one of BOOL, "),
            (two("[0,4]", "[5,9]"), 9, "\"b\" begins at byte 5 of the data, expected 4"),
            (two("[0,4]", "[3,7]"), 7, "\"b\" begins at byte 3 of the data, expected 4"),
            (two("[0,4]", "[0,4]"), 4, "\"b\" begins at byte 0 of the data, expected 4"),
            (two("[4,8]", "[5,9]"), 9, "\"a\" begins at byte 4 of the data, expected 0"),
            (r#"{"a":7}"#.to_owned(), 0, "a: expected an object"),
            (r#"{"__metadata__":{"a":7}}"#.to_owned(), 0, "__metadata__.a: expected a string"),
            ("[]".to_owned(), 0, "expected an object"),
            ("{".to_owned(), 0, "header: expected JSON"),
        ];
        for (header, data, expected) in cases {
            let file = file(&header, data);
            assert!(SafeTensors::deserialize(&file).is_err(), "{header}: the crate reads it");
            let error = read(&file).err().expect(expected);
            assert_eq!(error.kind(), ErrorKind::Format);
            assert!(error.to_string().contains(expected), "{header}: {error}");
        }
        for (bytes, expected) in [
            (&[][..], "truncated: expected the 8 bytes of a length, found 0"),
            (&[0; 7], "found 7"),
            (&[3, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'], "expected a header of 3 bytes, found 2"),
            (&[0xff; 8], "expected a header of at most 16777216 bytes"),
            (&[0; 8], "header: expected JSON"),
        ] {
            let error = read(bytes).err().expect(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

//! Which files of a folder hold its weights: one file, or several that an index names.

use super::manifest::is_plain;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Json, Node, string};
use crate::sort;

/// The places of weights, the best first: a folder with several is read from the first.
pub(super) const PLACES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// More than the index of any encoder needs.
const MAX_INDEX: usize = 16 << 20;

/// More files than any model is cut into.
const MAX_SHARDS: usize = 1000;

/// Where the weights of a folder are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shards {
    /// The index, if there is one.
    pub(super) index: Option<&'static str>,
    /// The files that hold tensors, in the order of their names.
    pub(super) files: Vec<String>,
    /// Of an index: in which file each tensor is.
    pub(super) places: Vec<(String, String)>,
}

impl Shards {
    /// The weights of a folder with these files; none when it has no weights.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when an index is malformed, or names anything but plain files of its kind.
    pub(super) fn of<'f>(get: impl Fn(&str) -> Option<&'f [u8]>) -> Result<Self> {
        let Some((place, bytes)) = PLACES.iter().find_map(|&place| Some((place, get(place)?))) else {
            return Ok(Self::default());
        };
        if !is_index(place) {
            return Ok(Self { files: vec![place.to_owned()], ..Self::default() });
        }
        let places =
            read(bytes, if place.contains(".bin") { ".bin" } else { ".safetensors" }).map_err(|e| e.at(place))?;
        let files = distinct(&places).into_iter().map(str::to_owned).collect();
        Ok(Self { index: Some(place), files, places })
    }

    /// All files that the weights are read from, the index among them.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.index.into_iter().chain(self.files.iter().map(String::as_str))
    }
}

pub(super) fn is_index(name: &str) -> bool {
    name.ends_with(".index.json")
}

fn distinct(places: &[(String, String)]) -> Vec<&str> {
    let mut files: Vec<&str> = places.iter().map(|(_, file)| file.as_str()).collect();
    sort::by(&mut files, Ord::cmp);
    files.dedup();
    files
}

/// Names of tensors, each with its file.
fn read(json: &[u8], ending: &str) -> Result<Vec<(String, String)>> {
    let refuse = |message: String| Error::new(ErrorKind::Format, message);
    if json.len() > MAX_INDEX {
        return Err(refuse(format!("expected at most {MAX_INDEX} bytes, found {}", json.len())));
    }
    let place = |name: &str, file: Node<'_>| Ok((name.to_owned(), string(file)?));
    let places = Json::parse(json)?.root().field("weight_map", |map| map.fields(place))?;
    if let Some((name, file)) = places.iter().find(|(_, file)| !is_plain(file) || !file.ends_with(ending)) {
        return Err(refuse(format!("{name:?} is in {file:?}, expected the plain name of a {ending} file")));
    }
    match distinct(&places).len() {
        1..=MAX_SHARDS => Ok(places),
        found => Err(refuse(format!("expected 1 to {MAX_SHARDS} files, found {found}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(files: &[(&'static str, &'static str)]) -> Result<Shards> {
        Shards::of(|name| files.iter().find(|(one, _)| *one == name).map(|(_, text)| text.as_bytes()))
    }

    const INDEX: &str = r#"{"metadata":{"total_size":8},"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}}"#;

    #[test]
    fn the_best_place_wins() {
        let files = |files| shards(files).expect("readable").names().map(str::to_owned).collect::<Vec<_>>();
        assert!(files(&[]).is_empty());
        let all = [(PLACES[2], ""), (PLACES[1], INDEX), (PLACES[0], "")];
        assert_eq!(files(&all), [PLACES[0]]);
        assert_eq!(files(&all[..2]), [PLACES[1], "m-1.safetensors", "m-2.safetensors"]);
        assert_eq!(files(&all[..1]), [PLACES[2]]);
        assert_eq!(files(&[(PLACES[3], r#"{"weight_map":{"a":"x.bin"}}"#)]), [PLACES[3], "x.bin"]);
    }

    #[test]
    fn hostile_indices_are_refused() {
        let cases = [
            ("", "expected json"),
            ("[]", "expected an object"),
            ("{}", "weight_map"),
            (r#"{"weight_map":{}}"#, "expected 1 to 1000 files, found 0"),
            (r#"{"weight_map":{"a":7}}"#, "weight_map.a: expected a string"),
            (r#"{"weight_map":{"a":"../m.safetensors"}}"#, "plain name"),
            (r#"{"weight_map":{"a":"/etc/m.safetensors"}}"#, "plain name"),
            (r#"{"weight_map":{"a":"C:m.safetensors"}}"#, "plain name"),
            (r#"{"weight_map":{"a":".safetensors"}}"#, "plain name"),
            (r#"{"weight_map":{"a":"pytorch_model.bin"}}"#, "plain name"),
            (r#"{"weight_map":{"a":"config.json"}}"#, "plain name"),
        ];
        for (json, expected) in cases {
            let error = shards(&[(PLACES[1], json)]).expect_err(expected);
            assert_eq!(error.kind(), ErrorKind::Format);
            let message = error.to_string();
            assert!(message.starts_with(PLACES[1]) && message.to_lowercase().contains(expected), "{json}: {message}");
        }
        let deep = format!("{{\"weight_map\":{}", "[".repeat(100_000));
        assert!(read(deep.as_bytes(), ".bin").is_err());
        let many: Vec<String> = (0..=MAX_SHARDS).map(|i| format!("\"{i}\":\"{i}.bin\"")).collect();
        assert!(read(format!("{{\"weight_map\":{{{}}}}}", many.join(",")).as_bytes(), ".bin").is_err());
    }
}

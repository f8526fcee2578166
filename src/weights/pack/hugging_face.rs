//! Back to a folder that PyTorch's `transformers` loads: `f32`, Hugging Face's names, one file of weights.

use std::collections::BTreeMap;

use safetensors::tensor::Dtype;
use serde_json::{Map, Value, json};

use super::super::floats::{floats, integers};
use super::super::{Tensor, Weights, refuse};
use super::write::{self, Raw};
use super::{Folder, TokenizerFiles, tokenizer};
use crate::error::{Error, ErrorKind, Result};

/// The decoders of masked language models, which a tied model shares with its table of word embeddings.
const DECODERS: [&str; 2] = ["cls.predictions.decoder.weight", "vocab_projector.weight"];

/// A folder in Hugging Face's form.
pub struct Exported {
    /// Names and bytes, in the order of the names.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The tensors of the input that are no weights: integers.
    pub left_out: Vec<String>,
}

/// Writes every weight of the folder, whether its model asks for it or not. `class` is the name in `architectures`;
/// `tied` says whether a decoder is the table of word embeddings, which is then stored once.
///
/// # Errors
/// Weights, labels or a tokenizer that are missing or damaged.
pub fn to_hugging_face(folder: &Folder, class: &str, tied: bool) -> Result<Exported> {
    let weights = folder.weights()?;
    let (mut tensors, mut left_out) = (BTreeMap::new(), Vec::new());
    let shared = |name: &str| tied && DECODERS.contains(&name);
    for name in weights.names().filter(|name| !is_scale(&weights, name) && !shared(name)) {
        match values(&weights, name)? {
            Some(raw) => drop(tensors.insert(name.to_owned(), raw)),
            None => left_out.push(name.to_owned()),
        }
    }
    // An untied decoder has a bias of its own; see `names`.
    if !tied && weights.shape(DECODERS[0]).is_some() {
        let bias = values(&weights, "cls.predictions.bias")?;
        tensors.extend(bias.map(|bias| ("cls.predictions.decoder.bias".to_owned(), bias)));
    }
    let mut files = tokenizer_files(folder)?;
    files.insert("config.json".into(), config(folder, class)?);
    files.insert("model.safetensors".into(), write::file(tensors, Some("pt"))?);
    Ok(Exported { files, left_out })
}

fn is_scale(weights: &Weights<'_>, name: &str) -> bool {
    name.strip_suffix(".scale").is_some_and(|matrix| weights.shape(matrix).is_some())
}

/// The numbers of a tensor of any shape, or nothing if they are integers.
fn values(weights: &Weights<'_>, name: &str) -> Result<Option<Raw>> {
    let missing = || refuse(name, "missing".into());
    let Tensor { raw, .. } = weights.tensor(name).ok_or_else(missing)?;
    let view = raw.view().map_err(|e| refuse(name, e))?;
    let scale = format!("{name}.scale");
    let values = match (raw.dtype, weights.tensor(&scale)) {
        (Dtype::I8, Some(scales)) => {
            let scales = floats(&scales.raw.view().map_err(|e| refuse(&scale, e))?, &scale)?;
            let data = integers(&view, name)?;
            if scales.len() != *raw.shape.first().unwrap_or(&0) {
                return Err(refuse(&scale, format!("expected {:?}, found {}", raw.shape.first(), scales.len())));
            }
            let columns = (data.len() / scales.len().max(1)).max(1);
            let rows = data.chunks_exact(columns).zip(&scales);
            rows.flat_map(|(row, scale)| row.iter().map(move |&value| f32::from(value) * scale)).collect()
        }
        (Dtype::F32 | Dtype::F16 | Dtype::BF16, _) => floats(&view, name)?,
        _ => return Ok(None),
    };
    Ok(Some(Raw::floats(&values, raw.shape.clone())))
}

/// `config.json` with the class, the type and the numbers of this folder; what else it says stays.
fn config(folder: &Folder, class: &str) -> Result<Vec<u8>> {
    let Value::Object(mut fields) = folder.config_json() else {
        return Err(Error::new(ErrorKind::Format, "expected an object").at("config.json"));
    };
    fields.remove("_name_or_path");
    fields.insert("architectures".into(), json!([class]));
    for key in ["dtype", "torch_dtype"] {
        fields.entry(key).and_modify(|dtype| *dtype = "float32".into());
    }
    match folder.architecture()?.as_str() {
        // As the published configs say it; these fields tell the model from a BERT.
        "minialbert" => {
            fields.insert("model_type".into(), "bert".into());
            fields.entry("use_adapter").or_insert(true.into());
            fields.entry("reduction_factor").or_insert(16.into());
        }
        architecture => drop(fields.insert("model_type".into(), architecture.into())),
    }
    if fields.get("id2label").is_some_and(|labels| !labels.is_null()) {
        let ids = folder.label_names()?.into_iter().enumerate().map(|(id, label)| (label, Value::from(id)));
        fields.insert("label2id".into(), Value::Object(ids.collect::<Map<_, _>>()));
    }
    pretty(&Value::Object(fields))
}

/// The tokenizer, and the settings by which `transformers` finds its class.
fn tokenizer_files(folder: &Folder) -> Result<BTreeMap<String, Vec<u8>>> {
    const SETTINGS: &str = "tokenizer_config.json";
    let mut files = tokenizer(folder)?;
    if let Some(settings) = folder.get(SETTINGS) {
        files.insert(SETTINGS.into(), settings.to_vec());
    }
    let from_vocab = matches!(folder.tokenizer_files()?, TokenizerFiles::Vocab { .. });
    if !files.contains_key(SETTINGS) {
        let mut settings = json!({
            "tokenizer_class": if from_vocab { "BertTokenizer" } else { "PreTrainedTokenizerFast" },
            "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
            "mask_token": "[MASK]",
        });
        if from_vocab {
            settings["do_lower_case"] = true.into(); // what a folder without settings means
        }
        if let Some(most) = folder.config_json().get("max_position_embeddings") {
            settings["model_max_length"] = most.clone();
        }
        files.insert(SETTINGS.into(), pretty(&settings)?);
    }
    Ok(files)
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|e| Error::new(ErrorKind::Format, e.to_string()))?;
    json.push(b'\n');
    Ok(json)
}

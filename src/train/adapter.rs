//! What LoRA has learnt, as Hugging Face's peft stores it: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! `PeftModel.from_pretrained(base, folder)` puts it on the base. The files are those of peft 0.18.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::recipe::Lora;
use super::tune::{heads, is_called, targets};
use super::{result, whole};
use crate::backend::training::Training;
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Config, Head};

/// Of which model these are the low-rank matrices.
#[derive(Clone, Copy, Debug)]
pub struct Adapter<'a> {
    /// What was asked for.
    pub lora: &'a Lora,
    /// The encoder.
    pub model: &'a Config,
    /// What stands on it, which has learnt too.
    pub head: Head,
    /// How a recipe calls the base.
    pub base: Option<&'a str>,
}

impl Adapter<'_> {
    /// Writes the folder: everything in the engine that learns.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, engine: &impl Training) -> Result<()> {
        fs::create_dir_all(folder).map_err(|e| Error::new(ErrorKind::Io, format!("{}: {e}", folder.display())))?;
        let config = format!("{:#}\n", self.config());
        whole::write(&folder.join("adapter_config.json"), config.as_bytes())?;
        whole::write(&folder.join("adapter_model.safetensors"), &result::learnt(engine, "base_model.model.")?)
    }

    fn config(&self) -> Value {
        let Self { lora, model, head, base } = self;
        let (targets, has_pooler) = (targets(lora, model), *head == Head::SequenceClassification);
        // peft compares the ends of names without a dot, and wraps the module that holds the layer.
        let name =
            |layer: &'static str| layer.strip_suffix(".dense").unwrap_or(layer).rsplit('.').next().unwrap_or(layer);
        let heads: Vec<_> = heads(model).into_iter().take(if has_pooler { 2 } else { 1 }).collect();
        let saved: Vec<_> = heads.iter().map(|layer| name(layer)).collect();
        // A layer of the head that the targets would mean too.
        let meant = |layer: &&&str| targets.iter().any(|target| is_called(layer, target));
        let excluded: Vec<_> = heads.iter().filter(meant).collect();
        json!({
            "peft_type": "LORA",
            "task_type": if has_pooler { "SEQ_CLS" } else { "TOKEN_CLS" },
            "base_model_name_or_path": base,
            "r": lora.r,
            "lora_alpha": whole_number(lora.alpha),
            "lora_dropout": lora.dropout,
            "target_modules": targets,
            "modules_to_save": saved,
            "exclude_modules": (!excluded.is_empty()).then_some(excluded),
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "use_dora": false,
            "use_rslora": false,
        })
    }
}

/// peft writes its `lora_alpha` without a point.
fn whole_number(alpha: f64) -> Value {
    if alpha.fract() == 0.0 && alpha < 1e15 { json!(alpha as u64) } else { json!(alpha) }
}

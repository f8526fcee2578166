//! What a student is asked: a sum of losses, each with its weight.

use serde::Deserialize;

use crate::backend::Site;
use crate::error::{Error, ErrorKind, Result};

/// `[loss]` of a recipe. A weight of 0 leaves a loss out.
///
/// ```toml
/// [loss]                     # DistilClinicalBERT
/// masked_lm = 2.0
/// divergence = 5.0
/// temperature = 2.0
/// [loss.hidden]
/// measure = "cosine"
/// weight = 1.0
/// layers = [[6, 12]]
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// Of the cross-entropy with the words behind the masks.
    pub masked_lm: f32,
    /// Of `T² · KL(softmax(teacher / T) ‖ softmax(student / T))` at the masks.
    pub divergence: f32,
    /// `T`.
    pub temperature: f32,
    /// Of the cross-entropy with the teacher's distribution at the masks.
    pub soft_cross_entropy: f32,
    /// Of hidden states.
    pub hidden: Option<LayerLoss>,
    /// Of attention maps.
    pub attention: Option<LayerLoss>,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            masked_lm: 0.0,
            divergence: 0.0,
            temperature: 1.0,
            soft_cross_entropy: 0.0,
            hidden: None,
            attention: None,
        }
    }
}

/// A sum over pairs of layers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerLoss {
    /// How two layers are compared.
    pub measure: Measure,
    /// Of the sum.
    pub weight: f32,
    /// A layer of the student, and the one of the teacher that it is to be like: Hugging Face's `hidden_states[i]`, where 0
    /// is the embedding output, or `attentions[i]`.
    pub layers: Vec<[usize; 2]>,
    /// Of hidden states: one linear layer for all pairs takes the student's width to the teacher's. It is thrown away in
    /// the end.
    #[serde(default)]
    pub projector: bool,
}

/// How two layers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// The mean over all elements of the squared difference.
    Squares,
    /// The mean over rows of one minus the cosine; of hidden states.
    Cosine,
    /// The mean over all elements of `p · ln(p / q)`; of attention maps.
    Divergence,
}

impl Objective {
    /// Whether anything is learnt from a teacher.
    pub fn needs_teacher(&self) -> bool {
        self.needs_logits() || self.hidden.is_some() || self.attention.is_some()
    }

    /// Whether the teacher's distribution at the masks is needed.
    pub fn needs_logits(&self) -> bool {
        self.divergence != 0.0 || self.soft_cross_entropy != 0.0
    }

    /// The sites of student and teacher that are compared.
    pub fn sites(&self) -> [Vec<Site>; 2] {
        let pairs = |loss: &Option<LayerLoss>| loss.iter().flat_map(|loss| loss.layers.clone()).collect::<Vec<_>>();
        let (hidden, attention) = (pairs(&self.hidden), pairs(&self.attention));
        [0, 1].map(|side| {
            let hidden = hidden.iter().map(|pair| Site::HiddenState(pair[side]));
            hidden.chain(attention.iter().map(|pair| Site::AttentionMap(pair[side]))).collect()
        })
    }

    /// Whether the layers are there, for a student and a teacher of so many.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] that names the key.
    pub fn check(&self, student: usize, teacher: Option<usize>) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Input, message).at("loss"));
        let weights = [self.masked_lm, self.divergence, self.soft_cross_entropy];
        if weights.iter().any(|weight| !(*weight >= 0.0 && weight.is_finite())) {
            return refuse("expected weights of 0 and more".into());
        }
        if weights.iter().all(|weight| *weight == 0.0) && self.hidden.is_none() && self.attention.is_none() {
            return refuse("expected at least one loss with a weight above 0".into());
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return refuse(format!("temperature: expected above 0, found {}", self.temperature));
        }
        let Some(teacher) = teacher else {
            return if self.needs_teacher() {
                refuse("a teacher is compared with, but none is named".into())
            } else {
                Ok(())
            };
        };
        for (name, loss, more) in [("hidden", &self.hidden, 1), ("attention", &self.attention, 0)] {
            let Some(loss) = loss else { continue };
            let fits = if name == "hidden" { Measure::Cosine } else { Measure::Divergence };
            if loss.measure != Measure::Squares && loss.measure != fits {
                return refuse(format!(
                    "{name}.measure: expected \"squares\" or {:?}",
                    format!("{fits:?}").to_lowercase()
                ));
            }
            if loss.layers.is_empty() || !(loss.weight > 0.0 && loss.weight.is_finite()) {
                return refuse(format!("{name}: expected at least one pair of layers, and a weight above 0"));
            }
            if loss.projector && name == "attention" {
                return refuse("attention.projector: only hidden states have one".into());
            }
            let beyond = loss.layers.iter().find(|[s, t]| *s >= student + more || *t >= teacher + more);
            if let Some([s, t]) = beyond {
                return refuse(format!(
                    "{name}.layers: no pair [{s}, {t}] in a student of {student} and a teacher of {teacher} layers"
                ));
            }
        }
        Ok(())
    }
}

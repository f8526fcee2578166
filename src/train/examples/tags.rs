//! The tags of a tagger, as bits.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::train::readers::{DataSet, Gold};

/// The tags `O`, `B-X`, `I-X` of a model, as bits.
pub struct Tags {
    index: BTreeMap<String, usize>,
    types: Vec<String>,
}

impl Tags {
    /// From the labels of the model in the order of its logits.
    ///
    /// # Errors
    /// When `O` is missing, a tag is neither `B-` nor `I-`, one of the two is missing, or there are more than 63.
    pub fn new(labels: &[String]) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Input, message).at("labels"));
        if labels.len() > 63 {
            return refuse(format!("expected at most 63, found {}", labels.len()));
        }
        let index: BTreeMap<_, _> = labels.iter().enumerate().map(|(i, label)| (label.clone(), i)).collect();
        if !index.contains_key("O") || index.len() != labels.len() {
            return refuse("expected \"O\" and no label twice".into());
        }
        let types: Vec<_> = labels.iter().filter_map(|label| label.strip_prefix("B-").map(str::to_owned)).collect();
        if let Some(missing) = types.iter().find(|kind| !index.contains_key(&format!("I-{kind}"))) {
            return refuse(format!("\"B-{missing}\" without \"I-{missing}\""));
        }
        if labels.len() != 2 * types.len() + 1 {
            return refuse("expected \"O\" and pairs of \"B-X\" and \"I-X\"".into());
        }
        Ok(Self { index, types })
    }

    /// The number of tags.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Never: there is always `O`.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn bit(&self, tag: &str) -> Result<u64> {
        let unknown = || Error::new(ErrorKind::Data, format!("the model has no label {tag:?}"));
        Ok(1 << self.index.get(tag).ok_or_else(unknown)?)
    }

    /// The tags that a piece of a gold span may have. A span whose alternatives include `O` may also be nothing.
    pub(super) fn of(&self, gold: &Gold, prefix: char) -> Result<u64> {
        gold.labels.iter().try_fold(0, |bits, label| {
            Ok(bits | if label == "O" { self.bit("O")? } else { self.bit(&format!("{prefix}-{label}"))? })
        })
    }

    /// What a piece outside all spans may be: nothing, or one of the types that the set does not mark.
    pub(super) fn outside(&self, set: &DataSet) -> Result<u64> {
        let open = self.types.iter().filter(|kind| !set.marks(kind));
        open.flat_map(|kind| [format!("B-{kind}"), format!("I-{kind}")])
            .try_fold(self.bit("O")?, |bits, tag| Ok(bits | self.bit(&tag)?))
    }
}

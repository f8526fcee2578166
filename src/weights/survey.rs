//! What a model needs of the weights that there are, without reading their numbers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::Dtype;

use super::pack::Recorder;
use super::{Found, Scope, Tensor, Weights};
use crate::error::{Error, ErrorKind, Result};

/// More weights than any encoder has: a config that asks for more is refused.
const MOST: usize = 100_000;

/// A weight that a model asks for.
#[derive(Debug)]
pub struct Wanted {
    /// Its full name.
    pub name: String,
    /// `[rows, columns]` or `[columns]`.
    pub shape: Vec<usize>,
    /// Why it cannot be had: missing, or of another shape.
    pub trouble: Option<Error>,
}

/// Collects what is asked for.
#[derive(Default)]
pub(super) struct Survey(RefCell<Vec<Wanted>>);

impl Survey {
    pub(super) fn note(&self, weights: &Weights<'_>, name: &str, shape: &[usize]) -> Result<()> {
        let mut wanted = self.0.borrow_mut();
        if wanted.len() >= MOST {
            return Err(Error::new(ErrorKind::Unsupported, format!("the model asks for more than {MOST} weights")));
        }
        let trouble = look(weights, name, shape).err();
        wanted.push(Wanted { name: name.to_owned(), shape: shape.to_vec(), trouble });
        Ok(())
    }
}

fn look(weights: &Weights<'_>, name: &str, shape: &[usize]) -> Result<()> {
    match weights.find(name, shape)? {
        Found::File(view) if view.dtype() == Dtype::I8 => weights.find(&format!("{name}.scale"), &shape[..1]).map(drop),
        Found::File(_) | Found::Supplied(_) => Ok(()),
    }
}

impl Weights<'_> {
    /// Every weight that `load` asks for, once each, in the order in which it asks, with what is wrong with it. The
    /// sum of their sizes is the exact number of parameters. What is there counts as used, see [`Weights::unused`].
    ///
    /// # Errors
    /// As `load`, for all but its weights.
    pub fn survey(&self, load: impl FnOnce(&Recorder, &Scope<'_>) -> Result<()>) -> Result<Vec<Wanted>> {
        let survey = Survey::default();
        load(&Recorder::default(), &Scope::survey(self, &survey))?;
        let (mut wanted, mut seen) = (survey.0.into_inner(), BTreeSet::new());
        // A tied weight is asked for twice and is one.
        wanted.retain(|wanted| seen.insert(wanted.name.clone()));
        Ok(wanted)
    }

    /// How many numbers the files store in which type: `F32`, `I8`, ….
    pub fn types(&self) -> BTreeMap<String, usize> {
        let mut types = BTreeMap::new();
        for Tensor { raw, .. } in &self.tensors {
            *types.entry(format!("{:?}", raw.dtype)).or_default() += raw.shape.iter().product::<usize>();
        }
        types
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Names;

    fn load(backend: &Recorder, root: &Scope<'_>) -> Result<()> {
        root.pp("bert.embeddings.word_embeddings").table(backend, 1 << 40, 1 << 20)?;
        root.pp("there").linear(backend, 2, 3)?;
        root.pp("bert.embeddings.word_embeddings").matrix(backend, 1 << 40, 1 << 20)?;
        root.pp("turned").transposed(backend, 2, 3)?;
        Ok(())
    }

    #[test]
    fn everything_is_found_and_nothing_is_allocated() -> Result<()> {
        let mut weights = Weights::from_files([], Names::Bert)?;
        weights.supply("there.weight", &[2, 3], vec![0.0; 6])?;
        weights.supply("turned.weight", &[2, 3], vec![0.0; 6])?;
        let wanted = weights.survey(load)?;
        let trouble = |wanted: &Wanted| wanted.trouble.as_ref().map(ToString::to_string);
        let found: Vec<_> = wanted.iter().map(|w| (w.name.as_str(), trouble(w).unwrap_or_default())).collect();
        let missing = |name: &str, shape: &str| format!("weight {name:?}: missing, expected {shape}");
        let words = "bert.embeddings.word_embeddings.weight";
        let expected = [
            (words, missing(words, "[1099511627776, 1048576]")),
            ("there.weight", String::new()),
            ("there.bias", missing("there.bias", "[2]")),
            ("turned.weight", "weight \"turned.weight\": expected [3, 2], found [2, 3]".to_owned()),
        ];
        assert_eq!(found, expected);
        Ok(())
    }

    #[test]
    fn a_model_without_end_is_refused() -> Result<()> {
        let weights = Weights::from_files([], Names::Bert)?;
        let endless = |backend: &Recorder, root: &Scope<'_>| -> Result<()> {
            (0..usize::MAX).try_for_each(|i| root.pp(i).vector(backend, 1).map(drop))
        };
        assert_eq!(weights.survey(endless).err().map(|e| e.kind()), Some(ErrorKind::Unsupported));
        Ok(())
    }
}

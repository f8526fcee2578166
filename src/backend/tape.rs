//! What a training step remembers of its forward pass, to walk it backwards.
//!
//! A gradient is moved to where it goes, and what an operation kept is freed as soon as its backward pass has run.
//! Gradients of weights do not pass through here: they go straight to where the engine sums them up. But the tape knows when
//! they are complete: once the operation that used a weight first has been walked back. That order follows from the forward
//! pass alone, whatever the batch was.

use std::collections::BTreeSet;

use crate::error::Result;

/// The gradients of activations that still wait for the operation that made them.
pub(super) trait Gradients {
    /// What names an activation.
    type Id;
    /// The gradient of one.
    type Gradient;

    /// Takes the gradient of an activation out, if anything was added to it.
    fn take(&mut self, id: &Self::Id) -> Option<Self::Gradient>;
}

/// The backward pass of one operation: takes the gradient of its result, adds to those of its inputs.
pub(super) type Backward<G> = Box<dyn FnOnce(<G as Gradients>::Gradient, &mut G) -> Result<()> + Send>;

/// One operation.
struct Step<G: Gradients> {
    output: G::Id,
    /// The weights that no operation before this one used.
    first_used: Vec<String>,
    backward: Backward<G>,
}

/// The operations of one forward pass, in order.
pub(super) struct Tape<G: Gradients> {
    steps: Vec<Step<G>>,
    used: BTreeSet<String>,
}

impl<G: Gradients> Default for Tape<G> {
    fn default() -> Self {
        Self { steps: Vec::new(), used: BTreeSet::new() }
    }
}

impl<G: Gradients> Tape<G> {
    /// Appends an operation that uses `weights`, by their names.
    pub(super) fn record(&mut self, output: G::Id, weights: &[&str], backward: Backward<G>) {
        let first = weights.iter().filter(|name| !self.used.contains(**name)).map(|name| (*name).to_owned());
        let first_used: Vec<String> = first.collect();
        self.used.extend(first_used.iter().cloned());
        self.steps.push(Step { output, first_used, backward });
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.used.clear();
    }

    /// Walks back from the activations whose gradients are given, and names each weight when its gradient is complete.
    pub(super) fn backward(&mut self, gradients: &mut G, complete: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        while let Some(Step { output, first_used, backward }) = self.steps.pop() {
            if let Some(grad) = gradients.take(&output) {
                backward(grad, gradients)?;
            }
            first_used.iter().try_for_each(|name| complete(name))?;
        }
        self.used.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;

    impl Gradients for BTreeMap<u32, u32> {
        type Id = u32;
        type Gradient = u32;

        fn take(&mut self, id: &u32) -> Option<u32> {
            self.remove(id)
        }
    }

    /// Three passes of one layer `w` over a table `t` that is the decoder, too; what hangs on `side` gets no gradient.
    #[test]
    fn a_weight_is_complete_after_its_first_use() {
        let mut tape = Tape::<BTreeMap<u32, u32>>::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let uses: [&[&str]; 6] = [&["t"], &["w", "b"], &["w", "b"], &["side"], &["w", "b"], &["t", "head"]];
        for (number, weights) in (1u32..).zip(uses) {
            let told = Arc::clone(&told);
            let backward = move |grad: u32, gradients: &mut BTreeMap<u32, u32>| {
                told.lock().unwrap().push(format!("op {number}"));
                gradients.insert(if number == 5 { 3 } else { number - 1 }, grad);
                Ok(())
            };
            tape.record(number, weights, Box::new(backward));
        }
        let mut complete = |name: &str| {
            told.lock().unwrap().push(name.to_owned());
            Ok(())
        };
        tape.backward(&mut [(6, 1)].into(), &mut complete).unwrap();
        let expected = ["op 6", "head", "op 5", "side", "op 3", "op 2", "w", "b", "op 1", "t"];
        assert_eq!(*told.lock().unwrap(), expected);
    }
}

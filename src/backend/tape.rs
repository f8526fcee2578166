//! What a training step remembers of its forward pass, to walk it backwards.
//!
//! A gradient is moved to where it goes, and what an operation kept is freed as soon as its backward pass has run.
//! Gradients of weights do not pass through here: they go straight to where the engine sums them up.

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

/// The operations of one forward pass, in order.
pub(super) struct Tape<G: Gradients> {
    steps: Vec<(G::Id, Backward<G>)>,
}

impl<G: Gradients> Default for Tape<G> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<G: Gradients> Tape<G> {
    pub(super) fn record(&mut self, output: G::Id, backward: Backward<G>) {
        self.steps.push((output, backward));
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
    }

    /// Walks back from the activations whose gradients are given.
    pub(super) fn backward(&mut self, gradients: &mut G) -> Result<()> {
        while let Some((output, backward)) = self.steps.pop() {
            if let Some(grad) = gradients.take(&output) {
                backward(grad, gradients)?;
            }
        }
        Ok(())
    }
}

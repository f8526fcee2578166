//! Looks at what was set apart, how long a run goes on, and which of its weights are kept.

use serde_json::json;

use super::Run;
use crate::backend::training::Training;
use crate::error::{Error, ErrorKind, Result};
use crate::train::distil::PROJECTOR;
use crate::train::pretrain::progress::Progress;
use crate::train::result;

impl<B: Training> Run<'_, B> {
    /// Looks at what was set apart; with patience the weights are kept if none were better.
    fn look(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let Some(loss) = self.pair.held_out(self.blocks.apart())? else { return Ok(()) };
        let step = self.position.step;
        if !loss.is_finite() {
            let message = format!("the loss of the notes that were set apart is not finite at step {step}");
            return Err(Error::new(ErrorKind::Backend, message));
        }
        let best = self.position.best.is_none_or(|(best, _)| loss < best);
        if best {
            self.position.best = Some((loss, step));
        }
        if best && self.recipe.evaluate.patience.is_some() {
            self.keep()?;
        }
        progress.held_out(step, loss, best);
        self.journal()?.write(json!({"step": step, "held_out": loss, "best": best}))
    }

    /// Rank 0 looks, and tells the others how patient to be.
    pub(super) fn look_together(&mut self, progress: &mut dyn Progress) -> Result<()> {
        if self.ranks.leads() {
            self.look(progress)?;
        }
        let best = self.position.best.map_or(Vec::new(), |(loss, step)| vec![loss, step as f64]);
        let said = self.ranks.gather(&best)?;
        self.position.best = said.first().and_then(|best| best.first_chunk()).map(|[loss, step]| (*loss, *step as u64));
        Ok(())
    }

    /// Whether there are steps left, and patience. Both follow from where the run stands, so a resumed run knows too.
    pub(in crate::train::pretrain) fn goes_on(&self) -> bool {
        let (done, every) = (self.position.step, self.recipe.evaluate.every);
        let best = self.position.best.map_or(0, |(_, step)| step);
        let looks = done / every - best / every;
        done < self.steps && self.recipe.evaluate.patience.is_none_or(|patience| looks < patience)
    }

    /// Writes the student as it stands.
    pub(super) fn keep(&self) -> Result<()> {
        let belongs = |name: &str| !name.starts_with(PROJECTOR);
        result::write(&self.at("model"), &self.start.config(), self.start.along(), &self.pair.engine, belongs)
    }

    /// The loss of the notes that were set apart, of the weights that are kept, and their step.
    pub(super) fn kept(&self) -> (Option<f64>, u64) {
        match (self.recipe.evaluate.patience, self.position.best) {
            (Some(_), Some((loss, step))) => (Some(loss), step),
            _ => (self.journal.as_ref().and_then(|journal| journal.last("held_out")), self.position.step),
        }
    }
}

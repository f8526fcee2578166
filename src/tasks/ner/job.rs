//! A note between its windows.

use std::fmt;

use super::TagOptions;
use crate::clinical::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::text::Encoding;
use crate::text::windows::Window;

/// A note on its way through the model.
pub struct Job {
    pub(super) note: String,
    pub(super) reading: Reading,
    pub(super) encoding: Encoding,
    pub(super) windows: Vec<Window>,
    pub(super) next: usize,
    pub(super) logits: Vec<f32>, // [pieces, labels]
    pub(super) options: TagOptions,
}

/// What a model says about the pieces that one window judges.
pub struct Judged {
    pub(super) window: usize,
    pub(super) logits: Vec<f32>, // [kept pieces, labels]
}

impl Job {
    /// The pieces of the note, a placeholder being one.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// Windows done and windows in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.windows.len())
    }

    pub(super) fn window(&self, window: usize) -> Result<&Window> {
        let all = self.windows.len();
        let none = || Error::new(ErrorKind::Input, format!("there is no window {window}, the note has {all}"));
        self.windows.get(window).ok_or_else(none)
    }

    /// Takes the next window over.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when it is another than the next.
    pub fn accept(&mut self, judged: Judged) -> Result<()> {
        if judged.window != self.next {
            let message = format!("expected window {}, found {}", self.next, judged.window);
            return Err(Error::new(ErrorKind::Input, message));
        }
        self.logits.extend_from_slice(&judged.logits);
        self.next += 1;
        Ok(())
    }

    /// Whether every window was judged.
    pub fn is_done(&self) -> bool {
        self.next == self.windows.len()
    }
}

impl Judged {
    /// The logits of the pieces that the window judges, `[kept pieces, labels]`.
    pub fn into_logits(self) -> Vec<f32> {
        self.logits
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} of {} windows)", self.next, self.windows.len())
    }
}

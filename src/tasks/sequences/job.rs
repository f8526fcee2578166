//! Sequences on their way through the model.

use std::fmt;
use std::ops::Range;

use super::input;
use crate::error::{Error, ErrorKind, Result};
use crate::text::frames::Frame;

/// Sequences on their way through the model.
pub struct Job {
    frames: Vec<Frame>,
    passes: Vec<Range<usize>>,
    next: usize,
    logits: Vec<f32>, // [sequences, labels]
    tokens: usize,
}

/// What a model says about the sequences of one forward pass.
pub struct Judged {
    pass: usize,
    logits: Vec<f32>, // [sequences, labels]
}

impl Job {
    /// Sequences in order, in forward passes of at most `rows` rows, or of one sequence. `tokens`: the pieces that they
    /// were made of.
    pub(in crate::tasks) fn new(frames: Vec<Frame>, rows: usize, tokens: usize) -> Self {
        let mut passes: Vec<Range<usize>> = Vec::new();
        let mut filled = 0;
        for (i, frame) in frames.iter().enumerate() {
            match passes.last_mut() {
                Some(pass) if filled + frame.input_ids.len() <= rows => pass.end = i + 1,
                _ => {
                    passes.push(i..i + 1);
                    filled = 0;
                }
            }
            filled += frame.input_ids.len();
        }
        Self { frames, passes, next: 0, logits: Vec::new(), tokens }
    }

    /// Forward passes done and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.passes.len())
    }

    /// Whether every sequence was judged.
    pub fn is_done(&self) -> bool {
        self.next == self.passes.len()
    }

    /// Takes the next pass over.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when it is another than the next.
    pub fn accept(&mut self, judged: Judged) -> Result<()> {
        if judged.pass != self.next {
            return Err(input(format!("expected pass {}, found {}", self.next, judged.pass)));
        }
        self.logits.extend_from_slice(&judged.logits);
        self.next += 1;
        Ok(())
    }

    /// The sequences, in order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Pieces of the text or texts.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The sequences of one forward pass.
    pub(super) fn pass(&self, pass: usize) -> Result<&[Frame]> {
        let frames = self.passes.get(pass).and_then(|pass| self.frames.get(pass.clone()));
        frames.ok_or_else(|| input(format!("there is no pass {pass}, the job has {}", self.passes.len())))
    }

    /// The logits of all sequences, `[sequences, labels]`.
    pub(in crate::tasks) fn finished(&self) -> Result<&[f32]> {
        if !self.is_done() {
            let (done, all) = self.progress();
            return Err(input(format!("the job is not finished: {done} of {all} forward passes")));
        }
        match self.logits.iter().all(|logit| logit.is_finite()) {
            true => Ok(&self.logits),
            false => Err(Error::new(ErrorKind::Backend, "a logit is not a number")),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} of {} passes, {} sequences)", self.next, self.passes.len(), self.frames.len())
    }
}

impl Judged {
    pub(super) fn new(pass: usize, logits: Vec<f32>) -> Self {
        Self { pass, logits }
    }

    /// The logits, `[sequences, labels]`.
    pub fn into_logits(self) -> Vec<f32> {
        self.logits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_hold_at_most_so_many_rows() {
        let frames = |lengths: &[usize]| {
            let frame = |&length: &usize| Frame { input_ids: vec![1; length], first: length };
            Job::new(lengths.iter().map(frame).collect(), 10, 0).passes
        };
        assert_eq!(frames(&[]), [0..0; 0]);
        assert_eq!(frames(&[4, 6, 1, 12, 3, 3, 3, 3]), [0..2, 2..3, 3..4, 4..7, 7..8]);
    }
}

//! How far a batch is, on standard error: a bar on a terminal, a line every ten seconds elsewhere, and what came of it.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::files;

/// Between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Counts and shows.
pub(super) struct Display {
    bar: ProgressBar,
    terminal: bool,
    line: Instant,
    /// Where each source starts, in bytes of all; at the end their sum.
    starts: Vec<u64>,
    /// The source that is being read, and the bytes of it so far.
    source: usize,
    within: u64,
    notes: u64,
    failures: u64,
    /// Files, and notes of files, that an earlier run wrote.
    kept: usize,
    kept_notes: u64,
}

impl Display {
    /// Sources of so many bytes; files that are there already.
    pub(super) fn new(sources: Vec<u64>, kept: usize) -> Self {
        let mut starts = vec![0];
        starts.extend(sources.iter().scan(0, |sum, bytes| {
            *sum += bytes;
            Some(*sum)
        }));
        let terminal = stderr().is_terminal();
        let all = starts.last().copied().unwrap_or(0);
        let bar = if terminal { ProgressBar::new(all) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {msg}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let line = Instant::now();
        Self { bar, terminal, line, starts, source: 0, within: 0, notes: 0, failures: 0, kept, kept_notes: 0 }
    }

    /// Counts and tells a failure.
    pub(super) fn report(&mut self, error: &anyhow::Error) {
        self.failures += 1;
        self.bar.suspend(|| files::report(error));
    }

    /// A file goes on with what an earlier run wrote of it.
    pub(super) fn goes_on(&mut self, notes: u64, failures: u64) {
        self.kept_notes += notes - failures;
        self.failures += failures;
    }

    /// A note of so many bytes is done.
    pub(super) fn advance(&mut self, source: usize, bytes: u64) {
        self.within = if source == self.source { self.within + bytes } else { bytes };
        (self.source, self.notes) = (source, self.notes + 1);
        // Of a compressed file more bytes are read than it has.
        let end = self.starts.get(source + 1).copied().unwrap_or(u64::MAX);
        let at = (self.starts.get(source).copied().unwrap_or(0) + self.within).min(end);
        self.bar.set_position(at);
        self.bar.set_message(format!("{} notes", self.notes));
        if !self.terminal && self.line.elapsed() > EVERY {
            self.line = Instant::now();
            let all = self.starts.last().copied().unwrap_or(0).max(1);
            eprintln!("clinlite: {} notes, {} %", self.notes, 100 * at / all);
        }
    }

    /// Says what came of it; the failures.
    pub(super) fn close(self, stopped: bool) -> u64 {
        self.bar.finish_and_clear();
        let mut said = vec![format!("{} notes read", self.notes)];
        let mut also = |count: u64, what: &str| {
            if count > 0 {
                said.push(format!("{count} {what}"));
            }
        };
        also(self.failures, "failed");
        also(self.kept as u64, "files kept from before");
        also(self.kept_notes, "notes kept from before");
        if stopped {
            said.push("stopped; the same command goes on".into());
        }
        eprintln!("clinlite: {}", said.join(", "));
        self.failures
    }
}

//! How far a training run is, on standard error: a bar over its losses on a terminal, a line every ten seconds elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clinlite::train::pretrain::progress::{Logged, Progress as Pretraining};
use clinlite::train::progress::{Progress as Finetuning, Scored, Step};
use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);
/// The loss of one step of fine-tuning is noise: shown is a mean over about so many.
const SMOOTH: u64 = 50;

/// Draws both kinds of training.
pub(crate) struct Display {
    bar: ProgressBar,
    terminal: bool,
    line: Option<Instant>,
    losses: BTreeMap<&'static str, f64>,
    seen: u64,
    /// The last score, or the last look at what was set apart.
    score: String,
}

impl Display {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {prefix}\n{wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, terminal, line: None, losses: BTreeMap::new(), seen: 0, score: String::new() }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        if self.terminal { self.bar.println(line) } else { eprintln!("{line}") }
    }

    fn show(&mut self, step: u64, steps: u64, pace: &str, losses: &str) {
        let losses = format!("{losses}{}", self.score);
        if !self.terminal && self.line.is_none_or(|line| line.elapsed() > EVERY) {
            self.line = Some(Instant::now());
            eprintln!("step {step}/{steps}: {losses}, {pace}");
        }
        self.bar.set_prefix(pace.to_owned());
        self.bar.set_message(losses);
    }
}

impl Finetuning for Display {
    fn stage(&mut self, name: &str, step: u64, steps: u64) {
        self.bar.set_length(steps);
        (self.losses, self.seen) = (BTreeMap::new(), 0);
        self.say(&format!("stage {name}: from step {step} of {steps}"));
    }

    fn step(&mut self, at: &Step) {
        self.seen += 1;
        let share = 1.0 / self.seen.min(SMOOTH) as f64;
        let alone = [("loss", at.loss)].into();
        for (name, loss) in if at.losses.is_empty() { &alone } else { &at.losses } {
            let mean = self.losses.entry(name).or_insert(*loss);
            *mean += share * (loss - *mean);
        }
        self.bar.set_position(at.step);
        let losses = sum(&self.losses);
        self.show(at.step, at.steps, &pace(at.tokens_per_second, at.seconds_left), &losses);
    }

    fn scored(&mut self, at: &Scored) {
        self.score = format!(", dev {} {:.2}", at.metric, 100.0 * at.score);
        let best = if at.best { ", the best so far" } else { "" };
        let plain = at.plain.map_or(String::new(), |plain| format!(" (plain {:.2})", 100.0 * plain));
        self.say(&format!("step {}: dev {} {:.2}{best}{plain}", at.step, at.metric, 100.0 * at.score));
    }

    fn note(&mut self, line: &str) {
        self.say(line);
    }
}

impl Pretraining for Display {
    fn begins(&mut self, step: u64, steps: u64) {
        self.bar.set_length(steps);
        self.say(&format!("from step {step} of {steps}"));
    }

    fn asked(&mut self, blocks: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(blocks);
        self.bar.set_message("blocks that the teacher was asked about");
        if !self.terminal && self.line.is_none_or(|line| line.elapsed() > EVERY) {
            self.line = Some(Instant::now());
            eprintln!("the teacher was asked about {blocks} of {of} blocks");
        }
    }

    fn stepped(&mut self, step: u64) {
        self.bar.set_position(step);
    }

    fn logged(&mut self, at: &Logged) {
        self.show(at.step, at.steps, &pace(at.tokens_per_second, at.seconds_left), &sum(&at.losses));
    }

    fn held_out(&mut self, step: u64, loss: f64, best: bool) {
        self.score = format!(", held out {loss:.4}");
        let best = if best { ", the best so far" } else { "" };
        self.say(&format!("step {step}: masked loss {loss:.4} on held-out notes{best}"));
    }

    fn note(&mut self, line: &str) {
        self.say(line);
    }
}

/// `loss 4.2500 = hidden 1.2500 + words 3.0000`, or the one that there is.
fn sum(losses: &BTreeMap<&'static str, f64>) -> String {
    let each: Vec<String> = losses.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
    let sum = if each.len() > 1 { format!("loss {:.4} = ", losses.values().sum::<f64>()) } else { String::new() };
    format!("{sum}{}", each.join(" + "))
}

fn pace(tokens_per_second: f64, seconds_left: f64) -> String {
    format!("{tokens_per_second:.0} tokens/s, {} left", duration(seconds_left))
}

/// `3 h 20 min`, `5 min`, `40 s`.
fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0..2 => format!("{seconds:.0} s"),
        2..120 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_named_and_times_are_short() {
        assert_eq!(sum(&[("hidden", 1.25), ("words", 3.0)].into()), "loss 4.2500 = hidden 1.2500 + words 3.0000");
        assert_eq!(sum(&[("masked_lm", 2.0)].into()), "masked_lm 2.0000");
        let times = [0.4, 40.0, 89.0, 300.0, 7199.0, 12_000.0].map(duration);
        assert_eq!(times, ["0 s", "40 s", "89 s", "5 min", "2 h 0 min", "3 h 20 min"]);
    }
}

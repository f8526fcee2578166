//! What an evaluation says, as a table and as JSON.

use std::io::{Write, stdout};

use anyhow::Result;
use clinlite::train::bootstrap::{Interval, Intervals};
use clinlite::train::metrics::protocols::{All, Scored};
use clinlite::train::metrics::{Report, Score};
use clinlite::weights::manifest::Window;
use serde::Serialize;

/// What `--json` writes.
#[derive(Serialize)]
pub(super) struct Evaluation {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) model_sha256: String,
    pub(super) backend: &'static str,
    pub(super) aggregation: &'static str,
    pub(super) window: Option<Window>,
    pub(super) data: Vec<Data>,
    /// `word`, or `seed`.
    pub(super) protocol: &'static str,
    pub(super) unit: &'static str,
    pub(super) mode: String,
    pub(super) documents: usize,
    pub(super) words: usize,
    /// Gold spans that share a word with another; they are in no count.
    pub(super) gold_without_words: usize,
    /// Those of the protocol that was asked for.
    pub(super) figures: Report,
    pub(super) bootstrap: Bootstrap,
    /// Those of every protocol.
    pub(super) protocols: All,
}

#[derive(Serialize)]
pub(super) struct Data {
    pub(super) path: String,
    pub(super) split: Option<String>,
    pub(super) documents: usize,
    pub(super) spans: usize,
}

#[derive(Serialize)]
pub(super) struct Bootstrap {
    pub(super) over: &'static str,
    pub(super) resamples: usize,
    pub(super) seed: u64,
    pub(super) f1: Intervals,
}

/// The table on standard output.
pub(super) fn print(evaluation: &Evaluation) -> Result<()> {
    let mut out = stdout().lock();
    let Evaluation { model, version, model_sha256, backend, mode, unit, documents, words, .. } = evaluation;
    let sha256 = model_sha256.get(..12).unwrap_or(model_sha256);
    let version = if version.is_empty() { String::new() } else { format!(" {version}") };
    writeln!(out, "model     {model}{version} (sha256 {sha256}…) on {backend}")?;
    for Data { path, split, documents, spans } in &evaluation.data {
        let split = split.as_deref().unwrap_or("all");
        writeln!(out, "data      {path}, split {split}: {documents} documents, {spans} entities")?;
    }
    if let Some(Window { max_length, stride }) = evaluation.window {
        let aggregation = evaluation.aggregation;
        writeln!(out, "windows   {max_length} pieces, {stride} shared; words by {aggregation}")?;
    }
    writeln!(out, "scored    {documents} documents, {words} words, {mode}, unit: the {unit}")?;
    let Bootstrap { over, resamples, seed, .. } = evaluation.bootstrap;
    writeln!(out, "interval  95 % of F1 over {resamples} bootstrap samples of {over}, seed {seed}\n")?;
    writeln!(out, "{:<16}{:>10}{:>9}{:>9}   {:<15}{:>8}", "", "precision", "recall", "F1", "95 % interval", "support")?;
    let (figures, intervals) = (&evaluation.figures, &evaluation.bootstrap.f1);
    for (label, score) in &figures.labels {
        row(&mut out, label, score, intervals.labels.get(label))?;
    }
    row(&mut out, "micro", &figures.micro, intervals.micro.as_ref())?;
    row(&mut out, "macro", &figures.macro_average, None)?;
    row(&mut out, "weighted", &figures.weighted, None)?;
    if evaluation.gold_without_words > 0 {
        let lost = evaluation.gold_without_words;
        writeln!(out, "\n{lost} gold spans share a word with another, or have none, and are in no count")?;
    }
    if evaluation.protocol == "seed" {
        writeln!(
            out,
            "\nThe protocol of the seed: every piece has the label of its word, a repeated B- included. It is"
        )?;
        writeln!(out, "above the score of words and comparable with the figures of the seed only.")?;
    }
    others(&mut out, &evaluation.protocols)
}

/// The other ways to count, a line each; over words, but for the last.
fn others(out: &mut impl Write, all: &All) -> Result<()> {
    let line = |out: &mut dyn Write, name: &str, figures: [f64; 3], interval: Option<&Interval>, counts: &str| {
        let [precision, recall, f1] = figures.map(|figure| 100.0 * figure);
        let interval = interval.map_or_else(String::new, percents);
        let text = format!("{name:<20}{precision:>6.2}{recall:>9.2}{f1:>9.2}   {interval:<15}{counts:>20}");
        writeln!(out, "{}", text.trim_end())
    };
    writeln!(
        out,
        "\n{:<20}{:>6}{:>9}{:>9}   {:<15}{:>20}",
        "micro", "prec.", "recall", "F1", "95 % interval", "c/i/p/m/s"
    )?;
    let scored = |out: &mut dyn Write, name: &str, scored: &Scored| {
        let Score { precision, recall, f1, .. } = scored.report.micro;
        line(out, name, [precision, recall, f1], scored.intervals.micro.as_ref(), "")
    };
    scored(out, "seqeval strict", &all.seqeval_strict)?;
    scored(out, "seqeval default", &all.seqeval_default)?;
    for (name, figures) in &all.nervaluate.report.overall {
        let t = figures.tally;
        let counts = format!("{}/{}/{}/{}/{}", t.correct, t.incorrect, t.partial, t.missed, t.spurious);
        let (figures, interval) = ([figures.precision, figures.recall, figures.f1], all.nervaluate.intervals.get(name));
        line(out, &format!("nervaluate {name}"), figures, interval, &counts)?;
    }
    scored(out, "i2b2 exact", &all.i2b2_exact)?;
    scored(out, "i2b2 inexact", &all.i2b2_inexact)?;
    scored(out, "seed, pieces", &all.seed)?;
    writeln!(
        out,
        "\nc/i/p/m/s: correct, incorrect, partial, missed, spurious; pieces compare with the seed's figures only"
    )?;
    Ok(())
}

fn row(out: &mut impl Write, name: &str, score: &Score, interval: Option<&Interval>) -> std::io::Result<()> {
    let percent = |part: f64| 100.0 * part;
    let interval = interval.map_or_else(String::new, percents);
    let (precision, recall, f1) = (percent(score.precision), percent(score.recall), percent(score.f1));
    writeln!(out, "{name:<16}{precision:>10.2}{recall:>9.2}{f1:>9.2}   {interval:<15}{:>8}", score.support)
}

fn percents(interval: &Interval) -> String {
    format!("{:.1} to {:.1}", 100.0 * interval.low, 100.0 * interval.high)
}

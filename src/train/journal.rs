//! What a run writes down: `log.jsonl`, and the same numbers for TensorBoard.
//!
//! The log is the one record. The event file is made from it: a run that goes on writes it anew from the lines that are
//! kept, so both hold each step once. A line states its `step`; one of a step has `loss` and, where there are several,
//! `losses` by name, one of a look at what was set apart `held_out`, and one of a score `metric` and `score`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as Cause, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::curve::{Panel, Scale, Series};
use super::{events, whole};
use crate::error::{Error, ErrorKind, Result};

const LOG: &str = "log.jsonl";

/// Both files, open for more.
pub(super) struct Journal {
    log: (PathBuf, File),
    events: (PathBuf, File),
    lines: Vec<Value>,
}

impl Journal {
    /// Begins, or goes on after a step: what was written later happens again.
    pub(super) fn open(folder: &Path, step: u64) -> Result<Self> {
        let (log, events) = (folder.join(LOG), folder.join("tensorboard"));
        let kept = if step == 0 { Vec::new() } else { lines_until(&log, step)? };
        whole::write(&log, kept.iter().flat_map(|(text, _)| [text, "\n"]).collect::<String>().as_bytes())?;
        let lines: Vec<Value> = kept.into_iter().map(|(_, line)| line).collect();
        fs::create_dir_all(&events).map_err(|e| io(&e, &events))?;
        // TensorBoard looks for the name, and for a number in it.
        let events = events.join("events.out.tfevents.0.clinlite");
        let begun = lines.iter().find_map(|line| line["time"].as_f64()).unwrap_or_else(now);
        let mut bytes = events::header(begun);
        lines.iter().for_each(|line| bytes.extend(event(line)));
        whole::write(&events, &bytes)?;
        let append = |path: PathBuf| -> Result<(PathBuf, File)> {
            let file = OpenOptions::new().append(true).open(&path).map_err(|e| io(&e, &path))?;
            Ok((path, file))
        };
        Ok(Self { log: append(log)?, events: append(events)?, lines })
    }

    /// Writes down a line, with the time.
    pub(super) fn write(&mut self, mut line: Value) -> Result<()> {
        line["time"] = now().into();
        let (path, file) = &mut self.log;
        file.write_all(format!("{line}\n").as_bytes()).map_err(|e| io(&e, path))?;
        let (path, file) = &mut self.events;
        file.write_all(&event(&line)).map_err(|e| io(&e, path))?;
        self.lines.push(line);
        Ok(())
    }

    /// The last number under a key.
    pub(super) fn last(&self, key: &str) -> Option<f64> {
        self.lines.iter().rev().find_map(|line| line[key].as_f64())
    }

    /// What there is to draw: the sum first where it is one, each loss, what was set apart, and the scores. `best` is the
    /// step whose weights are kept.
    pub(super) fn panels(&self, best: Option<u64>) -> Vec<Panel> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.lines.iter().filter_map(|line| line["losses"].as_object()).flat_map(|losses| losses.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let losses = |name: &str, value: &dyn Fn(&Value) -> Option<f64>| Series {
            name: name.replace('_', " "),
            points: points(&self.lines, value),
            ..Series::default()
        };
        let name = if names.is_empty() { "loss" } else { "sum" };
        let sum = (names.len() != 1).then(|| losses(name, &|line| line["loss"].as_f64()));
        let each = names.iter().map(|name| losses(name, &|line| line["losses"][name].as_f64()));
        let apart = losses("masked lm, held out", &|line| line["held_out"].as_f64());
        let series = sum.into_iter().chain(each).chain([Series { marked: true, best, ..apart }]);
        let losses = Panel { label: "loss (logarithmic)".into(), scale: Scale::Logarithmic, series: series.collect() };
        std::iter::once(losses).chain(self.scores(best)).collect()
    }

    fn scores(&self, best: Option<u64>) -> Option<Panel> {
        let metric = self.lines.iter().find_map(|line| line["metric"].as_str())?;
        let score = Series {
            name: format!("dev {metric}"),
            points: scores(&self.lines),
            marked: true,
            best,
            ..Series::default()
        };
        Some(Panel { label: axis(metric), scale: Scale::Linear, series: vec![score] })
    }
}

/// The scores in a run folder, of 100, and their steps.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn scores_in(folder: &Path) -> Result<Vec<(u64, f64)>> {
    let lines: Vec<Value> = lines_until(&folder.join(LOG), u64::MAX)?.into_iter().map(|(_, line)| line).collect();
    Ok(scores(&lines))
}

/// The axis of scores.
pub(super) fn axis(metric: &str) -> String {
    format!("dev {metric} (%)")
}

fn scores(lines: &[Value]) -> Vec<(u64, f64)> {
    points(lines, &|line| Some(100.0 * line["score"].as_f64()?))
}

fn points(lines: &[Value], value: &dyn Fn(&Value) -> Option<f64>) -> Vec<(u64, f64)> {
    lines.iter().filter_map(|line| Some((line["step"].as_u64()?, value(line)?))).collect()
}

/// A line of the log as an event.
fn event(line: &Value) -> Vec<u8> {
    let named = ["lr", "gradient_norm", "tokens_per_second"].map(|name| (name.to_owned(), &line[name]));
    let losses = line["losses"].as_object().into_iter().flatten();
    let losses = losses.map(|(name, value)| (format!("loss/{name}"), value));
    let metric = line["metric"].as_str().unwrap_or_default().replace(' ', "_");
    let others = [
        ("loss/sum".to_owned(), &line["loss"]),
        ("held_out/masked_lm".to_owned(), &line["held_out"]),
        (format!("dev/{metric}"), &line["score"]),
        ("dev/plain".to_owned(), &line["plain"]),
    ];
    let values = named.into_iter().chain(losses).chain(others);
    let values: Vec<(String, f64)> = values.filter_map(|(tag, value)| Some((tag, value.as_f64()?))).collect();
    let (time, step) = (line["time"].as_f64().unwrap_or_default(), line["step"].as_u64().unwrap_or_default());
    events::scalars(time, step, values.iter().map(|(tag, value)| (tag.as_str(), *value)))
}

/// The lines of a log up to a step, as they stand and read, without one that was cut off.
fn lines_until(path: &Path, step: u64) -> Result<Vec<(String, Value)>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == Cause::NotFound => String::new(), // it can be told again, the weights cannot
        Err(e) => return Err(io(&e, path)),
    };
    let lines = text.lines().filter_map(|line| Some((line.to_owned(), serde_json::from_str::<Value>(line).ok()?)));
    Ok(lines.filter(|(_, line)| line["step"].as_u64().is_some_and(|at| at <= step)).collect())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

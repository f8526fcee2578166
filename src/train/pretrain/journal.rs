//! What a run writes down: `log.jsonl`, and the same numbers for TensorBoard.
//!
//! The log is the one record. The event file is made from it: a run that goes on writes it anew from the lines that are
//! kept, so both hold each step once.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as Cause, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::progress::Logged;
use crate::error::{Error, ErrorKind, Result};
use crate::train::curve::Series;
use crate::train::{events, whole};

/// Both files, open for more.
pub(super) struct Journal {
    log: (PathBuf, File),
    events: (PathBuf, File),
    lines: Vec<Value>,
}

impl Journal {
    /// Begins, or goes on after a step: what was written later happens again.
    pub(super) fn open(folder: &Path, step: u64) -> Result<Self> {
        let (log, events) = (folder.join("log.jsonl"), folder.join("tensorboard"));
        let lines = if step == 0 { Vec::new() } else { lines_until(&log, step)? };
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        whole::write(&log, text.as_bytes())?;
        fs::create_dir_all(&events).map_err(|e| io(&e, &events))?;
        // TensorBoard looks for the name, and for a number in it.
        let events = events.join("events.out.tfevents.0.clinlite");
        let begun = lines.first().and_then(|line| line["time"].as_f64()).unwrap_or_else(now);
        let mut bytes = events::header(begun);
        lines.iter().for_each(|line| bytes.extend(event(line)));
        whole::write(&events, &bytes)?;
        let append = |path: PathBuf| -> Result<(PathBuf, File)> {
            let file = OpenOptions::new().append(true).open(&path).map_err(|e| io(&e, &path))?;
            Ok((path, file))
        };
        Ok(Self { log: append(log)?, events: append(events)?, lines })
    }

    /// Writes down a step.
    pub(super) fn logged(&mut self, at: &Logged) -> Result<()> {
        self.write(json!({
            "step": at.step, "epoch": at.epoch, "loss": at.loss(), "losses": at.losses, "lr": at.lr,
            "gradient_norm": at.gradient_norm, "tokens": at.tokens, "tokens_per_second": at.tokens_per_second,
            "time": now(),
        }))
    }

    /// Writes down a look at what was set apart.
    pub(super) fn held_out(&mut self, step: u64, loss: f64) -> Result<()> {
        self.write(json!({"step": step, "held_out": loss, "time": now()}))
    }

    /// The last look at what was set apart.
    pub(super) fn last_held_out(&self) -> Option<f64> {
        self.lines.iter().rev().find_map(|line| line["held_out"].as_f64())
    }

    /// What there is to draw: the sum first where it is one, each loss, and what was set apart.
    pub(super) fn curves(&self) -> Vec<Series> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.lines.iter().filter_map(|line| line["losses"].as_object()).flat_map(|losses| losses.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let series = |name: &str, held_out: bool, value: &dyn Fn(&Value) -> Option<f64>| Series {
            name: name.replace('_', " "),
            held_out,
            points: self.lines.iter().filter_map(|line| Some((line["step"].as_u64()?, value(line)?))).collect(),
        };
        let sum = (names.len() > 1).then(|| series("sum", false, &|line| line["loss"].as_f64()));
        let each = names.iter().map(|name| series(name, false, &|line| line["losses"][name].as_f64()));
        let apart = series("masked lm, held out", true, &|line| line["held_out"].as_f64());
        sum.into_iter().chain(each).chain([apart]).filter(|series| !series.points.is_empty()).collect()
    }

    fn write(&mut self, line: Value) -> Result<()> {
        let (path, file) = &mut self.log;
        file.write_all(format!("{line}\n").as_bytes()).map_err(|e| io(&e, path))?;
        let (path, file) = &mut self.events;
        file.write_all(&event(&line)).map_err(|e| io(&e, path))?;
        self.lines.push(line);
        Ok(())
    }
}

/// A line of the log as an event.
fn event(line: &Value) -> Vec<u8> {
    let named = ["lr", "gradient_norm", "tokens_per_second"].map(|name| (name.to_owned(), line[name].as_f64()));
    let losses = line["losses"].as_object().into_iter().flatten();
    let losses = losses.map(|(name, value)| (format!("loss/{name}"), value.as_f64()));
    let sums =
        [("loss/sum".to_owned(), line["loss"].as_f64()), ("held_out/masked_lm".to_owned(), line["held_out"].as_f64())];
    let values = named.into_iter().chain(losses).chain(sums);
    let values: Vec<(String, f64)> = values.filter_map(|(tag, value)| Some((tag, value?))).collect();
    let (time, step) = (line["time"].as_f64().unwrap_or_default(), line["step"].as_u64().unwrap_or_default());
    events::scalars(time, step, values.iter().map(|(tag, value)| (tag.as_str(), *value)))
}

/// The lines of a log up to a step, without one that was cut off.
fn lines_until(path: &Path, step: u64) -> Result<Vec<Value>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == Cause::NotFound => String::new(), // it can be told again, the weights cannot
        Err(e) => return Err(io(&e, path)),
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter(|line| line["step"].as_u64().is_some_and(|at| at <= step)).collect())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn io(e: &std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
}

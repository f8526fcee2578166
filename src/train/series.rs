//! One recipe run several times: under several seeds, or at several learning rates.
//!
//! Each run has a folder of its own and a recipe of its own, in which everything is stated that decides it, so that any of
//! them can be run again alone. A run that is finished is not run again.

mod picture;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;
use toml::{Table, Value};

use super::finetune::{Outcome, Places};
use super::recipe::Recipe;
use super::whole::write;
use crate::error::{Error, ErrorKind, Result};

/// A recipe with one number changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Which, and to what: `seed 1`, `lr 5e-5`.
    pub name: String,
    /// The recipe.
    pub recipe: String,
}

/// How a variant did on the development split.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// As [`Variant::name`].
    pub name: String,
    /// Its run folder.
    pub folder: PathBuf,
    /// What the score is: `F1`, `accuracy`, `macro F1`.
    pub metric: String,
    /// The best score, of 1.
    pub score: f64,
    /// The step that had it.
    pub step: u64,
}

/// A recipe in which base and teacher are those of a command, for each of these seeds.
///
/// # Errors
/// A recipe that is broken; a seed twice.
pub fn seeds(recipe: &str, places: &Places, seeds: &[u64]) -> Result<Vec<Variant>> {
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::new(ErrorKind::Input, format!("the seed {} stands twice", twice[0])));
    }
    let with = |seed: &u64| {
        let mut table = stated(recipe, places)?;
        let number =
            i64::try_from(*seed).map_err(|_| Error::new(ErrorKind::Input, format!("the seed {seed} is too large")))?;
        table.insert("seed".into(), Value::Integer(number));
        Ok(Variant { name: format!("seed {seed}"), recipe: text(&table)? })
    };
    seeds.iter().map(with).collect()
}

/// A recipe in which base and teacher are those of a command, for each learning rate of its grid.
///
/// # Errors
/// A recipe that is broken, has no grid, or has a stage with a learning rate of its own.
pub fn rates(recipe: &str, places: &Places) -> Result<Vec<Variant>> {
    let refuse = |message: &str| Error::new(ErrorKind::Input, message).at("recipe");
    let parsed = Recipe::parse(recipe)?;
    let Some(grid) = parsed.grid.filter(|grid| !grid.lr.is_empty()) else {
        return Err(refuse("no grid: name learning rates in grid.lr"));
    };
    if parsed.stages.iter().any(|stage| stage.lr.is_some()) {
        return Err(refuse("grid.lr replaces train.lr, but a stage has a learning rate of its own"));
    }
    let with = |lr: &f64| {
        let mut table = stated(recipe, places)?;
        table.remove("grid");
        inner(&mut table, "train").insert("lr".into(), Value::Float(*lr));
        let recipe = text(&table)?;
        Recipe::parse(&recipe)?;
        Ok(Variant { name: format!("lr {lr:e}"), recipe })
    };
    grid.lr.iter().map(with).collect()
}

/// Runs by `one` what is not finished, each variant in its own folder below `out`. Nothing when a run was stopped.
///
/// # Errors
/// As `one`; a folder with a finished run of another recipe; a run without a score.
pub fn run(
    variants: &[Variant],
    out: &Path,
    one: &mut dyn FnMut(&Variant, &Path) -> Result<Outcome>,
) -> Result<Option<Vec<Ran>>> {
    let mut ran = Vec::new();
    for variant in variants {
        let folder = out.join(variant.name.replace(' ', "-"));
        if !is_finished(variant, &folder)? && one(variant, &folder)?.stopped {
            return Ok(None);
        }
        ran.push(read(variant, folder)?);
    }
    Ok(Some(ran))
}

/// The mean of scores, and the standard deviation of a sample, which one score does not have.
pub fn mean_and_sd(scores: &[f64]) -> (f64, Option<f64>) {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let squares = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
    (mean, (scores.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

/// Writes `seeds.json` and `seeds.svg`.
///
/// # Errors
/// When they cannot be written, or the log of a run cannot be read.
pub fn write_seeds(ran: &[Ran], out: &Path) -> Result<()> {
    let (mean, sd) = mean_and_sd(&ran.iter().map(|ran| ran.score).collect::<Vec<_>>());
    write_json(out, "seeds.json", &json!({"runs": lines(ran, out), "mean": mean, "sd": sd}))?;
    write(&out.join("seeds.svg"), picture::draw(&title(out), ran, true)?.as_bytes())
}

/// Writes `grid.json`, `grid.svg`, and `best.toml` with the recipe of the highest score, the first if several have it. Returns it.
///
/// # Errors
/// When they cannot be written, or the log of a run cannot be read.
pub fn write_grid<'a>(variants: &[Variant], ran: &'a [Ran], out: &Path) -> Result<Option<&'a Ran>> {
    let best = ran.iter().rev().max_by(|a, b| a.score.total_cmp(&b.score));
    write_json(out, "grid.json", &json!({"runs": lines(ran, out), "best": best.map(|best| &best.name)}))?;
    write(&out.join("grid.svg"), picture::draw(&title(out), ran, false)?.as_bytes())?;
    let recipe = variants.iter().find(|variant| best.is_some_and(|best| best.name == variant.name));
    recipe.map_or(Ok(()), |recipe| write(&out.join("best.toml"), recipe.recipe.as_bytes()))?;
    Ok(best)
}

/// What a picture of several runs is called: their folder.
fn title(out: &Path) -> String {
    out.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

fn lines(ran: &[Ran], out: &Path) -> Vec<serde_json::Value> {
    let line = |ran: &Ran| {
        let folder = ran.folder.strip_prefix(out).unwrap_or(&ran.folder);
        json!({"run": ran.name, "folder": folder, "metric": ran.metric, "dev_score": ran.score, "best_step": ran.step})
    };
    ran.iter().map(line).collect()
}

fn write_json(out: &Path, name: &str, value: &serde_json::Value) -> Result<()> {
    write(&out.join(name), &serde_json::to_vec_pretty(value).unwrap_or_default())
}

/// The recipe as a table, with base and teacher as the command names them.
fn stated(recipe: &str, places: &Places) -> Result<Table> {
    Recipe::parse(recipe)?;
    let mut table: Table =
        toml::from_str(recipe).map_err(|e| Error::new(ErrorKind::Input, e.to_string()).at("recipe"))?;
    for (key, place) in [("model", Some(&places.base)), ("teacher", places.teacher.as_ref())] {
        // A teacher without a table of its own is refused by the run, which says so.
        if let Some(place) = place.filter(|_| table.contains_key(key)) {
            inner(&mut table, key).insert("base".into(), Value::String(place.display().to_string()));
        }
    }
    Ok(table)
}

/// The table under a key, made if there is none.
fn inner<'a>(table: &'a mut Table, key: &str) -> &'a mut Table {
    let value = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
    if !value.is_table() {
        *value = Value::Table(Table::new());
    }
    value.as_table_mut().expect("it was just made one")
}

fn text(table: &Table) -> Result<String> {
    toml::to_string(table).map_err(|e| Error::new(ErrorKind::Input, e.to_string()).at("recipe"))
}

const METRICS: &str = "metrics.json";

/// What a finished run says of itself.
#[derive(Deserialize)]
struct Metrics {
    metric: String,
    dev_score: Option<f64>,
    best_step: Option<u64>,
}

fn is_finished(variant: &Variant, folder: &Path) -> Result<bool> {
    if !folder.join(METRICS).exists() {
        return Ok(false);
    }
    let path = folder.join("recipe.toml");
    let found = fs::read_to_string(&path).map_err(|e| super::run::io(&e, &path))?;
    if found == variant.recipe {
        return Ok(true);
    }
    let message = "there is a finished run of another recipe, base or teacher here: choose another folder";
    Err(Error::new(ErrorKind::Input, message).at(folder.display()))
}

fn read(variant: &Variant, folder: PathBuf) -> Result<Ran> {
    let path = folder.join(METRICS);
    let bad = |message: String| Error::new(ErrorKind::Format, message).at(path.display());
    let bytes = fs::read(&path).map_err(|e| super::run::io(&e, &path))?;
    let found: Metrics = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let (Some(score), Some(step)) = (found.dev_score, found.best_step) else {
        return Err(bad("the run has no score: runs are compared on the [dev] sets of the recipe".into()));
    };
    Ok(Ran { name: variant.name.clone(), folder, metric: found.metric, score, step })
}

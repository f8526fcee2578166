//! Scoring a classifier of relations, pairs or texts.

use std::io::{Write, stdout};
use std::path::Path;

use anyhow::{Result, bail};
use clinlite::backend::Backend;
use clinlite::models::{Config, Head, Model};
use clinlite::tasks::read_tokenizer;
use clinlite::tasks::settings::{Settings, Task};
use clinlite::train::bootstrap::Interval;
use clinlite::train::evaluate::sequences::{Exam, Figures};
use clinlite::train::metrics::Score;
use clinlite::train::readers::DataSet;
use clinlite::weights::folder::Folder;
use serde::Serialize;

/// A model and what it is to be scored on.
pub(super) struct Questions<'a> {
    folder: &'a Folder,
    exam: Exam,
    task: Task,
    data: Vec<Data>,
}

/// What `--json` writes.
#[derive(Serialize)]
pub(super) struct Evaluation {
    model_sha256: String,
    backend: &'static str,
    task: Task,
    data: Vec<Data>,
    figures: Figures,
}

#[derive(Serialize)]
struct Data {
    path: String,
    split: Option<String>,
    texts: usize,
}

/// Reads the sets in the way in which the model learnt.
pub(super) fn exam<'a>(folder: &'a Folder, sets: impl Iterator<Item = DataSet>, root: &Path) -> Result<Questions<'a>> {
    let (settings, labels) = (Settings::of(folder)?, folder.label_names()?);
    let multi_label = folder.config_json().get("problem_type").is_some_and(|kind| kind == "multi_label_classification");
    let task = settings.task.unwrap_or(Task::Classify);
    let most = Config::of(folder)?.shape().max_position_embeddings;
    let tokenizer = read_tokenizer(folder)?;
    let mut exam = Exam::new(labels, Settings { task: Some(task), ..settings }, multi_label, most);
    let mut data = Vec::new();
    for set in sets {
        let texts = if task == Task::Relation {
            let documents = set.read_relations(root)?;
            exam.add_relations(&documents, &tokenizer);
            documents.len()
        } else {
            let texts = set.read_sequences(root)?;
            exam.add_texts(&texts, &tokenizer)?;
            texts.len()
        };
        data.push(Data { path: set.path.display().to_string(), split: set.split, texts });
    }
    Ok(Questions { folder, exam, task, data })
}

impl Questions<'_> {
    pub(super) fn evaluate<B: Backend>(self, backend: B) -> Result<Evaluation> {
        let Model::SequenceClassification(model) = Model::of(&backend, self.folder)? else {
            bail!("the model is no {}", Head::SequenceClassification.name());
        };
        let figures = pollster::block_on(self.exam.figures(&backend, &model))?;
        let model_sha256 = self.folder.sha256().to_owned();
        Ok(Evaluation { model_sha256, backend: backend.name(), task: self.task, data: self.data, figures })
    }
}

/// The table on standard output.
pub(super) fn print(evaluation: &Evaluation) -> Result<()> {
    let mut out = stdout().lock();
    let sha256 = evaluation.model_sha256.get(..12).unwrap_or(&evaluation.model_sha256);
    writeln!(out, "model     {} (sha256 {sha256}…) on {}", evaluation.task.name(), evaluation.backend)?;
    for Data { path, split, texts } in &evaluation.data {
        writeln!(out, "data      {path}, split {}: {texts} texts", split.as_deref().unwrap_or("all"))?;
    }
    let (report, intervals) = match &evaluation.figures {
        Figures::Texts(report) => (&report.figures, &report.intervals.f1),
        Figures::Relations(report) => {
            let (candidates, far) = (report.candidates, report.too_far_apart);
            writeln!(out, "asked     about {candidates} pairs, of which {far} fit no window and count as unrelated")?;
            (&report.figures, &report.intervals)
        }
    };
    writeln!(out, "interval  95 % over bootstrap samples\n")?;
    writeln!(out, "{:<28}{:>10}{:>9}{:>9}   {:<15}{:>8}", "", "precision", "recall", "F1", "95 % interval", "support")?;
    for (label, score) in &report.labels {
        row(&mut out, label, score, intervals.labels.get(label))?;
    }
    row(&mut out, "micro", &report.micro, intervals.micro.as_ref())?;
    let over_texts = match &evaluation.figures {
        Figures::Texts(report) => report.intervals.macro_f1.as_ref(),
        Figures::Relations(_) => None,
    };
    row(&mut out, "macro", &report.macro_average, over_texts)?;
    row(&mut out, "weighted", &report.weighted, None)?;
    if let Figures::Texts(report) = &evaluation.figures {
        let interval = report.intervals.accuracy.as_ref().map_or_else(String::new, shown);
        writeln!(out, "{:<28}{:>28.2}   {interval:<15}{:>8}", "accuracy", 100.0 * report.accuracy, report.texts)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, score: &Score, interval: Option<&Interval>) -> std::io::Result<()> {
    let interval = interval.map_or_else(String::new, shown);
    let [precision, recall, f1] = [score.precision, score.recall, score.f1].map(|part| 100.0 * part);
    writeln!(out, "{name:<28}{precision:>10.2}{recall:>9.2}{f1:>9.2}   {interval:<15}{:>8}", score.support)
}

fn shown(interval: &Interval) -> String {
    format!("{:.1} to {:.1}", 100.0 * interval.low, 100.0 * interval.high)
}

//! The classifier that a student is to agree with.

use super::model::head;
use super::recipe::{self, Recipe};
use crate::backend::training::{Term, Training};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Batch, Config, Head, Model};
use crate::tasks::read_tokenizer;
use crate::tasks::settings::Settings;
use crate::text::Tokenizer;
use crate::weights::folder::Folder;

/// A model that does not learn, on an engine of the student's kind.
pub struct Teacher<B: Training> {
    engine: B,
    model: Model<B>,
    soft: f32,
    temperature: f32,
}

impl<B: Training> Teacher<B> {
    /// The model of a folder, if the student of a recipe, who reads with `tokenizer`, can agree with it.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for another task, for labels of other names or in another order, and for another vocabulary, with
    /// both sides shown; [`ErrorKind::Weights`] for a head that has not learnt; files that are missing or damaged.
    pub fn open(folder: &Folder, recipe: &Recipe, tokenizer: &Tokenizer, engine: B) -> Result<Self> {
        same_task(folder, recipe)?;
        same_labels(&folder.label_names()?, &recipe.labels())?;
        same_vocabulary(&read_tokenizer(folder)?, tokenizer)?;
        head_has_learnt(folder)?;
        let (most, window) = (Config::of(folder)?.shape().max_position_embeddings, recipe.window.max_length);
        if window > most {
            return Err(input(format!("reads at most {most} rows, but window.max_length is {window}")));
        }
        let model = Model::of(&engine, folder)?;
        let recipe::Teacher { soft, temperature, .. } = recipe.teacher.clone().unwrap_or_default();
        Ok(Self { engine, model, soft, temperature })
    }

    /// Adds `soft · T² · KL(softmax(teacher / T) ‖ softmax(logits / T))`, the mean over these rows of the student's
    /// `logits` or over all, to the loss of its step.
    ///
    /// # Errors
    /// A failure of an engine.
    pub fn lose(&self, student: &B, logits: &B::Tensor, batch: &Batch, rows: Option<&[u32]>) -> Result<()> {
        let taught = self.model.forward(&self.engine, batch)?; // [R, labels]
        let weight = self.soft * self.temperature * self.temperature;
        let lose = |logits: &B::Tensor, teacher: &B::Tensor| {
            student.lose("soft", Term::Divergence { logits, teacher, temperature: self.temperature }, weight)
        };
        match rows {
            None => lose(logits, &taught),
            Some([]) => Ok(()),
            Some(rows) => lose(&student.rows(logits, rows)?, &self.engine.rows(&taught, rows)?), // [judged, labels]
        }
    }
}

fn same_task(folder: &Folder, recipe: &Recipe) -> Result<()> {
    let (found, expected) = (Head::of(folder)?, head(recipe.model.task));
    if found != expected {
        return Err(input(format!("expected a {} model, found {}", expected.name(), found.name())));
    }
    // What another trainer made states nothing.
    let (stated, asked) = (Settings::of(folder)?, recipe.settings());
    if stated.task.is_some_and(|task| Some(task) != asked.task) {
        let name = |settings: &Settings| settings.task.map_or("", |task| task.name());
        return Err(input(format!("expected a model for {}, found one for {}", name(&asked), name(&stated))));
    }
    if stated.task.is_some() && stated.relations != asked.relations {
        return Err(input("its relations are marked or asked for in another way than the recipe's".into()));
    }
    Ok(())
}

/// Logits are compared by position: labels in another order would teach every one of them wrongly.
fn same_labels(teacher: &[String], student: &[String]) -> Result<()> {
    if teacher == student {
        return Ok(());
    }
    Err(input(format!("its labels are {teacher:?}, the student's {student:?}: expected the same in the same order")))
}

/// Both read the same ids.
fn same_vocabulary(teacher: &Tokenizer, student: &Tokenizer) -> Result<()> {
    let refuse = |teacher: String, student: String| {
        Err(input(format!("its vocabulary has {teacher}, the student's {student}: expected the same")))
    };
    let pieces = |tokenizer: &Tokenizer| tokenizer.vocab_size();
    if pieces(teacher) != pieces(student) {
        return refuse(format!("{} pieces", pieces(teacher)), format!("{}", pieces(student)));
    }
    let sorted = |tokenizer: &Tokenizer| {
        let mut pieces: Vec<_> = tokenizer.pieces().map(|(piece, id)| (id, piece.to_owned())).collect();
        pieces.sort_unstable();
        pieces
    };
    let (ours, theirs) = (sorted(student), sorted(teacher));
    if let Some((theirs, ours)) = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours) {
        return refuse(format!("{:?} as piece {}", theirs.1, theirs.0), format!("{:?} as piece {}", ours.1, ours.0));
    }
    if teacher.normalization() != student.normalization() {
        return refuse(format!("{:?}", teacher.normalization()), format!("{:?}", student.normalization()));
    }
    Ok(())
}

/// Every trainer begins a head with a bias of zeros, and none leaves it there.
fn head_has_learnt(folder: &Folder) -> Result<()> {
    const BIAS: &str = "classifier.bias";
    let weights = folder.weights()?;
    let learnt = match weights.shape(BIAS) {
        Some(_) => weights.numbers(BIAS)?.iter().any(|number| *number != 0.0),
        None => false,
    };
    if learnt {
        return Ok(());
    }
    let message = format!("{BIAS} is missing or all zeros: the head has learnt nothing, fine-tune it first");
    Err(Error::new(ErrorKind::Weights, message))
}

fn input(message: String) -> Error {
    Error::new(ErrorKind::Input, message)
}

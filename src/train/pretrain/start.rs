//! What a run starts from: the student's folder and weights, and the teacher.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Places;
use super::recipe::{Recipe, Student};
use crate::backend::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Config, Head, MaskedLm};
use crate::tasks::read_tokenizer;
use crate::text::Tokenizer;
use crate::train::corpus::Vocabulary;
use crate::train::distil::draw_missing;
use crate::train::model::{open, tokenizer_files};
use crate::weights::folder::Folder;
use crate::weights::{Names, Weights};

/// A folder with what is read of it.
pub(super) struct Source {
    place: PathBuf,
    pub(super) folder: Folder,
    pub(super) model: Config,
    tied: bool,
    pub(super) tokenizer: Tokenizer,
    /// The files of its tokenizer.
    along: Vec<(String, Vec<u8>)>,
}

/// Where the student's weights come from.
enum Origin {
    /// Its own folder.
    Base,
    /// Nowhere: they are drawn.
    Drawn,
    /// These layers of the teacher.
    Layers(Vec<usize>),
}

/// What a run starts from.
pub(super) struct Start {
    pub(super) student: Source,
    pub(super) teacher: Option<Source>,
    origin: Origin,
}

impl Start {
    /// Reads what the recipe or the command line names, and whether it fits together.
    pub(super) fn new(recipe: &Recipe, places: &Places) -> Result<Self> {
        let named = places.teacher.clone().or(recipe.teacher.base.as_ref().map(PathBuf::from));
        let Student { base, config, layers } = &recipe.student;
        let base = places.base.clone().or(base.as_ref().map(PathBuf::from));
        let needed = recipe.loss.needs_teacher() || (base.is_none() && (config.is_some() || layers.is_some()));
        let teacher = match named {
            Some(place) => Some(Source::teacher(&place).map_err(|e| e.at(place.display()).at("teacher"))?),
            None if needed => return Err(input("no teacher: name a folder with --teacher or in teacher.base")),
            None => None,
        };
        let (student, origin) = match (base, config, layers, &teacher) {
            (Some(place), ..) => (Source::read(&place).map_err(|e| e.at(place.display()).at("student"))?, Origin::Base),
            (None, Some(config), _, Some(teacher)) => (teacher.with_config(config.clone())?, Origin::Drawn),
            (None, _, Some(layers), Some(teacher)) => {
                (teacher.with_config(teacher.with_layers(layers)?)?, Origin::Layers(layers.clone()))
            }
            _ => {
                return Err(input(
                    "no student: name a folder with --base, or one of student.base, .config and .layers",
                ));
            }
        };
        let start = Self { student, teacher, origin };
        start.check(recipe)?;
        Ok(start)
    }

    /// The student's weights, and the names of those that had to be drawn although there was something to take from.
    pub(super) fn weights(&self, seed: u64) -> Result<(Weights<'_>, Vec<String>)> {
        let Source { model, tied, folder, place, .. } = &self.student;
        let mut weights = match (&self.origin, &self.teacher) {
            (Origin::Layers(layers), Some(teacher)) => {
                let mut weights = teacher.folder.weights()?;
                weights.take_layers(layers);
                weights.leave_out(is_head);
                weights
            }
            (Origin::Base, _) => folder.weights()?,
            _ => Weights::from_files([], names(folder)?)?,
        };
        if !matches!(self.origin, Origin::Drawn) {
            // What is missing below the head is a mistake; a head alone can be learnt.
            let wanted = weights.survey(|backend, root| MaskedLm::load(backend, root, model, *tied).map(drop))?;
            let trouble = wanted.into_iter().filter(|w| !is_head(&w.name) || weights.shape(&w.name).is_some());
            if let Some(trouble) = trouble.into_iter().find_map(|wanted| wanted.trouble) {
                return Err(trouble.at(place.display()).at("student"));
            }
        }
        let mut drawn = draw_missing(&mut weights, model, *tied, seed)?;
        if matches!(self.origin, Origin::Drawn) {
            drawn.clear(); // as the recipe says
        }
        Ok((weights, drawn))
    }

    /// `config.json` of the result.
    pub(super) fn config(&self) -> Value {
        let mut config = self.student.folder.config_json();
        config["architectures"] = json!([Head::MaskedLm.class_of(&self.student.model)]);
        // What a base of another task states would be wrong now.
        for key in ["id2label", "label2id", "problem_type", "clinlite", "label_transitions"] {
            config.as_object_mut().and_then(|config| config.remove(key));
        }
        config
    }

    /// The hashes of what the student and the teacher were read from.
    pub(super) fn provenance(&self) -> Value {
        json!({
            "student": self.student.folder.sha256(),
            "teacher": self.teacher_provenance(),
        })
    }

    /// The hashes of what the teacher was read from.
    pub(super) fn teacher_provenance(&self) -> Value {
        json!(self.teacher.as_ref().map(|teacher| teacher.folder.sha256()))
    }

    /// The files of the student's tokenizer.
    pub(super) fn along(&self) -> &[(String, Vec<u8>)] {
        &self.student.along
    }

    fn check(&self, recipe: &Recipe) -> Result<()> {
        let (student, teacher) = (self.student.model.shape(), self.teacher.as_ref());
        let layers = teacher.map(|teacher| teacher.model.shape().num_hidden_layers);
        recipe.loss.check(student.num_hidden_layers, layers).map_err(|e| e.at("recipe"))?;
        let (pieces, rows) = (self.student.tokenizer.vocab_size(), student.vocab_size);
        if pieces > rows {
            return Err(input(format!("student: the tokenizer has {pieces} pieces, the model {rows} rows")));
        }
        let Some(teacher) = teacher else { return Ok(()) };
        if !recipe.loss.needs_teacher() && matches!(self.origin, Origin::Base) {
            return Err(input("a teacher is named, but nothing in [loss] compares with it"));
        }
        same_vocabulary(&self.student.tokenizer, &teacher.tokenizer)?;
        let taught = teacher.model.shape().vocab_size;
        if rows != taught {
            return Err(input(format!("student and teacher name other vocab_size: {rows} and {taught}")));
        }
        let heads = [student.num_attention_heads, teacher.model.shape().num_attention_heads];
        if recipe.loss.attention.is_some() && heads[0] != heads[1] {
            let message = "loss.attention: maps are compared head by head, but student and teacher have";
            return Err(input(format!("{message} {} and {} heads", heads[0], heads[1])));
        }
        Ok(())
    }
}

impl Source {
    fn read(place: &Path) -> Result<Self> {
        if !place.is_dir() {
            return Err(Error::new(ErrorKind::Io, "no such folder"));
        }
        let folder = open(place)?;
        Self::new(place, folder, tokenizer_files(place)?)
    }

    fn new(place: &Path, folder: Folder, along: Vec<(String, Vec<u8>)>) -> Result<Self> {
        let (model, tokenizer) = (Config::of(&folder)?, read_tokenizer(&folder)?);
        Ok(Self { place: place.to_owned(), tied: model.is_tied(&folder), folder, model, tokenizer, along })
    }

    /// A folder that holds a whole masked language model.
    fn teacher(place: &Path) -> Result<Self> {
        let source = Self::read(place)?;
        let weights = source.folder.weights()?;
        let load = |backend: &_, root: &crate::weights::Scope<'_>| {
            MaskedLm::load(backend, root, &source.model, source.tied).map(drop)
        };
        for wanted in weights.survey(load)? {
            match wanted.trouble {
                Some(trouble) if is_head(&wanted.name) => {
                    let message = format!("has no masked-language-model head to learn from: {trouble}");
                    return Err(Error::new(ErrorKind::Weights, message));
                }
                Some(trouble) => return Err(trouble),
                None => {}
            }
        }
        drop(weights);
        Ok(source)
    }

    /// The model of a folder on an engine, which drops these shares of hidden values and of attention probabilities; absent:
    /// those that its config states.
    pub(super) fn load<B: Backend>(
        &self,
        engine: &B,
        weights: &Weights<'_>,
        dropout: Option<[f32; 2]>,
    ) -> Result<MaskedLm<B>> {
        let model = match dropout {
            Some([hidden, attention]) => self.model.clone().with_dropout(hidden).with_attention_dropout(attention),
            None => self.model.clone(),
        };
        MaskedLm::load(engine, &weights.root(), &model, self.tied)
    }

    /// Another model with this tokenizer.
    fn with_config(&self, config: Value) -> Result<Self> {
        let settings = [("config.json".to_owned(), config.to_string().into_bytes())];
        let folder = Folder::from_files(settings.into_iter().chain(self.along.clone()))?;
        Self::new(&self.place, folder, self.along.clone()).map_err(|e| e.at("student"))
    }

    /// The config with these layers only.
    fn with_layers(&self, layers: &[usize]) -> Result<Value> {
        let key = match self.model {
            Config::Bert(_) | Config::MobileBert(_) => "num_hidden_layers",
            Config::DistilBert(_) => "n_layers",
            Config::MiniAlbert(_) => {
                return Err(input("student.layers: MiniALBERT has one layer, which cannot be chosen"));
            }
        };
        let most = self.model.shape().num_hidden_layers;
        if let Some(beyond) = layers.iter().find(|layer| **layer >= most) {
            return Err(input(format!(
                "student.layers: no layer {beyond} in a teacher of {most} layers, counted from 0"
            )));
        }
        if layers.is_empty() {
            return Err(input("student.layers: expected at least one layer"));
        }
        let mut config = self.folder.config_json();
        config[key] = json!(layers.len());
        Ok(config)
    }
}

/// What the architecture of a folder calls its weights.
fn names(folder: &Folder) -> Result<Names> {
    let architecture = folder.architecture()?;
    Names::of(&architecture).ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("{architecture:?}")))
}

/// Whether a weight belongs to the masked-language-model head.
fn is_head(name: &str) -> bool {
    ["cls.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."].iter().any(|head| name.starts_with(head))
}

/// Refuses a student and a teacher for whom an id means another piece.
fn same_vocabulary(student: &Tokenizer, teacher: &Tokenizer) -> Result<()> {
    let [own, taught] = [Vocabulary::of(student)?, Vocabulary::of(teacher)?];
    if own == taught {
        return Ok(());
    }
    let [pieces, taught_pieces] = [student, teacher]
        .map(|tokenizer| tokenizer.pieces().map(|(piece, id)| (id, piece)).collect::<BTreeMap<_, _>>());
    let first = (0..own.size.max(taught.size)).find(|id| pieces.get(id) != taught_pieces.get(id));
    let shown_piece = |piece: Option<&&str>| piece.map_or("none".to_owned(), |piece| format!("{piece:?}"));
    let differs = match first {
        Some(id) => format!("id {id} is {} and {}", shown_piece(pieces.get(&id)), shown_piece(taught_pieces.get(&id))),
        None => "they normalise texts in different ways".to_owned(),
    };
    let shown = |v: &Vocabulary| format!("{} pieces, sha256 {}", v.size, v.sha256);
    let message =
        format!("student and teacher differ in their vocabulary ({}; {}): {differs}", shown(&own), shown(&taught));
    Err(input(message))
}

fn input(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, message)
}

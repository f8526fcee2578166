//! What a model must be asked in the way that it learnt: the object `clinlite` in `config.json`, written by the trainer.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::json::{Node, choice, string};
use crate::text::markers::Markers;
use crate::weights::folder::Folder;
use crate::weights::manifest::Window;

/// What a model is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Entities of a note.
    #[default]
    Ner,
    /// Relations between entities.
    Relation,
    /// Whether a premise entails a hypothesis.
    Nli,
    /// Labels of a text.
    Classify,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ner, Self::Relation, Self::Nli, Self::Classify];

    /// As recipes, configs and the command line write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ner => "ner",
            Self::Relation => "relation",
            Self::Nli => "nli",
            Self::Classify => "classify",
        }
    }
}

/// How the windows of a long text become one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean of their logits.
    #[default]
    Mean,
    /// The highest logit of each label: one window is enough to say it.
    Max,
}

impl Pooling {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mean, Self::Max];

    /// One row of logits from those of several windows, `[windows, labels]`.
    pub fn pool(self, logits: &[f32], labels: usize) -> Vec<f32> {
        let windows = logits.chunks_exact(labels.max(1));
        let count = windows.len() as f32;
        (0..labels)
            .map(|label| {
                let values = windows.clone().map(|window| window[label]);
                match self {
                    Self::Mean => values.sum::<f32>() / count,
                    Self::Max => values.fold(f32::NEG_INFINITY, f32::max),
                }
            })
            .collect()
    }

    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
        }
    }
}

/// How relations are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Relations {
    /// How the two entities are marked.
    pub markers: Markers,
    /// Types of head and tail that are asked about; all pairs when empty.
    pub pairs: Vec<(String, String)>,
    /// The label that says that there is no relation.
    pub none: String,
}

impl Default for Relations {
    fn default() -> Self {
        Self { markers: Markers::default(), pairs: Vec::new(), none: "none".into() }
    }
}

impl Relations {
    fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self {
            markers: json.field_or("markers", Markers::default(), Markers::read)?,
            pairs: json.list("pairs", pair)?,
            none: json.field_or("none", "none".into(), string)?,
        })
    }

    /// Whether entities of these types are asked about.
    pub fn asks(&self, head: &str, tail: &str) -> bool {
        self.pairs.is_empty() || self.pairs.iter().any(|(a, b)| a == head && b == tail)
    }
}

fn pair(json: Node<'_>) -> Result<(String, String)> {
    match <[String; 2]>::try_from(json.items(string)?) {
        Ok([head, tail]) => Ok((head, tail)),
        Err(_) => json.expected("the types of head and tail"),
    }
}

/// The object `clinlite` of `config.json`; every field may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// What the model learnt to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// How it read long texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// How windows become one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Only of a relation classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relations: Option<Relations>,
}

impl Settings {
    /// Of a folder. The window of its manifest comes before that of its config.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a field of another type, or a window that cannot move on.
    pub fn of(folder: &Folder) -> Result<Self> {
        let malformed = |message: String| Error::new(ErrorKind::Format, format!("config.json: clinlite: {message}"));
        let settings = folder.config().field_or("clinlite", Self::default(), Self::read);
        let mut settings = settings.map_err(|e| e.at("config.json"))?;
        settings.window = folder.manifest().and_then(|manifest| manifest.window).or(settings.window);
        match settings.window {
            Some(Window { max_length, stride }) if max_length < 3 || stride >= max_length - 2 => {
                Err(malformed(format!("a window of {max_length} with a stride of {stride} does not move on")))
            }
            _ => Ok(settings),
        }
    }

    fn read(json: Node<'_>) -> Result<Self> {
        Ok(Self {
            task: json.optional("task", |task| choice(task, &Task::ALL, Task::name))?,
            window: json.optional("window", Window::read)?,
            pooling: json.optional("pooling", |pooling| choice(pooling, &Pooling::ALL, Pooling::name))?,
            relations: json.optional("relations", Relations::read)?,
        })
    }

    /// Pieces of a window, special tokens included, and the least overlap of two, for a model that takes at most `most`:
    /// 256 and 64 where nothing is stated.
    pub fn window(&self, most: usize) -> Window {
        let max_length = self.window.map_or(256, |window| window.max_length).min(most);
        let stride = self.window.map_or(64, |window| window.stride).min(max_length / 2);
        Window { max_length, stride }
    }
}

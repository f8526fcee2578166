//! A recipe: everything that decides what a run makes, in one TOML file.
//!
//! ```toml
//! name = "six-types"
//! seed = 1
//!
//! [model]
//! base = "all-MiniLM-L6-v2"        # a Hugging Face folder with a BERT encoder
//! types = ["PROBLEM", "TEST"]      # labels O, B-PROBLEM, I-PROBLEM, B-TEST, I-TEST
//!
//! [data.maccrobat]
//! format = "brat"
//! path = "maccrobat2020"
//! split = "train"
//! map = { Sign_symptom = "PROBLEM" }
//!
//! [dev.maccrobat]                  # what the best is chosen by
//! format = "brat"
//! path = "maccrobat2020"
//! split = "dev"
//!
//! [train]                          # defaults of every stage
//! lr = 3e-4
//! epochs = 8
//!
//! [[stage]]                        # without one there is one stage on all of [data]
//! name = "fit"
//! sets = { maccrobat = 1.0 }       # how often an epoch sees each document
//! ```
//!
//! With a teacher the labels are not all that is learnt from, and text without labels will do:
//!
//! ```toml
//! [model]
//! base = "models/clinlite-ner-en"
//! layers = [0, 2, 3, 5]            # of the base's six
//!
//! [teacher]                        # of the same labels and vocabulary
//! base = "runs/teacher/model"
//! hard = 1.0                       # of the labels
//! soft = 1.0                       # of the teacher
//! temperature = 2.0
//!
//! [unlabelled.notes]               # text that the teacher alone judges; stages name it as they name [data]
//! path = "notes.jsonl"
//!
//! [evaluate]
//! patience = 3                     # scores without a better one, then a stage ends
//!
//! [tune]                           # which weights learn: all ("full"), the "adapters" of a MiniALBERT, or
//! method = "lora"                  # low-rank matrices beside these dense layers; the head always
//! r = 8
//! alpha = 16
//! dropout = 0.05
//! target_modules = ["query", "value"]
//!
//! [grid]
//! lr = [1e-4, 3e-4]                # what `clinlite finetune --grid` tries
//! ```

mod distillation;
mod tables;
mod tune;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

pub use self::distillation::{Grid, Teacher, Unlabelled};
pub use self::tables::{Evaluate, Metric, Model, Stage, StageTable, Train, WindowTable};
pub use self::tune::{Lora, Tune};
use super::readers::DataSet;
use crate::error::{Error, ErrorKind, Result};
use crate::tasks::settings::{Relations, Settings, Task};
use crate::weights::manifest::Window;

/// See the module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the model will be called.
    pub name: String,
    /// Of everything random.
    pub seed: u64,
    /// What is trained.
    pub model: Model,
    /// The sets that train, by the name that stages use.
    #[serde(default)]
    pub data: BTreeMap<String, DataSet>,
    /// Text that only the teacher judges, by the name that stages use.
    #[serde(default)]
    pub unlabelled: BTreeMap<String, Unlabelled>,
    /// Whom the model learns from beside the labels.
    #[serde(default)]
    pub teacher: Option<Teacher>,
    /// The sets that choose the best.
    #[serde(default)]
    pub dev: BTreeMap<String, DataSet>,
    /// How windows are cut.
    #[serde(default)]
    pub window: WindowTable,
    /// How a score is taken.
    #[serde(default)]
    pub evaluate: Evaluate,
    /// Only of a relation classifier: what it is asked about, and how.
    #[serde(default)]
    pub relations: Option<Relations>,
    /// Which weights learn.
    #[serde(default)]
    pub tune: Tune,
    /// Defaults of every stage.
    #[serde(default)]
    pub train: Train,
    /// One after the other.
    #[serde(default, rename = "stage")]
    pub stages: Vec<StageTable>,
    /// What may be tried, and is by `--grid`.
    #[serde(default)]
    pub grid: Option<Grid>,
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] that names the key, and for a key that is not known the line.
    pub fn parse(text: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text)
            .map_err(|e| Error::new(ErrorKind::Input, e.to_string().trim_end().to_owned()).at("recipe"))?;
        recipe.check().map_err(|e| e.at("recipe"))?;
        Ok(recipe)
    }

    /// The labels in the order of the logits: of a tagger `O`, then `B-` and `I-` of each type.
    pub fn labels(&self) -> Vec<String> {
        if self.model.task != Task::Ner {
            return self.model.labels.clone();
        }
        let pairs = self.model.types.iter().flat_map(|kind| [format!("B-{kind}"), format!("I-{kind}")]);
        std::iter::once("O".to_owned()).chain(pairs).collect()
    }

    /// The stages with the defaults filled in.
    pub fn stages(&self) -> Vec<Stage> {
        let only = [StageTable { name: "train".into(), ..StageTable::default() }];
        let tables = if self.stages.is_empty() { &only[..] } else { &self.stages };
        tables.iter().map(|table| self.stage(table)).collect()
    }

    fn stage(&self, table: &StageTable) -> Stage {
        let d = self.train;
        let train = Train {
            lr: table.lr.unwrap_or(d.lr),
            head_lr: table.head_lr.or(d.head_lr),
            layer_decay: table.layer_decay.unwrap_or(d.layer_decay),
            epochs: table.epochs.unwrap_or(d.epochs),
            // A stage that states its epochs does not mean the steps of the others.
            steps: table.steps.or(d.steps.filter(|_| table.epochs.is_none())),
            batch_tokens: table.batch_tokens.unwrap_or(d.batch_tokens),
            batch_size: table.batch_size.unwrap_or(d.batch_size),
            warmup: table.warmup.unwrap_or(d.warmup),
            schedule: table.schedule.unwrap_or(d.schedule),
            ema: table.ema.unwrap_or(d.ema),
            ..d
        };
        let all = || self.data.keys().chain(self.unlabelled.keys()).map(|name| (name.clone(), 1.0)).collect();
        Stage {
            name: table.name.clone(),
            sets: table.sets.clone().unwrap_or_else(all),
            weights: table.weights.clone(),
            evaluations: table.evaluations.unwrap_or(self.evaluate.times),
            patience: self.evaluate.patience,
            train,
        }
    }

    /// What the model will state in its config.
    pub fn settings(&self) -> Settings {
        let task = self.model.task;
        let Evaluate { max_length, stride, pooling, .. } = self.evaluate;
        Settings {
            task: Some(task),
            window: Some(Window { max_length, stride }),
            pooling: matches!(task, Task::Nli | Task::Classify).then_some(pooling),
            relations: (task == Task::Relation).then(|| self.relations.clone().unwrap_or_default()),
        }
    }

    /// What the best is chosen by.
    pub fn metric(&self) -> Metric {
        self.evaluate.metric.unwrap_or(match self.model.task {
            Task::Ner | Task::Relation => Metric::MicroF1,
            Task::Nli => Metric::Accuracy,
            Task::Classify => Metric::MacroF1,
        })
    }

    /// What a sequence classifier answers with.
    fn check_labels(&self) -> Result<()> {
        let Model { task, types, labels, multi_label, .. } = &self.model;
        require(types.is_empty(), "model.types", "none: only a tagger has entity types, the others have labels")?;
        let distinct: BTreeSet<_> = labels.iter().collect();
        require(distinct.len() == labels.len(), "model.labels", "to differ from each other")?;
        require((1..=63).contains(&labels.len()), "model.labels", "between 1 and 63 labels")?;
        require(*task == Task::Classify || !multi_label, "model.multi_label", "false unless the task is classify")?;
        require(self.relations.is_none() || *task == Task::Relation, "relations", "none unless the task is relation")?;
        if *task == Task::Relation {
            let none = self.relations.clone().unwrap_or_default().none;
            require(
                labels.contains(&none),
                "model.labels",
                &format!("{none:?}, which says that there is no relation"),
            )?;
        }
        Ok(())
    }

    fn check_types(&self) -> Result<()> {
        let mut types = self.model.types.clone();
        types.sort_unstable();
        types.dedup();
        require(types.len() == self.model.types.len(), "model.types", "to differ from each other")?;
        require((1..=31).contains(&types.len()), "model.types", "between 1 and 31 types")?;
        require(self.model.labels.is_empty(), "model.labels", "none: the labels of a tagger follow from its types")?;
        for (name, set) in self.data.iter().chain(&self.dev) {
            let named = set.map.values().flat_map(|target| target.labels()).chain(set.annotates.iter().flatten());
            let known = |label: &&String| *label != "O" && !self.model.types.contains(label);
            if let Some(label) = named.into_iter().find(known) {
                let message = format!("data.{name}: {label:?} is not one of model.types");
                return Err(Error::new(ErrorKind::Input, message));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.model.task == Task::Ner { self.check_types() } else { self.check_labels() }?;
        require(!self.data.is_empty() || !self.unlabelled.is_empty(), "data", "at least one set")?;
        self.check_distillation()?;
        self.tune.check()?;
        let layers = self.model.layers.as_ref();
        require(layers.is_none_or(|layers| !layers.is_empty()), "model.layers", "at least one layer")?;
        require(self.evaluate.patience != Some(0), "evaluate.patience", "above 0")?;
        require((3..=4096).contains(&self.window.max_length), "window.max_length", "between 3 and 4096")?;
        require((3..=4096).contains(&self.evaluate.max_length), "evaluate.max_length", "between 3 and 4096")?;
        require(self.evaluate.stride < self.evaluate.max_length - 2, "evaluate.stride", "below max_length - 2")?;
        self.stages().iter().try_for_each(|stage| self.check_stage(stage))
    }

    fn check_distillation(&self) -> Result<()> {
        let alone = self.data.keys().find(|name| self.unlabelled.contains_key(*name));
        require(alone.is_none(), "unlabelled", "other names than those of [data]")?;
        let Some(Teacher { hard, soft, temperature, .. }) = self.teacher else {
            return require(self.unlabelled.is_empty(), "unlabelled", "a [teacher], who alone can judge these texts");
        };
        require(hard >= 0.0 && hard.is_finite(), "teacher.hard", "0 or more")?;
        require(soft > 0.0 && soft.is_finite(), "teacher.soft", "above 0")?;
        require(temperature > 0.0 && temperature.is_finite(), "teacher.temperature", "above 0")?;
        require(
            !self.model.multi_label,
            "teacher",
            "none with model.multi_label: its labels do not share one softmax",
        )?;
        let texts = matches!(self.model.task, Task::Ner | Task::Classify);
        require(texts || self.unlabelled.is_empty(), "unlabelled", "none: a plain text is no pair and no relation")
    }

    fn check_stage(&self, stage: &Stage) -> Result<()> {
        let Train { lr, epochs, steps, warmup, clip, dropout, ema, layer_decay, batch_tokens, .. } = stage.train;
        let place = |key: &str| format!("stage {:?}: {key}", stage.name);
        require(lr > 0.0 && lr < 1.0, &place("lr"), "between 0 and 1")?;
        require(epochs > 0.0 && epochs <= 1e4, &place("epochs"), "above 0")?;
        require(steps != Some(0), &place("steps"), "above 0")?;
        require((0.0..1.0).contains(&warmup), &place("warmup"), "a share below 1")?;
        require(clip > 0.0, &place("clip"), "above 0")?;
        require((0.0..1.0).contains(&dropout), &place("dropout"), "a share below 1")?;
        let attention = stage.train.attention_dropout;
        require((0.0..1.0).contains(&attention), &place("attention_dropout"), "a share below 1")?;
        require((0.0..1.0).contains(&ema), &place("ema"), "below 1")?;
        require(layer_decay > 0.0 && layer_decay <= 1.0, &place("layer_decay"), "above 0, at most 1")?;
        require(stage.train.batch_size > 0, &place("batch_size"), "above 0")?;
        require(batch_tokens >= self.window.max_length, &place("batch_tokens"), "at least window.max_length")?;
        for name in stage.sets.keys().filter(|name| !self.unlabelled.contains_key(*name)).chain(stage.weights.keys()) {
            require(self.data.contains_key(name), &place(&format!("{name:?}")), "one of the sets of [data]")?;
        }
        require(stage.sets.values().any(|share| *share > 0.0), &place("sets"), "a set with a share above 0")?;
        require(stage.sets.values().all(|share| *share >= 0.0), &place("sets"), "no share below 0")
    }
}

/// Refuses a recipe in which this does not hold.
pub(super) fn require(holds: bool, key: &str, expected: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Input, format!("{key}: expected {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "test"
        seed = 1
        [model]
        types = ["A", "B"]
        [data.one]
        format = "brat"
        path = "one"
        map = { X = "A", Y = ["A", "O"] }
        annotates = ["A"]
        [data.two]
        format = "conll"
        path = "two"
        [train]
        lr = 1e-3
        [[stage]]
        name = "first"
        sets = { two = 0.5 }
        epochs = 1
        [[stage]]
        name = "second"
        lr = 1e-4
    "#;

    #[test]
    fn stages_fill_in_the_defaults() {
        let recipe = Recipe::parse(GOOD).unwrap();
        assert_eq!(recipe.labels(), ["O", "B-A", "I-A", "B-B", "I-B"]);
        let stages = recipe.stages();
        assert_eq!((stages[0].train.lr, stages[0].train.epochs, stages[0].sets.len()), (1e-3, 1.0, 1));
        assert_eq!((stages[1].train.lr, stages[1].train.epochs, stages[1].sets.len()), (1e-4, 8.0, 2));
    }

    #[test]
    fn a_broken_recipe_names_the_key() {
        let cases = [
            ("seed = 1", "seed = \"x\"", "seed"),
            ("lr = 1e-3", "lear = 1e-3", "lear"),
            ("lr = 1e-3", "lr = 0", "stage \"first\": lr: expected between 0 and 1"),
            ("sets = { two", "sets = { three", "\"three\": expected one of the sets of [data]"),
            ("\"A\", \"O\"]", "\"C\"]", "data.one: \"C\" is not one of model.types"),
            ("types = [\"A\", \"B\"]", "types = [\"A\", \"A\"]", "model.types: expected to differ"),
            ("types = [\"A\", \"B\"]", "", "types"),
            ("[train]", "[train]\nwarmup = 1.0", "warmup: expected a share below 1"),
            ("[train]", "[tune]\nmethod = \"lora\"\nr = 0\n[train]", "tune.r: expected a rank between 1 and 1024"),
            (
                "[train]",
                "[tune]\nmethod = \"lora\"\nalpha = inf\n[train]",
                "tune.alpha: expected a finite number above 0",
            ),
            (
                "[train]",
                "[tune]\nmethod = \"lora\"\nalpha = nan\n[train]",
                "tune.alpha: expected a finite number above 0",
            ),
            ("[train]", "[tune]\nmethod = \"lora\"\ndropout = 1\n[train]", "tune.dropout: expected a share below 1"),
            (
                "[train]",
                "[tune]\nmethod = \"lora\"\ntarget_modules = []\n[train]",
                "tune.target_modules: expected at least",
            ),
            ("[train]", "[tune]\nmethod = \"lora\"\nrank = 4\n[train]", "rank"),
            ("[train]", "[tune]\nmethod = \"adapters\"\nr = 4\n[train]", "`r`"),
            ("[train]", "[tune]\nmethod = \"prefix\"\n[train]", "expected one of `full`, `adapters`, `lora`"),
            ("[train]", "[tune]\nr = 4\n[train]", "method"),
        ];
        for (from, to, expected) in cases {
            let error = Recipe::parse(&GOOD.replace(from, to)).expect_err(to).to_string();
            assert!(error.starts_with("recipe: ") && error.contains(expected), "{to}: {error}");
        }
    }
}

//! What a run learns from and is scored on: marked words, or labelled sequences.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::evaluate::{Score, entities, sequences as exams};
use super::examples::{self, Cut, Example, Step, Tags};
use super::loss::{TokenLoss, label_loss, token_loss};
use super::readers::{DataSet, Document, Sequence};
use super::recipe::{Recipe, Stage, Unlabelled};
use super::sequences::{self, SequenceExample, candidates, index};
use crate::backend::candle::kernels::random::Stream;
use crate::backend::training::Training;
use crate::error::{Error, ErrorKind, Result};
use crate::models::Model;
use crate::tasks::settings::Task;
use crate::text::Tokenizer;
use crate::text::labels::Labels;
use crate::weights::manifest::Window;

/// Examples by the name of their set, and an exam.
pub(super) enum Material {
    /// Of a tagger.
    Words { sets: BTreeMap<String, Vec<Example>>, exam: entities::Exam, transitions: Vec<f32> },
    /// Of the other tasks.
    Sequences { sets: BTreeMap<String, Vec<SequenceExample>>, exam: exams::Exam },
}

impl Material {
    /// Reads the sets of a recipe for a model that takes sequences of at most `most` rows. Every text goes into `hash`.
    pub(super) fn read(
        recipe: &Recipe,
        root: &Path,
        tokenizer: &Tokenizer,
        most: usize,
        hash: &mut Sha256,
    ) -> Result<Self> {
        match recipe.model.task {
            Task::Ner => words(recipe, root, tokenizer, hash),
            Task::Relation | Task::Nli | Task::Classify => labelled(recipe, root, tokenizer, most, hash),
        }
    }

    /// The steps of an epoch for a model of this width: a function of the seed, the stage and the epoch.
    pub(super) fn epoch(
        &self,
        recipe: &Recipe,
        (special, hidden_size): ((u32, u32), usize),
        index: usize,
        stage: &Stage,
        epoch: u64,
    ) -> Vec<Step> {
        let stream = |site: u64| Stream::new(recipe.seed, epoch, site << 32 | index as u64);
        match self {
            Self::Words { sets, .. } => {
                let (max_length, batch_tokens) = (recipe.window.max_length, stage.train.batch_tokens);
                let cut = Cut { max_length, batch_tokens, hidden_size, cls_id: special.0, sep_id: special.1 };
                let windows = examples::windows(&chosen(sets, stage), &cut, stream(1));
                examples::steps(&windows, &cut, stream(2))
            }
            Self::Sequences { sets, .. } => {
                sequences::steps(&chosen(sets, stage), stage.train.batch_size, hidden_size, stream(1))
            }
        }
    }

    /// The loss on the labels of a step and its gradient, both times `hard`.
    pub(super) fn loss(&self, recipe: &Recipe, logits: &[f32], n: usize, step: &Step, hard: f32) -> TokenLoss {
        let (targets, hard) = (&step.targets, f64::from(hard));
        if recipe.model.multi_label {
            let norm = targets.weight.iter().map(|weight| f64::from(*weight)).sum::<f64>().max(f64::MIN_POSITIVE);
            return label_loss(logits, n, &targets.allowed, &targets.weight, norm / hard);
        }
        let norm = match self {
            Self::Words { .. } => targets.norm(n).max(1.0),
            Self::Sequences { .. } => targets.norm(n).max(f64::MIN_POSITIVE),
        };
        token_loss(logits, n, &targets.allowed, &targets.weight, norm / hard)
    }

    /// The rows of logits that a teacher judges: every piece but the special ones; nothing where all are.
    pub(super) fn taught(&self, special: (u32, u32), step: &Step) -> Option<Vec<u32>> {
        let rows = || {
            let pieces = (0u32..).zip(&step.batch.input_ids);
            pieces.filter(|(_, id)| **id != special.0 && **id != special.1).map(|(row, _)| row).collect()
        };
        matches!(self, Self::Words { .. }).then(rows)
    }

    /// How well labels follow each other; nothing where they do not.
    pub(super) fn transitions(&self) -> Option<&[f32]> {
        match self {
            Self::Words { transitions, .. } => Some(transitions),
            Self::Sequences { .. } => None,
        }
    }

    /// Whether there is nothing to be scored on.
    pub(super) fn no_exam(&self) -> bool {
        match self {
            Self::Words { exam, .. } => exam.is_empty(),
            Self::Sequences { exam, .. } => exam.is_empty(),
        }
    }

    /// Scores the model. Leaves the backend in evaluation.
    pub(super) fn score<B: Training>(&self, recipe: &Recipe, backend: &B, model: &Model<B>) -> Result<Score> {
        backend.evaluate();
        match (self, model) {
            (Self::Words { exam, .. }, Model::TokenClassification(model)) => {
                let scores = exam.score(backend, model)?;
                let (value, plain) = (scores.decoded.micro.f1, Some(scores.plain.micro.f1));
                Ok(Score { metric: "F1", value, plain, details: json!(scores.decoded) })
            }
            (Self::Sequences { exam, .. }, Model::SequenceClassification(model)) => {
                let (metric, figures) = (recipe.metric(), pollster::block_on(exam.figures(backend, model))?);
                Ok(Score { metric: metric.name(), value: figures.value(metric), plain: None, details: json!(figures) })
            }
            _ => Err(Error::new(ErrorKind::Backend, "the model has another head than its material")),
        }
    }
}

/// The examples of a stage with their shares and weights.
fn chosen<'a, E>(sets: &'a BTreeMap<String, Vec<E>>, stage: &Stage) -> Vec<(&'a E, f64, f32)> {
    let mut chosen = Vec::new();
    for (name, share) in &stage.sets {
        let weight = stage.weights.get(name).copied().unwrap_or(1.0);
        chosen.extend(sets[name].iter().map(|example| (example, *share, weight)));
    }
    chosen
}

fn words(recipe: &Recipe, root: &Path, tokenizer: &Tokenizer, hash: &mut Sha256) -> Result<Material> {
    let labels = recipe.labels();
    let tags = Tags::new(&labels)?;
    let mut sets = BTreeMap::new();
    for (name, set) in &recipe.data {
        let documents = set.read(root).map_err(|e| e.at(format!("data.{name}")))?;
        documents.iter().for_each(|document| hash.update(document.text.as_bytes()));
        let example = |d| Example::new(d, set, tokenizer, &tags, recipe.window.pieces).map_err(|e| e.at(name));
        sets.insert(name.clone(), documents.iter().map(example).collect::<Result<Vec<_>>>()?);
    }
    for (name, set) in &recipe.unlabelled {
        let texts = unlabelled(name, set, root, hash)?;
        sets.insert(name.clone(), texts.iter().map(|text| Example::unlabelled(&text.text, tokenizer)).collect());
    }
    let whole = recipe.data.iter().filter(|(_, set)| set.annotates.is_none());
    let known = whole.flat_map(|(name, _)| &sets[name]);
    let transitions = examples::transitions(known, labels.len(), recipe.evaluate.transitions);
    let decoding = Labels::new(labels)?.with_transitions(transitions.clone())?;
    let mut exam = entities::Exam::new(tokenizer, decoding, recipe.evaluate.max_length, recipe.evaluate.stride);
    for (name, set) in &recipe.dev {
        exam.add(set.read(root).map_err(|e| e.at(format!("dev.{name}")))?, set, tokenizer);
    }
    Ok(Material::Words { sets, exam, transitions })
}

/// The texts of a set that only a teacher judges.
fn unlabelled(name: &str, set: &Unlabelled, root: &Path, hash: &mut Sha256) -> Result<Vec<Document>> {
    let texts = set.read(root).map_err(|e| e.at(format!("unlabelled.{name}")))?;
    texts.iter().for_each(|document| hash.update(document.text.as_bytes()));
    Ok(texts)
}

fn labelled(recipe: &Recipe, root: &Path, tokenizer: &Tokenizer, most: usize, hash: &mut Sha256) -> Result<Material> {
    let reader = Reader { recipe, root, tokenizer };
    let mut sets = BTreeMap::new();
    for (name, set) in &recipe.data {
        let read =
            if recipe.model.task == Task::Relation { reader.relations(set, hash) } else { reader.texts(set, hash) };
        sets.insert(name.clone(), read.map_err(|e| e.at(format!("data.{name}")))?);
    }
    for (name, set) in &recipe.unlabelled {
        let texts = unlabelled(name, set, root, hash)?;
        let example = |text: &Document| reader.example(&Sequence::unlabelled(text)).map_err(|e| e.at(name));
        sets.insert(name.clone(), texts.iter().map(example).collect::<Result<_>>()?);
    }
    let mut exam = exams::Exam::new(recipe.labels(), recipe.settings(), recipe.model.multi_label, most);
    for (name, set) in &recipe.dev {
        let added = if recipe.model.task == Task::Relation {
            set.read_relations(root).map(|documents| exam.add_relations(&documents, tokenizer))
        } else {
            set.read_sequences(root).and_then(|texts| exam.add_texts(&texts, tokenizer))
        };
        added.map_err(|e| e.at(format!("dev.{name}")))?;
    }
    Ok(Material::Sequences { sets, exam })
}

/// Reads what sequence classifiers learn from.
struct Reader<'a> {
    recipe: &'a Recipe,
    root: &'a Path,
    tokenizer: &'a Tokenizer,
}

impl Reader<'_> {
    fn texts(&self, set: &DataSet, hash: &mut Sha256) -> Result<Vec<SequenceExample>> {
        let texts = set.read_sequences(self.root)?;
        for text in &texts {
            hash.update(text.text.as_bytes());
            hash.update(text.pair.as_deref().unwrap_or_default().as_bytes());
        }
        texts.iter().map(|text| self.example(text)).collect()
    }

    fn example(&self, text: &Sequence) -> Result<SequenceExample> {
        let max_length = self.recipe.window.max_length;
        let window = Window { max_length, stride: self.recipe.evaluate.stride.min(max_length / 2) };
        SequenceExample::new(text, &self.recipe.labels(), self.tokenizer, window)
    }

    /// A candidate whose entities are too far apart for a window teaches nothing.
    fn relations(&self, set: &DataSet, hash: &mut Sha256) -> Result<Vec<SequenceExample>> {
        let (labels, relations) = (self.recipe.labels(), self.recipe.relations.clone().unwrap_or_default());
        let mut examples = Vec::new();
        for document in set.read_relations(self.root)? {
            hash.update(document.text.as_bytes());
            for candidate in candidates(&document, &relations, self.tokenizer, self.recipe.window.max_length) {
                let label = index(&labels, &candidate.label).map_err(|e| e.at(format!("text {:?}", document.id)))?;
                let frames: Vec<_> = candidate.frame.into_iter().collect();
                if !frames.is_empty() {
                    examples.push(SequenceExample { frames, labels: 1 << label });
                }
            }
        }
        if examples.is_empty() {
            return Err(Error::new(ErrorKind::Data, "no two entities to ask about: see relations.pairs"));
        }
        Ok(examples)
    }
}

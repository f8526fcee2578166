//! Relation extraction: a text and its entities in, labelled pairs of them out.
//!
//! Every ordered pair of entities whose types the model was taught ([`Relations::asks`]) is one question: head and tail
//! are marked in the text, and the model reads the pair with as much around it as fits. A pair that does not fit, or
//! that cannot be marked, is counted in the result and never dropped in silence.

pub mod given;
mod pairs;

use std::fmt;

use self::pairs::{Note, Pair};
use super::Computed;
use super::ner::Tagging;
use super::nli::one_label;
use super::sequences::{self, Judged, ModelInfo, SequenceClassifier, input};
use super::settings::{Relations, Task};
use crate::backend::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::text::markers::Markers;
use crate::weights::folder::Folder;

/// Rows of a forward pass: pairs are short, and several at once keep an engine busy.
const ROWS: usize = 512;

/// Finds relations with one model on one engine.
pub struct Extractor<B: Backend> {
    sequences: SequenceClassifier<B>,
    relations: Relations,
}

/// An entity that relations may join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Bytes of the text.
    pub start: usize,
    /// Bytes of the text, exclusive.
    pub end: usize,
    /// The type, as the model was taught it.
    pub label: String,
}

/// Which pairs are asked about, and which answers are told.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelationOptions {
    /// Whether pairs without a relation stand in the result too.
    pub none: bool,
    /// The most word pieces between two entities.
    pub max_pieces: Option<usize>,
    /// The most line breaks between two entities; 0 is the same line. Sentences are not told apart.
    pub max_lines: Option<usize>,
}

/// The pairs of a text on their way through the model.
pub struct Job {
    sequences: sequences::Job,
    entities: Vec<Entity>,
    pairs: Vec<(usize, usize)>,
    coverage: Coverage,
    options: RelationOptions,
}

/// What was found in a text.
#[derive(Debug)]
pub struct Extraction {
    /// As they were given.
    pub entities: Vec<Entity>,
    /// In the order of their heads, then of their tails.
    pub relations: Vec<Relation>,
    /// Which pairs were judged.
    pub coverage: Coverage,
    /// How the two entities of a pair were marked.
    pub markers: Markers,
    /// What computed.
    pub engine: Computed,
    /// The model that was asked.
    pub model: ModelInfo,
}

/// A labelled pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relation {
    /// The number of an entity.
    pub head: usize,
    /// The number of an entity.
    pub tail: usize,
    /// The number of a label of the model.
    pub label: usize,
    /// Between 0 and 1.
    pub score: f32,
}

/// Which pairs were judged, of those whose types the model is asked about. The last three are not among `pairs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Pieces of the text without markers, special tokens not counted.
    pub tokens: usize,
    /// Pairs that were judged, one sequence each.
    pub pairs: usize,
    /// The longest sequence, special tokens included.
    pub max_length: usize,
    /// Pairs that do not fit one sequence.
    pub pairs_too_far: usize,
    /// Pairs that cannot be marked because they overlap.
    pub pairs_overlapping: usize,
    /// Pairs that the caller left out: [`RelationOptions::max_pieces`] and [`RelationOptions::max_lines`].
    pub pairs_beyond: usize,
}

impl Job {
    /// Forward passes done and in all.
    pub fn progress(&self) -> (usize, usize) {
        self.sequences.progress()
    }

    /// Whether every pair was judged.
    pub fn is_done(&self) -> bool {
        self.sequences.is_done()
    }

    /// Takes the next pass over.
    ///
    /// # Errors
    /// As [`sequences::Job::accept`].
    pub fn accept(&mut self, judged: Judged) -> Result<()> {
        self.sequences.accept(judged)
    }

    /// What the model reads: one sequence a pair.
    pub fn sequences(&self) -> &sequences::Job {
        &self.sequences
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} entities, {} pairs, {:?})", self.entities.len(), self.pairs.len(), self.sequences)
    }
}

impl Tagging {
    /// The entities as a relation may join them.
    pub fn arguments(&self) -> Vec<Entity> {
        let types = self.model.labels.types();
        let entity = |span: &crate::text::Span| Entity {
            start: span.start,
            end: span.end,
            label: types.get(span.label).cloned().unwrap_or_default(),
        };
        self.entities.iter().map(entity).collect()
    }
}

impl<B: Backend> Extractor<B> {
    /// Loads a relation model. `markers` tell how its pairs are marked where its folder does not.
    ///
    /// # Errors
    /// As [`SequenceClassifier::load`]; [`ErrorKind::Unsupported`] for a multi-label model, or when neither the folder
    /// nor the caller says how pairs are marked.
    pub fn load(backend: B, folder: &Folder, markers: Option<Markers>) -> Result<Self> {
        let sequences = SequenceClassifier::load(backend, folder, Task::Relation)?;
        one_label(&sequences)?;
        let settings = sequences.settings();
        let stated = settings.relations.clone();
        let relations = match (stated, markers) {
            (Some(relations), None) => relations,
            (Some(relations), Some(markers)) => Relations { markers, ..relations },
            (None, Some(markers)) => Relations { markers, ..Relations::default() },
            (None, None) if settings.task.is_some() => Relations::default(),
            (None, None) => {
                let message = "clinlite.relations is missing: name the markers that the model was taught with";
                return Err(Error::new(ErrorKind::Unsupported, message).at("config.json"));
            }
        };
        Ok(Self { sequences, relations })
    }

    /// What judges.
    pub fn sequences(&self) -> &SequenceClassifier<B> {
        &self.sequences
    }

    /// The same with sequences of at most so many rows.
    #[must_use]
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.sequences = self.sequences.with_window(max_length, 0);
        self
    }

    /// How pairs are asked about.
    pub fn asked(&self) -> &Relations {
        &self.relations
    }

    /// Marks every pair that the model is asked about; nothing is computed yet.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an entity that is empty or does not lie in the text between characters, by its number.
    pub fn start(&self, text: &str, entities: Vec<Entity>, options: RelationOptions) -> Result<Job> {
        for (i, entity) in entities.iter().enumerate() {
            if text.get(entity.start..entity.end).is_none_or(str::is_empty) {
                let message = format!("expected a part of the {} bytes of the text between characters", text.len());
                return Err(input(format!("{message}, found {}..{}", entity.start, entity.end))
                    .at(format_args!("entity {}", i + 1)));
            }
        }
        let max_length = self.sequences.window().max_length;
        let note = Note::new(self.sequences.tokenizer(), text, &entities, max_length);
        let mut coverage = Coverage { tokens: note.tokens(), max_length, ..Coverage::default() };
        let (mut pairs, mut frames) = (Vec::new(), Vec::new());
        for (head, tail) in self.asked_pairs(&entities) {
            match note.frame(head, tail, self.relations.markers, &options) {
                Pair::Fits(frame) => {
                    pairs.push((head, tail));
                    frames.push(frame);
                }
                Pair::TooFar => coverage.pairs_too_far += 1,
                Pair::Overlaps => coverage.pairs_overlapping += 1,
                Pair::Beyond => coverage.pairs_beyond += 1,
            }
        }
        coverage.pairs = pairs.len();
        let sequences = sequences::Job::new(frames, ROWS, coverage.tokens);
        Ok(Job { sequences, entities, pairs, coverage, options })
    }

    /// Ordered pairs of entities of types that are asked about.
    fn asked_pairs<'a>(&'a self, entities: &'a [Entity]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let all = (0..entities.len()).flat_map(|head| (0..entities.len()).map(move |tail| (head, tail)));
        all.filter(|&(head, tail)| head != tail && self.relations.asks(&entities[head].label, &entities[tail].label))
    }

    /// Judges the pairs of the next pass. Does nothing when the job is done.
    ///
    /// # Errors
    /// A failure of the engine.
    pub async fn step(&self, job: &mut Job) -> Result<()> {
        self.sequences.step(&mut job.sequences).await
    }

    /// Reads the relations off a finished job.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when pairs are still to be judged, [`ErrorKind::Backend`] when a logit is not a number.
    pub fn finish(&self, job: Job) -> Result<Extraction> {
        let info = self.sequences.model();
        let rows = job.sequences.finished()?.chunks_exact(info.labels.len());
        let told = |label: usize| job.options.none || info.labels[label] != self.relations.none;
        let relation = |(&(head, tail), row): (&(usize, usize), &[f32])| {
            let scores = info.scores(row);
            let best = |most: usize, label: usize| if scores[label] > scores[most] { label } else { most };
            let label = (0..scores.len()).fold(0, best);
            told(label).then(|| Relation { head, tail, label, score: scores[label] })
        };
        Ok(Extraction {
            relations: job.pairs.iter().zip(rows).filter_map(relation).collect(),
            entities: job.entities,
            coverage: job.coverage,
            markers: self.relations.markers,
            engine: self.sequences.engine(),
            model: info.clone(),
        })
    }

    /// Finds the relations of a whole text.
    ///
    /// # Errors
    /// As [`Extractor::start`] and [`Extractor::finish`]; a failure of the engine.
    pub async fn extract(&self, text: &str, entities: Vec<Entity>, options: RelationOptions) -> Result<Extraction> {
        let mut job = self.start(text, entities, options)?;
        while !job.is_done() {
            self.step(&mut job).await?;
        }
        self.finish(job)
    }
}

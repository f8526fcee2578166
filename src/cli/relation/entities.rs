//! The entities that relations join: given with a note, read from what `clinlite tag` wrote, or found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};
use clinlite::tasks::ner::{TagOptions, Tagger};
use clinlite::tasks::relation::Entity;
use clinlite::tasks::relation::given::{Given, in_bytes};
use clinlite::text::OffsetUnit;
use indicatif::ProgressBar;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::tag::{Tag, Written};
use crate::work::{Asked, Shared, Work};
use crate::{files, inputs, pool};

/// A note, and its entities where they are known.
#[derive(Deserialize)]
pub(super) struct Noted {
    pub(super) text: String,
    pub(super) entities: Option<Vec<Given>>,
}

/// Where the entities of a note come from.
pub(super) enum Source<B: Shared> {
    /// By the hash of the note, in the unit that their document states.
    Tagged { file: String, notes: BTreeMap<String, (OffsetUnit, Vec<Given>)> },
    /// A tagger, loaded when a note needs it.
    Tagger { engine: fn() -> Result<B>, place: Option<PathBuf>, asked: Asked, loaded: OnceLock<Box<Tag<B>>> },
}

/// What is read of a tagging document.
#[derive(Deserialize)]
struct Tagging {
    schema: String,
    text_sha256: String,
    offset_unit: String,
    entities: Vec<Given>,
}

impl<B: Shared> Source<B> {
    /// The documents that `clinlite tag` wrote, one after the other.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let text = inputs::read_text(path).with_context(|| file.clone())?;
        let mut notes = BTreeMap::new();
        for (i, document) in serde_json::Deserializer::from_str(&text).into_iter::<Tagging>().enumerate() {
            let refuse = || anyhow!("{file}: document {}: expected one of clinlite tag, clinlite/tagging/1", i + 1);
            let Tagging { schema, text_sha256, offset_unit, entities } = document.map_err(|_| refuse())?;
            let units = [OffsetUnit::CodePoint, OffsetUnit::Utf16, OffsetUnit::Utf8];
            let unit = units.into_iter().find(|unit| unit.name() == offset_unit).ok_or_else(refuse)?;
            if schema != clinlite::export::json::SCHEMA {
                return Err(refuse());
            }
            notes.insert(text_sha256, (unit, entities));
        }
        if notes.is_empty() {
            bail!("{file}: no document of clinlite tag");
        }
        Ok(Self::Tagged { file, notes })
    }

    pub(super) fn tagger(engine: fn() -> Result<B>, place: Option<PathBuf>, asked: Asked) -> Self {
        Self::Tagger { engine, place, asked, loaded: OnceLock::new() }
    }

    pub(super) fn entities(&self, note: &str) -> Result<Vec<Entity>> {
        match self {
            Self::Tagged { file, notes } => {
                let sha256: String = Sha256::digest(note).iter().map(|byte| format!("{byte:02x}")).collect();
                let Some((unit, given)) = notes.get(&sha256) else {
                    bail!("{file} holds no document about this text (text_sha256 {sha256})");
                };
                Ok(in_bytes(note, given, *unit).with_context(|| file.clone())?)
            }
            Self::Tagger { engine, place, asked, loaded } => {
                let tagger = match loaded.get() {
                    Some(tagger) => tagger,
                    None => loaded.get_or_init(load(*engine, place.clone(), *asked)?),
                };
                let job = tagger.start(&note.to_owned())?;
                let judged = pool::judge(&**tagger, &[&job], asked.threads, &ProgressBar::hidden()).remove(0)?;
                Ok(tagger.finish(job, judged)?.arguments())
            }
        }
    }
}

/// The tagger, ready to be kept.
fn load<B: Shared>(
    engine: fn() -> Result<B>,
    place: Option<PathBuf>,
    asked: Asked,
) -> Result<impl FnOnce() -> Box<Tag<B>>> {
    let place = files::find_model(place)?;
    let folder = files::read_folder(&place)?;
    let tagger = Tagger::load(engine()?, &folder).with_context(|| format!("tagger: {}", place.display()))?;
    B::settle(&tagger, asked)?;
    Ok(move || {
        Box::new(Tag { tagger, options: TagOptions::default(), unit: OffsetUnit::Utf8, written: Written::default() })
    })
}

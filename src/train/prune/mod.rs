//! A smaller vocabulary: the word pieces that a kind of text needs, and the rows of the model that belong to them.
//!
//! Half of the numbers of a small BERT are word embeddings, most of them of pieces that clinical text never uses.
//! [`prune`] keeps the pieces that occur in given texts and renumbers them in their old order. WordPiece takes the
//! longest piece first, so a text all of whose pieces are kept is cut as before and its logits do not change. A rarer
//! word falls into shorter pieces, down to single characters, which are all kept for Latin script: it does not become
//! `[UNK]` (see `pieces`).

mod files;
mod pieces;
mod tensors;

use std::collections::BTreeMap;
use std::fmt;

use super::readers::Document;
use crate::error::{Error, ErrorKind, Result};
use crate::tasks::read_tokenizer;
use crate::weights::folder::Folder;

/// Which pieces stay.
#[derive(Clone, Debug)]
pub struct Options {
    /// A piece stays that occurs at least this often.
    pub min_count: u64,
    /// Pieces that stay in any case, as the vocabulary writes them.
    pub keep: Vec<String>,
}

/// A folder with a smaller vocabulary.
pub struct Pruned {
    /// The new files, by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Files of the folder that hold weights in another form; they are not in `files`.
    pub left_out: Vec<String>,
    /// What it did.
    pub report: Report,
}

/// What pruning did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rows of the embedding table before and after.
    pub rows: [usize; 2],
    /// Bytes of `model.safetensors` before and after.
    pub bytes: [usize; 2],
    /// Words of the texts.
    pub words: usize,
    /// Their pieces before and after.
    pub pieces: [usize; 2],
    /// Of these, `[UNK]`.
    pub unknown: [usize; 2],
}

/// Names and lengths, not contents.
impl fmt::Debug for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pruned({} files, {:?})", self.files.len(), self.report)
    }
}

/// Old ids to new ones.
struct Renumbering {
    /// The old ids that stay, ascending; the place is the new id.
    kept: Vec<u32>,
}

impl Renumbering {
    fn new(mut kept: Vec<u32>) -> Self {
        kept.sort_unstable();
        kept.dedup();
        Self { kept }
    }

    /// The new id, if the old one stays.
    fn new_id(&self, old: u32) -> Option<u32> {
        self.kept.binary_search(&old).ok().and_then(|place| u32::try_from(place).ok())
    }
}

/// Ends of names of files that hold the same weights in a form that is not rewritten here.
const OTHER_WEIGHTS: &[&str] = &[".bin", ".h5", ".msgpack", ".onnx", ".ot", ".pt", ".ckpt", ".tflite", ".index.json"];

/// Prunes a plain Hugging Face folder for texts.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a packed folder and for a tensor with the vocabulary in its columns;
/// [`ErrorKind::Format`] when the files of the folder disagree; [`ErrorKind::Input`] without any text, or for a piece
/// to keep that is not there.
pub fn prune(folder: &Folder, texts: &[Document], options: &Options) -> Result<Pruned> {
    if folder.manifest().is_some() {
        let message = "the folder is packed, and its manifest states the hash of every file: prune before packing";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    if texts.is_empty() {
        return Err(Error::new(ErrorKind::Input, "no texts: every piece would go"));
    }
    let tokenizer = read_tokenizer(folder)?;
    files::check_vocab(folder, &tokenizer)?;
    let before = pieces::Counts::of(&tokenizer, texts);
    let special = files::special_ids(folder, &tokenizer)?;
    let renumbering = Renumbering::new(pieces::kept(&tokenizer, &before, &special, options)?);
    let weights = folder.file("model.safetensors")?;
    let rows = files::vocab_size(folder)?;
    let mut pruned = BTreeMap::new();
    let mut left_out = Vec::new();
    for (name, _) in folder.files() {
        let bytes = folder.file(name)?;
        if OTHER_WEIGHTS.iter().any(|end| name.ends_with(end)) {
            left_out.push(name.to_owned());
        } else if name == "model.safetensors" {
            pruned.insert(name.to_owned(), tensors::rewrite(bytes, rows, &renumbering)?);
        } else {
            pruned.insert(name.to_owned(), files::rewrite(name, bytes, &renumbering).map_err(|e| e.at(name))?);
        }
    }
    let bytes = [weights.len(), pruned["model.safetensors"].len()];
    let smaller = Folder::from_files(pruned)?;
    let after = pieces::Counts::of(&read_tokenizer(&smaller)?, texts);
    let report = Report {
        rows: [rows, renumbering.kept.len()],
        bytes,
        words: before.words,
        pieces: [before.pieces, after.pieces],
        unknown: [before.unknown, after.unknown],
    };
    let files = smaller.files().map(|(name, _)| Ok((name.to_owned(), smaller.file(name)?.to_vec())));
    Ok(Pruned { files: files.collect::<Result<_>>()?, left_out, report })
}

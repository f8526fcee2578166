//! What the subcommands share: model folders on the disk, where the default one lies, and how an error is shown.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clinlite::weights::folder::Folder;

/// The folder below `models/` that is used when none is named.
const DEFAULT_MODEL: &str = "clinlite-ner-en";

/// One line on standard error: `clinlite: place: what`.
pub(crate) fn report(error: &anyhow::Error) {
    let line: String = format!("{error:#}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    eprintln!("clinlite: {line}");
}

/// Reads the files that make a model, and no others, and verifies them.
pub(crate) fn read_folder(place: &Path) -> Result<Folder> {
    let shown = place.display();
    if !place.is_dir() {
        let what = if place.exists() { "not a folder" } else { "no such folder" };
        bail!("{shown}: {what}");
    }
    // A file that cannot be read says so itself; what is wrong with the model is said of the folder.
    let read = |name: &str| read_optional(&place.join(name)).map_err(Trouble::File);
    Folder::read(read).map_err(|trouble| match trouble {
        Trouble::File(error) => error,
        Trouble::Model(error) => anyhow::Error::new(error).context(shown.to_string()),
    })
}

/// Why a folder could not be read.
enum Trouble {
    File(anyhow::Error),
    Model(clinlite::Error),
}

impl From<clinlite::Error> for Trouble {
    fn from(error: clinlite::Error) -> Self {
        Self::Model(error)
    }
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// The folder to use: the one named, else that of `CLINLITE_MODEL`, else the default model where it is found first.
pub(crate) fn find_model(named: Option<PathBuf>) -> Result<PathBuf> {
    let from_environment = || env::var_os("CLINLITE_MODEL").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = named.or_else(from_environment) {
        return Ok(path);
    }
    let candidates = candidates();
    if let Some(found) = candidates.iter().find(|path| path.join("manifest.json").is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
    bail!("no model found; name one with --model or CLINLITE_MODEL (looked in {})", looked.join(", "))
}

/// Below the working directory, beside the program or above it, in the user's data folder, and in the checkout that the
/// program was built from (which is where `cargo install --path .` leaves it).
fn candidates() -> Vec<PathBuf> {
    let program = env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(env::home_dir()?.join(".local/share")));
    let mut roots = vec![env::current_dir().unwrap_or_default()];
    roots.extend(program.ancestors().skip(1).take(4).map(Path::to_owned));
    roots.extend(data.map(|path| path.join("clinlite")));
    roots.push(PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    let mut found: Vec<PathBuf> = Vec::new();
    for root in roots {
        let path = root.join("models").join(DEFAULT_MODEL);
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Whether two paths are the same folder.
pub(crate) fn same_folder(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Each file is replaced in one step and the manifest comes last: a folder whose writing was cut off does not verify.
pub(crate) fn write_folder(out: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let (manifest, others): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| *name == "manifest.json");
    for (name, bytes) in others.into_iter().chain(manifest) {
        let (path, partial) = (out.join(name), out.join(format!("{name}.partial")));
        let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &path));
        written.with_context(|| path.display().to_string())?;
    }
    Ok(())
}

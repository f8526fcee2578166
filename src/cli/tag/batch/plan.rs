//! Which files are read, and which file each of them becomes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};

use super::RUN;
use crate::tag::form::Form;

/// A file of notes.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
}

/// A source with its place below the output.
type Placed = (PathBuf, Source);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One note.
    Text,
    /// One note an object, an object a line.
    Jsonl,
    /// One note a row.
    Parquet,
}

/// A file to be written.
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) form: Form,
    pub(super) sources: Vec<Source>,
    /// Whether it may hold several notes.
    pub(super) many: bool,
}

/// Endings that make of `--out` a file and not a folder, besides that of the format that is asked for.
const FILES: &[Form] = &[Form::Jsonl, Form::Parquet, Form::Csv];

/// The form of the one file that `--out` names, if it names one.
pub(super) fn one_file(out: &Path, asked: Option<Form>) -> Option<Form> {
    let name = out.file_name()?.to_str()?.to_ascii_lowercase();
    let fits = |form: &Form| name.ends_with(&format!(".{}", form.extension()));
    let form = asked.filter(fits).or_else(|| FILES.iter().copied().find(fits))?;
    (!out.is_dir()).then(|| asked.unwrap_or(form))
}

/// The files of notes that paths name, each with its place below the output, and what could not be read. Those of a folder
/// are in order of name, and so are those of the folders in it; links to folders are not followed, `out` is passed over.
pub(super) fn sources(inputs: &[PathBuf], out: &Path) -> Result<(Vec<Placed>, Vec<Error>)> {
    let out = fs::canonicalize(out).ok();
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for input in inputs {
        let metadata = fs::metadata(input).with_context(|| input.display().to_string())?;
        let name = PathBuf::from(input.file_name().unwrap_or_default());
        if metadata.is_dir() {
            // Several folders must not write into each other's files.
            let below = if inputs.len() > 1 { name } else { PathBuf::new() };
            walk(input, &below, out.as_deref(), &mut found, &mut failed);
        } else if let Some(kind) = Kind::of(input).filter(|_| metadata.is_file()) {
            found.push((name, Source { path: input.clone(), kind, bytes: metadata.len() }));
        } else {
            bail!("{}: expected a folder, or a .txt, .jsonl or .parquet file", input.display());
        }
    }
    if found.is_empty() && failed.is_empty() {
        let shown: Vec<_> = inputs.iter().map(|input| input.display().to_string()).collect();
        bail!("{}: no .txt, .jsonl or .parquet file", shown.join(", "));
    }
    Ok((found, failed))
}

impl Kind {
    /// By the end of the name, in any case.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "jsonl" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// In which form it is written if nothing else is asked for.
    fn form(self) -> Form {
        match self {
            Self::Text => Form::Json,
            Self::Jsonl => Form::Jsonl,
            Self::Parquet => Form::Parquet,
        }
    }
}

/// Visits a folder and those in it, however deep.
fn walk(root: &Path, below: &Path, out: Option<&Path>, found: &mut Vec<Placed>, failed: &mut Vec<Error>) {
    // What is to be visited; the next one last.
    let mut waiting = vec![(root.to_owned(), below.to_owned())];
    while let Some((path, place)) = waiting.pop() {
        match visit(&path, path == root, out) {
            Ok(Visited::Folder(names)) => {
                waiting.extend(names.into_iter().rev().map(|name| (path.join(&name), place.join(&name))));
            }
            Ok(Visited::Source(source)) => found.push((place, source)),
            Ok(Visited::Other) => (),
            Err(error) => failed.push(error.context(path.display().to_string())),
        }
    }
}

enum Visited {
    /// The names in it, sorted.
    Folder(Vec<std::ffi::OsString>),
    Source(Source),
    Other,
}

fn visit(path: &Path, is_root: bool, out: Option<&Path>) -> Result<Visited> {
    let link = fs::symlink_metadata(path)?.is_symlink() && !is_root;
    let Some(metadata) = fs::metadata(path).map(Some).or_else(|error| match (link, Kind::of(path)) {
        (true, None) => Ok(None), // a link to nowhere that is no note
        _ => Err(error),
    })?
    else {
        return Ok(Visited::Other);
    };
    if metadata.is_dir() {
        if link || !is_root && out.is_some_and(|out| fs::canonicalize(path).is_ok_and(|path| path == out)) {
            return Ok(Visited::Other);
        }
        let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>();
        let mut names = names?;
        names.sort();
        return Ok(Visited::Folder(names));
    }
    // A pipe would be waited for.
    let kind = Kind::of(path).filter(|_| metadata.is_file());
    Ok(kind
        .map_or(Visited::Other, |kind| Visited::Source(Source { path: path.to_owned(), kind, bytes: metadata.len() })))
}

/// What is written: one file, or one for each source, in the order of the sources.
pub(super) fn targets(
    sources: Vec<Placed>,
    out: &Path,
    asked: Option<Form>,
    failed: &mut Vec<Error>,
) -> Result<Vec<Target>> {
    if asked == Some(Form::Text) {
        bail!("--format text is for a terminal: name another with --out");
    }
    if let Some(form) = one_file(out, asked) {
        if !form.holds_several() {
            bail!("{}: this format is one file a note: name a folder", out.display());
        }
        let sources = sources.into_iter().map(|(_, source)| source).collect();
        return Ok(vec![Target { path: out.to_owned(), form, sources, many: true }]);
    }
    let mut taken = BTreeMap::from([(out.join(RUN), PathBuf::from("this run"))]);
    let mut targets = Vec::new();
    for (place, source) in sources {
        let form = asked.unwrap_or(source.kind.form());
        let many = source.kind != Kind::Text;
        let shown = source.path.display();
        if many && !form.holds_several() || !many && form == Form::Parquet {
            failed.push(anyhow!("{shown}: not written: {}", unfit(many)));
            continue;
        }
        let path = out.join(place.with_extension(form.extension()));
        if let Some(other) = taken.insert(path.clone(), source.path.clone()) {
            failed.push(anyhow!("{shown}: not written: {} is the result of {}", path.display(), other.display()));
            taken.insert(path, other);
            continue;
        }
        targets.push(Target { path, form, sources: vec![source], many });
    }
    Ok(targets)
}

fn unfit(many: bool) -> &'static str {
    match many {
        true => "this format is one file a note",
        false => "a table of one note; name one file for all with --out tagged.parquet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_out_says_whether_it_is_a_file() {
        let of = |out: &str, asked| one_file(Path::new(out), asked).map(Form::name);
        assert_eq!(of("a/tagged", None), None);
        assert_eq!(of("a/tagged.2026", None), None);
        assert_eq!(of("a/tagged.JSONL", None), Some("jsonl".into()));
        assert_eq!(of("tagged.parquet", None), Some("parquet".into()));
        assert_eq!(of("tagged.jsonl", Some(Form::Doccano)), Some("doccano".into()));
        assert_eq!(of("tagged.json", None), None);
        assert_eq!(of("tagged.json", Some(Form::Json)), Some("json".into()));
        assert_eq!(of(".", Some(Form::Json)), None);
    }
}

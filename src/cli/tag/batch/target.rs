//! Files that are only seen under their name when they are whole, and that a killed run can go on with.
//!
//! A note of its own is written beside its place and renamed. A file of many notes grows as NAME.partial, and NAME.progress
//! says how far: first a line that names the run, then, each time that what was written is safe on the disk, a line with the
//! notes and bytes so far. Who goes on cuts NAME.partial to the last of these and leaves out as many notes, so the bytes are
//! those of a run that nothing stopped. Parquet cannot grow: its rows are lines of JSON until the end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::table;
use crate::tag::form::Form;

/// Notes, or time, after which what was written is made safe.
const NOTES: u64 = 64;
const EVERY: Duration = Duration::from_secs(1);

/// `NAME.ending` beside a file.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}

/// Writes a file of one note.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let partial = beside(path, ".partial");
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        let mut file = File::create(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&partial, path)
    };
    written().with_context(|| path.display().to_string())
}

/// How far a file is.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Notes of the sources, those that failed included.
    pub(super) notes: u64,
    /// Those that failed.
    pub(super) failures: u64,
    bytes: u64,
}

/// How many notes a run of this name need not read again.
pub(super) fn notes_done(path: &Path, run: &str) -> u64 {
    let length = fs::metadata(beside(path, ".partial")).map_or(0, |metadata| metadata.len());
    let known = fs::read(beside(path, ".progress")).unwrap_or_default();
    read_progress(&known, run, length).1.notes
}

/// A file of many notes that is being written.
pub(super) struct Growing {
    path: PathBuf,
    form: Form,
    partial: BufWriter<File>,
    progress: File,
    pub(super) done: Progress,
    safe: Progress,
    last: Instant,
}

impl Growing {
    /// Goes on where a run of the same name stopped, else begins.
    pub(super) fn open(path: &Path, form: Form, run: &str) -> Result<Self> {
        let open = || -> Result<Self> {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
            let (partial, progress) = (beside(path, ".partial"), beside(path, ".progress"));
            let length = fs::metadata(&partial).map_or(0, |metadata| metadata.len());
            let known = fs::read(&progress).unwrap_or_default();
            let (kept, safe) = read_progress(&known, run, length);
            let open = |path| OpenOptions::new().create(true).truncate(false).write(true).open(path);
            let (mut partial, mut progress) = (open(&partial)?, open(&progress)?);
            partial.set_len(safe.bytes)?;
            partial.seek(SeekFrom::End(0))?;
            progress.set_len(kept)?;
            progress.seek(SeekFrom::End(0))?;
            let partial = BufWriter::new(partial);
            let mut growing =
                Self { path: path.to_owned(), form, partial, progress, done: safe, safe, last: Instant::now() };
            if kept == 0 {
                growing.put(form.header())?;
                writeln!(growing.progress, "{}", serde_json::to_string(run)?)?;
                growing.settle()?;
            }
            Ok(growing)
        };
        open().with_context(|| path.display().to_string())
    }

    /// Adds what a note became, or nothing of one that failed.
    pub(super) fn push(&mut self, body: Option<&str>) -> Result<()> {
        let mut push = || {
            self.done.notes += 1;
            self.done.failures += u64::from(body.is_none());
            self.put(body.unwrap_or_default())?;
            if self.done.notes - self.safe.notes >= NOTES || self.last.elapsed() > EVERY {
                self.settle()?;
            }
            Ok(())
        };
        let pushed: Result<()> = push();
        pushed.with_context(|| self.path.display().to_string())
    }

    fn put(&mut self, text: &str) -> Result<()> {
        self.done.bytes += text.len() as u64;
        Ok(self.partial.write_all(text.as_bytes())?)
    }

    /// Makes safe what was written.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.partial.flush()?;
        self.partial.get_ref().sync_data()?;
        // The line is written in one piece, and is worth nothing without its end.
        let line = serde_json::to_string(&self.done)? + "\n";
        self.progress.write_all(line.as_bytes())?;
        (self.safe, self.last) = (self.done, Instant::now());
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<()> {
        let path = self.path.clone();
        let mut finish = || -> Result<()> {
            self.settle()?;
            let partial = beside(&path, ".partial");
            if self.form == Form::Parquet {
                let written = beside(&path, ".written");
                table::write(&partial, &written)?;
                fs::rename(&written, &path)?;
            } else {
                fs::rename(&partial, &path)?;
            }
            tidy(&path);
            Ok(())
        };
        finish().with_context(|| path.display().to_string())
    }
}

/// Takes away what was needed to go on with a file that is whole.
pub(super) fn tidy(path: &Path) {
    for ending in [".partial", ".written", ".progress"] {
        // What is not there need not be taken away.
        let _ = fs::remove_file(beside(path, ending));
    }
}

/// The last progress of a run that a file of so many bytes bears out, and the bytes of the lines up to it.
fn read_progress(known: &[u8], run: &str, length: u64) -> (u64, Progress) {
    let mut lines = known.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let first = lines.next().filter(|line| serde_json::from_slice::<String>(line).is_ok_and(|name| name == run));
    let Some(first) = first else { return (0, Progress::default()) };
    let (mut at, mut best) = (first.len() as u64, None);
    for line in lines {
        at += line.len() as u64;
        match serde_json::from_slice::<Progress>(line) {
            Ok(progress) if progress.bytes <= length => best = Some((at, progress)),
            _ => break,
        }
    }
    best.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_believed_as_far_as_the_file_bears_it_out() {
        let lines = [
            "\"run\"\n",
            "{\"notes\":0,\"failures\":0,\"bytes\":5}\n",
            "{\"notes\":7,\"failures\":1,\"bytes\":50}\n",
            "{\"notes\":9,",
        ];
        let known = &lines.concat();
        let first = (lines[0].len() + lines[1].len()) as u64;
        let second = first + lines[2].len() as u64;
        let read = |known: &str, run: &str, length| {
            let (kept, progress) = read_progress(known.as_bytes(), run, length);
            (kept, progress.notes, progress.failures, progress.bytes)
        };
        assert_eq!(read(known, "run", 90), (second, 7, 1, 50));
        assert_eq!(read(known, "run", 50), (second, 7, 1, 50));
        assert_eq!(read(known, "run", 49), (first, 0, 0, 5));
        assert_eq!(read(known, "run", 4), (0, 0, 0, 0));
        assert_eq!(read(known, "another", 90), (0, 0, 0, 0));
        assert_eq!(read("", "run", 90), (0, 0, 0, 0));
        assert_eq!(read("\"run\"", "run", 90), (0, 0, 0, 0));
        assert_eq!(read("\"run\"\nxx\n", "run", 90), (0, 0, 0, 0));
    }
}

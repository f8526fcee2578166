//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Writes a file beside its place, waits until it is on the disk, and moves it there. When that fails, because the disk is
/// full, what was there before is still there and nothing is left beside it.
///
/// # Errors
/// [`ErrorKind::Io`] with the path.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("part");
    let written = (|| -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    written.map_err(|e| {
        let _ = fs::remove_file(&beside);
        Error::new(ErrorKind::Io, format!("{}: {e}", path.display()))
    })
}

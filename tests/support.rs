//! What several topics share: fixtures and folders to write in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clinlite::weights::folder::Folder;

pub(crate) fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// The model files of a fixture, by name.
pub(crate) fn fixture_files(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fixture(name);
    let owned = |(file, _): (&str, usize)| (file.to_owned(), folder.file(file).expect("its own file").to_vec());
    folder.files().map(owned).collect()
}

pub(crate) fn fixture(name: &str) -> Folder {
    folder_at(&fixture_path(name)).expect("a fixture")
}

/// The model in a folder of the disk.
pub(crate) fn folder_at(place: &Path) -> clinlite::Result<Folder> {
    Folder::read(|name| Ok(fs::read(place.join(name)).ok()))
}

/// A folder that is gone when the test ends.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("clinlite-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder to write in");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns where it is.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// A folder of these files.
    pub(crate) fn folder(&self, name: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> PathBuf {
        for (file, bytes) in files {
            self.file(&format!("{name}/{file}"), bytes);
        }
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

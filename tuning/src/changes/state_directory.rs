//! The folder in which the journal is: made where it is missing, locked while somebody is at work, and gone with the
//! journal, so that nothing is left of a tuning that was rolled back.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::changes::journal_error::JournalError;

/// The folder, and nobody else at work in it.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    /// On the folder itself, so that it leaves no file.
    _lock: File,
    made: usize,
}

impl StateDirectory {
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |source: io::Error| JournalError::Io { path: path.to_path_buf(), source };
        let made = create_durably(path).map_err(failed)?;
        let lock = File::open(path).map_err(failed)?;
        let is_held = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err();
        // Whoever was at work may have removed the folder after we opened it.
        if is_held || !is_still(path, &lock) {
            return Err(JournalError::Locked { path: path.to_path_buf() });
        }
        Ok(Self { path: path.to_path_buf(), _lock: lock, made })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many folders were made to open it: this one and those above.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Takes away so many folders from this one upwards, as far as nothing else is in them.
    pub(crate) fn remove(self, folders: usize) {
        for folder in self.path.ancestors().take(folders) {
            // Somebody else may have put something there since.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

fn is_still(path: &Path, open: &File) -> bool {
    let identity = |facts: fs::Metadata| (facts.dev(), facts.ino());
    match (fs::metadata(path), open.metadata()) {
        (Ok(there), Ok(open)) => identity(there) == identity(open),
        _ => false,
    }
}

/// The directory and those above it that are missing, so that they do not go with the power. Gives how many were made.
fn create_durably(directory: &Path) -> io::Result<usize> {
    if directory.is_dir() {
        return Ok(0);
    }
    let above = directory.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let made = create_durably(above)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(above)?.sync_all().map(|()| made + 1),
    }
}

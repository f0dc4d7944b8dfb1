//! What recovery wrote in one log directory and has not made durable yet: all of it is, at once, in the end.
//!
//! Nothing relies on it before: until the new journal is open, the one before it still tells everything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::disk::{FileSystem, FileSystemError};
use crate::limits::FILE_SYNCS_MAX;

/// Files and directories that wait for a sync.
#[derive(Debug, Default)]
pub struct Unsynced {
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl Unsynced {
    pub fn file(&mut self, path: PathBuf) {
        self.files.insert(path);
    }

    /// Names in the directory changed.
    pub fn directory(&mut self, path: &Path) {
        self.directories.insert(path.to_owned());
    }

    /// A few are synced one by one; a sync of the whole file system costs the same for thousands of them,
    /// and writes what other programs left there, too.
    pub fn sync(self, fs: &dyn FileSystem) -> Result<(), FileSystemError> {
        if self.files.len() + self.directories.len() > FILE_SYNCS_MAX {
            return fs.sync_file_system();
        }
        self.files.iter().try_for_each(|path| fs.sync(path))?;
        self.directories.iter().try_for_each(|path| fs.sync_dir(path))
    }
}

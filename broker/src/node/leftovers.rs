//! Files that nothing refers to any more: journals of earlier incarnations, partitions that were deleted.
//!
//! They go on a thread of their own when the node is ready: unlinking dozens of journal files takes longer
//! than all the rest of a start. What fails, or was not come to, is found again at the next start.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::{io, thread};

use engine::disk::real::RealFileSystem;
use engine::disk::{DirId, FileSystem};
use engine::journal::writer::JournalFileName;

use super::data_directories::DataDirectories;

/// What a start leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    journal_files: Vec<(DirId, JournalFileName)>,
    /// Journal directories of shards that are no more, and directories of deleted partitions.
    directories: BTreeSet<(DirId, PathBuf)>,
}

impl Leftovers {
    pub(super) fn journal_file(&mut self, dir: DirId, name: JournalFileName) {
        self.journal_files.push((dir, name));
    }

    /// Goes with all that is in it.
    pub(super) fn directory(&mut self, dir: DirId, path: PathBuf) {
        self.directories.insert((dir, path));
    }

    /// To be called when this start is committed: until then what they hold may count.
    pub(super) fn remove_in_background(self, directories: &DataDirectories) -> io::Result<()> {
        if self.journal_files.is_empty() && self.directories.is_empty() {
            return Ok(());
        }
        let file_systems: Vec<(DirId, Arc<RealFileSystem>)> =
            directories.with_ids().map(|(id, directory)| (id, Arc::clone(&directory.fs))).collect();
        let removing = thread::Builder::new().name("leftovers".to_owned());
        removing.spawn(move || {
            for (id, fs) in &file_systems {
                self.remove_from(*id, &**fs);
            }
        })?;
        Ok(())
    }

    /// Removes what is in one log directory, once this start is committed.
    pub fn remove_from(&self, id: DirId, fs: &dyn FileSystem) {
        for (_, name) in self.journal_files.iter().filter(|file| file.0 == id) {
            let _ = fs.remove_file(&name.path());
        }
        for (_, path) in self.directories.iter().filter(|directory| directory.0 == id) {
            for entry in fs.entries(path).unwrap_or_default() {
                let _ = fs.remove_file(&path.join(entry.name));
            }
            let _ = fs.remove_dir(path);
        }
    }
}

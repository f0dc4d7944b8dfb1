//! What the file says of a node's disks and size, for commands that look at the machine before a start.

use std::path::{Path, PathBuf};

use tuning::{ByteCount, CalibrationRecord};

use super::{FileError, file};

/// The part of the file that says where a node is and how large. The rest is checked, too: what a start would refuse is
/// told by whoever asks for this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigOutline {
    /// As they stand there.
    pub data_dirs: Vec<PathBuf>,
    pub shards: Option<u16>,
    pub memory: Option<ByteCount>,
    /// What `tune calibrate` wrote.
    pub calibrated: Option<CalibrationRecord>,
}

impl ConfigOutline {
    pub fn read(path: &Path) -> Result<Self, FileError> {
        file::read(path).map(Self::of)
    }

    /// Of the file that was named; nothing is said where none was.
    pub fn of_named(path: Option<&Path>) -> Result<Self, FileError> {
        path.map_or_else(|| Ok(Self::default()), Self::read)
    }

    /// Of a text that is (or will be) at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        file::parse(path, text).map(Self::of)
    }

    fn of(file: file::File) -> Self {
        let file::File { data_dirs, shards, memory, calibrated, .. } = file;
        Self { data_dirs, shards, memory, calibrated }
    }

    /// The directories that a start with these flags would have: never none.
    pub fn data_dirs(&self, given: &[PathBuf]) -> Vec<PathBuf> {
        super::data_dirs(given.to_vec(), self.data_dirs.clone())
    }
}

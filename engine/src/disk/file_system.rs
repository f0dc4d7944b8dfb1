//! The file system as the engine sees it: blocking, path-addressed below a log directory's root.
//!
//! Two implementations: the real one (`disk/real.rs`) and the simulation's. Nothing is durable before
//! `sync`, a durable write, `sync_dir` (for entries of a directory) or `sync_file_system` returned.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file-system call failed, as far as the engine acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSystemError {
    /// No space left (ENOSPC, EDQUOT): appends are refused until space is back.
    NoSpace,
    /// No such file.
    NotFound,
    /// Anything else (EIO first of all): the log directory goes offline. Holds the errno and the call.
    Failed { errno: i32, call: &'static str },
    /// The process is dying (only the simulation's power cut): nothing after this happened.
    Stopped,
}

/// For people: the kernel's words, and the call that got them.
impl fmt::Display for FileSystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => f.write_str("no space is left"),
            Self::NotFound => f.write_str("a file is missing"),
            Self::Failed { errno, call } => {
                write!(f, "{call}: {}", std::io::Error::from_raw_os_error(*errno))
            }
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    pub name: PathBuf,
    pub is_dir: bool,
    /// Size in bytes of a file, 0 for a directory.
    pub length: u64,
}

/// Blocking file operations below one root. `path`s are relative to it; "" is the root itself.
pub trait FileSystem {
    /// All entries, sorted by name.
    fn entries(&self, dir: &Path) -> Result<Vec<DirectoryEntry>, FileSystemError>;
    /// Existing is fine.
    fn create_dir(&self, dir: &Path) -> Result<(), FileSystemError>;
    fn sync_dir(&self, dir: &Path) -> Result<(), FileSystemError>;
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileSystemError>;
    /// Absent is fine.
    fn remove_file(&self, path: &Path) -> Result<(), FileSystemError>;
    /// Removes an empty directory; absent is fine.
    fn remove_dir(&self, dir: &Path) -> Result<(), FileSystemError>;
    fn length(&self, path: &Path) -> Result<u64, FileSystemError>;
    /// Reads at `position` until `into` is full or the file ends; gives the bytes read.
    fn read(&self, path: &Path, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError>;
    /// Writes into a file (created if absent). `position` and `data.len()` are multiples of 4 KiB for
    /// `.log` and `.journal` files, which are only ever accessed directly. Durable once `sync`ed.
    fn write(&self, path: &Path, position: u64, data: &[u8]) -> Result<(), FileSystemError>;
    /// Creates or replaces a small file.
    fn write_file(&self, path: &Path, data: &[u8]) -> Result<(), FileSystemError>;
    /// Blocks allocated and size set for `[from, to)`; the file is created if absent.
    fn allocate(&self, path: &Path, from: u64, to: u64) -> Result<(), FileSystemError>;
    fn set_length(&self, path: &Path, length: u64) -> Result<(), FileSystemError>;
    fn sync(&self, path: &Path) -> Result<(), FileSystemError>;
    fn sync_file_system(&self) -> Result<(), FileSystemError>;
    fn free_bytes(&self) -> Result<u64, FileSystemError>;
}

//! A log directory that fills up or dies when a test says so; everything else is real.

use std::cell::Cell;
use std::path::Path;

use engine::disk::real::RealFileSystem;
use engine::disk::{DirectoryEntry, FileSystem, FileSystemError};

const EIO: FileSystemError = FileSystemError::Failed { errno: 5, call: "a planted fault" };

pub struct FaultyFileSystem {
    real: RealFileSystem,
    /// Nothing that needs room succeeds.
    pub is_full: Cell<bool>,
    /// Writes and syncs fail.
    pub is_dead: Cell<bool>,
}

impl FaultyFileSystem {
    pub fn new(real: RealFileSystem) -> Self {
        Self { real, is_full: Cell::new(false), is_dead: Cell::new(false) }
    }

    fn alive(&self) -> Result<(), FileSystemError> {
        if self.is_dead.get() { Err(EIO) } else { Ok(()) }
    }

    fn roomy(&self) -> Result<(), FileSystemError> {
        self.alive()?;
        if self.is_full.get() { Err(FileSystemError::NoSpace) } else { Ok(()) }
    }
}

impl FileSystem for FaultyFileSystem {
    fn entries(&self, dir: &Path) -> Result<Vec<DirectoryEntry>, FileSystemError> {
        self.real.entries(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        self.roomy()?;
        self.real.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.sync_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.remove_dir(dir)
    }

    fn length(&self, path: &Path) -> Result<u64, FileSystemError> {
        self.real.length(path)
    }

    fn read(&self, path: &Path, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError> {
        self.real.read(path, position, into)
    }

    fn write(&self, path: &Path, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.write(path, position, data)
    }

    fn write_file(&self, path: &Path, data: &[u8]) -> Result<(), FileSystemError> {
        self.roomy()?;
        self.real.write_file(path, data)
    }

    fn allocate(&self, path: &Path, from: u64, to: u64) -> Result<(), FileSystemError> {
        self.roomy()?;
        self.real.allocate(path, from, to)
    }

    fn set_length(&self, path: &Path, length: u64) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.set_length(path, length)
    }

    fn sync(&self, path: &Path) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.sync(path)
    }

    fn sync_file_system(&self) -> Result<(), FileSystemError> {
        self.alive()?;
        self.real.sync_file_system()
    }

    fn free_bytes(&self) -> Result<u64, FileSystemError> {
        if self.is_full.get() { Ok(0) } else { self.real.free_bytes() }
    }
}

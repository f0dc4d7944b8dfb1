//! Files in memory: what recovery does to a directory, without a disk and without trusting positions.

#[cfg(test)]
use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::{DirectoryEntry, FileSystem, FileSystemError};

/// A file is at most this long: positions that come from garbage cost no memory.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Default)]
pub(crate) struct MemoryFiles {
    files: RefCell<BTreeMap<PathBuf, Vec<u8>>>,
    #[cfg(test)]
    bytes_read: Cell<usize>,
}

impl MemoryFiles {
    pub(crate) fn put(&self, path: &str, data: &[u8]) {
        self.files.borrow_mut().insert(PathBuf::from(path), data.to_vec());
    }

    /// Of all files, since the beginning.
    #[cfg(test)]
    pub(crate) fn bytes_read(&self) -> usize {
        self.bytes_read.get()
    }

    #[cfg(test)]
    pub(crate) fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.files.borrow().get(Path::new(path)).cloned()
    }

    fn resize(&self, path: &Path, length: u64) -> Result<(), FileSystemError> {
        if length > FILE_BYTES_MAX {
            return Err(FileSystemError::NoSpace);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.files.borrow_mut().entry(path.to_owned()).or_default().resize(length, 0);
        Ok(())
    }
}

impl FileSystem for MemoryFiles {
    fn entries(&self, dir: &Path) -> Result<Vec<DirectoryEntry>, FileSystemError> {
        let files = self.files.borrow();
        let in_dir = files.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(in_dir
            .map(|(path, data)| DirectoryEntry {
                name: path.file_name().map(PathBuf::from).unwrap_or_default(),
                is_dir: false,
                length: data.len() as u64,
            })
            .collect())
    }

    fn create_dir(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileSystemError> {
        let mut files = self.files.borrow_mut();
        let data = files.remove(from).ok_or(FileSystemError::NotFound)?;
        files.insert(to.to_owned(), data);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<(), FileSystemError> {
        self.files.borrow_mut().remove(path);
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn length(&self, path: &Path) -> Result<u64, FileSystemError> {
        let files = self.files.borrow();
        files.get(path).map(|data| data.len() as u64).ok_or(FileSystemError::NotFound)
    }

    fn read(&self, path: &Path, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError> {
        let files = self.files.borrow();
        let data = files.get(path).ok_or(FileSystemError::NotFound)?;
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(data.len());
        let length = into.len().min(data.len() - from);
        into[..length].copy_from_slice(&data[from..from + length]);
        #[cfg(test)]
        self.bytes_read.set(self.bytes_read.get() + length);
        Ok(length)
    }

    fn write(&self, path: &Path, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
        let end = position.checked_add(data.len() as u64).ok_or(FileSystemError::NoSpace)?;
        let length = self.length(path).unwrap_or(0);
        self.resize(path, length.max(end))?;
        let mut files = self.files.borrow_mut();
        let file = files.get_mut(path).ok_or(FileSystemError::NotFound)?;
        let from = usize::try_from(position).unwrap_or(usize::MAX);
        file[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn write_file(&self, path: &Path, data: &[u8]) -> Result<(), FileSystemError> {
        self.files.borrow_mut().insert(path.to_owned(), data.to_vec());
        Ok(())
    }

    fn allocate(&self, path: &Path, _: u64, to: u64) -> Result<(), FileSystemError> {
        let length = self.length(path).unwrap_or(0);
        self.resize(path, length.max(to))
    }

    fn set_length(&self, path: &Path, length: u64) -> Result<(), FileSystemError> {
        self.resize(path, length)
    }

    fn sync(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn sync_file_system(&self) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, FileSystemError> {
        Ok(u64::MAX)
    }
}

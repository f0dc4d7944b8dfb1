//! The files of a data directory with changes kept in memory: recovery runs as it would at a node's
//! start, and nothing on disk changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::disk::real::RealFileSystem;
use engine::disk::{DirectoryEntry, FileSystem, FileSystemError};

/// Changes are kept in pieces of this size; data files are only ever written in multiples of it.
const BLOCK: u64 = 4096;

pub(super) struct Overlay {
    below: RealFileSystem,
    changes: RefCell<Changes>,
}

/// Files that are not as they are on disk; `None` is a file that was removed.
type Changes = BTreeMap<PathBuf, Option<ChangedFile>>;

/// A file that is not as it is on disk.
#[derive(Clone, Default)]
struct ChangedFile {
    length: u64,
    /// Whether what is on disk shows through where no block was written.
    shows_below: bool,
    /// Nothing from here on shows through: it was cut off meanwhile.
    below_length: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn new(below: RealFileSystem) -> Self {
        Self { below, changes: RefCell::default() }
    }

    /// The files as they are.
    pub(super) fn on_disk(&self) -> &RealFileSystem {
        &self.below
    }

    /// Positions of the blocks of a file that were written, in order.
    pub(super) fn changed_blocks(&self, path: &Path) -> Vec<u64> {
        let changes = self.changes.borrow();
        let file = changes.get(path).and_then(Option::as_ref);
        file.into_iter().flat_map(|file| file.blocks.keys().map(|block| block * BLOCK)).collect()
    }

    /// The file's head where it was changed, without its blocks.
    fn changed(&self, path: &Path) -> Option<Option<ChangedFile>> {
        let head = |file: &ChangedFile| ChangedFile { blocks: BTreeMap::new(), ..*file };
        self.changes.borrow().get(path).map(|file| file.as_ref().map(head))
    }

    /// The file's head before a change: as changed already, or as it is below.
    fn head(&self, path: &Path) -> Result<ChangedFile, FileSystemError> {
        match self.changed(path) {
            Some(Some(file)) => Ok(file),
            Some(None) => Ok(ChangedFile::default()),
            None => match self.below.length(path) {
                Ok(length) => Ok(ChangedFile {
                    length,
                    shows_below: true,
                    below_length: length,
                    blocks: BTreeMap::new(),
                }),
                Err(FileSystemError::NotFound) => Ok(ChangedFile::default()),
                Err(error) => Err(error),
            },
        }
    }

    /// Changes a file's head, and writes blocks.
    fn change(&self, path: &Path, head: ChangedFile, blocks: Vec<(u64, Vec<u8>)>) {
        let mut changes = self.changes.borrow_mut();
        let file = changes.entry(path.to_owned()).or_default().get_or_insert_default();
        let mut kept = std::mem::take(&mut file.blocks);
        kept.retain(|block, _| block * BLOCK < head.length);
        kept.extend(blocks);
        *file = ChangedFile { blocks: kept, ..head };
    }

    /// Reads exactly this range, zeros where nothing was ever written.
    fn fill(
        &self,
        path: &Path,
        file: &ChangedFile,
        position: u64,
        into: &mut [u8],
    ) -> Result<(), FileSystemError> {
        into.fill(0);
        let end = position + into.len() as u64;
        if file.shows_below && position < file.below_length {
            let shown = index(end.min(file.below_length) - position);
            self.below.read(path, position, &mut into[..shown])?;
        }
        let changes = self.changes.borrow();
        let changed = changes.get(path).and_then(Option::as_ref);
        let wanted = position / BLOCK..end.div_ceil(BLOCK);
        for (block, data) in changed.into_iter().flat_map(|file| file.blocks.range(wanted.clone()))
        {
            let start = block * BLOCK;
            let (from, to) = (start.max(position), (start + data.len() as u64).min(end));
            if from < to {
                into[index(from - position)..index(to - position)]
                    .copy_from_slice(&data[index(from - start)..index(to - start)]);
            }
        }
        Ok(())
    }
}

impl FileSystem for Overlay {
    fn entries(&self, dir: &Path) -> Result<Vec<DirectoryEntry>, FileSystemError> {
        let mut entries = match self.below.entries(dir) {
            Ok(entries) => entries,
            Err(FileSystemError::NotFound) => Vec::new(),
            Err(error) => return Err(error),
        };
        for (path, file) in self.changes.borrow().iter() {
            if path.parent() != Some(dir) {
                continue;
            }
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            entries.retain(|entry| entry.name != name);
            if let Some(file) = file {
                entries.push(DirectoryEntry { name, is_dir: false, length: file.length });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileSystemError> {
        let length = self.length(from)?;
        let mut data = vec![0; index(length)];
        self.read(from, 0, &mut data)?;
        self.write_file(to, &data)?;
        self.remove_file(from)
    }

    fn remove_file(&self, path: &Path) -> Result<(), FileSystemError> {
        self.changes.borrow_mut().insert(path.to_owned(), None);
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn length(&self, path: &Path) -> Result<u64, FileSystemError> {
        match self.changed(path) {
            Some(Some(file)) => Ok(file.length),
            Some(None) => Err(FileSystemError::NotFound),
            None => self.below.length(path),
        }
    }

    fn read(&self, path: &Path, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError> {
        match self.changed(path) {
            None => self.below.read(path, position, into),
            Some(None) => Err(FileSystemError::NotFound),
            Some(Some(file)) => {
                let left = file.length.saturating_sub(position);
                let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
                self.fill(path, &file, position, &mut into[..bytes])?;
                Ok(bytes)
            }
        }
    }

    fn write(&self, path: &Path, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
        let mut head = self.head(path)?;
        let end = position + data.len() as u64;
        // Whole blocks around what is written, so that blocks never have to be joined.
        let first = position / BLOCK * BLOCK;
        let mut around = vec![0; index(end.next_multiple_of(BLOCK) - first)];
        self.fill(path, &head, first, &mut around)?;
        around[index(position - first)..index(end - first)].copy_from_slice(data);
        head.length = head.length.max(end);
        let blocks = around.chunks(index(BLOCK)).map(<[u8]>::to_vec);
        self.change(path, head, (first / BLOCK..).zip(blocks).collect());
        Ok(())
    }

    fn write_file(&self, path: &Path, data: &[u8]) -> Result<(), FileSystemError> {
        let blocks = (0..).zip(data.chunks(index(BLOCK)).map(<[u8]>::to_vec)).collect();
        let length = data.len() as u64;
        let file = ChangedFile { length, blocks, ..ChangedFile::default() };
        self.changes.borrow_mut().insert(path.to_owned(), Some(file));
        Ok(())
    }

    fn allocate(&self, path: &Path, _: u64, to: u64) -> Result<(), FileSystemError> {
        let mut head = self.head(path)?;
        head.length = head.length.max(to);
        self.change(path, head, Vec::new());
        Ok(())
    }

    fn set_length(&self, path: &Path, length: u64) -> Result<(), FileSystemError> {
        let mut head = self.head(path)?;
        let partial = length % BLOCK;
        let mut kept = Vec::new();
        if length < head.length && partial > 0 {
            // What was cut off must not come back when the file grows again.
            let start = length - partial;
            let mut block = vec![0; index(BLOCK)];
            self.fill(path, &head, start, &mut block[..index(partial)])?;
            kept.push((start / BLOCK, block));
        }
        head.length = length;
        head.below_length = head.below_length.min(length);
        self.change(path, head, kept);
        Ok(())
    }

    fn sync(&self, _: &Path) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn sync_file_system(&self) -> Result<(), FileSystemError> {
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, FileSystemError> {
        self.below.free_bytes()
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is read or written at once fits into memory")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use engine::disk::real::{DataAccess, RealFileSystem};
    use engine::disk::{FileSystem, FileSystemError};

    use super::Overlay;

    #[test]
    fn changes_are_seen_and_the_disk_stays_as_it_is() {
        let directory = crate::cli::tests::directory();
        let original: Vec<u8> = (0..10_000u32).map(|at| (at % 251) as u8).collect();
        std::fs::write(directory.path().join("a.log"), &original).unwrap();
        let below = RealFileSystem::open(directory.path(), DataAccess::Buffered).unwrap();
        let overlay = Overlay::new(below);
        let a = Path::new("a.log");
        let all = |path: &Path| {
            let mut data = vec![0; overlay.length(path).unwrap() as usize];
            assert_eq!(overlay.read(path, 0, &mut data).unwrap(), data.len());
            data
        };
        assert_eq!(all(a), original);

        let mut expected = original.clone();
        overlay.write(a, 4096, &[9; 4096]).unwrap();
        expected[4096..8192].fill(9);
        assert_eq!(all(a), expected);
        overlay.set_length(a, 5_000).unwrap();
        overlay.allocate(a, 0, 12_000).unwrap();
        expected.truncate(5_000);
        expected.resize(12_000, 0);
        assert_eq!(all(a), expected);
        overlay.write(a, 16_384, &[1; 10]).unwrap();
        expected.resize(16_384, 0);
        expected.extend([1; 10]);
        assert_eq!(all(a), expected);

        overlay.write_file(Path::new("note"), b"hello").unwrap();
        overlay.rename(Path::new("note"), Path::new("note.txt")).unwrap();
        assert_eq!(all(Path::new("note.txt")), b"hello");
        let names: Vec<_> =
            overlay.entries(Path::new("")).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [Path::new("a.log"), Path::new("note.txt")]);
        overlay.remove_file(a).unwrap();
        assert_eq!(overlay.length(a), Err(FileSystemError::NotFound));
        assert_eq!(std::fs::read(directory.path().join("a.log")).unwrap(), original);
        assert!(!directory.path().join("note.txt").exists());
    }
}

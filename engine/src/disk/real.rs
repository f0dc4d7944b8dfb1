//! The real file system below one log directory: blocking calls, for helper threads and start-up.
//!
//! Data files (`.log`, `.journal`, `.cleaned`) are only ever opened with O_DIRECT, small files only buffered, so
//! that no file is reached both ways. Nothing is kept open between two calls: a call costs one open,
//! which is nothing beside the device, and a path always means the file that has that name now.

mod aligned;
mod descriptors;
mod direct;
mod error;
mod lock;
mod mount;
mod probe;
mod slow_calls;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Dir, FallocateFlags, FileType, Mode, OFlags, fallocate, fdatasync, fstat,
    fstatvfs, fsync, ftruncate, mkdirat, openat, renameat, statat, syncfs, unlinkat,
};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use self::aligned::AlignedBuffer;
use self::descriptors::Descriptors;
use self::error::failed;
use self::slow_calls::Permit;
use super::file_system::{DirectoryEntry, FileSystem, FileSystemError};
#[cfg(feature = "planted-faults")]
use super::planted;

pub use lock::{DirectoryLock, LockError};
pub use probe::{CopyOnWrite, DirectoryProbe, ProbeError, StableWrites, probe};
pub use slow_calls::SlowCalls;

/// New files: as the user's umask has it.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);

/// Zeros for file systems without fallocate are written in pieces of this size.
const ZERO_PIECE_BYTES: usize = 1 << 20;

/// Whether data files bypass the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataAccess {
    Direct,
    /// Only for `durability=memory` where the file system knows no direct I/O.
    Buffered,
}

/// The files of one log directory. Any thread may use it.
#[derive(Debug)]
pub struct RealFileSystem {
    root: OwnedFd,
    access: DataAccess,
    slow_calls: Option<Arc<SlowCalls>>,
    descriptors: Descriptors,
}

impl RealFileSystem {
    /// Opens the root, which must exist.
    pub fn open(root: &Path, access: DataAccess) -> Result<Self, FileSystemError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            retry_on_intr(|| openat(CWD, root, flags, Mode::empty())).map_err(failed("open"))?;
        Ok(Self { root, access, slow_calls: None, descriptors: Descriptors::default() })
    }

    /// The same, with fsync, fallocate and unlink bounded together with those of others.
    pub fn bounded_by(self, slow_calls: Arc<SlowCalls>) -> Self {
        Self { slow_calls: Some(slow_calls), ..self }
    }

    /// The same directory for another shard. The kernel tells of a write-back that failed once to each open
    /// descriptor: with a shared one, the `sync_file_system` of one shard would be told, and
    /// that of another, which waits for the same blocks, would succeed.
    pub fn reopened(&self) -> Result<Self, FileSystemError> {
        let root = self.open_dir(Path::new(""))?;
        let slow_calls = self.slow_calls.clone();
        Ok(Self { root, access: self.access, slow_calls, descriptors: Descriptors::default() })
    }

    /// How often a file could not be opened at once because no descriptor was left.
    pub fn descriptors_spent(&self) -> u64 {
        self.descriptors.spent()
    }

    /// Waits for its turn before a slow call.
    fn permit(&self) -> Option<Permit<'_>> {
        self.slow_calls.as_deref().map(SlowCalls::take)
    }

    /// Opens a data file for the ring: reading and writing, direct. The file must exist.
    pub fn open_data(&self, path: &Path) -> Result<OwnedFd, FileSystemError> {
        self.open_file(path, OFlags::RDWR)
    }

    fn is_direct(&self, path: &Path) -> bool {
        self.access == DataAccess::Direct && is_data_file(path)
    }

    fn open_file(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, FileSystemError> {
        let direct = if self.is_direct(path) { OFlags::DIRECT } else { OFlags::empty() };
        let flags = flags | direct | OFlags::CLOEXEC;
        #[cfg(feature = "planted-faults")]
        if flags.contains(OFlags::CREATE) {
            planted::before_creation(&self.root, path)?;
        }
        let open = || openat(&self.root, path, flags, FILE_MODE);
        self.descriptors.open(open).map_err(failed("open"))
    }

    fn open_dir(&self, dir: &Path) -> Result<OwnedFd, FileSystemError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || openat(&self.root, or_dot(dir), flags, Mode::empty());
        self.descriptors.open(open).map_err(failed("open"))
    }

    /// For file systems without fallocate: real blocks are zeros that were written. What the file
    /// already holds is not touched.
    fn allocate_by_writing(
        &self,
        file: &OwnedFd,
        path: &Path,
        to: u64,
    ) -> Result<(), FileSystemError> {
        let length = length_of(file)?;
        if to <= length {
            return Ok(());
        }
        let zeros = AlignedBuffer::zeroed(ZERO_PIECE_BYTES);
        let block = direct::BLOCK;
        let mut position =
            if self.is_direct(path) { length.next_multiple_of(block) } else { length };
        while position < to {
            let piece = usize::try_from(to - position).unwrap_or(usize::MAX).min(ZERO_PIECE_BYTES);
            let piece = if self.is_direct(path) { direct::round_up(piece) } else { piece };
            if let Err(error) = write_all(file, position, &zeros[..piece]) {
                let _ = set_length_of(file, length);
                return Err(error);
            }
            position += piece as u64;
        }
        set_length_of(file, to)
    }
}

impl FileSystem for RealFileSystem {
    fn entries(&self, dir: &Path) -> Result<Vec<DirectoryEntry>, FileSystemError> {
        let fd = self.open_dir(dir)?;
        let mut entries = Vec::new();
        for entry in self.descriptors.open(|| Dir::read_from(&fd)).map_err(failed("readdir"))? {
            let entry = entry.map_err(failed("readdir"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let stat = match statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue, // removed meanwhile
                Err(errno) => return Err(failed("stat")(errno)),
            };
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let length = if is_dir { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) };
            entries.push(DirectoryEntry { name: PathBuf::from(name), is_dir, length });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        match mkdirat(&self.root, or_dot(dir), DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(failed("mkdir")(errno)),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        let fd = self.open_dir(dir)?;
        #[cfg(feature = "planted-faults")]
        if !planted::before_directory_sync(&fd, dir, self.entries(dir)?)? {
            return Ok(());
        }
        let _permit = self.permit();
        retry_on_intr(|| fsync(&fd)).map_err(failed("fsync of a directory"))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileSystemError> {
        renameat(&self.root, from, &self.root, to).map_err(failed("rename"))
    }

    fn remove_file(&self, path: &Path) -> Result<(), FileSystemError> {
        let _permit = self.permit();
        absent_is_fine(unlinkat(&self.root, path, AtFlags::empty()), "unlink")
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        absent_is_fine(unlinkat(&self.root, dir, AtFlags::REMOVEDIR), "rmdir")
    }

    fn length(&self, path: &Path) -> Result<u64, FileSystemError> {
        let stat = statat(&self.root, path, AtFlags::empty()).map_err(failed("stat"))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn read(&self, path: &Path, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError> {
        let file = self.open_file(path, OFlags::RDONLY)?;
        if self.is_direct(path) {
            direct::read(&file, position, into)
        } else {
            read_all(&file, position, into)
        }
    }

    fn write(&self, path: &Path, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
        let file = self.open_file(path, OFlags::WRONLY | OFlags::CREATE)?;
        if self.is_direct(path) {
            direct::write(&file, position, data)
        } else {
            write_all(&file, position, data)
        }
    }

    fn write_file(&self, path: &Path, data: &[u8]) -> Result<(), FileSystemError> {
        let file = self.open_file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        if self.is_direct(path) {
            direct::write_padded(&file, data)?;
            return set_length_of(&file, data.len() as u64);
        }
        write_all(&file, 0, data)
    }

    fn allocate(&self, path: &Path, from: u64, to: u64) -> Result<(), FileSystemError> {
        let file = self.open_file(path, OFlags::WRONLY | OFlags::CREATE)?;
        if to <= from {
            return Ok(());
        }
        let _permit = self.permit();
        let length = length_of(&file)?;
        // No KEEP_SIZE: a write that moves the size later costs an exclusive lock and a journal commit.
        match retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), from, to - from)) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => self.allocate_by_writing(&file, path, to),
            Err(errno) => {
                // ext4 keeps what it found before it ran out: a full disk must not stay full of room
                // that was refused.
                let _ = set_length_of(&file, length);
                Err(failed("fallocate")(errno))
            }
        }
    }

    fn set_length(&self, path: &Path, length: u64) -> Result<(), FileSystemError> {
        let file = self.open_file(path, OFlags::WRONLY)?;
        let _permit = self.permit();
        set_length_of(&file, length)
    }

    fn sync(&self, path: &Path) -> Result<(), FileSystemError> {
        let file = self.open_file(path, OFlags::RDONLY)?;
        let _permit = self.permit();
        // fdatasync includes size and block map, all that a data file needs; the times that only
        // fsync adds cost a journal commit each. Small files are new or replaced: fsync.
        if is_data_file(path) {
            retry_on_intr(|| fdatasync(&file)).map_err(failed("fdatasync"))
        } else {
            retry_on_intr(|| fsync(&file)).map_err(failed("fsync"))
        }
    }

    fn sync_file_system(&self) -> Result<(), FileSystemError> {
        let _permit = self.permit();
        retry_on_intr(|| syncfs(&self.root)).map_err(failed("syncfs"))
    }

    fn free_bytes(&self) -> Result<u64, FileSystemError> {
        let stat = fstatvfs(&self.root).map_err(failed("statvfs"))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Data files: direct only.
fn is_data_file(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    matches!(extension, Some("log" | "journal" | "cleaned"))
}

/// "" names the root itself.
fn or_dot(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

fn absent_is_fine(result: Result<(), Errno>, call: &'static str) -> Result<(), FileSystemError> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed(call)(errno)),
    }
}

fn length_of(file: &OwnedFd) -> Result<u64, FileSystemError> {
    let stat = fstat(file).map_err(failed("stat"))?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

fn set_length_of(file: &OwnedFd, length: u64) -> Result<(), FileSystemError> {
    retry_on_intr(|| ftruncate(file, length)).map_err(failed("ftruncate"))
}

fn read_all(file: &OwnedFd, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError> {
    let mut filled = 0;
    while filled < into.len() {
        let at = position + filled as u64;
        match retry_on_intr(|| pread(file, &mut into[filled..], at)).map_err(failed("read"))? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn write_all(file: &OwnedFd, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
    let mut written = 0;
    while written < data.len() {
        let at = position + written as u64;
        match retry_on_intr(|| pwrite(file, &data[written..], at)).map_err(failed("write"))? {
            0 => return Err(failed("write")(Errno::IO)), // the kernel's contract excludes it
            more => written += more,
        }
    }
    Ok(())
}

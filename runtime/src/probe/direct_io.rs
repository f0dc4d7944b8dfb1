//! What a directory can do: direct I/O, its alignment, stable writes, its file system.

use std::fmt;
use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, fstatfs, open, statx};
use rustix::io::{ReadWriteFlags, pwritev2};

use crate::limits::PAGE_BYTES;
use crate::memory::Arena;
use crate::os_error::OsError;

/// What was found out about a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    pub file_system: FileSystemType,
    pub direct_io: DirectIo,
    /// Whether a direct write with RWF_DSYNC of one page succeeded. (That a device does not lie
    /// about it cannot be probed.)
    pub durable_write: Result<(), OsError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectIo {
    /// Addresses and positions must be multiples of these (as the kernel tells; where it does not,
    /// 4,096 is assumed).
    Supported {
        memory_alignment: u32,
        position_alignment: u32,
    },
    Refused(OsError),
}

/// The file system below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystemType {
    Ext4,
    Xfs,
    Btrfs,
    Overlay,
    Tmpfs,
    Other(i64),
}

impl FileSystemType {
    fn from_magic(magic: i64) -> Self {
        match magic {
            0xEF53 => Self::Ext4,
            0x5846_5342 => Self::Xfs,
            0x9123_683E => Self::Btrfs,
            0x794C_7630 => Self::Overlay,
            0x0102_1994 => Self::Tmpfs,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for FileSystemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ext4 => f.write_str("ext4"),
            Self::Xfs => f.write_str("XFS"),
            Self::Btrfs => f.write_str("btrfs"),
            Self::Overlay => f.write_str("overlayfs"),
            Self::Tmpfs => f.write_str("tmpfs"),
            Self::Other(magic) => write!(f, "file system 0x{magic:x}"),
        }
    }
}

/// Tries a directory with a file that nobody else sees. Blocks.
pub fn check_directory(directory: &Path) -> io::Result<Directory> {
    let handle =
        open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let magic = fstatfs(&handle)?.f_type;
    let file_system = FileSystemType::from_magic(magic);
    match open_direct(directory) {
        Ok(file) => Ok(Directory {
            file_system,
            direct_io: alignment(&file)?,
            durable_write: write_durably(&file),
        }),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let error = OsError::from(error);
            Ok(Directory {
                file_system,
                direct_io: DirectIo::Refused(error),
                durable_write: Err(error),
            })
        }
        Err(error) => Err(error),
    }
}

/// A file without a name; where the file system has no such thing, one whose name is removed.
fn open_direct(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match open(directory, flags | OFlags::TMPFILE, mode) {
        Ok(file) => return Ok(file),
        Err(error) if error != rustix::io::Errno::OPNOTSUPP => return Err(error.into()),
        Err(_) => {}
    }
    let path = directory.join(format!(".direct-io-probe-{}", std::process::id()));
    let file = open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode);
    // A refused O_DIRECT may have created the file all the same.
    let removed = fs::remove_file(&path);
    let file = file?;
    removed?;
    Ok(file)
}

fn alignment(file: &OwnedFd) -> io::Result<DirectIo> {
    let found = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
    let page = PAGE_BYTES as u32;
    let known = found.stx_mask & StatxFlags::DIOALIGN.bits() != 0 && found.stx_dio_mem_align > 0;
    Ok(if known {
        DirectIo::Supported {
            memory_alignment: found.stx_dio_mem_align,
            position_alignment: found.stx_dio_offset_align,
        }
    } else {
        DirectIo::Supported { memory_alignment: page, position_alignment: page }
    })
}

fn write_durably(file: &OwnedFd) -> Result<(), OsError> {
    let arena = Arena::new(PAGE_BYTES)?;
    let page = arena.allocate(PAGE_BYTES).expect("a fresh arena holds its one page");
    let written = pwritev2(file, &[IoSlice::new(&page)], 0, ReadWriteFlags::DSYNC)?;
    if written == PAGE_BYTES { Ok(()) } else { Err(OsError::IO) }
}

#[cfg(test)]
mod tests {
    use super::{DirectIo, FileSystemType, check_directory};
    use crate::limits::PAGE_BYTES;

    #[test]
    fn a_directory_tells_what_it_can_do_and_keeps_no_trace() {
        let directory = tempfile::tempdir().unwrap();
        let found = check_directory(directory.path()).unwrap();
        if let DirectIo::Supported { memory_alignment, position_alignment } = found.direct_io {
            assert!(memory_alignment as usize <= PAGE_BYTES);
            assert!(position_alignment as usize <= PAGE_BYTES);
            assert_eq!(found.durable_write, Ok(()));
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(check_directory(&directory.path().join("missing")).is_err());
    }

    #[test]
    fn file_systems_are_told_by_their_magic() {
        assert_eq!(FileSystemType::from_magic(0xEF53), FileSystemType::Ext4);
        assert_eq!(FileSystemType::from_magic(7), FileSystemType::Other(7));
        assert_eq!(FileSystemType::Other(0x1a).to_string(), "file system 0x1a");
    }
}

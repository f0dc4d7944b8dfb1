//! What a data directory can do, tried rather than looked up: direct I/O, stable writes, and files
//! without copy on write.
//!
//! The probe writes one block to a file that never gets a name (or whose name is removed at once),
//! so that it leaves nothing behind, whenever it is interrupted.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, IFlags, Mode, OFlags, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};
use serde::Serialize;

use crate::byte_count::ByteCount;
use crate::limits::PROBE_BLOCK_BYTES;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DirectoryProbe {
    pub write_path: WritePath,
    /// What the kernel asks of addresses and positions in direct I/O; `None` where it does not tell.
    pub memory_alignment: Option<ByteCount>,
    pub position_alignment: Option<ByteCount>,
    /// On file systems that copy on write: whether new files here are exempt from it (`chattr +C`).
    pub no_copy_on_write: bool,
}

/// The best of the ways to write that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WritePath {
    /// `O_DIRECT` with `RWF_DSYNC`, read back as written: what the journal needs.
    DirectStable,
    /// The file opens `O_DIRECT`, but a stable write through it fails.
    DirectWithoutStable { errno: i32 },
    /// `O_DIRECT` is refused.
    NotDirect { errno: i32 },
}

/// Why the directory could not be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryProbeError {
    pub path: PathBuf,
    pub errno: Errno,
}

impl fmt::Display for DirectoryProbeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from(self.errno);
        write!(formatter, "cannot write in {}: {error}", self.path.display())
    }
}

impl std::error::Error for DirectoryProbeError {}

/// A block at an address that any disk accepts.
#[repr(align(4096))]
struct AlignedBlock([u8; PROBE_BLOCK_BYTES]);

/// Tries an existing directory.
pub fn probe_directory(path: &Path) -> Result<DirectoryProbe, DirectoryProbeError> {
    let failed = |errno| DirectoryProbeError { path: path.to_path_buf(), errno };
    // First without O_DIRECT: what fails now is the directory, what fails later is direct I/O.
    let plain = open_unnamed(path, OFlags::RDWR).map_err(failed)?;
    let (memory_alignment, position_alignment) = alignments(&plain);
    let flags = rustix::fs::ioctl_getflags(&plain).unwrap_or(IFlags::empty());
    let write_path = match open_unnamed(path, OFlags::RDWR | OFlags::DIRECT) {
        Err(errno) => WritePath::NotDirect { errno: errno.raw_os_error() },
        Ok(direct) => match write_and_read_back(&direct) {
            Ok(()) => WritePath::DirectStable,
            // A full or failing disk says nothing about direct I/O.
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => return Err(failed(errno)),
            Err(errno) => WritePath::DirectWithoutStable { errno: errno.raw_os_error() },
        },
    };
    Ok(DirectoryProbe {
        write_path,
        memory_alignment,
        position_alignment,
        no_copy_on_write: flags.contains(IFlags::NOCOW),
    })
}

pub(crate) fn open_unnamed(directory: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = flags | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags | OFlags::TMPFILE, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
        done => return done,
    }
    // Overlays on old kernels, network file systems: a named file whose name goes at once.
    let name = directory.join(format!(".probe-{}", std::process::id()));
    let file = rustix::fs::open(&name, flags | OFlags::CREATE | OFlags::EXCL, mode);
    // A file system may create the file and then refuse O_DIRECT: the name goes in either case.
    if !matches!(file, Err(Errno::EXIST)) {
        let _ = rustix::fs::unlink(&name);
    }
    file
}

fn write_and_read_back(file: &OwnedFd) -> Result<(), Errno> {
    let written = Box::new(AlignedBlock([0x5a; PROBE_BLOCK_BYTES]));
    let slices = [IoSlice::new(&written.0)];
    let count = rustix::io::pwritev2(file, &slices, 0, ReadWriteFlags::DSYNC)?;
    if count != PROBE_BLOCK_BYTES {
        return Err(Errno::INVAL);
    }
    let mut read = Box::new(AlignedBlock([0; PROBE_BLOCK_BYTES]));
    let count = rustix::io::preadv(file, &mut [IoSliceMut::new(&mut read.0)], 0)?;
    match count == PROBE_BLOCK_BYTES && read.0 == written.0 {
        true => Ok(()),
        false => Err(Errno::INVAL),
    }
}

fn alignments(file: &OwnedFd) -> (Option<ByteCount>, Option<ByteCount>) {
    let Ok(status) = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) else {
        return (None, None);
    };
    let told = |bytes: u32| (bytes > 0).then(|| ByteCount(u64::from(bytes)));
    (told(status.stx_dio_mem_align), told(status.stx_dio_offset_align))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::io::Errno;

    use super::probe_directory;

    #[test]
    fn a_probe_leaves_nothing_behind() {
        // Below the build folder: the system's temporary folder may be in memory.
        let test_program = std::env::current_exe().expect("this test has a file");
        let build_folder = test_program.parent().expect("a file lies in a folder");
        let directory = tempfile::tempdir_in(build_folder).expect("a directory");
        probe_directory(directory.path()).expect("a probe");
        assert_eq!(directory.path().read_dir().expect("a listing").count(), 0);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = probe_directory(Path::new("/no/such/directory")).expect_err("nothing there");
        assert_eq!(error.errno, Errno::NOENT);
        assert!(error.to_string().starts_with("cannot write in /no/such/directory: "));
    }
}

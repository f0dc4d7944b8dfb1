//! What a disk can do, measured rather than looked up: sequential direct I/O, and how long a durable write takes.
//!
//! * `probe_file`: a file that never has a name, so that nothing stays of it, however a probe ends
//! * `aligned_bytes`: memory that direct I/O takes
//! * `sequential`: bandwidth at a block size and depth, and where more of either gains nothing
//! * `durable`: latency of one durable write by size, state of the file and call; several writers at once
//! * `samples`: many durations to the few figures that may be said of them
//!
//! The requests of a depth are threads with blocking calls: with blocks of 64 KiB and more their cost is nothing
//! beside the disk's, and the kernel sees the same queue as from a ring.

mod aligned_bytes;
mod durable;
mod probe_file;
mod samples;
mod sequential;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::byte_count::ByteCount;
use crate::directory::{DirectoryFacts, DirectoryFactsError};
use crate::file_system::FileSystemKind;
use crate::host_root::HostRoot;
use crate::limits::{PROBE_FILE_BYTES_MAX, PROBE_FILE_BYTES_MIN, PROBE_FREE_SHARE};

pub use durable::{DurableCall, DurableWrites, FileState, believable};
pub use samples::Samples;
pub use sequential::{Bandwidth, Direction, Shape, knee};

use probe_file::ProbeFile;

/// A directory whose disk is measured, with the file that most probes use: written once, so that all of its blocks
/// are there already, as in a journal file of the node.
pub struct DiskProbes {
    facts: DirectoryFacts,
    prewritten: ProbeFile,
    bytes: u64,
}

/// Why a disk is not measured.
#[derive(Debug)]
pub enum DiskProbeError {
    Facts(DirectoryFactsError),
    /// There is no disk below it.
    InMemory {
        path: PathBuf,
        kind: FileSystemKind,
    },
    NoRoom {
        path: PathBuf,
        free: ByteCount,
        needed: ByteCount,
    },
    NotDirect {
        path: PathBuf,
        errno: Errno,
    },
    Failed {
        path: PathBuf,
        what: &'static str,
        errno: Errno,
    },
}

impl fmt::Display for DiskProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Facts(error) => error.fmt(f),
            Self::InMemory { path, kind } => write!(
                f,
                "{} is on {}, which is memory and no disk; give a directory on the disk that \
                 holds the data",
                path.display(),
                kind.name()
            ),
            Self::NoRoom { path, free, needed } => write!(
                f,
                "{} has {free} free, and measuring needs {needed}; make room or give another \
                 directory",
                path.display()
            ),
            Self::NotDirect { path, errno } => write!(
                f,
                "{} does not take direct I/O ({}), which the node needs; give a directory on ext4 \
                 or xfs",
                path.display(),
                io::Error::from(*errno)
            ),
            Self::Failed { path, what, errno } => write!(
                f,
                "the disk of {} cannot be measured: {what} failed: {}",
                path.display(),
                io::Error::from(*errno)
            ),
        }
    }
}

impl std::error::Error for DiskProbeError {}

impl DiskProbes {
    /// Looks at the directory, or at the nearest one above it that exists, and writes the file: at most for a few
    /// seconds, so that a slow disk has a smaller one.
    pub fn prepare(host: &HostRoot, directory: &Path) -> Result<Self, DiskProbeError> {
        Self::prepare_up_to(host, directory, PROBE_FILE_BYTES_MAX)
    }

    /// The same with a smaller file.
    pub(crate) fn prepare_up_to(
        host: &HostRoot,
        directory: &Path,
        bytes_max: ByteCount,
    ) -> Result<Self, DiskProbeError> {
        let facts = DirectoryFacts::read(host, directory).map_err(DiskProbeError::Facts)?;
        let bytes_max = file_bytes(&facts)?.min(bytes_max.get());
        let prewritten = ProbeFile::create(&facts.path)?;
        let bytes = prewritten.prewrite(bytes_max)?;
        Ok(Self { facts, prewritten, bytes })
    }

    #[must_use]
    pub fn facts(&self) -> &DirectoryFacts {
        &self.facts
    }

    /// Of the file that is written and read.
    #[must_use]
    pub fn file_bytes(&self) -> ByteCount {
        ByteCount(self.bytes)
    }
}

/// How large the file may become: nothing on this disk is to run out of room because somebody measured.
fn file_bytes(facts: &DirectoryFacts) -> Result<u64, DiskProbeError> {
    let kind = facts.effective_kind();
    if kind.lives_in_memory() {
        return Err(DiskProbeError::InMemory { path: facts.path.clone(), kind });
    }
    let bytes = (facts.free.get() / PROBE_FREE_SHARE).min(PROBE_FILE_BYTES_MAX.get());
    if bytes < PROBE_FILE_BYTES_MIN.get() {
        return Err(DiskProbeError::NoRoom {
            path: facts.path.clone(),
            free: facts.free,
            needed: ByteCount(PROBE_FILE_BYTES_MIN.get() * PROBE_FREE_SHARE),
        });
    }
    Ok(bytes)
}

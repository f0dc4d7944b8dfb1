//! The lock on a log directory: one node at a time.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, ftruncate, openat};
use rustix::io::{Errno, pread, pwrite};
use rustix::process::getpid;

/// The file that is locked; holds the holder's process id for the message of a second node.
const LOCK_FILE: &str = ".lock";

/// Held for the life of the node; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: OwnedFd,
}

/// Why a log directory could not be locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockError {
    Held { root: PathBuf, pid: Option<i32> },
    Failed { root: PathBuf, errno: i32 },
}

impl DirectoryLock {
    pub fn take(root: &Path) -> Result<Self, LockError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let fail =
            |errno: Errno| LockError::Failed { root: root.into(), errno: errno.raw_os_error() };
        let mode = Mode::from_raw_mode(0o666);
        let file = openat(CWD, root.join(LOCK_FILE), flags, mode).map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held { root: root.into(), pid: holder(&file) });
            }
            Err(errno) => return Err(fail(errno)),
        }
        let line = format!("{}\n", getpid().as_raw_nonzero());
        // Only for that message: a full disk must not keep a node from starting.
        let _ = ftruncate(&file, 0).and_then(|()| pwrite(&file, line.as_bytes(), 0));
        Ok(Self { _file: file })
    }
}

/// Who wrote its id into the lock file. Unknown if the holder has not come to it yet.
fn holder(file: &OwnedFd) -> Option<i32> {
    let mut text = [0; 16];
    let read = pread(file, &mut text, 0).ok()?;
    std::str::from_utf8(&text[..read]).ok()?.trim().parse().ok()
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { root, pid: Some(pid) } => write!(
                f,
                "{} is in use by the node with process id {pid}; stop it (kill {pid}) or give another --data-dir",
                root.display()
            ),
            Self::Held { root, pid: None } => {
                write!(
                    f,
                    "{} is in use by another node; stop it or give another --data-dir",
                    root.display()
                )
            }
            Self::Failed { root, errno } => {
                let reason = std::io::Error::from_raw_os_error(*errno);
                write!(
                    f,
                    "{} cannot be locked: {reason}; make it writable or give another --data-dir",
                    root.display()
                )
            }
        }
    }
}

impl std::error::Error for LockError {}

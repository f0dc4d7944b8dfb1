//! Why a node does not start, or ends: one sentence each, with what to do next.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use engine::disk::FileSystemError;
use engine::disk::real::LockError;
use runtime::OsError;
use runtime::probe::Refusal;
use runtime::shard::StartError;
use rustix::io::Errno;
use tuning::{ShardPlanError, mend_unwritable};

use crate::shard::metadata_log::MetadataLogError;

#[derive(Debug)]
pub enum NodeError {
    Machine(Refusal),
    Plan(ShardPlanError),
    Signals(OsError),
    Listen {
        address: SocketAddr,
        error: io::Error,
    },
    CreateDirectory {
        path: PathBuf,
        error: io::Error,
    },
    Lock(LockError),
    /// Two `--data-dir` are one directory.
    DirectoryTwice {
        path: PathBuf,
        other: PathBuf,
    },
    /// What keeps this directory from being used, with what mends it.
    Directory(String),
    MetaDamaged {
        path: PathBuf,
        key: &'static str,
    },
    NewerFormat {
        path: PathBuf,
        found: u32,
    },
    /// There are journals, and nothing says whose.
    MetaMissing {
        path: PathBuf,
    },
    OtherCluster {
        path: PathBuf,
        expected: String,
        found: String,
    },
    OtherNode {
        path: PathBuf,
        given: i32,
        found: i32,
    },
    Disk {
        path: PathBuf,
        error: FileSystemError,
    },
    /// There are partitions, and the log that says of which topics is not.
    MetadataGone {
        path: PathBuf,
    },
    /// Log directories of before are not given, or something else is mounted there.
    DirectoriesMissing {
        paths: Vec<String>,
    },
    /// `meta.properties` and the metadata log are of two nodes.
    MetaDiffers {
        path: PathBuf,
        key: &'static str,
        known: String,
    },
    MetadataSuspect {
        path: PathBuf,
        why: String,
    },
    MetadataLog(MetadataLogError),
    /// The controller's machine refuses this start.
    Metadata(String),
    Mailboxes(io::Error),
    Helper(io::Error),
    Shard(StartError),
    /// The controller shard could not open what was free a moment ago.
    Listening(String),
    Seed(io::Error),
    /// Every log directory failed while the node ran.
    StorageFailed {
        path: String,
        error: String,
    },
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(refusal) => refusal.fmt(f),
            Self::Plan(error) => error.fmt(f),
            Self::Signals(error) => write!(f, "signals cannot be received: {error}"),
            Self::Listen { address, error } => listen_error(f, *address, error),
            Self::CreateDirectory { path, error } => write!(
                f,
                "{} cannot be created ({error}): {}",
                path.display(),
                mend_unwritable(path, Errno::from_io_error(error))
            ),
            Self::Lock(LockError::Failed { root, errno }) => {
                let errno = Errno::from_raw_os_error(*errno);
                let (path, mend) = (root.display(), mend_unwritable(root, Some(errno)));
                write!(f, "{path} cannot be written ({}): {mend}", io::Error::from(errno))
            }
            Self::Lock(error @ LockError::Held { .. }) => error.fmt(f),
            Self::DirectoryTwice { path, other } => write!(
                f,
                "--data-dir {} and --data-dir {} are the same directory; give each one once",
                other.display(),
                path.display()
            ),
            Self::Directory(sentence) | Self::Metadata(sentence) | Self::Listening(sentence) => {
                f.write_str(sentence)
            }
            Self::MetaDamaged { .. }
            | Self::MetaMissing { .. }
            | Self::MetaDiffers { .. }
            | Self::NewerFormat { .. }
            | Self::OtherCluster { .. }
            | Self::OtherNode { .. }
            | Self::MetadataGone { .. }
            | Self::DirectoriesMissing { .. }
            | Self::MetadataSuspect { .. } => self.identity(f),
            Self::Disk { path, error } => disk_error(f, path, error),
            Self::MetadataLog(error) => error.fmt(f),
            Self::Mailboxes(error) => write!(f, "mailboxes cannot be made: {error}"),
            Self::Helper(error) => write!(f, "a helper thread cannot be started: {error}"),
            Self::Shard(error) => error.fmt(f),
            Self::Seed(error) => write!(f, "/dev/urandom cannot be read: {error}"),
            Self::StorageFailed { path, error } => write!(
                f,
                "the log directory {path} failed ({error}): see `dmesg`, mend or replace the device, and \
                 start again"
            ),
        }
    }
}

impl std::error::Error for NodeError {}

impl NodeError {
    /// Of who the node is and which topics it has.
    fn identity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MetaDamaged { path, key } => write!(
                f,
                "{} is damaged at {key}: bring back the file from a backup, or give another --data-dir",
                path.display()
            ),
            Self::MetaMissing { path } => write!(
                f,
                "{} is missing, but journals of a node are beside it: bring back the file from a backup, or \
                 give another --data-dir",
                path.display()
            ),
            Self::NewerFormat { path, found } => write!(
                f,
                "{} has format {found}, written by a newer version of corelane: start that version",
                path.display()
            ),
            Self::OtherCluster { path, expected, found } => write!(
                f,
                "{} belongs to cluster {found}, the other data directories to {expected}: give only \
                 directories of one node",
                path.display()
            ),
            Self::OtherNode { path, given, found } => write!(
                f,
                "{} belongs to node {found}, not to {given}: leave out --node-id, or give another \
                 --data-dir",
                path.display()
            ),
            Self::DirectoriesMissing { paths } => write!(
                f,
                "the node's data in {} are missing: mount the disk and give all --data-dir of the node; if \
                 they are lost, --give-up-missing-data-dir starts without them",
                paths.join(" and ")
            ),
            Self::MetadataGone { path } => write!(
                f,
                "{} is missing or damaged beside partitions of a node: bring it back from a backup, or \
                 give all --data-dir of the node",
                path.display()
            ),
            Self::MetaDiffers { path, key, known } => write!(
                f,
                "{key} in {} is not what the metadata log says: correct the line to {key}={known}, or \
                 give another --data-dir",
                path.display()
            ),
            Self::MetadataSuspect { path, why } => write!(
                f,
                "the metadata log in {} is damaged where it was acknowledged ({why}): run `corelane \
                 verify {}` to see what is lost",
                path.display(),
                path.display()
            ),
            other => unreachable!("not about the node's identity: {other:?}"),
        }
    }
}

fn listen_error(f: &mut fmt::Formatter<'_>, address: SocketAddr, error: &io::Error) -> fmt::Result {
    match error.kind() {
        io::ErrorKind::AddrInUse => write!(
            f,
            "{address} is in use by another program: `ss -ltnp 'sport = :{}'` names it; stop it, or give \
             another address",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => {
            write!(f, "{address} may not be listened on ({error}): give a port of 1024 or above")
        }
        io::ErrorKind::AddrNotAvailable => {
            write!(f, "{address} is no address of this machine: `ip -brief address` lists them")
        }
        _ => write!(f, "{address} cannot be listened on ({error}): give another address"),
    }
}

fn disk_error(
    f: &mut fmt::Formatter<'_>,
    path: &std::path::Path,
    error: &FileSystemError,
) -> fmt::Result {
    match error {
        FileSystemError::NoSpace => write!(
            f,
            "{} is full: free some space (see `df -h '{}'`) and start again",
            path.display(),
            path.display()
        ),
        FileSystemError::NotFound => {
            write!(f, "a file below {} is missing: run `corelane verify`", path.display())
        }
        FileSystemError::Failed { errno, call } => {
            let reason = io::Error::from_raw_os_error(*errno);
            write!(f, "{call} failed below {} ({reason}): see `dmesg`", path.display())
        }
        FileSystemError::Stopped => f.write_str("the node was stopped while it started"),
    }
}

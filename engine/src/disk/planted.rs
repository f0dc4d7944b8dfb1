//! Faults that are planted on purpose, so that programs that cut the power can show what they would find.
//!
//! Only a build with the feature `planted-faults` has them, and only where `CORELANE_PLANT` names one;
//! in any other build there is no such name and every hook is a constant.
//!
//! Linux's file systems make a new file's name durable together with the file, which POSIX does not
//! promise: a missing sync of a directory loses nothing there. So a build with faults can mark each new
//! file until the directory that names it is synced, and who cuts the power removes what is marked.

/// One promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedFault {
    /// Writes that must be durable are not: no RWF_DSYNC.
    NoDsync,
    /// A partition's directory is not synced when it gets a file. New files are marked.
    NoDirectorySync,
    /// A journal write completes when it is submitted.
    EarlyAcknowledgement,
    /// Nothing is broken; new files are marked. Nothing may be lost then.
    MarkedNames,
}

#[cfg(feature = "planted-faults")]
mod hooks {
    use std::path::Path;
    use std::sync::OnceLock;

    use rustix::fd::{AsFd, OwnedFd};
    use rustix::fs::{
        AtFlags, Mode, OFlags, XattrFlags, fremovexattr, fsetxattr, fsync, openat, statat,
    };
    use rustix::io::Errno;

    use super::PlantedFault;
    use crate::disk::{DirectoryEntry, FileSystemError};

    /// On a file whose name the node has not made durable yet.
    const MARK: &str = "user.corelane.unsynced-name";

    impl PlantedFault {
        /// The one that this process has; an unknown name ends it, so that no control runs without a fault.
        pub fn of_this_process() -> Option<Self> {
            static PLANTED: OnceLock<Option<PlantedFault>> = OnceLock::new();
            *PLANTED.get_or_init(|| {
                let name = std::env::var("CORELANE_PLANT").ok()?;
                match name.as_str() {
                    "no-dsync" => Some(Self::NoDsync),
                    "no-directory-sync" => Some(Self::NoDirectorySync),
                    "early-acknowledgement" => Some(Self::EarlyAcknowledgement),
                    "marked-names" => Some(Self::MarkedNames),
                    _ => panic!("CORELANE_PLANT is {name}: there is no such fault"),
                }
            })
        }

        pub(crate) fn is_planted(self) -> bool {
            Self::of_this_process() == Some(self)
        }
    }

    fn names_are_marked() -> bool {
        PlantedFault::NoDirectorySync.is_planted() || PlantedFault::MarkedNames.is_planted()
    }

    /// Before a file is opened that may be new.
    pub(crate) fn before_creation(root: &OwnedFd, path: &Path) -> Result<(), FileSystemError> {
        if !names_are_marked() || statat(root, path, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(root, path, flags, Mode::from_raw_mode(0o666));
        let marked = file.and_then(|file| fsetxattr(&file, MARK, b"", XattrFlags::empty()));
        marked.map_err(|errno| failed(errno, "marking of a new file"))
    }

    /// Before a directory is synced; false: it shall not be.
    pub(crate) fn before_directory_sync(
        directory: &OwnedFd,
        path: &Path,
        entries: Vec<DirectoryEntry>,
    ) -> Result<bool, FileSystemError> {
        let is_of_a_partition = path.components().count() == 1 && path != Path::new("journal");
        if PlantedFault::NoDirectorySync.is_planted() && is_of_a_partition {
            return Ok(false);
        }
        if names_are_marked() {
            for entry in entries.iter().filter(|entry| !entry.is_dir) {
                unmark(directory.as_fd(), &entry.name)
                    .map_err(|errno| failed(errno, "unmarking of a new file"))?;
            }
        }
        Ok(true)
    }

    fn unmark(directory: rustix::fd::BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
        let file = match openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(()), // removed meanwhile
            Err(errno) => return Err(errno),
        };
        match fremovexattr(&file, MARK) {
            Ok(()) => fsync(&file),
            Err(Errno::NODATA) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn failed(errno: Errno, call: &'static str) -> FileSystemError {
        FileSystemError::Failed { errno: errno.raw_os_error(), call }
    }
}

#[cfg(not(feature = "planted-faults"))]
impl PlantedFault {
    pub const fn of_this_process() -> Option<Self> {
        None
    }

    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}

#[cfg(feature = "planted-faults")]
pub(crate) use hooks::{before_creation, before_directory_sync};

//! Files of a data directory, told by their names, and the directory that one of them belongs to.

use std::path::{Path, PathBuf};

use engine::disk::FileSystemError;
use engine::disk::real::{DataAccess, RealFileSystem};
use engine::partition::cleaner_checkpoint;
use engine::recovery::identity;
use engine::recovery::meta::{self, MetaError, MetaProperties};
use engine::recovery::suspicion::{ACCEPT_LOSS_FILE, SUSPECT_FILE};

use super::failure::Failure;

/// What was lost and accepted, line after line, in the data directory.
pub(crate) const ACCEPTED_LOSSES_FILE: &str = "accepted-losses.log";
/// The directory of the shards' journals.
pub(crate) const JOURNAL_DIRECTORY: &str = "journal";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment {
        base: i64,
    },
    OffsetIndex {
        base: i64,
    },
    TimeIndex {
        base: i64,
    },
    Journal {
        number: u64,
    },
    State,
    Meta,
    PartitionMetadata,
    /// Text for people: marks, the lock, the list of accepted losses, how far a log is compacted.
    Note,
    Other,
}

impl FileKind {
    pub(crate) fn of(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let base = |extension: &str| {
            let digits = name.strip_suffix(extension).filter(|stem| stem.len() == 20)?;
            digits.parse::<i64>().ok().filter(|base| *base >= 0)
        };
        if let Some(base) = base(".log") {
            return Self::Segment { base };
        }
        if let Some(base) = base(".index") {
            return Self::OffsetIndex { base };
        }
        if let Some(base) = base(".timeindex") {
            return Self::TimeIndex { base };
        }
        if let Some(number) = name.strip_suffix(".journal").and_then(|number| number.parse().ok()) {
            return Self::Journal { number };
        }
        match name {
            "state" => Self::State,
            meta::FILE_NAME => Self::Meta,
            identity::FILE_NAME => Self::PartitionMetadata,
            SUSPECT_FILE
            | ACCEPT_LOSS_FILE
            | ACCEPTED_LOSSES_FILE
            | cleaner_checkpoint::FILE_NAME
            | ".lock" => Self::Note,
            _ => Self::Other,
        }
    }
}

/// The data directory that a path belongs to: the nearest directory above it with `meta.properties`.
pub(crate) fn data_directory_of(path: &Path) -> Option<PathBuf> {
    let whole = path.canonicalize().ok()?;
    whole.ancestors().find(|above| above.join(meta::FILE_NAME).is_file()).map(Path::to_owned)
}

/// The files below a directory, for looking at them: through the page cache, which needs no alignment.
pub(crate) fn open_for_reading(directory: &Path) -> Result<RealFileSystem, Failure> {
    RealFileSystem::open(directory, DataAccess::Buffered)
        .map_err(|error| unreadable(directory, &error))
}

pub(crate) fn read_meta(directory: &Path) -> Result<MetaProperties, Failure> {
    let name = directory.join(meta::FILE_NAME);
    match MetaProperties::read(&open_for_reading(directory)?) {
        Ok(Some(meta)) => Ok(meta),
        Ok(None) => Err(Failure::failed(format!(
            "{} is no data directory: it has no meta.properties; name the --data-dir of a node",
            directory.display()
        ))),
        Err(error) => Err(Failure::failed(format!("{}: {}", name.display(), meta_error(&error)))),
    }
}

pub(crate) fn meta_error(error: &MetaError) -> String {
    match error {
        MetaError::FileSystem(error) => file_error(error),
        MetaError::NewerFormat { found } => {
            format!("format {found} is newer than this version knows; use the newer corelane")
        }
        MetaError::Damaged { key } => {
            format!("the line {key}= is missing or makes no sense; restore it from a backup")
        }
    }
}

pub(crate) fn file_error(error: &FileSystemError) -> String {
    match error {
        FileSystemError::NoSpace => "no space is left on the device".to_owned(),
        FileSystemError::NotFound => "there is no such file".to_owned(),
        FileSystemError::Failed { errno, call } => {
            format!("{call}: {}", std::io::Error::from_raw_os_error(*errno))
        }
        FileSystemError::Stopped => "stopped".to_owned(),
    }
}

pub(crate) fn unreadable(path: &Path, error: &FileSystemError) -> Failure {
    Failure::failed(format!("{}: {}", path.display(), file_error(error)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FileKind;

    #[test]
    fn files_are_told_by_their_names() {
        for (name, kind) in [
            ("a/00000000000000000042.log", FileKind::Segment { base: 42 }),
            ("00000000000000000000.index", FileKind::OffsetIndex { base: 0 }),
            ("00000000000000000007.timeindex", FileKind::TimeIndex { base: 7 }),
            ("journal/3/12.journal", FileKind::Journal { number: 12 }),
            ("state", FileKind::State),
            ("meta.properties", FileKind::Meta),
            ("partition.metadata", FileKind::PartitionMetadata),
            ("suspect", FileKind::Note),
            ("42.log", FileKind::Other),
            ("-0000000000000000001.log", FileKind::Other),
        ] {
            assert_eq!(FileKind::of(Path::new(name)), kind, "{name}");
        }
    }
}

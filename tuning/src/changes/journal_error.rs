//! Why there is no working with the journal.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum JournalError {
    Locked {
        path: PathBuf,
    },
    Io {
        path: PathBuf,
        source: io::Error,
    },
    /// It is larger than any that this program writes.
    TooLarge {
        path: PathBuf,
        most: u64,
    },
    Damaged {
        path: PathBuf,
        line: usize,
    },
    /// It names what is never written.
    Forbidden {
        path: PathBuf,
        line: usize,
        what: String,
    },
    /// There is no room for one more change and the lines that undo it.
    Full {
        path: PathBuf,
        most: u64,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path } => write!(
                formatter,
                "another `corelane tune` is at work in {}: wait for it",
                path.display()
            ),
            Self::Io { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                write!(formatter, "{}: {source}; repeat the command with sudo", path.display())
            }
            Self::Io { path, source } => write!(formatter, "{}: {source}", path.display()),
            Self::TooLarge { path, most } => write!(
                formatter,
                "{} is larger than the {most} bytes that this program ever writes; look who did",
                path.display()
            ),
            Self::Damaged { path, line } => write!(
                formatter,
                "line {line} of {} is damaged; put the settings back by hand from its other lines \
                 (`from`), then remove it",
                path.display()
            ),
            Self::Forbidden { path, line, what } => write!(
                formatter,
                "line {line} of {} names {what}, which this program never writes; look who did",
                path.display()
            ),
            Self::Full { path, most } => write!(
                formatter,
                "{} is full ({most} bytes); roll back first: corelane tune rollback",
                path.display()
            ),
        }
    }
}

impl std::error::Error for JournalError {}

//! Why a change was not made or not undone.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum ChangeError {
    /// The folder of our file is missing: no program of this machine reads it at a start.
    NoFolder {
        folder: PathBuf,
    },
    /// Somebody else's file stands where ours would.
    NotOurs {
        path: PathBuf,
    },
    Unreadable {
        path: PathBuf,
        source: io::Error,
    },
    Refused {
        path: PathBuf,
        value: String,
        source: io::Error,
    },
    /// The kernel took the write and shows another value.
    NotTaken {
        path: PathBuf,
        value: String,
        actual: String,
    },
}

impl fmt::Display for ChangeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder { folder } => write!(
                formatter,
                "there is no {} here, so nothing would read it at a start of the machine: apply again after \
                 each start, without --persist",
                folder.display()
            ),
            Self::NotOurs { path } => write!(
                formatter,
                "{} was not written by corelane: move it away, and repeat the command",
                path.display()
            ),
            Self::Unreadable { path, source } => {
                write!(formatter, "{} cannot be read: {source}", path.display())
            }
            Self::Refused { path, value, source } => {
                write!(formatter, "{} does not take `{}`: {source}", path.display(), value.trim())
            }
            Self::NotTaken { path, value, actual } => {
                write!(formatter, "{} was given `{value}` and shows `{actual}`", path.display())
            }
        }
    }
}

impl std::error::Error for ChangeError {}

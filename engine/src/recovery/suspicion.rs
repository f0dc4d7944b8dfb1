//! Why a partition is suspect, and the note in its directory that says so until the loss is accepted.
//!
//! The note outlives the journal that showed the damage: the next incarnation writes that one over.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use protocol::Offset;

use super::RecoveredPartition;
use crate::disk::{FileSystem, FileSystemError};
use crate::journal::scan::Damage;

/// Marks a partition whose loss was not accepted.
pub const SUSPECT_FILE: &str = "suspect";
/// Left in a partition's directory when its loss was accepted; the node's next start raises the leader
/// epoch and removes it.
pub const ACCEPT_LOSS_FILE: &str = "accept-loss";
/// Far larger than any note.
pub const NOTE_BYTES_MAX: u64 = 4096;

/// Why a partition is not served beyond its log end until somebody accepts the loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// The journal is damaged where it was acknowledged.
    Journal(Damage),
    /// The bytes of the log do not reach as far as was acknowledged.
    Missing { acknowledged: Offset, found: Offset },
    /// A run that was written straight to its segment does not match its pointer.
    Run { base: Offset },
    /// There are segments, and no journal speaks of them.
    Unknown,
    /// The journal that had the partition last is missing, and its segments go on behind `end`, where those
    /// that are here let it go.
    Outdated { end: Offset },
    /// Its directory was gone, and so is the journal that had it last.
    Forgotten { end: Offset },
    /// Stated by an earlier recovery; the loss was not accepted since.
    Earlier(String),
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(damage) => write!(
                f,
                "acknowledged records were in group {}.{} of shard {}'s journal, which is damaged",
                damage.incarnation, damage.sequence, damage.shard
            ),
            Self::Missing { acknowledged, found } if acknowledged < found => {
                write!(
                    f,
                    "the log starts at offset {acknowledged}, and its first segment at {found}"
                )
            }
            Self::Missing { acknowledged, found } => write!(
                f,
                "the log reached offset {acknowledged}, acknowledged, and is found up to {found}"
            ),
            Self::Run { base } => write!(
                f,
                "the run of records from offset {base} does not match what the journal says of it"
            ),
            Self::Unknown => f.write_str("there are segments, and no journal speaks of them"),
            Self::Outdated { end } => write!(
                f,
                "its segments go on behind offset {end}, and the journal that spoke of that is missing"
            ),
            Self::Forgotten { end } => write!(
                f,
                "its directory was gone, and the journal that spoke of it last is missing: nothing is known \
                 behind offset {end}"
            ),
            Self::Earlier(reason) => write!(f, "an earlier start found: {reason}"),
        }
    }
}

/// What an earlier start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuspectNote {
    pub reason: String,
    /// The log reached at least this far, acknowledged.
    pub reached: Offset,
    /// Segments with the offsets below this one are gone.
    pub missing_below: Option<Offset>,
}

impl SuspectNote {
    /// Any file of the name makes the partition suspect, whatever became of its text.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
        };
        Self {
            reason: field("reason:").unwrap_or_else(|| text.trim().to_owned()),
            reached: Offset(field("reached:").and_then(|at| at.parse().ok()).unwrap_or(0)),
            missing_below: field("missing_below:").and_then(|at| at.parse().ok()).map(Offset),
        }
    }

    fn encode(&self, end: Offset) -> Bytes {
        let Self { reason, reached, missing_below } = self;
        let missing = missing_below.map(|below| format!("missing_below: {below}\n"));
        let missing = missing.unwrap_or_default();
        Bytes::from(format!(
            "version: 1\nreason: {reason}\nlog_end: {end}\nreached: {reached}\n{missing}"
        ))
    }
}

/// Writes the note of a partition that turned out to be suspect, durable.
pub(super) fn leave_note(
    fs: &dyn FileSystem,
    partition: &RecoveredPartition,
    suspicion: &Suspicion,
) -> Result<(), FileSystemError> {
    let directory: &Path = &partition.directory.path;
    let note = SuspectNote {
        reason: suspicion.to_string(),
        reached: partition.reached,
        missing_below: partition.missing_below,
    };
    let path = directory.join(SUSPECT_FILE);
    fs.write_file(&path, &note.encode(partition.end.offset))?;
    fs.sync(&path)?;
    fs.sync_dir(directory)
}

#[cfg(test)]
mod tests {
    use protocol::Offset;

    use super::SuspectNote;

    #[test]
    fn a_note_is_read_back_and_any_text_is_one() {
        let missing_below = Some(Offset(2));
        let note = SuspectNote { reason: "bit rot".to_owned(), reached: Offset(7), missing_below };
        assert_eq!(SuspectNote::decode(&note.encode(Offset(3))), note);
        let damaged = SuspectNote::decode(b"\xffsomething\n");
        assert_eq!((damaged.reason.as_str(), damaged.reached), ("\u{fffd}something", Offset(0)));
        assert_eq!(SuspectNote::decode(b""), SuspectNote::default());
    }
}

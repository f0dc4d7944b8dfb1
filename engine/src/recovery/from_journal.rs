//! How much of the logs a start owes to the journal: what reaches beyond the checkpoints, counted as it is applied.

use std::iter::Sum;

/// Journal entries that a start needed, and the log bytes that they brought.
///
/// Not counted is what only repeats bytes that segments are known to hold: after an orderly end the journal
/// still has the last blocks of logs as fragments, and every log ends at its checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromJournal {
    pub entries: u64,
    /// Bytes of logs beyond their checkpoints: from the journal's bodies, or in a segment where a pointer
    /// vouches for them.
    pub bytes: u64,
}

impl FromJournal {
    /// An entry whose bytes end at `end`, of a segment that is known up to `known`.
    pub(super) fn note(&mut self, known: u64, end: u64) {
        if end > known {
            self.entries += 1;
            self.bytes += end - known;
        }
    }
}

impl Sum for FromJournal {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            entries: sum.entries + one.entries,
            bytes: sum.bytes + one.bytes,
        })
    }
}

//! How a partition's files may stand before a start without being damaged.
//!
//! What was made durable stands in the files as it was written. Behind that, a block may not be written yet (it is
//! zeros, or has only its older bytes), and in a segment that an earlier process left without an orderly end
//! there may be a run that nobody acknowledged: appends that came later are in the journal alone at first.

use protocol::Offset;

use super::replay::Replay;

/// What may be expected of the segments that recovery brings up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilesBefore {
    /// Base and position below which the segment is durable; later ones are not.
    pub durable: (Offset, u64),
    /// The segment that may hold unacknowledged runs of an earlier process behind what is durable.
    pub unacknowledged_in: Option<Offset>,
}

impl FilesBefore {
    pub(super) fn new(durable: (Offset, u64), replay: Option<&Replay>) -> Self {
        Self { durable, unacknowledged_in: replay.and_then(|replay| replay.unacknowledged_in) }
    }
}

//! A place between two record batches of a log.

use protocol::Offset;

/// The boundary in front of `offset`: in the segment with base `segment`, at byte `position`.
/// Positions of one log are ordered as their offsets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    pub offset: Offset,
    pub segment: Offset,
    pub position: u64,
}

impl LogPosition {
    /// The start of the segment that begins at `offset`.
    pub fn segment_start(offset: Offset) -> Self {
        Self { offset, segment: offset, position: 0 }
    }
}

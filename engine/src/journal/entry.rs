//! One entry of a journal group: a fixed row in the entry table, and for some kinds a body.
//!
//! ```text
//!  0 kind u8 | 1 flags u8 | 2 zero u16 | 4 partition i32 | 8 topic id 16 B | 24 leader epoch i32
//! 28 body bytes u32 | 32 base offset i64 | 40 next offset i64 | 48 segment base i64
//! 56 position u64 | 64 run bytes u64 | 72 run crc u32 | 76 head bytes u32 | 80 as of u64     (little endian)
//! ```

use protocol::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use crate::PartitionId;
use crate::limits::BLOCK_BYTES;

/// Size of a row of the entry table.
pub const ENTRY_BYTES: usize = 88;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Record batches `[base, next)` whose bytes are the body, at `position` of the segment.
    Append,
    /// Record batches `[base, next)` of `run_bytes` bytes at `position`: the whole 4 KiB blocks among
    /// them are in the segment already; the `head_bytes` before the first and the bytes after the last
    /// are the body. `run_crc` is the CRC32C of the batches' headers: each has the CRC of its records.
    Pointer,
    /// The bytes of the segment from `position` (a block's start) to the log end at `next`: a block
    /// that is not full yet and therefore not in the segment.
    Fragment,
    /// The partition's segments are durable below (`segment`, `position`); `base` is the log start
    /// offset, `next` the acknowledged end when the row was made. Between the position and that end
    /// stand `run_bytes` bytes that the journal has elsewhere. All groups below `as_of` were acknowledged
    /// when the row was made.
    Checkpoint,
    /// Leader epoch `leader_epoch` begins at `base`.
    EpochStart,
    /// The log start offset is `base` from here on.
    LogStart,
    /// The partition left this shard: handed to another one at `next`.
    Close,
    /// First entry of an incarnation: what follows, up to the end of the opening, is all that counts of the
    /// incarnations before it.
    Start,
    /// All rows and fragments of a checkpoint run stand before this.
    CheckpointEnd,
    /// The partition was deleted. Whatever earlier rows say of its records need not be there any more.
    Delete,
}

impl EntryKind {
    fn code(self) -> u8 {
        match self {
            Self::Append => 1,
            Self::Pointer => 2,
            Self::Fragment => 3,
            Self::Checkpoint => 4,
            Self::EpochStart => 5,
            Self::LogStart => 6,
            Self::Close => 7,
            Self::Start => 8,
            Self::CheckpointEnd => 9,
            Self::Delete => 10,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [
            Self::Append,
            Self::Pointer,
            Self::Fragment,
            Self::Checkpoint,
            Self::EpochStart,
            Self::LogStart,
            Self::Close,
            Self::Start,
            Self::CheckpointEnd,
            Self::Delete,
        ]
        .into_iter()
        .find(|kind| kind.code() == code)
    }
}

/// One row of the entry table. Fields a kind does not use are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    pub partition: PartitionId,
    pub leader_epoch: LeaderEpoch,
    pub base: Offset,
    pub next: Offset,
    /// Base offset of the segment that `position` is in.
    pub segment: Offset,
    pub position: u64,
    pub run_bytes: u64,
    pub run_crc: u32,
    pub head_bytes: u32,
    pub body_bytes: u32,
    pub as_of: u64,
}

impl Entry {
    /// A row of `kind` about `partition`, everything else zero.
    pub fn new(kind: EntryKind, partition: PartitionId) -> Self {
        Self {
            kind,
            partition,
            leader_epoch: LeaderEpoch(0),
            base: Offset(0),
            next: Offset(0),
            segment: Offset(0),
            position: 0,
            run_bytes: 0,
            run_crc: 0,
            head_bytes: 0,
            body_bytes: 0,
            as_of: 0,
        }
    }

    pub(crate) fn encode(&self, row: &mut [u8]) {
        assert!(row.len() == ENTRY_BYTES, "a row of the entry table has a fixed size");
        row.fill(0);
        row[0] = self.kind.code();
        row[4..8].copy_from_slice(&self.partition.partition.0.to_le_bytes());
        row[8..24].copy_from_slice(&self.partition.topic_id.0);
        row[24..28].copy_from_slice(&self.leader_epoch.0.to_le_bytes());
        row[28..32].copy_from_slice(&self.body_bytes.to_le_bytes());
        row[32..40].copy_from_slice(&self.base.0.to_le_bytes());
        row[40..48].copy_from_slice(&self.next.0.to_le_bytes());
        row[48..56].copy_from_slice(&self.segment.0.to_le_bytes());
        row[56..64].copy_from_slice(&self.position.to_le_bytes());
        row[64..72].copy_from_slice(&self.run_bytes.to_le_bytes());
        row[72..76].copy_from_slice(&self.run_crc.to_le_bytes());
        row[76..80].copy_from_slice(&self.head_bytes.to_le_bytes());
        row[80..88].copy_from_slice(&self.as_of.to_le_bytes());
    }

    /// `None` for a kind this version does not know or fields that contradict each other.
    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let entry = Self {
            kind: EntryKind::from_code(*row.first()?)?,
            partition: PartitionId {
                topic_id: TopicId(field(row, 8)?),
                partition: PartitionIndex(i32::from_le_bytes(field(row, 4)?)),
            },
            leader_epoch: LeaderEpoch(i32::from_le_bytes(field(row, 24)?)),
            body_bytes: u32::from_le_bytes(field(row, 28)?),
            base: Offset(i64::from_le_bytes(field(row, 32)?)),
            next: Offset(i64::from_le_bytes(field(row, 40)?)),
            segment: Offset(i64::from_le_bytes(field(row, 48)?)),
            position: u64::from_le_bytes(field(row, 56)?),
            run_bytes: u64::from_le_bytes(field(row, 64)?),
            run_crc: u32::from_le_bytes(field(row, 72)?),
            head_bytes: u32::from_le_bytes(field(row, 76)?),
            as_of: u64::from_le_bytes(field(row, 80)?),
        };
        entry.is_consistent().then_some(entry)
    }

    fn is_consistent(&self) -> bool {
        let bytes = u64::from(self.body_bytes);
        let Some(end) = self.position.checked_add(self.run_bytes.max(bytes)) else { return false };
        if self.base.0 < 0 || self.next.0 < 0 || self.segment.0 < 0 {
            return false;
        }
        let block = BLOCK_BYTES as u64;
        match self.kind {
            EntryKind::Append => self.base < self.next && bytes > 0 && bytes == self.run_bytes,
            EntryKind::Pointer => {
                self.base < self.next
                    && self.position / block < end / block
                    && u64::from(self.head_bytes) + end % block == bytes
            }
            EntryKind::Fragment => bytes > 0,
            _ => true,
        }
    }
}

/// The `N` bytes at `at`, if they are there.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests;

//! Blocks of producer ids: durable before any of them is given out, so that no id is ever given out
//! twice.

use alloc::vec;
use core::{fmt, ops::Range};

use protocol::ProducerId;

use super::{Command, Decision, Metadata, MetadataRecord, WallMillis};
use crate::limits::PRODUCER_ID_BLOCK_MAX;

/// Asks for a block of this many ids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AllocateProducerIds {
    pub count: u32,
}

/// Declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllocateProducerIdsError {
    InvalidCount { count: u32 },
    Exhausted,
}

impl Command for AllocateProducerIds {
    /// The block, its end excluded.
    type Reply = Range<ProducerId>;
    type Error = AllocateProducerIdsError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<Range<ProducerId>>, AllocateProducerIdsError> {
        let count = self.count;
        if count == 0 || count > PRODUCER_ID_BLOCK_MAX {
            return Err(AllocateProducerIdsError::InvalidCount { count });
        }
        let first = metadata.image.next_producer_id;
        let next = first.0.checked_add(i64::from(count));
        let next = ProducerId(next.ok_or(AllocateProducerIdsError::Exhausted)?);
        Ok(Decision { records: vec![MetadataRecord::ProducerIds { next }], reply: first..next })
    }
}

impl fmt::Display for AllocateProducerIdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidCount { count } => {
                write!(f, "{count} producer ids; a block has between 1 and {PRODUCER_ID_BLOCK_MAX}")
            }
            Self::Exhausted => f.write_str("the cluster has used up its producer ids"),
        }
    }
}

impl core::error::Error for AllocateProducerIdsError {}

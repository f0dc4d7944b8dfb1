//! Producer ids: blocks from the controller, durable before any id of them is given out.

use std::collections::VecDeque;
use std::ops::Range;

use protocol::ProducerId;

use super::requests::RequestId;

/// The block that this shard gives ids from, and who waits for the next one.
#[derive(Debug, Default)]
pub(crate) struct ProducerIdBlock {
    next: i64,
    end: i64,
    pub(crate) waiting: VecDeque<RequestId>,
    pub(crate) is_asked: bool,
}

impl ProducerIdBlock {
    pub(crate) fn take(&mut self) -> Option<ProducerId> {
        if self.next >= self.end {
            return None;
        }
        self.next += 1;
        Some(ProducerId(self.next - 1))
    }

    /// A new block; the old one is used up.
    pub(crate) fn refill(&mut self, block: Range<ProducerId>) {
        assert!(self.next >= self.end, "a block is asked for when the last one is used up");
        (self.next, self.end) = (block.start.0, block.end.0);
    }
}

//! What the engine asks of a batch header that it read back from memory or disk.

use protocol::Offset;
use protocol::record_batch::{BatchHeader, MAGIC, TimestampType};

/// Reading a header of bytes that were validated once, or that may be anything (then `is_plausible` first).
pub trait BatchView {
    /// Bytes of the whole batch; 0 for a length that no batch has.
    fn total_bytes(&self) -> usize;
    fn last_offset(&self) -> Offset;
    /// Could be a batch of ours: format, length and counts agree.
    fn is_plausible(&self) -> bool;
    /// The log append time if the broker stamped one, else -1.
    fn log_append_timestamp(&self) -> i64;
}

impl BatchView for BatchHeader {
    fn total_bytes(&self) -> usize {
        self.bytes().unwrap_or(0)
    }

    fn last_offset(&self) -> Offset {
        Offset(self.next_offset().0.saturating_sub(1))
    }

    fn is_plausible(&self) -> bool {
        self.magic == MAGIC
            && self.bytes().is_some()
            && self.last_offset_delta >= 0
            && self.base_offset.0 >= 0
            && self.base_offset.0.checked_add(i64::from(self.last_offset_delta) + 1).is_some()
    }

    fn log_append_timestamp(&self) -> i64 {
        match self.attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.max_timestamp,
            TimestampType::CreateTime => -1,
        }
    }
}

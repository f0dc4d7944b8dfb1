//! Where the newest batches begin.
//!
//! The index of a segment leads to the batch before the one that is sought, which a consumer at the tail has read
//! already and memory may have given up: it would be read from disk to find what is in memory.

use std::collections::VecDeque;

use protocol::Offset;

use super::Partition;
use super::position::LogPosition;
use crate::limits::NEWEST_BATCHES_MAX;

/// Positions of the newest batches, oldest first.
#[derive(Debug, Default)]
pub struct NewestBatches(VecDeque<LogPosition>);

impl NewestBatches {
    /// A batch was appended at the log's end.
    pub fn push(&mut self, at: LogPosition) {
        if self.0.len() == NEWEST_BATCHES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(at);
    }

    /// Where the batch with this offset begins in `segment`, if it is one of these.
    pub fn position_of(&self, segment: Offset, offset: Offset) -> Option<u64> {
        let found = self.0.iter().rev().find(|at| at.offset <= offset)?;
        (found.segment == segment).then_some(found.position)
    }
}

impl Partition {
    /// Where an offset's batch begins, if that is in memory and the place `before` it that the index knows is not.
    pub fn newest_in_memory(&self, segment: Offset, offset: Offset, before: u64) -> Option<u64> {
        let start = self.tail.start(segment)?;
        // Older segments may be compacted: what is known by heart was there before.
        if before >= start || segment != self.end.segment {
            return None;
        }
        self.newest.position_of(segment, offset).filter(|position| *position >= start)
    }
}

#[cfg(test)]
mod tests {
    use protocol::Offset;

    use super::NewestBatches;
    use crate::limits::NEWEST_BATCHES_MAX;
    use crate::partition::position::LogPosition;

    fn at(segment: i64, offset: i64, position: u64) -> LogPosition {
        LogPosition { offset: Offset(offset), segment: Offset(segment), position }
    }

    #[test]
    fn a_batch_is_found_by_any_of_its_offsets_as_long_as_it_is_among_the_newest() {
        let mut newest = NewestBatches::default();
        let found = |newest: &NewestBatches, segment, offset| {
            newest.position_of(Offset(segment), Offset(offset))
        };
        assert_eq!(found(&newest, 0, 0), None);
        for number in 0..NEWEST_BATCHES_MAX as i64 {
            newest.push(at(0, 10 * number, 100 * number as u64));
        }
        assert_eq!(found(&newest, 0, 0), Some(0));
        assert_eq!(found(&newest, 0, 29), Some(200));
        newest.push(at(1_000, 1_000, 0));
        assert_eq!(found(&newest, 0, 9), None, "another one took its place");
        assert_eq!((found(&newest, 0, 10), found(&newest, 1_000, 1_005)), (Some(100), Some(0)));
        assert_eq!(found(&newest, 0, 1_005), None, "it is in the next segment");
    }
}

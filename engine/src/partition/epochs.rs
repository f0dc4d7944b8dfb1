//! Leader epochs of a partition and where each begins.

use protocol::{LeaderEpoch, Offset};

/// Epochs in increasing order with the first offset of each; epochs without records may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochHistory {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl EpochHistory {
    /// The history from stored pairs; `None` unless both columns grow.
    pub fn from_pairs(starts: Vec<(LeaderEpoch, Offset)>) -> Option<Self> {
        let ordered = starts.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        ordered.then_some(Self { starts })
    }

    pub fn pairs(&self) -> &[(LeaderEpoch, Offset)] {
        &self.starts
    }

    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|start| start.0)
    }

    /// Epoch `epoch` begins at `start`, unless it or a later one has begun already. An epoch that began
    /// at the same offset and has no records is replaced.
    pub fn begin(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.latest().is_some_and(|latest| latest >= epoch) {
            return;
        }
        while self.starts.last().is_some_and(|last| last.1 >= start) {
            self.starts.pop();
        }
        self.starts.push((epoch, start));
    }

    /// The log now starts at `log_start`: epochs that ended before it are forgotten, the one that
    /// contains it starts there.
    pub fn trim_below(&mut self, log_start: Offset) {
        let contains = self.starts.partition_point(|start| start.1 <= log_start);
        if let Some(first) = contains.checked_sub(1) {
            self.starts.drain(..first);
            self.starts[0].1 = self.starts[0].1.max(log_start);
        }
    }

    /// For the largest epoch at or below `epoch`: that epoch and where it ends (the start of the next
    /// one, or the log end). `None` if there is none or `epoch` is not known yet.
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if self.latest().is_none_or(|latest| epoch > latest) {
            return None;
        }
        let after = self.starts.partition_point(|start| start.0 <= epoch);
        let at = after.checked_sub(1)?;
        let end = self.starts.get(after).map_or(log_end, |next| next.1);
        Some((self.starts[at].0, end))
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.starts.partition_point(|start| start.1 <= offset);
        after.checked_sub(1).map(|at| self.starts[at].0)
    }
}

#[cfg(test)]
mod tests;

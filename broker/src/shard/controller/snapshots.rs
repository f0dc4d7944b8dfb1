//! The metadata log is kept short: now and then the whole state is appended as records, and when the last
//! of them is durable everything before the first goes.

use coordinator::Proposals;
use protocol::Offset;

use super::{Batch, Controller, Shard, SnapshotPart, Then};
use crate::limits::METADATA_SNAPSHOT_RECORDS_MIN;
use crate::shard::metadata_log::{METADATA, snapshot_batches};
use crate::shard::owner::Wait;

#[derive(Debug)]
pub(super) struct Snapshots {
    log_start: Offset,
    /// Records of the last snapshot: the next one is due when four times as many were added.
    records: i64,
    is_writing: bool,
}

impl Snapshots {
    pub(super) fn new(log_start: Offset) -> Self {
        Self { log_start, records: 0, is_writing: false }
    }
}

impl Controller {
    /// The log's next offset, with nothing proposed.
    fn quiet_end(&self) -> Option<Offset> {
        let is_quiet = self.batches.is_empty() && self.proposals.waiting() == 0;
        is_quiet.then_some(self.next)
    }

    /// A batch of a snapshot was refused: nothing that was proposed behind it is in the log either.
    pub(super) fn snapshot_refused(&mut self, from: Offset) -> Option<Vec<Then>> {
        if !self.snapshots.is_writing {
            return None;
        }
        self.snapshots.is_writing = false;
        let empty = self.proposals.committed().clone();
        let (committed, refused) =
            std::mem::replace(&mut self.proposals, Proposals::new(empty, from)).resign();
        self.proposals = Proposals::new(committed, from);
        Some(refused)
    }
}

impl Shard {
    /// Begins a snapshot when the log has grown enough and nothing is on its way.
    pub(super) fn snapshot_if_due(&mut self) {
        let wall_ms = self.now.wall.0;
        let controller = self.controller_mut();
        let Some(end) = controller.quiet_end() else { return };
        let Snapshots { log_start, records, is_writing } = controller.snapshots;
        let due = METADATA_SNAPSHOT_RECORDS_MIN.max(records.saturating_mul(4));
        if is_writing || end.0 - log_start.0 - records < due {
            return;
        }
        let committed = controller.proposals.committed().clone();
        let batches = snapshot_batches(&committed, end, wall_ms);
        let mut at = end;
        let last = batches.len().saturating_sub(1);
        for (number, (count, bytes)) in batches.into_iter().enumerate() {
            let next = Offset(at.0 + count);
            let is_last = number == last;
            let part =
                if is_last { SnapshotPart::Last { begins: end } } else { SnapshotPart::More };
            controller.batches.push_back(Batch { offsets: at..next, bytes, snapshot: Some(part) });
            at = next;
        }
        controller.snapshots.is_writing = true;
        controller.snapshots.records = at.0 - end.0;
        controller.proposals = Proposals::new(committed, at);
        controller.next = at;
    }

    /// The snapshot is durable: nothing before it is needed any more.
    pub(super) fn trim_metadata_log(&mut self, begins: Offset) {
        let controller = self.controller_mut();
        controller.snapshots.is_writing = false;
        controller.snapshots.log_start = begins;
        let token = self.wait_for(Wait::MetadataTrim);
        self.owner.engine.delete_records(token, METADATA, begins);
    }
}

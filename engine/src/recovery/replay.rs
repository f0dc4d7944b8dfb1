//! Journal entries that count become, for each partition, what its journal says of it.
//!
//! Where a group is missing that was acknowledged, nobody knows whom it hurt; a partition is cleared
//! again by a later entry that begins exactly where its known log ended, and by a row that was made when
//! the missing group was acknowledged.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::{LeaderEpoch, Offset};

use crate::PartitionId;
use crate::journal::entry::{Entry, EntryKind};
use crate::journal::scan::{Damage, Scan, ScanStep};
use crate::limits::BLOCK_BYTES;

/// Bytes that the journal holds, or vouches for, beyond the checkpoint.
#[derive(Clone, Debug)]
pub struct Piece {
    pub entry: Entry,
    pub body: Bytes,
}

impl Piece {
    /// Position behind the piece's last byte.
    pub fn end(&self) -> u64 {
        match self.entry.kind {
            EntryKind::Fragment => self.entry.position + u64::from(self.entry.body_bytes),
            _ => self.entry.position + self.entry.run_bytes,
        }
    }
}

/// What one shard's journal says of a partition.
#[derive(Clone, Debug)]
pub struct Replay {
    pub incarnation: u64,
    pub shard: u32,
    /// The shard let it go: to another shard, or for good.
    pub is_closed: bool,
    /// It was deleted: nothing that is said of it has to be there.
    pub is_deleted: bool,
    /// Journals are missing, and none that is here was the partition's newest: they may tell more.
    pub may_be_older: bool,
    pub log_start: Offset,
    pub leader_epoch: LeaderEpoch,
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Segments are durable below (base, position).
    pub checkpoint: Option<(Offset, u64)>,
    /// The segment that may hold unacknowledged runs of an earlier process behind its checkpoint.
    pub unacknowledged_in: Option<Offset>,
    /// A checkpoint behind which nothing was acknowledged when it was stated, and the log end there.
    pub whole: Option<((Offset, u64), Offset)>,
    /// Acknowledged bytes behind it that the newest row expects in the journal.
    pub unflushed: u64,
    /// The log reached at least this far, acknowledged.
    pub acknowledged: Offset,
    /// End of the log as far as entries tell.
    pub next: Offset,
    /// The same with entries whose bodies are damaged, and those behind them.
    pub reached: Offset,
    pub pieces: Vec<Piece>,
    /// Acknowledged data was damaged; later entries were ignored.
    pub damage: Option<Damage>,
    /// A group of unknown contents is missing behind what is known so far.
    doubt: Option<Damage>,
    /// The journal tells of the partition since the shard's start, or since it came to the shard.
    is_told_from_the_start: bool,
}

impl Replay {
    fn new(incarnation: u64, shard: u32) -> Self {
        Self {
            incarnation,
            shard,
            is_closed: false,
            is_deleted: false,
            may_be_older: false,
            log_start: Offset(0),
            leader_epoch: LeaderEpoch(0),
            epochs: Vec::new(),
            checkpoint: None,
            unacknowledged_in: None,
            whole: None,
            unflushed: 0,
            acknowledged: Offset(0),
            next: Offset(0),
            reached: Offset(0),
            pieces: Vec::new(),
            damage: None,
            doubt: None,
            is_told_from_the_start: false,
        }
    }

    /// Whether it says where the log is; damage may have taken the row that did.
    fn tells_of_the_log(&self) -> bool {
        self.checkpoint.is_some() || !self.pieces.is_empty() || self.damage.is_some()
    }

    fn apply(&mut self, entry: Entry, body: Bytes) {
        self.leader_epoch = self.leader_epoch.max(entry.leader_epoch);
        match entry.kind {
            EntryKind::Append | EntryKind::Pointer => self.apply_run(entry, body),
            EntryKind::Fragment => {
                self.next = self.next.max(entry.next);
                self.pieces.push(Piece { entry, body });
            }
            EntryKind::Checkpoint | EntryKind::Close => self.apply_checkpoint(&entry),
            EntryKind::Delete => (self.is_closed, self.is_deleted) = (true, true),
            EntryKind::EpochStart => self.epochs.push((entry.leader_epoch, entry.base)),
            EntryKind::LogStart => self.log_start = self.log_start.max(entry.base),
            EntryKind::Start | EntryKind::CheckpointEnd => {}
        }
    }

    fn apply_run(&mut self, entry: Entry, body: Bytes) {
        if entry.base == self.next {
            self.doubt = None;
        }
        self.next = self.next.max(entry.next);
        self.pieces.push(Piece { entry, body });
    }

    fn apply_checkpoint(&mut self, entry: &Entry) {
        // What the row knows of was acknowledged with everything before it: pieces that are missing
        // show as a gap before the end that it states.
        if self.doubt.is_some_and(|doubt| doubt.sequence < entry.as_of) {
            self.doubt = None;
        }
        self.unflushed = entry.run_bytes;
        self.is_closed = entry.kind == EntryKind::Close;
        self.log_start = self.log_start.max(entry.base);
        self.acknowledged = self.acknowledged.max(entry.next);
        self.next = self.next.max(entry.next);
        let stated = (entry.segment, entry.position);
        if self.checkpoint.is_none() {
            // An orderly end cut the file to its length; and a partition that the shard's opening does not
            // state was created, or handed over with complete files, in this incarnation.
            let is_cut = !entry.position.is_multiple_of(BLOCK_BYTES as u64);
            let is_new = self.is_told_from_the_start && entry.as_of != u64::MAX;
            self.unacknowledged_in = (!is_cut && !is_new).then_some(entry.segment);
        }
        self.checkpoint = self.checkpoint.max(Some(stated));
        if entry.run_bytes == 0 {
            self.whole = self.whole.max(Some((stated, entry.next)));
        }
    }
}

/// What the journal of one shard says of every partition in it.
pub fn replay(scan: Scan, shard: u32) -> BTreeMap<PartitionId, Replay> {
    let mut replays: BTreeMap<PartitionId, Replay> = BTreeMap::new();
    let incarnation = scan.incarnation;
    let (mut doubt, mut is_told_from_the_start) = (None, false);
    for step in scan.steps {
        match step {
            ScanStep::Apply(entry, body) => {
                is_told_from_the_start |= entry.kind == EntryKind::Start;
                if entry.partition == PartitionId::NONE {
                    continue;
                }
                let replay = replays.entry(entry.partition).or_insert_with(|| {
                    let new = Replay::new(incarnation, shard);
                    Replay { doubt, is_told_from_the_start, ..new }
                });
                replay.reached = replay.reached.max(entry.next);
                // What is damaged before it hurts nobody any more.
                if replay.damage.is_none() || entry.kind == EntryKind::Delete {
                    replay.apply(entry, body);
                }
            }
            ScanStep::Damaged(entry, damage) => {
                let replay = replays
                    .entry(entry.partition)
                    .or_insert_with(|| Replay::new(incarnation, shard));
                replay.reached = replay.reached.max(entry.next);
                replay.damage.get_or_insert(damage);
            }
            ScanStep::AllDamaged(damage) => {
                doubt = Some(damage);
                for replay in replays.values_mut() {
                    replay.doubt = doubt;
                }
            }
        }
    }
    for replay in replays.values_mut() {
        if let Some(doubt) = replay.doubt.take() {
            replay.damage.get_or_insert(doubt);
        }
    }
    replays
}

/// Adds one shard's replays to those of the others: a deletion is the last word of all; then the newer
/// incarnation knows better; within one, the shard that did not let the partition go, then the one that knows more: offsets and epochs only grow.
/// A shard whose row of the partition is not there yet has not taken it over, whatever else it wrote.
pub fn merge(all: &mut BTreeMap<PartitionId, Replay>, of_shard: BTreeMap<PartitionId, Replay>) {
    for (id, replay) in of_shard {
        let rank = |replay: &Replay| {
            let known = (replay.next, replay.log_start, replay.leader_epoch);
            let is_open = !replay.is_closed;
            let tells = replay.tells_of_the_log();
            (replay.is_deleted, tells, replay.incarnation, is_open, known)
        };
        let known = all.get(&id);
        if known.is_none_or(|known| rank(known) < rank(&replay)) {
            all.insert(id, replay);
        }
    }
}

/// Says of each replay whether a journal that is missing may know better: a shard that has a partition states
/// it in each incarnation until it lets it go.
pub fn doubt_older(all: &mut BTreeMap<PartitionId, Replay>, newest_incarnation: u64) {
    for replay in all.values_mut() {
        replay.may_be_older = replay.is_closed || replay.incarnation < newest_incarnation;
    }
}

#[cfg(test)]
mod tests;

//! Where the saved state of idempotent producers is missing or damaged, it is rebuilt from the log.
//!
//! Reads are served meanwhile, appends without a producer too; idempotent appends are refused, so
//! nothing can join the table but what the scan finds. One partition at a time, one read at a time: the
//! scan never takes more than a share of the disk, and a window of memory.

use std::collections::VecDeque;

use bytes::Bytes;
use protocol::Offset;

use super::{Engine, Slot};
use crate::PartitionId;
use crate::batch::BatchView;
use crate::partition::PartitionState;
use crate::partition::epochs::EpochHistory;
use crate::partition::producers::ProducerTable;
use crate::partition::window::Window;
use crate::request::{ReadError, Records};

/// Partitions whose producers are unknown: scanned in order, the first one now.
#[derive(Debug, Default)]
pub(super) struct ProducerRebuild {
    scans: VecDeque<Scan>,
    /// A read failed: tried again with the next tick.
    is_put_off: bool,
}

#[derive(Debug)]
struct Scan {
    id: PartitionId,
    /// Where the next read begins, and where the scan ends: behind it nothing idempotent was appended.
    next: Offset,
    end: Offset,
    is_reading: bool,
    producers: ProducerTable,
    epochs: EpochHistory,
}

impl Engine {
    /// Queues the partition if what it knew of producers was lost.
    pub(super) fn expect_producers(&mut self, slot: Slot) {
        let Some(partition) = self.partition(slot) else { return };
        if partition.producers_known {
            return;
        }
        let scan = Scan {
            id: partition.id,
            next: partition.log_start,
            end: partition.durable.offset,
            is_reading: false,
            producers: ProducerTable::default(),
            epochs: EpochHistory::default(),
        };
        self.rebuild.scans.push_back(scan);
    }

    /// Partitions whose idempotent producers are refused until the scan has found them.
    pub fn partitions_without_producers(&self) -> usize {
        self.rebuild.scans.len()
    }

    /// Goes on with the scan: one read at a time, none while consumers wait for memory.
    pub(super) fn drive_producer_rebuild(&mut self) {
        if self.reads_are_stuck() || !self.producer_rebuild_is_due() {
            return;
        }
        let Some(scan) = self.rebuild.scans.front_mut() else { return };
        if scan.next < scan.end {
            scan.is_reading = true;
            let (id, next) = (scan.id, scan.next);
            self.read_for_rebuild(id, next);
        } else {
            self.finish_scan();
        }
    }

    pub(super) fn producer_rebuild_is_due(&self) -> bool {
        !self.rebuild.is_put_off && self.rebuild.scans.front().is_some_and(|scan| !scan.is_reading)
    }

    pub(super) fn retry_producer_rebuild(&mut self) {
        self.rebuild.is_put_off = false;
    }

    pub(super) fn on_rebuild_read(&mut self, id: PartitionId, result: Result<Records, ReadError>) {
        let Some(scan) = self.rebuild.scans.front_mut().filter(|scan| scan.id == id) else {
            return;
        };
        scan.is_reading = false;
        match result {
            Ok(records) if records.next > scan.next => {
                let next = records.next;
                scan.note(records.parts);
                scan.next = next;
            }
            // Nothing is left to read: the log ends here.
            Ok(_) => scan.next = scan.end,
            // Retention was quicker.
            Err(ReadError::OutOfRange { log_start, .. }) if log_start > scan.next => {
                scan.next = log_start;
            }
            Err(ReadError::NotOwner) => {
                self.rebuild.scans.pop_front();
            }
            Err(ReadError::OutOfRange { .. } | ReadError::Unavailable) => {
                // Damage or a dead disk: the others need not wait for this one.
                self.rebuild.scans.rotate_left(1);
                self.rebuild.is_put_off = true;
            }
        }
    }

    fn finish_scan(&mut self) {
        let Some(scan) = self.rebuild.scans.pop_front() else { return };
        let Some(slot) = self.slot(scan.id) else { return };
        let now_ms = self.now.wall.0;
        let Some(partition) = self.partition_mut(slot) else { return };
        if partition.state == PartitionState::Offline {
            return;
        }
        partition.producers = scan.producers;
        partition.producers.not_later_than(now_ms);
        partition.producers_known = true;
        // What the log tells of epochs is older than what the journal told.
        let known = std::mem::replace(&mut partition.epochs, scan.epochs);
        for (epoch, start) in known.pairs() {
            partition.epochs.begin(*epoch, *start);
        }
        // The next checkpoint saves it.
        partition.is_dirty = true;
    }
}

impl Scan {
    fn note(&mut self, parts: Vec<Bytes>) {
        let window = Window::new(0, parts);
        let mut at = 0;
        while let Some(header) = window.header_at(at) {
            if header.total_bytes() == 0 {
                break;
            }
            self.epochs.begin(header.partition_leader_epoch, header.base_offset);
            if header.producer().is_some() && header.base_offset < self.end {
                let stamped = header.log_append_timestamp();
                self.producers.note(&header, stamped, header.max_timestamp);
            }
            at += header.total_bytes() as u64;
        }
    }
}

//! Bytes of segments that reads found damaged: each place is told once, and known until its segment goes.
//! A consumer asks again and again; one line for each of its reads would hide everything else.

use std::collections::BTreeMap;

use protocol::Offset;

use super::Engine;
use crate::PartitionId;
use crate::limits::DAMAGES_KNOWN_MAX;
use crate::partition::index::segment_path;
use crate::partition::{Partition, PartitionDirectory};
use crate::request::EngineEvent;

/// What is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// No batch that belongs there: its CRC, its offsets or its leader epoch are wrong, or the file ends.
    NotTheBatch,
    /// The device gave an error.
    Unreadable,
}

/// A place in a segment that reads cannot pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub partition: PartitionId,
    /// Log directory of the partition, and the segment's file in it.
    pub file: PartitionDirectory,
    pub position: u64,
    /// What was asked for when it was found: this offset cannot be read, or comes behind it.
    pub offset: Offset,
    pub kind: DamageKind,
}

/// Where it is: partition, base of the segment, generation of its file, position.
type Place = (PartitionId, Offset, u64, u64);

#[derive(Debug, Default)]
pub(super) struct Damages {
    /// At most `DAMAGES_KNOWN_MAX`; more are counted by the metric alone.
    known: BTreeMap<Place, Damage>,
}

impl Engine {
    /// A read of `offset` found the segment at `base` damaged at `position`.
    #[cold]
    pub(super) fn note_damage(
        &mut self,
        id: PartitionId,
        (base, position): (Offset, u64),
        offset: Offset,
        kind: DamageKind,
    ) {
        self.metrics.corrupt_reads += 1;
        let Some(partition) = self.get(id) else { return };
        let Some(segment) = partition.segment(base) else { return };
        let place = (id, base, segment.generation, position);
        if self.damages.known.contains_key(&place) {
            return;
        }
        let PartitionDirectory { dir, path } = &partition.directory;
        let file = PartitionDirectory { dir: *dir, path: segment_path(path, base, "log") };
        if self.damages.known.len() >= DAMAGES_KNOWN_MAX {
            self.forget_mended();
        }
        if self.damages.known.len() >= DAMAGES_KNOWN_MAX {
            return;
        }
        let damage = Damage { partition: id, file, position, offset, kind };
        self.damages.known.insert(place, damage.clone());
        self.events.push_back(EngineEvent::DamageFound(Box::new(damage)));
    }

    /// Damaged places of a partition whose file is still that of its segment.
    pub fn damages(&self, id: PartitionId) -> impl Iterator<Item = &Damage> {
        let from = (id, Offset(i64::MIN), 0, 0);
        let to = (id, Offset(i64::MAX), u64::MAX, u64::MAX);
        let known = self.damages.known.range(from..=to);
        let partition = self.get(id);
        let stands =
            move |place: &Place| partition.is_some_and(|partition| stands(place, partition));
        known.filter(move |(place, _)| stands(place)).map(|(_, damage)| damage)
    }

    /// Places whose file retention or compaction took, or whose partition is gone.
    fn forget_mended(&mut self) {
        let mut known = std::mem::take(&mut self.damages.known);
        known
            .retain(|place, _| self.get(place.0).is_some_and(|partition| stands(place, partition)));
        self.damages.known = known;
    }
}

fn stands(place: &Place, partition: &Partition) -> bool {
    let (_, base, generation, _) = *place;
    partition.segment(base).is_some_and(|segment| segment.generation == generation)
}

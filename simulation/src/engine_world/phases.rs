//! What a power cut interrupted: the table that shows that every phase was cut often enough.

use broker::engine::disk::{DiskClass, Job, Step};
use broker::engine::partition::{Partition, RunState};

use super::EngineWorld;
use super::node::Shard;
use crate::disk::{UnderWay, VirtualDisk, is_of_the_cleaner};

/// Something that a power cut can interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutPhase {
    GroupWrite,
    BypassBeforePointer,
    BypassAfterPointer,
    Recycle,
    Roll,
    Checkpoint,
    Snapshot,
    Delete,
    Create,
    Move,
    Compaction,
    Recovery,
    Quiet,
}

impl CutPhase {
    pub(crate) const ALL: [Self; 13] = [
        Self::GroupWrite,
        Self::BypassBeforePointer,
        Self::BypassAfterPointer,
        Self::Recycle,
        Self::Roll,
        Self::Checkpoint,
        Self::Snapshot,
        Self::Delete,
        Self::Create,
        Self::Move,
        Self::Compaction,
        Self::Recovery,
        Self::Quiet,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GroupWrite => "group write",
            Self::BypassBeforePointer => "bypass, before its pointer",
            Self::BypassAfterPointer => "bypass, after its pointer",
            Self::Recycle => "recycle",
            Self::Roll => "roll",
            Self::Checkpoint => "checkpoint",
            Self::Snapshot => "snapshot",
            Self::Delete => "delete",
            Self::Create => "create",
            Self::Move => "move",
            Self::Compaction => "compaction",
            Self::Recovery => "recovery",
            Self::Quiet => "nothing of these",
        }
    }

    /// Those that the long run must have cut at least fifty times.
    pub(crate) fn is_required(self) -> bool {
        !matches!(self, Self::Create | Self::Move | Self::Quiet)
    }
}

/// Cuts by what they interrupted; one cut may interrupt several things.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PhaseCounts([u64; CutPhase::ALL.len()]);

impl PhaseCounts {
    pub(crate) fn count(&self, phase: CutPhase) -> u64 {
        self.0[phase as usize]
    }

    pub(crate) fn add(&mut self, phase: CutPhase) {
        self.0[phase as usize] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own += more;
        }
    }
}

impl EngineWorld {
    /// Counts what the cut interrupts.
    pub(super) fn count_phases(&mut self) {
        let mut found = [false; CutPhase::ALL.len()];
        let mut mark = |phase: CutPhase| found[phase as usize] = true;
        for shard in &self.node.shards {
            mark_shard(shard, &mut mark);
        }
        if !self.parcels.is_empty()
            || self.logs.iter().any(|log| log.state == super::LogState::Moving)
        {
            mark(CutPhase::Move);
        }
        if !found.contains(&true) {
            found[CutPhase::Quiet as usize] = true;
        }
        for phase in CutPhase::ALL {
            if found[phase as usize] {
                self.tally.phases.add(phase);
            }
        }
    }
}

fn mark_shard(shard: &Shard, mark: &mut impl FnMut(CutPhase)) {
    mark_disk(&shard.disk, mark);
    for partition in shard.engine.iter() {
        mark_bypass(partition, mark);
    }
}

/// What is under way on the disk of one shard.
pub(crate) fn mark_disk(disk: &VirtualDisk, mark: &mut impl FnMut(CutPhase)) {
    for under_way in disk.under_way() {
        match under_way {
            UnderWay::Write { class: DiskClass::Journal, recycles } => {
                mark(CutPhase::GroupWrite);
                if recycles {
                    mark(CutPhase::Recycle);
                }
            }
            UnderWay::Write { class: DiskClass::Bypass, .. } => mark(CutPhase::BypassBeforePointer),
            UnderWay::Write { class: DiskClass::Background, .. } => mark(CutPhase::Compaction),
            UnderWay::Write { .. } => {}
            UnderWay::Step { step, job } => {
                if let Some(phase) = phase_of(step, job) {
                    mark(phase);
                }
            }
        }
    }
}

/// A run that was written straight to its segment, before and after the journal points to it.
fn mark_bypass(partition: &Partition, mark: &mut impl FnMut(CutPhase)) {
    if partition.runs.iter().any(|run| run.state == RunState::Written) {
        mark(CutPhase::BypassBeforePointer);
    }
    let points = partition.segments.iter().any(|segment| {
        segment.flushed > segment.durable + (256 << 10)
            && partition.acknowledged_in(segment) >= segment.flushed
    });
    if points {
        mark(CutPhase::BypassAfterPointer);
    }
}

fn phase_of(step: &Step, job: &Job) -> Option<CutPhase> {
    if is_of_the_cleaner(job) {
        return Some(CutPhase::Compaction);
    }
    let any = |wanted: fn(&Step) -> bool| job.steps.iter().any(wanted);
    let is_state = |path: &std::path::Path| path.file_stem().is_some_and(|stem| stem == "state");
    match step {
        Step::WriteFile { path, .. } | Step::Sync(path) if is_state(path) => {
            Some(CutPhase::Snapshot)
        }
        Step::Rename { from, .. } if is_state(from) => Some(CutPhase::Snapshot),
        Step::Rename { .. } | Step::RemoveDir(_) | Step::RemoveFile(_) => Some(CutPhase::Delete),
        _ if any(|step| matches!(step, Step::Rename { to, .. } if to.ends_with("state"))) => {
            Some(CutPhase::Checkpoint)
        }
        _ if any(|step| {
            matches!(step, Step::RemoveDir(_) | Step::RemoveFile(_) | Step::Rename { .. })
        }) =>
        {
            Some(CutPhase::Delete)
        }
        _ if any(|step| matches!(step, Step::CreateDir(_))) => Some(CutPhase::Create),
        _ if any(|step| matches!(step, Step::Prewrite { .. } | Step::ReadFile { .. })) => None,
        _ if any(|step| matches!(step, Step::Allocate { .. } | Step::SetLength { .. })) => {
            Some(CutPhase::Roll)
        }
        _ => None,
    }
}

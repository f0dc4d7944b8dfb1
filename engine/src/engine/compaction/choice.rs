//! Which log is cleaned next, which of its segments, and which of these become one.

use protocol::Offset;

use super::output::Output;
use super::scan::Source;
use crate::config::LogConfig;
use crate::engine::{Engine, Slot};
use crate::partition::PartitionState;
use crate::partition::segment::{Segment, SegmentState};

/// A log to clean.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) slot: Slot,
    /// Keys from this offset on were not compared with older ones yet.
    pub(super) first_dirty: Offset,
    /// The segments that may be cleaned, oldest first.
    pub(super) sources: Vec<Source>,
    pub(super) dirty_bytes: u64,
}

/// A log that could be cleaned.
#[derive(Debug)]
struct Candidate {
    chosen: Chosen,
    /// Share of its bytes that is dirty.
    ratio_ppm: u64,
}

const PPM: u64 = 1_000_000;

impl Engine {
    /// The log with the largest share of dirty bytes among those that are due.
    pub(super) fn choose_log(&mut self) -> Option<Chosen> {
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        let mut best: Option<Candidate> = None;
        self.metrics.cleaner_dirty_ppm_max = 0;
        for slot in slots {
            self.settle_segments(slot);
            if let Some(found) = self.candidate(slot)
                && best.as_ref().is_none_or(|best| best.ratio_ppm < found.ratio_ppm)
            {
                best = Some(found);
            }
        }
        best.map(|best| best.chosen)
    }

    /// A finished segment with one behind it is the cleaner's once a run of the checkpoint that begins now, and
    /// states a later segment, is durable.
    fn settle_segments(&mut self, slot: Slot) {
        let begun = self.checkpoint.runs_begun();
        let Some(partition) = self.partition_mut(slot) else { return };
        if !partition.config.cleanup_compact || partition.state != PartitionState::Open {
            return;
        }
        let followed = partition.segments.len().saturating_sub(1);
        let is_followed_by_a_file =
            partition.segments.back().is_some_and(|last| last.state != SegmentState::Creating);
        for at in 0..followed {
            let is_last = at + 1 == followed;
            let segment = &mut partition.segments[at];
            if segment.settled_by.is_none()
                && segment.is_finished()
                && (!is_last || is_followed_by_a_file)
            {
                segment.settled_by = Some(begun + 1);
                partition.is_dirty = true;
            }
        }
    }

    fn candidate(&mut self, slot: Slot) -> Option<Candidate> {
        let partition = self.partition(slot)?;
        let config = &partition.config;
        let may_be = config.cleanup_compact
            && partition.state == PartitionState::Open
            && partition.is_vouched
            && partition.producers_known
            && !self.cleaner.uncleanable.contains(&partition.id);
        if !may_be {
            return None;
        }
        let first_dirty = partition.cleaner.first_dirty.max(partition.log_start);
        let lag_ms = config.compaction.lag_ms_min;
        let wall_ms = self.now.wall.0;
        let mut sources = Vec::new();
        let mut unknown_age = None;
        let (mut dirty_bytes, mut clean_bytes, mut oldest) = (0, 0, None);
        let followers = partition.segments.iter().skip(1);
        for (segment, next) in partition.segments.iter().zip(followers) {
            if !self.may_be_cleaned(segment) {
                break;
            }
            if next.base > first_dirty {
                let is_old = |newest: i64| newest < wall_ms.saturating_sub(lag_ms);
                // Without a time it is as old as its first append, which nobody knows after a start.
                let is_unknown = segment.max_timestamp.is_none() && segment.index.is_none();
                if is_unknown && (lag_ms > 0 || config.compaction.lag_ms_max.is_some()) {
                    unknown_age = Some(segment.base);
                    break;
                }
                if lag_ms > 0 && !segment.max_timestamp.is_none_or(is_old) {
                    break;
                }
                dirty_bytes += segment.length;
                let appended = segment.first_append_ms.into_iter();
                oldest = appended.chain(segment.max_timestamp).chain(oldest).min();
            } else {
                clean_bytes += segment.length;
            }
            let (base, generation, length) = (segment.base, segment.generation, segment.length);
            sources.push(Source { base, generation, length, end: next.base });
        }
        let ratio_ppm = (dirty_bytes * PPM).checked_div(dirty_bytes + clean_bytes).unwrap_or(0);
        let dirty_ppm_max = self.metrics.cleaner_dirty_ppm_max.max(ratio_ppm);
        let is_overdue = config
            .compaction
            .lag_ms_max
            .is_some_and(|lag| oldest.is_some_and(|oldest| oldest < wall_ms.saturating_sub(lag)));
        let is_due = ratio_ppm > u64::from(config.compaction.dirty_ratio_ppm_min) || is_overdue;
        self.metrics.cleaner_dirty_ppm_max = dirty_ppm_max;
        if let Some(base) = unknown_age {
            // Known with the next look.
            self.issue_index_load(slot, base);
        }
        let chosen = Chosen { slot, first_dirty, sources, dirty_bytes };
        (dirty_bytes > 0 && is_due).then_some(Candidate { chosen, ratio_ppm })
    }

    fn may_be_cleaned(&self, segment: &Segment) -> bool {
        segment.is_finished()
            && !segment.is_replaced
            && segment.settled_by.is_some_and(|run| self.checkpoint.has_ended(run))
    }
}

/// Whether the segment that is being made may have this one's batches, too, whatever goes of them.
pub(super) fn takes(output: &Output, source: &Source, config: &LogConfig) -> bool {
    let bytes = output.length + source.length;
    let entries = output.index.entries() as u64
        + source.length / u64::from(config.index_interval_bytes.max(1))
        + 1;
    bytes <= config.segment_bytes
        && entries * 8 <= config.segment_index_bytes as u64
        && source.end.0 - output.base.0 <= i64::from(i32::MAX)
}

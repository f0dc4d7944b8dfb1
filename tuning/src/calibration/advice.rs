//! Measurements to settings. Each is the least that is under way with (nearly) all that the disk gives: more only
//! makes acknowledgements wait.

use serde::Serialize;

use crate::disk_probes::{Bandwidth, DurableWrites, FileState, knee};

/// A write that takes at most so much longer than 4 KiB costs the same: groups below it only add writes.
const SAME_COST_PERCENT: u64 = 125;
/// A small write that takes so much longer than a larger one was disturbed.
const DISTURBED_PERCENT: u64 = 140;
/// One group is written while the next is filled.
const GROUPS_IN_FLIGHT_MIN: usize = 2;
/// What the node's configuration takes.
const EAGER_BYTES_MIN: usize = 16 << 10;
const EAGER_BYTES_MAX: usize = 512 << 10;

/// The keys of `[disk]` in the node's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskAdvice {
    pub journal_groups_in_flight: usize,
    pub journal_group_eager_bytes: usize,
    pub segment_write_bytes: usize,
    pub segment_writes_in_flight: usize,
    pub large_runs_in_flight: usize,
}

impl DiskAdvice {
    /// Durable writes one by one, then by depth; writes by block size, then by depth.
    pub(super) fn of(
        durable: &[DurableWrites],
        durable_depths: &[Bandwidth],
        blocks: &[Bandwidth],
        depths: &[Bandwidth],
    ) -> Self {
        let durable_depth = depth(durable_depths).max(GROUPS_IN_FLIGHT_MIN);
        Self {
            journal_groups_in_flight: durable_depth,
            journal_group_eager_bytes: eager_bytes(durable),
            segment_write_bytes: segment_write_bytes(blocks),
            segment_writes_in_flight: depth(depths),
            large_runs_in_flight: durable_depth,
        }
    }
}

/// Whether larger writes take as long as smaller ones or longer. Where not, somebody else used the disk meanwhile, and what
/// was measured says more of them.
pub(super) fn is_steady(durable: &[DurableWrites]) -> bool {
    let medians = medians(durable);
    let is_slower = |(at, (_, smaller)): (usize, &(usize, u64))| {
        medians[at..].iter().any(|(_, larger)| larger * DISTURBED_PERCENT < smaller * 100)
    };
    !medians.iter().enumerate().any(is_slower)
}

/// Of the prewritten file, by size.
fn medians(durable: &[DurableWrites]) -> Vec<(usize, u64)> {
    let prewritten = durable.iter().filter(|one| one.state == FileState::Prewritten);
    let mut medians: Vec<(usize, u64)> =
        prewritten.filter_map(|one| Some((one.bytes, one.latency.p50_nanoseconds?))).collect();
    medians.sort_unstable();
    medians
}

pub(super) fn segment_write_bytes(blocks: &[Bandwidth]) -> usize {
    knee(blocks).map_or(1 << 20, |knee| knee.shape.block_bytes)
}

fn depth(measured: &[Bandwidth]) -> usize {
    knee(measured).map_or(8, |knee| knee.shape.depth)
}

/// Twice the largest write that costs what 4 KiB cost: then a further group beside the one in flight is worth its own
/// write.
fn eager_bytes(durable: &[DurableWrites]) -> usize {
    let medians = medians(durable);
    let Some((_, least)) = medians.first().copied() else { return EAGER_BYTES_MIN };
    let same = medians
        .iter()
        .take_while(|(_, median)| median * 100 <= least * SAME_COST_PERCENT)
        .map(|(bytes, _)| *bytes)
        .max();
    (same.unwrap_or(0) * 2).clamp(EAGER_BYTES_MIN, EAGER_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::{DiskAdvice, EAGER_BYTES_MIN, is_steady};
    use crate::disk_probes::{
        Bandwidth, Direction, DurableCall, DurableWrites, FileState, Samples, Shape,
    };

    fn durable(bytes: usize, state: FileState, micros: u64) -> DurableWrites {
        let latency =
            Samples { count: 100, p50_nanoseconds: Some(micros * 1_000), ..Samples::default() };
        let call = DurableCall::Dsync;
        DurableWrites { bytes, state, call, writers: 1, latency, writes_per_second: 0.0 }
    }

    fn bandwidth(block_bytes: usize, depth: usize, bytes_per_second: f64) -> Bandwidth {
        let shape = Shape { block_bytes, depth };
        Bandwidth { direction: Direction::Write, shape, bytes_per_second, requests: 1 }
    }

    #[test]
    fn the_least_that_reaches_the_disk_is_advised() {
        let sizes = [(4 << 10, 100), (16 << 10, 101), (64 << 10, 120), (256 << 10, 260)];
        let mut measured: Vec<DurableWrites> = sizes
            .iter()
            .map(|(bytes, micros)| durable(*bytes, FileState::Prewritten, *micros))
            .collect();
        // Other states of the file do not count: the node's journal is prewritten.
        measured.push(durable(256 << 10, FileState::Extending, 90));
        let by_depth = [(1, 500.0), (2, 700.0), (4, 990.0), (8, 1_000.0)]
            .map(|(d, b)| bandwidth(1 << 20, d, b));
        let blocks =
            [(64, 400.0), (256, 960.0), (1024, 1_000.0)].map(|(kib, b)| bandwidth(kib << 10, 8, b));
        let depths = [(1, 960.0), (2, 1_000.0)].map(|(d, b)| bandwidth(256 << 10, d, b));
        let advice = DiskAdvice::of(&measured, &by_depth, &blocks, &depths);
        let wanted = DiskAdvice {
            journal_groups_in_flight: 4,
            journal_group_eager_bytes: 128 << 10,
            segment_write_bytes: 256 << 10,
            segment_writes_in_flight: 1,
            large_runs_in_flight: 4,
        };
        assert_eq!(advice, wanted);
    }

    #[test]
    fn a_disk_that_somebody_else_used_is_recognised() {
        let measured = |small, large| {
            let state = FileState::Prewritten;
            [durable(4 << 10, state, small), durable(64 << 10, state, large)]
        };
        assert!(is_steady(&measured(100, 100)));
        assert!(is_steady(&measured(130, 100)), "chance");
        assert!(!is_steady(&measured(2_400, 700)));
    }

    #[test]
    fn one_group_is_filled_while_another_is_written_and_small_ones_are_not_hurried() {
        let measured = [
            durable(4 << 10, FileState::Prewritten, 100),
            durable(16 << 10, FileState::Prewritten, 400),
        ];
        let flat = [1, 2, 4, 8].map(|depth| bandwidth(1 << 20, depth, 1_000.0));
        let advice = DiskAdvice::of(&measured, &flat, &flat, &flat);
        assert_eq!(advice.journal_groups_in_flight, 2);
        assert_eq!(advice.segment_writes_in_flight, 1);
        assert_eq!(advice.journal_group_eager_bytes, EAGER_BYTES_MIN);
    }
}

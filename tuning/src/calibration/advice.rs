//! Measurements to settings. Each is the least that is under way with (nearly) all that the disk gives: more only
//! makes acknowledgements wait.

use serde::Serialize;

use crate::disk_probes::{Bandwidth, DurableWrites, FileState, knee};

/// A write that takes at most so much longer than 4 KiB costs the same: groups below it only add writes.
const SAME_COST_PERCENT: u64 = 125;
/// A small write that takes so much longer than a larger one was disturbed.
const DISTURBED_PERCENT: u64 = 140;
/// One group, or one large run, is written while the next is filled.
const DURABLE_IN_FLIGHT_MIN: usize = 2;
/// What the node's configuration takes.
const EAGER_BYTES_MIN: usize = 16 << 10;
const EAGER_BYTES_MAX: usize = 512 << 10;

/// The keys of `[disk]` in the node's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskAdvice {
    pub journal_groups_in_flight: usize,
    /// `None` where no size has a median: then nothing is known, and what the node does by default stands.
    pub journal_group_eager_bytes: Option<usize>,
    pub segment_write_bytes: usize,
    pub segment_writes_in_flight: usize,
    pub large_runs_in_flight: usize,
}

/// What the settings follow from.
pub(super) struct Measured<'sweeps> {
    /// One by one, by size and file state.
    pub(super) durable: &'sweeps [DurableWrites],
    /// By depth: the journal's groups, and large runs.
    pub(super) durable_depths: &'sweeps [Bandwidth],
    pub(super) large_runs: &'sweeps [Bandwidth],
    /// Writes behind, by block size and then by depth.
    pub(super) blocks: &'sweeps [Bandwidth],
    pub(super) depths: &'sweeps [Bandwidth],
}

impl DiskAdvice {
    pub(super) fn of(measured: &Measured<'_>) -> Self {
        Self {
            journal_groups_in_flight: depth(measured.durable_depths).max(DURABLE_IN_FLIGHT_MIN),
            journal_group_eager_bytes: eager_bytes(measured.durable),
            segment_write_bytes: segment_write_bytes(measured.blocks),
            segment_writes_in_flight: depth(measured.depths),
            large_runs_in_flight: depth(measured.large_runs).max(DURABLE_IN_FLIGHT_MIN),
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
fn eager_bytes(durable: &[DurableWrites]) -> Option<usize> {
    let medians = medians(durable);
    let (_, least) = medians.first().copied()?;
    let same = medians
        .iter()
        .take_while(|(_, median)| median * 100 <= least * SAME_COST_PERCENT)
        .map(|(bytes, _)| *bytes)
        .max();
    Some((same.unwrap_or(0) * 2).clamp(EAGER_BYTES_MIN, EAGER_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::{DiskAdvice, EAGER_BYTES_MIN, Measured, is_steady};
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
        let (direction, state) = (Direction::Write, FileState::Preallocated);
        Bandwidth { direction, state, shape, bytes_per_second, requests: 1 }
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
        // New room is worth more at once than a file that is written over.
        let large_runs =
            [(4, 500.0), (8, 900.0)].map(|(depth, speed)| bandwidth(1 << 20, depth, speed));
        let advice = DiskAdvice::of(&Measured {
            durable: &measured,
            durable_depths: &by_depth,
            large_runs: &large_runs,
            blocks: &blocks,
            depths: &depths,
        });
        let wanted = DiskAdvice {
            journal_groups_in_flight: 4,
            journal_group_eager_bytes: Some(128 << 10),
            segment_write_bytes: 256 << 10,
            segment_writes_in_flight: 1,
            large_runs_in_flight: 8,
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
        let advice = advised(&measured, &flat);
        assert_eq!((advice.journal_groups_in_flight, advice.large_runs_in_flight), (2, 2));
        assert_eq!(advice.segment_writes_in_flight, 1);
        assert_eq!(advice.journal_group_eager_bytes, Some(EAGER_BYTES_MIN));
    }

    fn advised(durable: &[DurableWrites], sweep: &[Bandwidth]) -> DiskAdvice {
        DiskAdvice::of(&Measured {
            durable,
            durable_depths: sweep,
            large_runs: sweep,
            blocks: sweep,
            depths: sweep,
        })
    }

    /// The least of the range was written: a disk of 20 ms a write then had 16 KiB in each group.
    #[test]
    fn a_disk_that_is_too_slow_for_a_median_gets_no_advice_about_sizes() {
        let mut slow = durable(4 << 10, FileState::Prewritten, 20_000);
        slow.latency.p50_nanoseconds = None;
        let advice = advised(&[slow], &[bandwidth(1 << 20, 1, 50.0)]);
        assert_eq!(advice.journal_group_eager_bytes, None);
    }
}

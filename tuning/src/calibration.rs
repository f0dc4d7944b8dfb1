//! A disk measured for the node: what its journal and its segments should be written with.
//!
//! * `advice`: measurements to settings
//! * `flush`: whether what the disk calls durable can be believed
//! * `origin`: which disk it was, under which kernel
//! * `record`: what the node's configuration keeps of it, and whether that still holds
//! * `sweep`: one shape after the other, in several rounds
//!
//! Each is measured in the file state that the node writes in: its journal is prewritten, its segments are set aside and
//! written once. Nothing here decides for durability: every setting is about how much is under way at once, never about
//! whether it is waited for.

mod advice;
mod flush;
mod origin;
mod record;
mod sweep;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::block_device::BlockDevice;
use crate::disk_probes::{
    Bandwidth, Direction, DiskProbeError, DiskProbes, DurableCall, DurableWrites, FileState,
    Samples, Shape,
};
use crate::limits::{MEDIAN_SAMPLES_WANTED, SLOW_DISK_TIME_MAX};
use sweep::Sweep;

pub use advice::DiskAdvice;
pub use flush::FlushTrust;
pub use origin::CalibrationOrigin;
pub use record::{CalibrationNow, CalibrationRecord};

const MIB: usize = 1 << 20;
const DURABLE_BYTES: [usize; 6] = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, MIB];
const DEPTHS: [usize; 4] = [1, 2, 4, 8];
const BLOCK_BYTES: [usize; 5] = [64 << 10, 128 << 10, 256 << 10, 512 << 10, MIB];
/// The segment writers' own depth, at which block sizes are compared.
const BLOCKS_AT_DEPTH: usize = 8;

/// How long it may take: more time, less chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    /// A quarter of a minute.
    Quick,
    /// Less than a minute.
    Usual,
    /// Some minutes.
    Thorough,
}

impl Effort {
    fn time(self) -> Duration {
        Duration::from_millis(match self {
            Self::Quick => 250,
            Self::Usual => 1_000,
            Self::Thorough => 5_000,
        })
    }
}

/// What was measured, and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    pub effort: Effort,
    pub durable: Vec<DurableWrites>,
    /// 4 KiB over the prewritten file that nobody makes durable: what a flush adds is the difference.
    pub plain: Samples,
    /// 1 MiB, durable, by depth, prewritten: the journal's groups.
    pub durable_depths: Vec<Bandwidth>,
    /// 1 MiB, durable, by depth, into room set aside: large runs, which go to their segments first.
    pub large_runs: Vec<Bandwidth>,
    /// By block size, into room set aside: what is written behind.
    pub blocks: Vec<Bandwidth>,
    /// The same by depth, at the block size that was chosen.
    pub depths: Vec<Bandwidth>,
    pub reads: Vec<Bandwidth>,
    pub advice: DiskAdvice,
    pub flush: FlushTrust,
    /// False where small writes took longer than large ones, or where rounds of one sweep do not agree: somebody else
    /// used the disk.
    pub is_steady: bool,
}

impl Calibration {
    /// Measures one thing after the other; `observe` hears which.
    pub fn measure(
        probes: &DiskProbes,
        effort: Effort,
        observe: &mut dyn FnMut(&str),
    ) -> Result<Self, DiskProbeError> {
        Self::measure_for(effort.time(), probes, effort, observe)
    }

    fn measure_for(
        time: Duration,
        probes: &DiskProbes,
        effort: Effort,
        observe: &mut dyn FnMut(&str),
    ) -> Result<Self, DiskProbeError> {
        let mut durable = Vec::new();
        for state in FileState::ALL {
            observe(&format!("durable writes of 4 KiB to 1 MiB, file {}", state.name()));
            for bytes in DURABLE_BYTES {
                durable.push(durable_writes(probes, bytes, state, time)?);
            }
        }
        observe("writes of 4 KiB that are not made durable");
        let plain = probes.plain(DURABLE_BYTES[0], time)?;
        let mut is_steady = advice::is_steady(&durable);
        let mut sweep = |what: &str, direction, state, shapes: Vec<Shape>| {
            observe(what);
            let probe = |shape, time| probes.sequential_in(state, direction, shape, time);
            let sweep = Sweep::measure(&shapes, time, &probe)?;
            is_steady &= sweep.is_steady;
            Ok::<Vec<Bandwidth>, DiskProbeError>(sweep.medians)
        };
        let by_depth = |block_bytes| DEPTHS.map(|depth| Shape { block_bytes, depth }).to_vec();
        let (prewritten, set_aside) = (FileState::Prewritten, FileState::Preallocated);
        let what = "durable writes of 1 MiB, 1 to 8 at once";
        let durable_depths = sweep(what, Direction::DurableWrite, prewritten, by_depth(MIB))?;
        let what = "durable writes of 1 MiB into new room, 1 to 8 at once";
        let large_runs = sweep(what, Direction::DurableWrite, set_aside, by_depth(MIB))?;
        let shapes = BLOCK_BYTES.map(|block_bytes| Shape { block_bytes, depth: BLOCKS_AT_DEPTH });
        let what = "writes of 64 KiB to 1 MiB into new room";
        let blocks = sweep(what, Direction::Write, set_aside, shapes.to_vec())?;
        let block = advice::segment_write_bytes(&blocks);
        let what = "writes of the size that was chosen, 1 to 8 at once";
        let depths = sweep(what, Direction::Write, set_aside, by_depth(block))?;
        let what = "reads of 1 MiB, 1 to 8 at once";
        let reads = sweep(what, Direction::Read, prewritten, by_depth(MIB))?;
        let measured = advice::Measured {
            durable: &durable,
            durable_depths: &durable_depths,
            large_runs: &large_runs,
            blocks: &blocks,
            depths: &depths,
        };
        let advice = DiskAdvice::of(&measured);
        let flush = flush_trust(probes, &small_durable(&durable), &plain, time)?;
        Ok(Self {
            effort,
            durable,
            plain,
            durable_depths,
            large_runs,
            blocks,
            depths,
            reads,
            advice,
            flush,
            is_steady,
        })
    }

    /// 4 KiB, durable, on the prewritten file: one record in the node's journal.
    #[must_use]
    pub fn small_durable(&self) -> Samples {
        small_durable(&self.durable)
    }
}

fn small_durable(durable: &[DurableWrites]) -> Samples {
    let is_small =
        |one: &&DurableWrites| one.bytes == DURABLE_BYTES[0] && one.state == FileState::Prewritten;
    durable.iter().find(is_small).map(|one| one.latency).unwrap_or_default()
}

/// A disturbed plain write looks like a flush that costs nothing: that is said where it is seen twice.
fn flush_trust(
    probes: &DiskProbes,
    durable: &Samples,
    plain: &Samples,
    time: Duration,
) -> Result<FlushTrust, DiskProbeError> {
    let has_volatile_cache = probes.facts().disks.iter().any(BlockDevice::says_write_back);
    let first = FlushTrust::judge(durable, plain, has_volatile_cache);
    if first != FlushTrust::CostsNothing {
        return Ok(first);
    }
    let bytes = DURABLE_BYTES[0];
    let plain = probes.plain(bytes, time)?;
    let durable = durable_writes(probes, bytes, FileState::Prewritten, time)?.latency;
    Ok(FlushTrust::judge(&durable, &plain, has_volatile_cache))
}

/// For `time`, or longer where the disk is so slow that there would be no median: a setting that rests on none would be
/// a guess.
fn durable_writes(
    probes: &DiskProbes,
    bytes: usize,
    state: FileState,
    time: Duration,
) -> Result<DurableWrites, DiskProbeError> {
    let mut time = time;
    loop {
        let found = probes.durable(bytes, state, DurableCall::Dsync, time)?;
        if found.latency.p50_nanoseconds.is_some() || time >= SLOW_DISK_TIME_MAX {
            return Ok(found);
        }
        let slowest = Duration::from_nanos(found.latency.max_nanoseconds);
        time = (slowest * MEDIAN_SAMPLES_WANTED).max(time * 2).min(SLOW_DISK_TIME_MAX);
    }
}

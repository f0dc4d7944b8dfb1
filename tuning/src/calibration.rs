//! A disk measured for the node: what its journal and its segments should be written with.
//!
//! * `advice`: measurements to settings
//! * `origin`: which disk it was, and whether it still is
//!
//! Nothing here decides for durability: every setting is about how much is under way at once, never about whether it
//! is waited for.

mod advice;
mod origin;

use std::time::Duration;

use serde::Serialize;

use crate::disk_probes::{
    Bandwidth, Direction, DiskProbeError, DiskProbes, DurableCall, DurableWrites, FileState, Shape,
    believable,
};

pub use advice::DiskAdvice;
pub use origin::CalibrationOrigin;

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
    /// 1 MiB, durable, by depth: the journal's groups and large runs.
    pub durable_depths: Vec<Bandwidth>,
    /// By block size: what is written behind.
    pub blocks: Vec<Bandwidth>,
    /// By depth, at the block size that was chosen.
    pub depths: Vec<Bandwidth>,
    pub reads: Vec<Bandwidth>,
    pub advice: DiskAdvice,
    /// False where 4 KiB are durable faster than on any device that keeps what it was told.
    pub is_flush_believable: bool,
    /// False where small writes took longer than large ones: somebody else used the disk.
    pub is_steady: bool,
}

impl Calibration {
    /// Measures one thing after the other; `observe` hears which.
    pub fn measure(
        probes: &DiskProbes,
        effort: Effort,
        observe: &mut dyn FnMut(&str),
    ) -> Result<Self, DiskProbeError> {
        let time = effort.time();
        let mut durable = Vec::new();
        for state in FileState::ALL {
            observe(&format!("durable writes of 4 KiB to 1 MiB, file {}", state.name()));
            for bytes in DURABLE_BYTES {
                durable.push(probes.durable(bytes, state, DurableCall::Dsync, time)?);
            }
        }
        let mut sweep = |what: &str, direction, shapes: Vec<Shape>| {
            observe(what);
            let measured =
                shapes.into_iter().map(|shape| probes.sequential(direction, shape, time));
            measured.collect::<Result<Vec<Bandwidth>, DiskProbeError>>()
        };
        let by_depth = |block_bytes| DEPTHS.map(|depth| Shape { block_bytes, depth }).to_vec();
        let what = "durable writes of 1 MiB, 1 to 8 at once";
        let durable_depths = sweep(what, Direction::DurableWrite, by_depth(MIB))?;
        let shapes = BLOCK_BYTES.map(|block_bytes| Shape { block_bytes, depth: BLOCKS_AT_DEPTH });
        let blocks = sweep("writes of 64 KiB to 1 MiB", Direction::Write, shapes.to_vec())?;
        let block = advice::segment_write_bytes(&blocks);
        let what = "writes of the size that was chosen, 1 to 8 at once";
        let depths = sweep(what, Direction::Write, by_depth(block))?;
        let reads = sweep("reads of 1 MiB, 1 to 8 at once", Direction::Read, by_depth(MIB))?;
        let advice = DiskAdvice::of(&durable, &durable_depths, &blocks, &depths);
        let is_flush_believable = durable
            .iter()
            .find(|one| one.bytes == DURABLE_BYTES[0] && one.state == FileState::Prewritten)
            .is_none_or(|one| believable(&one.latency));
        let is_steady = advice::is_steady(&durable);
        Ok(Self {
            effort,
            durable,
            durable_depths,
            blocks,
            depths,
            reads,
            advice,
            is_flush_believable,
            is_steady,
        })
    }
}

//! The disk's limits, by the probes that `corelane tune calibrate` uses, too.

use tuning::{
    Bandwidth, ByteCount, Direction, DirectoryFacts, DiskProbeError, DiskProbes, DurableCall,
    FileState, HostRoot, Shape, believable, knee,
};

use super::Measuring;
use super::limit::{Limit, Unit};
use crate::failure::Failure;

const MIB: usize = 1 << 20;
/// The sizes of durable writes: one record, batches, a whole journal group.
const DURABLE_BYTES: [usize; 5] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, MIB];
const WRITERS: [usize; 3] = [1, 4, 16];
const SWEEP_BLOCK_BYTES: [usize; 4] = [64 << 10, 256 << 10, MIB, 4 * MIB];
const SWEEP_DEPTHS: [usize; 4] = [1, 4, 16, 64];

/// At which depth disks give their most.
const SEQUENTIAL_SHAPE: Shape = Shape { block_bytes: MIB, depth: 16 };

/// A broker's journal is prewritten; blocks of its segments are set aside, and written for the first time.
const SEQUENTIAL: [(&str, Direction, FileState, &str); 4] = [
    (
        "disk.sequential.write",
        Direction::Write,
        FileState::Prewritten,
        "O_DIRECT over a prewritten file, 1 MiB, 16 at once",
    ),
    ("disk.sequential.read", Direction::Read, FileState::Prewritten, "O_DIRECT, 1 MiB, 16 at once"),
    (
        "disk.sequential.durable-write",
        Direction::DurableWrite,
        FileState::Prewritten,
        "O_DIRECT and RWF_DSYNC over a prewritten file, 1 MiB, 16 at once",
    ),
    (
        "disk.sequential.durable-write.preallocated",
        Direction::DurableWrite,
        FileState::Preallocated,
        "O_DIRECT and RWF_DSYNC to blocks that were set aside, 1 MiB, 16 at once",
    ),
];

pub(super) fn measure(
    measuring: &mut Measuring<'_>,
    host: &HostRoot,
) -> Result<DirectoryFacts, Failure> {
    measuring.begin("disk: writing the file that is measured with");
    let probes = DiskProbes::prepare(host, &measuring.request.directory).map_err(failure)?;
    for (id, direction, state, how) in SEQUENTIAL {
        measuring.begin(&format!("disk: {how}"));
        let time = measuring.time(1_500);
        let found = probes.sequential_in(state, direction, SEQUENTIAL_SHAPE, time);
        let found = found.map_err(failure)?;
        let (rate, samples) = (found.bytes_per_second, found.requests);
        measuring.limits.push(Limit::rate(id, Unit::BytesPerSecond, rate, samples, how));
    }
    durable(measuring, &probes).map_err(failure)?;
    if measuring.request.is_thorough {
        sweep(measuring, &probes).map_err(failure)?;
    }
    Ok(probes.facts().clone())
}

fn durable(measuring: &mut Measuring<'_>, probes: &DiskProbes) -> Result<(), DiskProbeError> {
    for call in DurableCall::ALL {
        for state in FileState::ALL {
            measuring.begin(&format!(
                "disk: durable writes of 4 KiB to 1 MiB, {}, file {}",
                call.name(),
                state.name()
            ));
            for bytes in DURABLE_BYTES {
                let is_nodes = (bytes, state, call)
                    == (DURABLE_BYTES[0], FileState::Prewritten, DurableCall::Dsync);
                let time = measuring.time(if is_nodes { 1_000 } else { 250 });
                let found = probes.durable(bytes, state, call, time)?;
                let size = ByteCount(bytes as u64).to_string().replace(' ', "");
                let id = format!("disk.durable.{}.{}.{size}", call.name(), state.name());
                let how = match call {
                    DurableCall::Dsync => "one pwritev2 with O_DIRECT and RWF_DSYNC at a time",
                    DurableCall::Fdatasync => "one O_DIRECT write and fdatasync at a time",
                };
                measuring.limits.push(Limit::latency(id, &found.latency, how));
                if is_nodes && !believable(&found.latency) {
                    measuring.warnings.push(format!(
                        "durability of this device is unverified: a durable write of 4 KiB takes \
                         {:.1} µs, and no device that keeps what it was told is so fast; ask who \
                         runs the host whether flushes reach the disk",
                        found.latency.p50_nanoseconds.unwrap_or(0) as f64 / 1e3
                    ));
                }
            }
        }
    }
    for writers in WRITERS {
        measuring.begin(&format!("disk: durable writes of 4 KiB, {writers} at once"));
        let found = probes.durable_at_once(writers, DurableCall::Dsync, measuring.time(700))?;
        let id = format!("disk.durable.at-once.{writers}");
        let how = "pwritev2 of 4 KiB with RWF_DSYNC from each of so many threads, file prewritten";
        let rate = found.writes_per_second;
        let limit = Limit::timed(id, Unit::WritesPerSecond, rate, &found.latency, how);
        measuring.limits.push(limit);
    }
    Ok(())
}

fn sweep(measuring: &mut Measuring<'_>, probes: &DiskProbes) -> Result<(), DiskProbeError> {
    for direction in [Direction::Write, Direction::Read, Direction::DurableWrite] {
        measuring.begin(&format!("disk: sweep of block size and depth, {direction:?}"));
        let mut found: Vec<Bandwidth> = Vec::new();
        for block_bytes in SWEEP_BLOCK_BYTES {
            for depth in SWEEP_DEPTHS {
                let shape = Shape { block_bytes, depth };
                found.push(probes.sequential(direction, shape, measuring.time(200))?);
            }
        }
        measuring.knees.extend(knee(&found));
        measuring.sweep.extend(found);
    }
    Ok(())
}

fn failure(error: DiskProbeError) -> Failure {
    Failure::new(error.to_string())
}

//! Sequential direct I/O over the prewritten file: bandwidth at a block size and depth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::ReadWriteFlags;
use serde::Serialize;

use super::aligned_bytes::AlignedBytes;
use super::{DiskProbeError, DiskProbes};

/// What each request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Read,
    Write,
    /// Each write is on stable storage when it is done (`RWF_DSYNC`), as the node's journal writes.
    DurableWrite,
}

/// How large each request is, and how many are under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    pub block_bytes: usize,
    pub depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bandwidth {
    pub direction: Direction,
    pub shape: Shape,
    pub bytes_per_second: f64,
    pub requests: u64,
}

impl DiskProbes {
    /// Goes through the file in order, again and again, for `time`.
    pub fn sequential(
        &self,
        direction: Direction,
        shape: Shape,
        time: Duration,
    ) -> Result<Bandwidth, DiskProbeError> {
        let next = AtomicU64::new(0);
        let begin = Instant::now();
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..shape.depth.max(1))
                .map(|_| scope.spawn(|| self.go_through(direction, shape, &next, begin + time)))
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().expect("a probe's thread does not panic")
            };
            threads.into_iter().map(join).collect::<Result<Vec<u64>, DiskProbeError>>()
        })?;
        let requests: u64 = done.iter().sum();
        let bytes = requests as f64 * shape.block_bytes as f64;
        let bytes_per_second = bytes / begin.elapsed().as_secs_f64();
        Ok(Bandwidth { direction, shape, bytes_per_second, requests })
    }

    /// One of the requests under way. Gives how many it did.
    fn go_through(
        &self,
        direction: Direction,
        shape: Shape,
        next: &AtomicU64,
        until: Instant,
    ) -> Result<u64, DiskProbeError> {
        let mut memory = AlignedBytes::new(shape.block_bytes);
        let blocks = (self.bytes / shape.block_bytes as u64).max(1);
        let mut requests = 0;
        // One at the least, however short the time.
        while requests == 0 || Instant::now() < until {
            let position = next.fetch_add(1, Ordering::Relaxed) % blocks * shape.block_bytes as u64;
            match direction {
                Direction::Read => self.prewritten.read(memory.get_mut(), position)?,
                Direction::Write => {
                    self.prewritten.write(memory.get(), position, ReadWriteFlags::empty())?;
                }
                Direction::DurableWrite => {
                    self.prewritten.write(memory.get(), position, ReadWriteFlags::DSYNC)?;
                }
            }
            requests += 1;
        }
        Ok(requests)
    }
}

/// The least that is under way with (nearly) all of the bandwidth: within 5 % of the best.
#[must_use]
pub fn knee(measured: &[Bandwidth]) -> Option<Bandwidth> {
    let best = measured.iter().map(|one| one.bytes_per_second).fold(0.0, f64::max);
    let enough = measured.iter().filter(|one| one.bytes_per_second >= 0.95 * best);
    enough.min_by_key(|one| (one.shape.block_bytes * one.shape.depth, one.shape.depth)).copied()
}

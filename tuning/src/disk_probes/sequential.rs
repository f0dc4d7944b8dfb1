//! Sequential direct I/O: bandwidth at a block size and depth, in a state of the file.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::ReadWriteFlags;
use serde::Serialize;

use super::aligned_bytes::AlignedBytes;
use super::durable::FileState;
use super::probe_file::ProbeFile;
use super::{DiskProbeError, DiskProbes};
use crate::limits::PROBE_SIDE_FILE_BYTES;

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
    pub state: FileState,
    pub shape: Shape,
    pub bytes_per_second: f64,
    pub requests: u64,
}

impl DiskProbes {
    /// Goes through the prewritten file in order, again and again, for `time`.
    pub fn sequential(
        &self,
        direction: Direction,
        shape: Shape,
        time: Duration,
    ) -> Result<Bandwidth, DiskProbeError> {
        let mut memories = memories(shape);
        let begin = Instant::now();
        let walk = Walk {
            file: &self.prewritten,
            blocks: blocks(self.bytes, shape),
            laps: Laps::Endless,
            direction,
            shape,
            until: begin + time,
            next: AtomicU64::new(0),
        };
        let requests = walk.run(&mut memories)?;
        let state = FileState::Prewritten;
        Ok(Bandwidth::of(direction, state, shape, requests, begin.elapsed()))
    }

    /// The same in any state of the file. What must be new for each write is made new when a file is full, which is not
    /// counted.
    pub fn sequential_in(
        &self,
        state: FileState,
        direction: Direction,
        shape: Shape,
        time: Duration,
    ) -> Result<Bandwidth, DiskProbeError> {
        if state == FileState::Prewritten {
            return self.sequential(direction, shape, time);
        }
        assert!(direction != Direction::Read, "what was never written is not read");
        let file = ProbeFile::create(&self.facts.path)?;
        let mut memories = memories(shape);
        let (mut requests, mut spent) = (0, Duration::ZERO);
        while requests == 0 || spent < time {
            match state {
                FileState::Preallocated => file.set_aside(PROBE_SIDE_FILE_BYTES.get())?,
                FileState::Extending | FileState::Prewritten => file.cut()?,
            }
            let begin = Instant::now();
            let walk = Walk {
                file: &file,
                blocks: blocks(PROBE_SIDE_FILE_BYTES.get(), shape),
                laps: Laps::One,
                direction,
                shape,
                until: begin + time.saturating_sub(spent),
                next: AtomicU64::new(0),
            };
            requests += walk.run(&mut memories)?;
            spent += begin.elapsed();
        }
        Ok(Bandwidth::of(direction, state, shape, requests, spent))
    }
}

impl Bandwidth {
    fn of(
        direction: Direction,
        state: FileState,
        shape: Shape,
        requests: u64,
        time: Duration,
    ) -> Self {
        let bytes = requests as f64 * shape.block_bytes as f64;
        let bytes_per_second = bytes / time.as_secs_f64();
        Self { direction, state, shape, bytes_per_second, requests }
    }
}

/// One for each request under way, made before the time begins.
fn memories(shape: Shape) -> Vec<AlignedBytes> {
    (0..shape.depth.max(1)).map(|_| AlignedBytes::new(shape.block_bytes)).collect()
}

fn blocks(bytes: u64, shape: Shape) -> u64 {
    (bytes / shape.block_bytes as u64).max(1)
}

/// How often a block is met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Laps {
    One,
    Endless,
}

/// A way through a file in order, with so many requests under way as there are memories.
struct Walk<'file> {
    file: &'file ProbeFile,
    blocks: u64,
    laps: Laps,
    direction: Direction,
    shape: Shape,
    until: Instant,
    /// The next block, of all requests.
    next: AtomicU64,
}

impl Walk<'_> {
    /// Gives how many requests were done.
    fn run(&self, memories: &mut [AlignedBytes]) -> Result<u64, DiskProbeError> {
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = memories
                .iter_mut()
                .map(|memory| scope.spawn(move || self.one_of_them(memory)))
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().expect("a probe's thread does not panic")
            };
            threads.into_iter().map(join).collect::<Result<Vec<u64>, DiskProbeError>>()
        })?;
        Ok(done.iter().sum())
    }

    fn one_of_them(&self, memory: &mut AlignedBytes) -> Result<u64, DiskProbeError> {
        let mut requests = 0;
        // One at the least, however short the time.
        while requests == 0 || Instant::now() < self.until {
            let block = self.next.fetch_add(1, Ordering::Relaxed);
            if self.laps == Laps::One && block >= self.blocks {
                break;
            }
            let position = block % self.blocks * self.shape.block_bytes as u64;
            match self.direction {
                Direction::Read => self.file.read(memory.get_mut(), position)?,
                Direction::Write => {
                    self.file.write(memory.get(), position, ReadWriteFlags::empty())?;
                }
                Direction::DurableWrite => {
                    self.file.write(memory.get(), position, ReadWriteFlags::DSYNC)?;
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

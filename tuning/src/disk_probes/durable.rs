//! How long one durable write takes: by its size, by what the file system must write down beside it, and by call.

use std::time::{Duration, Instant};

use rustix::io::ReadWriteFlags;
use serde::Serialize;

use super::aligned_bytes::AlignedBytes;
use super::probe_file::ProbeFile;
use super::samples::{Samples, nanoseconds};
use super::{DiskProbeError, DiskProbes};
use crate::byte_count::ByteCount;
use crate::limits::{PROBE_BLOCK_BYTES, PROBE_SIDE_FILE_BYTES};

/// What the file is before the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// Each write makes the file longer.
    Extending,
    /// The room is there and was never written.
    Preallocated,
    /// Every block was written before: nothing but the data changes. The node's journal files are so.
    Prewritten,
}

impl FileState {
    pub const ALL: [Self; 3] = [Self::Extending, Self::Preallocated, Self::Prewritten];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Extending => "extending",
            Self::Preallocated => "preallocated",
            Self::Prewritten => "prewritten",
        }
    }
}

/// What makes a write durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DurableCall {
    /// `pwritev2` with `RWF_DSYNC`: one call, as the node writes its journal.
    Dsync,
    /// A write, then `fdatasync`.
    Fdatasync,
}

impl DurableCall {
    pub const ALL: [Self; 2] = [Self::Dsync, Self::Fdatasync];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dsync => "dsync",
            Self::Fdatasync => "fdatasync",
        }
    }
}

/// Writes of one size, one after another, or of several writers at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DurableWrites {
    pub bytes: usize,
    pub state: FileState,
    pub call: DurableCall,
    pub writers: usize,
    pub latency: Samples,
    pub writes_per_second: f64,
}

impl DiskProbes {
    /// One writer that waits for each write, for `time` or until its file is full.
    pub fn durable(
        &self,
        bytes: usize,
        state: FileState,
        call: DurableCall,
        time: Duration,
    ) -> Result<DurableWrites, DiskProbeError> {
        let side = match state {
            FileState::Prewritten => None,
            FileState::Extending | FileState::Preallocated => {
                Some(ProbeFile::create(&self.facts.path)?)
            }
        };
        if let (FileState::Preallocated, Some(file)) = (state, &side) {
            file.preallocate(PROBE_SIDE_FILE_BYTES.get())?;
        }
        let begin = Instant::now();
        let samples = match &side {
            // Every block is new only once.
            Some(file) => {
                let range = Range { begin: 0, end: PROBE_SIDE_FILE_BYTES.get(), wraps: false };
                write_in_turn(file, range, bytes, Some(call), begin + time)?
            }
            None => {
                let range = Range { begin: 0, end: self.bytes, wraps: true };
                write_in_turn(&self.prewritten, range, bytes, Some(call), begin + time)?
            }
        };
        let seconds = begin.elapsed().as_secs_f64();
        Ok(of(bytes, state, call, 1, vec![samples], seconds))
    }

    /// The same writes over the prewritten file with nothing that makes them durable: what a flush costs is what
    /// [`DiskProbes::durable`] takes beyond it.
    pub fn plain(&self, bytes: usize, time: Duration) -> Result<Samples, DiskProbeError> {
        let range = Range { begin: 0, end: self.bytes, wraps: true };
        let until = Instant::now() + time;
        write_in_turn(&self.prewritten, range, bytes, None, until).map(Samples::of)
    }

    /// Several writers of 4 KiB at once, each in its own part of the prewritten file.
    pub fn durable_at_once(
        &self,
        writers: usize,
        call: DurableCall,
        time: Duration,
    ) -> Result<DurableWrites, DiskProbeError> {
        let writers = writers.max(1);
        let bytes = PROBE_BLOCK_BYTES;
        let part = self.bytes / writers as u64 / bytes as u64 * bytes as u64;
        let begin = Instant::now();
        let samples = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers as u64)
                .map(|writer| {
                    let range =
                        Range { begin: writer * part, end: (writer + 1) * part, wraps: true };
                    let file = &self.prewritten;
                    scope.spawn(move || write_in_turn(file, range, bytes, Some(call), begin + time))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().expect("a probe's thread does not panic")
            };
            threads.into_iter().map(join).collect::<Result<Vec<Vec<u64>>, DiskProbeError>>()
        })?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(of(bytes, FileState::Prewritten, call, writers, samples, seconds))
    }
}

/// Whether a disk can have made 4 KiB durable so fast. No device that keeps what it was told does it in less; a
/// virtual one whose host only remembers does.
#[must_use]
pub fn believable(durable_4k: &Samples) -> bool {
    durable_4k.p50_nanoseconds.is_none_or(|p50| p50 >= crate::limits::BELIEVABLE_FLUSH_NANOS_MIN)
}

/// Where to write.
#[derive(Clone, Copy)]
struct Range {
    begin: u64,
    end: u64,
    wraps: bool,
}

fn write_in_turn(
    file: &ProbeFile,
    range: Range,
    bytes: usize,
    call: Option<DurableCall>,
    until: Instant,
) -> Result<Vec<u64>, DiskProbeError> {
    let memory = AlignedBytes::new(bytes);
    let mut samples = Vec::new();
    let mut position = range.begin;
    let mut before = Instant::now();
    // One at the least, however short the time.
    while samples.is_empty() || before < until {
        if position + bytes as u64 > range.end {
            if !range.wraps {
                break;
            }
            position = range.begin;
        }
        match call {
            None => file.write(memory.get(), position, ReadWriteFlags::empty())?,
            Some(DurableCall::Dsync) => {
                file.write(memory.get(), position, ReadWriteFlags::DSYNC)?;
            }
            Some(DurableCall::Fdatasync) => {
                file.write(memory.get(), position, ReadWriteFlags::empty())?;
                file.sync()?;
            }
        }
        let after = Instant::now();
        samples.push(nanoseconds(after - before));
        before = after;
        position += bytes as u64;
    }
    Ok(samples)
}

fn of(
    bytes: usize,
    state: FileState,
    call: DurableCall,
    writers: usize,
    samples: Vec<Vec<u64>>,
    seconds: f64,
) -> DurableWrites {
    let latency = Samples::of(samples.concat());
    let writes_per_second = latency.count as f64 / seconds;
    DurableWrites { bytes, state, call, writers, latency, writes_per_second }
}

impl DurableWrites {
    #[must_use]
    pub const fn size(&self) -> ByteCount {
        ByteCount(self.bytes as u64)
    }
}

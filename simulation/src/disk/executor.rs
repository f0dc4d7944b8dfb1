//! A shard's disk operations under virtual time: each takes a random while, writes complete in any
//! order, jobs run one after the other as on the shard's helper thread.
//!
//! A step of a job happens at its end; its syncs cover what had completed at its beginning.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;

use broker::engine::disk::operation::JobOutput;
use broker::engine::disk::{
    DirId, DiskEffect, DiskEvent, DiskOp, DiskOutput, FileId, FileSystemError, Job, OpId, job,
};
use broker::runtime::memory::Block;

use super::file_system::{ReadTicket, VirtualFileSystem, WriteTicket};
use super::inode::Moment;
use crate::random::Random;

/// Direct I/O: addresses, positions and lengths.
const BLOCK_BYTES: usize = 4096;

/// What the disk of the design's measurements takes, roughly: 100 µs an operation, 1 ns a byte …
const LATENCY_BASE_NS: u64 = 100_000;
const LATENCY_BYTE_NS: u64 = 1;
/// … and once in a while much longer, so that everything overtakes everything.
const LATENCY_SLOW_ONE_IN: u64 = 32;
const LATENCY_SLOW_FACTOR: u64 = 50;

/// The disk as one shard sees it. At a power cut it is dropped with its shard: what was in flight is
/// then in the hands of [`VirtualFileSystem::power_cut`].
#[derive(Debug)]
pub(crate) struct VirtualDisk {
    dirs: BTreeMap<DirId, Rc<VirtualFileSystem>>,
    files: BTreeMap<FileId, (DirId, PathBuf)>,
    /// By the time of completion, then in the order of submission.
    in_flight: BTreeMap<(u64, u64), InFlight>,
    /// Jobs that wait for the one in progress.
    waiting: VecDeque<(OpId, Job)>,
    job_in_progress: bool,
    submitted: u64,
    random: Random,
}

#[derive(Debug)]
enum InFlight {
    Write { op: OpId, dir: DirId, ticket: WriteTicket, durable: bool },
    Read { op: OpId, dir: DirId, ticket: ReadTicket, position: u64, block: Block, length: usize },
    Failed { op: OpId, error: FileSystemError },
    Step(RunningJob),
}

/// A job whose step `next` is under way.
#[derive(Debug)]
struct RunningJob {
    op: OpId,
    job: Job,
    next: usize,
    output: JobOutput,
    step_submitted: Moment,
}

impl VirtualDisk {
    pub(crate) fn new(dirs: BTreeMap<DirId, Rc<VirtualFileSystem>>, random: Random) -> Self {
        Self {
            dirs,
            files: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            waiting: VecDeque::new(),
            job_in_progress: false,
            submitted: 0,
            random,
        }
    }

    /// When the next completion is due, in nanoseconds of virtual time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.in_flight.keys().next().map(|(due, _)| *due)
    }

    /// Operations and jobs that have not completed.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    pub(crate) fn submit(&mut self, now: u64, effect: DiskEffect) {
        let op = effect.op;
        match effect.request {
            DiskOp::Bind { file, dir, path } => {
                let before = self.files.insert(file, (dir, path));
                assert!(before.is_none(), "{file:?} is bound once");
            }
            DiskOp::Unbind { file } => {
                assert!(self.files.remove(&file).is_some(), "{file:?} is bound");
            }
            DiskOp::Write { file, position, data, durable, class: _ } => {
                self.submit_write(now, op, file, position, &data, durable);
            }
            DiskOp::Read { file, position, block, length, class: _ } => {
                self.submit_read(now, op, file, position, block, length);
            }
            DiskOp::Job(job) => {
                self.waiting.push_back((op, job));
                self.start_job(now);
            }
        }
    }

    fn submit_write(
        &mut self,
        now: u64,
        op: OpId,
        file: FileId,
        position: u64,
        data: &[bytes::Bytes],
        durable: bool,
    ) {
        assert!(position.is_multiple_of(BLOCK_BYTES as u64), "direct writes begin at a block");
        for part in data {
            assert!(
                part.as_ptr().addr().is_multiple_of(BLOCK_BYTES),
                "memory of direct writes is aligned"
            );
            assert!(part.len().is_multiple_of(BLOCK_BYTES), "direct writes are whole blocks");
        }
        let (dir, path) = &self.files[&file];
        let (dir, whole) = (*dir, data.concat());
        let bytes = whole.len() as u64;
        let written = match self.dirs[&dir].begin_write(path, position, whole) {
            Ok(ticket) => InFlight::Write { op, dir, ticket, durable },
            Err(error) => InFlight::Failed { op, error },
        };
        self.schedule(now, bytes, written);
    }

    fn submit_read(
        &mut self,
        now: u64,
        op: OpId,
        file: FileId,
        position: u64,
        block: Block,
        length: usize,
    ) {
        assert!(position.is_multiple_of(BLOCK_BYTES as u64), "direct reads begin at a block");
        assert!(length.is_multiple_of(BLOCK_BYTES), "direct reads are whole blocks");
        assert!(length <= block.len() && length > 0, "a read fits its block");
        let (dir, path) = &self.files[&file];
        let dir = *dir;
        let read = match self.dirs[&dir].begin_read(path) {
            Ok(ticket) => InFlight::Read { op, dir, ticket, position, block, length },
            Err(error) => InFlight::Failed { op, error },
        };
        self.schedule(now, length as u64, read);
    }

    /// Takes the completion that is due at `now`, if one is.
    pub(crate) fn complete(&mut self, now: u64) -> Option<DiskEvent> {
        loop {
            let entry = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now)?;
            let event = match entry.remove() {
                InFlight::Write { op, dir, ticket, durable } => {
                    self.dirs[&dir].finish_write(ticket, durable);
                    Some(DiskEvent { op, result: Ok(DiskOutput::Written) })
                }
                InFlight::Read { op, dir, ticket, position, mut block, length } => {
                    let into = &mut block[..length];
                    let length = self.dirs[&dir].finish_read(ticket, position, into);
                    Some(DiskEvent { op, result: Ok(DiskOutput::Read { block, length }) })
                }
                InFlight::Failed { op, error } => Some(DiskEvent { op, result: Err(error) }),
                InFlight::Step(running) => self.finish_step(now, running),
            };
            match event {
                // A dying process is told nothing any more.
                Some(DiskEvent { result: Err(FileSystemError::Stopped), .. }) | None => {}
                Some(event) => return Some(event),
            }
        }
    }

    fn start_job(&mut self, now: u64) {
        if self.job_in_progress {
            return;
        }
        let Some((op, job)) = self.waiting.pop_front() else { return };
        self.job_in_progress = true;
        let output = JobOutput::default();
        let step_submitted = self.dirs[&job.dir].now();
        let running = RunningJob { op, job, next: 0, output, step_submitted };
        self.schedule(now, 0, InFlight::Step(running));
    }

    fn finish_step(&mut self, now: u64, mut running: RunningJob) -> Option<DiskEvent> {
        let file_system = Rc::clone(&self.dirs[&running.job.dir]);
        let result = match running.job.steps.get(running.next) {
            Some(step) => file_system.covering(running.step_submitted, |files| {
                job::perform(files, step, &mut running.output)
            }),
            None => Ok(()), // a job without steps
        };
        running.next += 1;
        if result.is_ok() && running.next < running.job.steps.len() {
            running.step_submitted = file_system.now();
            self.schedule(now, 0, InFlight::Step(running));
            return None;
        }
        self.job_in_progress = false;
        self.start_job(now);
        let result = result.map(|()| DiskOutput::Done(running.output));
        Some(DiskEvent { op: running.op, result })
    }

    fn schedule(&mut self, now: u64, bytes: u64, what: InFlight) {
        let usual = LATENCY_BASE_NS + bytes * LATENCY_BYTE_NS;
        let slow = if self.random.one_in(LATENCY_SLOW_ONE_IN) { LATENCY_SLOW_FACTOR } else { 1 };
        let latency = usual / 2 + self.random.below(usual * slow);
        self.submitted += 1;
        self.in_flight.insert((now + latency, self.submitted), what);
    }
}

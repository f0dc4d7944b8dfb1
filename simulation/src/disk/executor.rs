//! A shard's disk operations under virtual time: each takes a random while, writes complete in any
//! order, jobs run one after the other as on the shard's helper threads, of which one prewrites files.
//!
//! A step of a job happens at its end; its syncs cover what had completed at its beginning.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use broker::engine::disk::operation::JobOutput;
use broker::engine::disk::{
    DirId, DiskClass, DiskEffect, DiskEvent, DiskOp, DiskOutput, FileId, FileSystem as _,
    FileSystemError, Job, OpId, Step, job,
};
use broker::runtime::memory::Block;

use super::fault::Planted;
use super::file_system::{ReadTicket, VirtualFileSystem, WriteTicket};
use super::inode::Moment;
use super::journal_edit::JournalEditor;
use crate::random::Random;

/// Direct I/O: addresses, positions and lengths.
const BLOCK_BYTES: usize = 4096;

/// Where a journal group says what is not needed any more.
const LIVE_START_AT: usize = 40;

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
    /// By helper: the one that prewrites is the second.
    helpers: [Helper; 2],
    submitted: u64,
    random: Random,
    planted: Planted,
    editor: Option<JournalEditor>,
    /// The journal file written last, for the fault that recycles early.
    journal_file: Option<FileId>,
    /// What the newest header lets go of.
    live_start: u64,
    /// How often each journal file was begun.
    laps: BTreeMap<FileId, u32>,
}

#[derive(Debug, Default)]
struct Helper {
    is_busy: bool,
    waiting: VecDeque<(OpId, Job)>,
}

/// Something that a power cut would interrupt.
#[derive(Debug)]
pub(crate) enum UnderWay<'a> {
    Write { class: DiskClass, recycles: bool },
    Step { step: &'a Step, job: &'a Job },
}

#[derive(Debug)]
struct Written {
    /// `None`: its completion was told already (a planted fault).
    op: Option<OpId>,
    dir: DirId,
    ticket: WriteTicket,
    durable: bool,
    class: DiskClass,
    recycles: bool,
}

#[derive(Debug)]
enum InFlight {
    Write(Written),
    /// A completion that is told before its time.
    Told {
        op: OpId,
    },
    Read {
        op: OpId,
        dir: DirId,
        ticket: ReadTicket,
        position: u64,
        block: Block,
        length: usize,
    },
    Failed {
        op: OpId,
        error: FileSystemError,
    },
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

impl RunningJob {
    /// Of the step that is next, where it takes as long as it has bytes.
    fn bytes(&self) -> u64 {
        match self.job.steps.get(self.next) {
            Some(Step::Prewrite { length, .. }) => *length,
            _ => 0,
        }
    }
}

impl VirtualDisk {
    pub(crate) fn new(
        dirs: BTreeMap<DirId, Rc<VirtualFileSystem>>,
        random: Random,
        planted: Planted,
        editor: Option<JournalEditor>,
    ) -> Self {
        Self {
            dirs,
            files: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            helpers: Default::default(),
            submitted: 0,
            random,
            planted,
            editor,
            journal_file: None,
            live_start: 0,
            laps: BTreeMap::new(),
        }
    }

    /// When the next completion is due, in nanoseconds of virtual time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.in_flight.keys().next().map(|(due, _)| *due)
    }

    /// What is under way: reads and what waits for the helper are not.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = UnderWay<'_>> {
        self.in_flight.values().filter_map(|what| match what {
            InFlight::Write(Written { class, recycles, .. }) => {
                Some(UnderWay::Write { class: *class, recycles: *recycles })
            }
            InFlight::Step(running) => {
                let step = running.job.steps.get(running.next)?;
                Some(UnderWay::Step { step, job: &running.job })
            }
            InFlight::Told { .. } | InFlight::Read { .. } | InFlight::Failed { .. } => None,
        })
    }

    /// The process is killed and the machine goes on: writes in the kernel complete, the helper's call
    /// returns or never began, nobody is told.
    pub(crate) fn kill(mut self) {
        for what in std::mem::take(&mut self.in_flight).into_values() {
            match what {
                InFlight::Write(written) => {
                    self.dirs[&written.dir].finish_write(written.ticket, written.durable);
                }
                InFlight::Read { dir, ticket, .. } => {
                    self.dirs[&dir].finish_read(ticket, 0, &mut []);
                }
                InFlight::Step(running) if self.random.coin() => {
                    let (_, _result) = self.perform(running);
                }
                InFlight::Step(_) | InFlight::Told { .. } | InFlight::Failed { .. } => {}
            }
        }
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
            DiskOp::Write { file, position, data, durable, class } => {
                let write = WriteOrder { op, file, position, durable, class };
                self.submit_write(now, &write, &data);
            }
            DiskOp::Read { file, position, block, length, class: _ } => {
                self.submit_read(now, op, file, position, block, length);
            }
            DiskOp::Job(job) => {
                let helper = usize::from(job.prewrites());
                self.helpers[helper].waiting.push_back((op, job));
                self.start_job(now, helper);
            }
        }
    }

    fn submit_write(&mut self, now: u64, order: &WriteOrder, data: &[bytes::Bytes]) {
        let WriteOrder { op, file, position, durable, class } = *order;
        assert!(position.is_multiple_of(BLOCK_BYTES as u64), "direct writes begin at a block");
        for part in data {
            assert!(
                part.as_ptr().addr().is_multiple_of(BLOCK_BYTES),
                "memory of direct writes is aligned"
            );
            assert!(part.len().is_multiple_of(BLOCK_BYTES), "direct writes are whole blocks");
        }
        let (dir, path) = self.files[&file].clone();
        let mut whole = data.concat();
        let recycles = class == DiskClass::Journal && self.recycles(file, position, &whole);
        if class == DiskClass::Journal {
            self.clear_file_before(file);
            if let Some(editor) = &mut self.editor {
                whole = editor.edit(whole);
            }
        }
        let bytes = whole.len() as u64;
        let is_early = match class {
            DiskClass::Journal => self.planted.journal_completes_early,
            DiskClass::Bypass => self.planted.bypass_completes_early,
            DiskClass::WriteBehind | DiskClass::CatchUp | DiskClass::Background => false,
        };
        let written = match self.dirs[&dir].begin_write(&path, position, whole) {
            Ok(ticket) => {
                let op = (!is_early).then_some(op);
                InFlight::Write(Written { op, dir, ticket, durable, class, recycles })
            }
            Err(error) => InFlight::Failed { op, error },
        };
        if is_early && matches!(written, InFlight::Write(_)) {
            self.submitted += 1;
            self.in_flight.insert((now, self.submitted), InFlight::Told { op });
        }
        self.schedule(now, bytes, written);
    }

    /// Whether a journal group lets go of a file, or writes over one that was let go of.
    fn recycles(&mut self, file: FileId, position: u64, group: &[u8]) -> bool {
        let lap = self.laps.entry(file).or_default();
        *lap += u32::from(position == 0);
        let is_second_lap = *lap >= 2;
        let stated = group.get(LIVE_START_AT..).and_then(|rest| rest.first_chunk());
        let stated = stated.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let before = std::mem::replace(&mut self.live_start, stated);
        is_second_lap || stated > before
    }

    /// The fault that recycles early: the file before this one is cleared at once.
    fn clear_file_before(&mut self, file: FileId) {
        let before = self.journal_file.replace(file).filter(|before| *before != file);
        let Some(before) = before.filter(|_| self.planted.recycles_early) else { return };
        let Some((dir, path)) = self.files.get(&before) else { return };
        let file_system = &self.dirs[dir];
        let length = file_system.length(path).unwrap_or(0);
        let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
        let cleared = file_system.write(path, 0, &zeros).and_then(|()| file_system.sync(path));
        assert!(
            matches!(cleared, Ok(()) | Err(FileSystemError::Stopped)),
            "a journal file can be cleared: {cleared:?}"
        );
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
                InFlight::Write(Written { op, dir, ticket, durable, .. }) => {
                    self.dirs[&dir].finish_write(ticket, durable);
                    op.map(|op| DiskEvent { op, result: Ok(DiskOutput::Written) })
                }
                InFlight::Told { op } => Some(DiskEvent { op, result: Ok(DiskOutput::Written) }),
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

    fn start_job(&mut self, now: u64, helper: usize) {
        let helper = &mut self.helpers[helper];
        if helper.is_busy {
            return;
        }
        let Some((op, job)) = helper.waiting.pop_front() else { return };
        helper.is_busy = true;
        let output = JobOutput::default();
        let step_submitted = self.dirs[&job.dir].now();
        let running = RunningJob { op, job, next: 0, output, step_submitted };
        self.schedule(now, running.bytes(), InFlight::Step(running));
    }

    fn finish_step(&mut self, now: u64, running: RunningJob) -> Option<DiskEvent> {
        let (mut running, result) = self.perform(running);
        running.next += 1;
        if result.is_ok() && running.next < running.job.steps.len() {
            running.step_submitted = self.dirs[&running.job.dir].now();
            self.schedule(now, running.bytes(), InFlight::Step(running));
            return None;
        }
        let helper = usize::from(running.job.prewrites());
        self.helpers[helper].is_busy = false;
        self.start_job(now, helper);
        let result = result.map(|()| DiskOutput::Done(running.output));
        Some(DiskEvent { op: running.op, result })
    }

    /// Performs the step that is due.
    fn perform(&self, mut running: RunningJob) -> (RunningJob, Result<(), FileSystemError>) {
        let Some(step) = running.job.steps.get(running.next) else {
            return (running, Ok(())); // a job without steps
        };
        if self.is_left_out(step, &running.job) {
            return (running, Ok(()));
        }
        let output = &mut running.output;
        let result = self.dirs[&running.job.dir]
            .covering(running.step_submitted, |files| job::perform(files, step, output));
        (running, result)
    }

    /// Steps that a planted fault takes out.
    fn is_left_out(&self, step: &Step, job: &Job) -> bool {
        let saves_state = |step: &Step| match step {
            Step::WriteFile { path, .. } | Step::Sync(path) => is_state_file(path),
            Step::Rename { from, .. } => is_state_file(from),
            _ => false,
        };
        let is_checkpoint = || job.steps.iter().any(saves_state);
        let finishes = || job.steps.iter().any(|step| matches!(step, Step::SetLength { .. }));
        match step {
            Step::Sync(path) if self.planted.cleaned_files_are_not_synced && is_cleaners(path) => {
                true
            }
            Step::SyncDir(_) if self.planted.cleaner_syncs_no_directory => is_of_the_cleaner(job),
            Step::Sync(_) | Step::SyncFileSystem
                if self.planted.checkpoints_do_not_sync && !saves_state(step) =>
            {
                is_checkpoint()
            }
            Step::Sync(_) if self.planted.snapshots_are_not_synced && saves_state(step) => true,
            Step::Write { .. } => self.planted.last_blocks_are_left_out && finishes(),
            step => self.planted.snapshots_are_left_out && saves_state(step),
        }
    }

    fn schedule(&mut self, now: u64, bytes: u64, what: InFlight) {
        let usual = LATENCY_BASE_NS + bytes * LATENCY_BYTE_NS;
        let slow = if self.random.one_in(LATENCY_SLOW_ONE_IN) { LATENCY_SLOW_FACTOR } else { 1 };
        let latency = usual / 2 + self.random.below(usual * slow);
        self.submitted += 1;
        self.in_flight.insert((now + latency, self.submitted), what);
    }
}

/// A write to be submitted.
#[derive(Clone, Copy, Debug)]
struct WriteOrder {
    op: OpId,
    file: FileId,
    position: u64,
    durable: bool,
    class: DiskClass,
}

fn is_state_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "state")
}

/// The log directory in which one of these compacts a log now.
pub(crate) fn compacted_dir<'a>(disks: impl IntoIterator<Item = &'a VirtualDisk>) -> Option<DirId> {
    disks.into_iter().flat_map(VirtualDisk::under_way).find_map(|what| match what {
        UnderWay::Step { job, .. } => is_of_the_cleaner(job).then_some(job.dir),
        UnderWay::Write { .. } => None,
    })
}

/// Whether log compaction asks for this job.
pub(crate) fn is_of_the_cleaner(job: &Job) -> bool {
    job.steps.iter().any(|step| match step {
        Step::Rename { from: path, .. }
        | Step::RemoveFile(path)
        | Step::Allocate { path, .. }
        | Step::WriteFile { path, .. } => is_cleaners(path),
        _ => false,
    })
}

/// A cleaned segment that has not taken its name, or the word that it counts.
fn is_cleaners(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.contains(".cleaned") || name.starts_with("cleaner-offset-checkpoint")
}

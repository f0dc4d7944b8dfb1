//! Facts of the driver, with a ring, helper threads and files of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime::mailbox::Bell;
use runtime::memory::Arena;
use runtime::ring::{Completion, Ring, RingConfig, Token};
use tempfile::TempDir;

use super::DiskDriver;
use crate::disk::operation::{
    DirId, DiskClass, DiskEffect, DiskEvent, DiskOp, DiskOutput, FileId, Job, OpId, Step,
};
use crate::disk::real::{DataAccess, RealFileSystem, SlowCalls, probe};
use crate::disk::{FileSystem, FileSystemError};
use crate::limits::BLOCK_BYTES;

const DIR: DirId = DirId(0);
const TAG: u8 = 3;

struct Bench {
    driver: DiskDriver,
    ring: Ring,
    arena: Arena,
    files: Arc<RealFileSystem>,
    next_op: u64,
    root: TempDir,
}

impl Bench {
    fn new(operations_max: usize) -> Self {
        Self::with_open_files(operations_max, 100)
    }

    fn with_open_files(operations_max: usize, open_files_max: usize) -> Self {
        let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tests");
        fs::create_dir_all(&parent).unwrap();
        let root = tempfile::tempdir_in(parent).unwrap();
        let direct = probe(root.path()).unwrap().direct_io_bytes.is_some();
        let access = if direct { DataAccess::Direct } else { DataAccess::Buffered };
        let slow_calls = Arc::new(SlowCalls::new(1).unwrap());
        let files = RealFileSystem::open(root.path(), access).unwrap().bounded_by(slow_calls);
        let files = Arc::new(files);
        let bell = Arc::new(Bell::new().unwrap());
        let arena = Arena::new(64 << 20).unwrap();
        let config = RingConfig { operations_max, receive_buffers: 1, ..RingConfig::default() };
        let ring = Ring::new(&config, &[&arena], Arc::clone(&bell)).unwrap();
        let dirs = [(DIR, &*files)];
        let driver = DiskDriver::start("shard-0", dirs, TAG, &bell, open_files_max).unwrap();
        Self { driver, ring, arena, files, next_op: 0, root }
    }

    fn submit(&mut self, request: DiskOp) -> OpId {
        self.next_op += 1;
        let op = OpId(self.next_op);
        self.driver.submit(&mut self.ring, DiskEffect { op, request });
        op
    }

    fn bind(&mut self, file: u32, path: &str) {
        self.submit(DiskOp::Bind { file: FileId(file), dir: DIR, path: path.into() });
    }

    fn job(&mut self, steps: Vec<Step>) -> OpId {
        self.submit(DiskOp::Job(Job { dir: DIR, steps }))
    }

    fn create(&mut self, path: &str, blocks: u64) -> OpId {
        let to = blocks * BLOCK_BYTES as u64;
        self.job(vec![Step::Allocate { path: path.into(), from: 0, to }, Step::Sync(path.into())])
    }

    fn block(&self, byte: u8) -> Bytes {
        let mut block = self.arena.allocate(BLOCK_BYTES).unwrap();
        block.fill(byte);
        block.freeze(BLOCK_BYTES)
    }

    fn write(&mut self, file: u32, block: u64, bytes: &[u8], class: DiskClass) -> OpId {
        let data = bytes.iter().map(|byte| self.block(*byte)).collect();
        let position = block * BLOCK_BYTES as u64;
        self.submit(DiskOp::Write { file: FileId(file), position, data, durable: true, class })
    }

    fn read(&mut self, file: u32, block: u64, blocks: usize) -> OpId {
        let length = blocks * BLOCK_BYTES;
        let position = block * BLOCK_BYTES as u64;
        let block = self.arena.allocate(length).unwrap();
        let class = DiskClass::CatchUp;
        self.submit(DiskOp::Read { file: FileId(file), position, block, length, class })
    }

    /// One turn of the shard's loop: what has completed, after sleeping if nothing had.
    fn turn(&mut self) -> Vec<DiskEvent> {
        let mut events = Vec::new();
        let mut completions: Vec<Completion> = Vec::new();
        self.ring.pump(&mut completions);
        for completion in completions.drain(..) {
            self.driver.complete(&mut self.ring, completion, &mut events);
        }
        self.driver.poll(&mut self.ring, &mut events);
        if events.is_empty() && self.driver.in_flight() > 0 {
            let driver = &self.driver;
            self.ring.park_thread(Some(Duration::from_secs(10)), || driver.is_idle());
        }
        events
    }

    /// Turns until nothing is in flight.
    fn finish(&mut self) -> Vec<DiskEvent> {
        let mut events = Vec::new();
        while self.driver.in_flight() > 0 {
            events.append(&mut self.turn());
        }
        events
    }

    fn finish_well(&mut self) -> Vec<u64> {
        let events = self.finish();
        events
            .into_iter()
            .map(|event| {
                event.result.unwrap();
                event.op.0
            })
            .collect()
    }
}

#[test]
fn what_is_written_through_the_ring_is_read_back() {
    let mut bench = Bench::new(64);
    bench.bind(1, "a.log");
    bench.create("a.log", 8);
    bench.write(1, 2, &[7, 8, 9], DiskClass::Journal);
    assert_eq!(bench.finish_well().len(), 2);
    bench.read(1, 2, 2);
    bench.read(1, 7, 4);
    for event in bench.finish() {
        let Ok(DiskOutput::Read { block, length }) = event.result else { panic!("a read") };
        match length / BLOCK_BYTES {
            2 => assert_eq!((block[0], block[2 * BLOCK_BYTES - 1]), (7, 8)),
            1 => assert_eq!(block[0], 0, "the file ends after one block"),
            other => panic!("{other} blocks"),
        }
    }
    let mut back = [0; 3];
    bench.files.read(Path::new("a.log"), 4 * BLOCK_BYTES as u64, &mut back).unwrap();
    assert_eq!(back, [9; 3]);
}

#[test]
fn jobs_follow_each_other_and_files_are_opened_after_the_job_that_creates_them() {
    let mut bench = Bench::new(64);
    let mut jobs = Vec::new();
    for file in 0..200 {
        let path = format!("{file}.log");
        bench.bind(file, &path);
        jobs.push(bench.create(&path, 1).0);
        bench.write(file, 0, &[1], DiskClass::Bypass);
    }
    let finished = bench.finish_well();
    assert_eq!(finished.len(), 400);
    let order: Vec<u64> = finished.into_iter().filter(|op| jobs.contains(op)).collect();
    assert_eq!(order, jobs);
}

/// A pipe that nobody reads keeps its writer.
#[test]
fn what_others_wait_for_does_not_wait_for_the_prewriting_of_a_file() {
    let mut bench = Bench::new(64);
    let pipe = bench.root.path().join("slow.log");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let length = BLOCK_BYTES as u64;
    let slow = bench.job(vec![Step::Prewrite { path: "slow.log".into(), length }]);
    let quick = bench.create("quick.log", 1);
    let mut done: Vec<OpId> = Vec::new();
    while done.is_empty() {
        done.extend(bench.turn().iter().map(|event| event.op));
    }
    assert_eq!(done, [quick]);
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let _reader = rustix::fs::open(&pipe, flags, rustix::fs::Mode::empty()).unwrap();
    let ended: Vec<OpId> = bench.finish().iter().map(|event| event.op).collect();
    assert_eq!(ended, [slow]);
}

#[test]
fn more_operations_than_the_ring_or_the_classes_hold_all_complete() {
    let mut bench = Bench::new(4);
    bench.bind(1, "a.log");
    bench.create("a.log", 256);
    bench.finish_well();
    for block in 0..256 {
        let class = match block % 4 {
            0 => DiskClass::Journal,
            1 => DiskClass::Bypass,
            2 => DiskClass::WriteBehind,
            _ => DiskClass::CatchUp,
        };
        bench.write(1, block, &[block as u8], class);
    }
    let mut finished = bench.finish_well();
    finished.sort_unstable();
    finished.dedup();
    assert_eq!(finished.len(), 256);
    let mut back = vec![0; 256 * BLOCK_BYTES];
    bench.files.read(Path::new("a.log"), 0, &mut back).unwrap();
    assert!(back.chunks(BLOCK_BYTES).enumerate().all(|(at, block)| block[9] == at as u8));
}

#[test]
fn open_files_are_bounded_and_none_with_operations_is_closed() {
    let mut bench = Bench::with_open_files(64, 3);
    for file in 0..20 {
        bench.bind(file, &format!("{file}.log"));
        bench.create(&format!("{file}.log"), 2);
    }
    bench.finish_well();
    for round in 0..3 {
        for file in 0..20 {
            bench.write(file, 0, &[round, round], DiskClass::WriteBehind);
        }
        let mut finished = 0;
        while bench.driver.in_flight() > 0 {
            assert!(bench.driver.files.open() <= 3);
            for event in bench.turn() {
                event.result.unwrap();
                finished += 1;
            }
        }
        assert_eq!(finished, 20);
    }
}

#[test]
fn an_unbound_file_is_closed_when_its_operations_are_done() {
    let mut bench = Bench::new(64);
    bench.bind(1, "a.log");
    bench.create("a.log", 2);
    bench.write(1, 0, &[1], DiskClass::Journal);
    bench.submit(DiskOp::Unbind { file: FileId(1) });
    // The name may be bound anew at once, also to another file.
    bench.bind(1, "b.log");
    bench.create("b.log", 1);
    bench.write(1, 0, &[2], DiskClass::Journal);
    bench.submit(DiskOp::Unbind { file: FileId(1) });
    assert_eq!(bench.finish_well().len(), 4);
    assert_eq!(bench.driver.files.open(), 0);
    for (path, byte) in [("a.log", 1), ("b.log", 2)] {
        let mut back = [0];
        bench.files.read(Path::new(path), 0, &mut back).unwrap();
        assert_eq!(back, [byte]);
    }
}

#[test]
fn what_cannot_be_opened_fails_its_operations_and_is_tried_again() {
    let mut bench = Bench::new(64);
    bench.bind(1, "a.log");
    bench.write(1, 0, &[1], DiskClass::Journal);
    bench.read(1, 0, 1);
    let results = bench.finish().into_iter().map(|event| event.result.map(drop));
    assert!(results.eq([Err(FileSystemError::NotFound), Err(FileSystemError::NotFound)]));
    bench.create("a.log", 1);
    bench.write(1, 0, &[1], DiskClass::Journal);
    assert_eq!(bench.finish_well().len(), 2);
}

#[test]
fn a_failing_step_ends_its_job_with_its_error() {
    let mut bench = Bench::new(64);
    let rename = Step::Rename { from: "absent".into(), to: "b".into() };
    bench.job(vec![rename, Step::WriteFile { path: "b".into(), data: Bytes::new() }]);
    let event = bench.finish().remove(0);
    assert_eq!(event.result.map(drop), Err(FileSystemError::NotFound));
    assert_eq!(bench.files.entries(Path::new("")).unwrap(), []);
}

#[test]
fn tokens_are_told_from_those_of_others() {
    let bench = Bench::new(64);
    assert!(bench.driver.owns(Token(3 << 56 | 1)));
    assert!(!bench.driver.owns(Token(4 << 56 | 1)));
}

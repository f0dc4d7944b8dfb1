//! A shard's world for tests: an engine, real files under target/, a disk that performs what is asked.
//!
//! `crash` drops the engine with everything in memory, as SIGKILL does, and recovers from the files.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "a module of tests is no public API, and no test uses all of it"
)]

#[path = "world/faults.rs"]
mod faults;
#[path = "world/rotation.rs"]
mod rotation;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use engine::config::{DiskConfig, EngineConfig, LogConfig};
use engine::disk::real::{DataAccess, RealFileSystem};
use engine::disk::{
    DirId, DiskEffect, DiskEvent, DiskOp, DiskOutput, FileId, FileSystem, FileSystemError, execute,
};
use engine::engine::damage::Damage;
use engine::engine::lifecycle::PartitionSpec;
use engine::journal::group::JournalSalt;
use engine::journal::writer::JournalIdentity;
use engine::partition::PartitionDirectory;
use engine::recovery::{LastBlock, LogDirectories, RecoveredPartition, open_shard, recover};
use engine::request::{
    AppendError, AppendRequest, Appended, EngineEvent, LifecycleError, PartitionOffsets, ReadError,
    ReadRequest, ReadTarget, Records, Token,
};
use engine::{Engine, EngineStart, PartitionId};
use faults::FaultyFileSystem;
use protocol::record_batch::{BatchBuilder, BatchHeader, BatchOptions, Compression, Producer};
use protocol::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};
use runtime::clock::{Monotonic, Now, WallMillis};
use runtime::memory::Arena;

const SALT: JournalSalt = JournalSalt(0x5eed);
pub const ARENA_BYTES: usize = 128 << 20;

/// A batch to be appended.
#[derive(Clone)]
pub struct Batch {
    records: usize,
    value_bytes: usize,
    producer: Option<Producer>,
    age_ms: i64,
    /// Keys and values of its records, instead of what the other fields say.
    keyed: Vec<(&'static str, Option<String>)>,
    compression: Compression,
}

impl Batch {
    pub fn of(records: usize) -> Self {
        Self {
            records,
            value_bytes: 20,
            producer: None,
            age_ms: 0,
            keyed: Vec::new(),
            compression: Compression::None,
        }
    }

    /// One record of about this many bytes.
    pub fn sized(bytes: usize) -> Self {
        Self { value_bytes: bytes, ..Self::of(1) }
    }

    /// Records with these keys and values; no value is a tombstone.
    pub fn keyed(records: &[(&'static str, Option<&str>)]) -> Self {
        let owned = |(key, value): &(&'static str, Option<&str>)| (*key, value.map(str::to_owned));
        Self { keyed: records.iter().map(owned).collect(), ..Self::of(0) }
    }

    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    pub fn by_producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        let (id, epoch) = (ProducerId(id), ProducerEpoch(epoch));
        self.producer = Some(Producer { id, epoch, base_sequence });
        self
    }

    /// Its records have timestamps that are so old.
    pub fn aged(mut self, milliseconds: i64) -> Self {
        self.age_ms = milliseconds;
        self
    }

    fn encode(&self, now: i64) -> Bytes {
        let timestamp = now - self.age_ms;
        let (producer, compression) = (self.producer, self.compression);
        let options = BatchOptions { producer, compression, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let value: Vec<u8> = (0..self.value_bytes).map(|at| (at % 251) as u8).collect();
        for _ in 0..self.records {
            builder.push(timestamp, Some(b"key"), Some(&value), &[]);
        }
        for (key, value) in &self.keyed {
            let value = value.as_ref().map(String::as_bytes);
            builder.push(timestamp, Some(key.as_bytes()), value, &[]);
        }
        Bytes::from(builder.finish())
    }
}

pub struct World {
    directories: Vec<tempfile::TempDir>,
    pub disks: Vec<FaultyFileSystem>,
    engines: Vec<Engine>,
    owner: BTreeMap<PartitionId, usize>,
    names: BTreeMap<PartitionId, String>,
    files: BTreeMap<(usize, FileId), (usize, PathBuf)>,
    /// Effects that match wait until they are let go.
    pub hold: fn(&DiskEffect) -> bool,
    held: Vec<(usize, DiskEffect)>,
    /// Recovery may find damage.
    pub may_be_suspect: bool,
    /// Directories that the newest start could not make out.
    pub left_alone: Vec<PathBuf>,
    /// Every answer to an append or a request, by its token.
    pub appended: BTreeMap<Token, Vec<Result<Appended, AppendError>>>,
    read_answers: BTreeMap<Token, Vec<Result<Records, ReadError>>>,
    pub done: BTreeMap<Token, Vec<Result<(), LifecycleError>>>,
    pub failed_directories: Vec<DirId>,
    /// Each time that the engine told of one.
    pub damages: Vec<Damage>,
    pub tail_bytes_max: usize,
    pub tail_bytes_first: usize,
    pub journal_file_bytes: u64,
    now: Now,
    next_token: u64,
    next_topic: u16,
    incarnation: u64,
    pub config: LogConfig,
    events: VecDeque<EngineEvent>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub fn new() -> Self {
        Self::with_directories(1)
    }

    /// The journal is in the first of them.
    pub fn with_directories(count: usize) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directories: Vec<_> = (0..count).map(|_| tempfile::tempdir_in(base).unwrap()).collect();
        let disks = directories
            .iter()
            .map(|directory| RealFileSystem::open(directory.path(), DataAccess::Direct).unwrap())
            .map(FaultyFileSystem::new)
            .collect();
        let mut world = Self {
            directories,
            disks,
            hold: |_| false,
            held: Vec::new(),
            may_be_suspect: false,
            left_alone: Vec::new(),
            appended: BTreeMap::new(),
            read_answers: BTreeMap::new(),
            done: BTreeMap::new(),
            failed_directories: Vec::new(),
            damages: Vec::new(),
            tail_bytes_max: 32 << 20,
            tail_bytes_first: 32 << 20,
            journal_file_bytes: 16 << 20,
            engines: Vec::new(),
            owner: BTreeMap::new(),
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            now: Now { monotonic: Monotonic(1_000_000_000), wall: WallMillis(1_700_000_000_000) },
            next_token: 0,
            next_topic: 0,
            incarnation: 0,
            config: LogConfig::default(),
            events: VecDeque::new(),
        };
        world.start();
        world
    }

    pub fn root(&self) -> &Path {
        self.directories[0].path()
    }

    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engines[0]
    }

    pub fn engine(&self) -> &Engine {
        &self.engines[0]
    }

    fn start(&mut self) {
        self.incarnation += 1;
        self.held.clear();
        let dirs = (0u16..).map(DirId).zip(self.disks.iter().map(|disk| disk as &dyn FileSystem));
        let directories = LogDirectories {
            dirs: dirs.collect(),
            salt: SALT,
            last_blocks: LastBlock::Compared,
            journals_missing: false,
        };
        let recovery = recover(&directories).unwrap();
        self.left_alone = recovery.unknown.iter().map(|(_, path)| path.clone()).collect();
        for partition in recovery.partitions.values().filter(|_| !self.may_be_suspect) {
            assert_eq!(partition.suspicion, None, "a crash alone makes nothing suspect");
        }
        let number = recovery.journal_files.iter().map(|file| file.1.number + 1).max().unwrap_or(0);
        let mut partitions: Vec<RecoveredPartition> = recovery.partitions.into_values().collect();
        for partition in &mut partitions {
            partition.config = self.config.clone();
        }
        self.owner = partitions.iter().map(|partition| (partition.id, 0)).collect();
        self.files.clear();
        self.engines.clear();
        self.open_engine(0, number, partitions);
        for file in recovery.journal_files {
            std::fs::remove_file(self.root().join(file.1.path())).unwrap();
        }
        self.run();
    }

    fn open_engine(&mut self, shard: u32, number: u64, partitions: Vec<RecoveredPartition>) {
        let identity = JournalIdentity { shard, incarnation: self.incarnation, salt: SALT };
        let journal = open_shard(&self.disks[0], identity, &partitions, number).unwrap();
        let config = EngineConfig {
            journal_dir: DirId(0),
            shard,
            journal_file_bytes: self.journal_file_bytes,
            tail_bytes_max: self.tail_bytes_max,
            tail_bytes_first: self.tail_bytes_first,
            producer_expiration_ms: 86_400_000,
            retention_check_ms: 1_000,
            cleaner_backoff_ms: 1_000,
            disk: DiskConfig::default(),
        };
        let start = EngineStart { config, journal, partitions };
        self.engines.push(Engine::new(start, Arena::new(ARENA_BYTES).unwrap(), self.now));
    }

    /// Everything in memory is gone.
    pub fn crash(&mut self) {
        self.start();
    }

    /// An orderly end and a new start.
    pub fn stop(&mut self) {
        for at in 0..self.engines.len() {
            let token = self.token();
            self.engines[at].shut_down(token);
            self.finish(token);
        }
        self.start();
    }

    pub fn create(&mut self, name: &str) -> PartitionId {
        let (id, token) = self.submit_create(name, DirId(0));
        self.finish(token);
        id
    }

    pub fn create_in(&mut self, name: &str, dir: DirId) -> PartitionId {
        let (id, token) = self.submit_create(name, dir);
        self.finish(token);
        id
    }

    pub fn submit_create(&mut self, name: &str, dir: DirId) -> (PartitionId, Token) {
        self.next_topic += 1;
        let [high, low] = self.next_topic.to_be_bytes();
        let mut topic_id = [low; 16];
        topic_id[0] ^= high;
        let topic_id = TopicId(topic_id);
        let partition = name.rsplit_once('-').unwrap().1.parse().unwrap();
        let id = PartitionId { topic_id, partition: PartitionIndex(partition) };
        let token = self.token();
        self.engines[0].create(
            token,
            PartitionSpec {
                id,
                directory: PartitionDirectory { dir, path: PathBuf::from(name) },
                config: self.config.clone(),
                leader_epoch: LeaderEpoch(0),
            },
        );
        self.owner.insert(id, 0);
        self.names.insert(id, name.to_owned());
        (id, token)
    }

    pub fn append(&mut self, id: PartitionId, batch: &Batch) -> Appended {
        self.try_append(id, batch).unwrap()
    }

    pub fn try_append(&mut self, id: PartitionId, batch: &Batch) -> Result<Appended, AppendError> {
        let token = self.submit(id, batch);
        self.until(|event| match event {
            EngineEvent::Appended { token: done, result } if *done == token => Some(result.clone()),
            _ => None,
        })
    }

    /// An append without waiting for its answer.
    pub fn submit(&mut self, id: PartitionId, batch: &Batch) -> Token {
        let token = self.token();
        let batch = batch.encode(self.now.wall.0);
        let request = AppendRequest { token, partition: id, batch, zstd_allowed: true };
        let owner = self.owner[&id];
        self.engines[owner].append(request);
        token
    }

    /// The one answer to an append.
    pub fn answer(&self, token: Token) -> Option<Result<Appended, AppendError>> {
        let answers = self.appended.get(&token)?;
        assert_eq!(answers.len(), 1, "every append is answered once");
        Some(answers[0].clone())
    }

    /// The one answer to another request.
    pub fn answer_of(&self, token: Token) -> Option<Result<(), LifecycleError>> {
        let answers = self.done.get(&token)?;
        assert_eq!(answers.len(), 1, "every request is answered once");
        Some(answers[0].clone())
    }

    /// Time passes in steps of 100 ms.
    pub fn settle(&mut self, steps: usize) {
        for _ in 0..steps {
            self.run();
            self.pass(100);
        }
        self.run();
        self.events.clear();
    }

    /// What was held goes on, in order; nothing is held any more.
    pub fn let_go(&mut self) {
        self.hold = |_| false;
        self.let_held_go();
    }

    /// What was held goes on; what it leads to is held again if it matches.
    pub fn let_held_go(&mut self) {
        self.complete_held();
        self.run();
    }

    /// What was held is done, and the engine hears of it; its turn does not end yet.
    pub fn complete_held(&mut self) {
        for (at, effect) in std::mem::take(&mut self.held) {
            if let Some(event) = self.perform(at, effect) {
                self.engines[at].on_disk(event);
            }
        }
    }

    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now.monotonic.0 += milliseconds * 1_000_000;
        self.now.wall.0 += i64::try_from(milliseconds).unwrap();
        for engine in &mut self.engines {
            engine.set_now(self.now);
            if engine.deadline_ms().is_some_and(|due| due <= self.now.monotonic.0 / 1_000_000) {
                engine.on_deadline();
            }
        }
    }

    /// All batches from the log start, checked to follow on each other.
    pub fn read_all(&mut self, id: PartitionId) -> Vec<BatchHeader> {
        let offsets = self.offsets(id);
        let mut at = offsets.log_start;
        let mut found = Vec::new();
        while at < offsets.high_watermark {
            let records = self.read(id, at);
            assert!(records.bytes > 0, "there is something to read at {at:?}: {offsets:?}");
            let bytes: Vec<u8> = records.parts.concat();
            let mut rest = &bytes[..];
            while let Some(header) = BatchHeader::read(rest) {
                let size = header.bytes().unwrap();
                assert_eq!(crc32c::crc32c(&rest[21..size]), header.crc);
                assert!(header.base_offset <= at && header.next_offset() > at);
                at = header.next_offset();
                rest = &rest[size..];
                found.push(header);
            }
            assert_eq!(at, records.next);
        }
        found
    }

    pub fn read(&mut self, id: PartitionId, offset: Offset) -> Records {
        self.try_read(id, offset).unwrap()
    }

    pub fn try_read(&mut self, id: PartitionId, offset: Offset) -> Result<Records, ReadError> {
        let token = self.token();
        let target = ReadTarget::Offset(offset);
        let request = ReadRequest { token, partition: id, target, bytes_max: 1 << 20 };
        let owner = self.owner[&id];
        self.engines[owner].read(request);
        self.until(|event| match event {
            EngineEvent::ReadDone { token: done, result } if *done == token => Some(result.clone()),
            _ => None,
        })
    }

    /// A read without waiting for its answer.
    pub fn submit_read(&mut self, id: PartitionId, offset: Offset) -> Token {
        let token = self.token();
        let target = ReadTarget::Offset(offset);
        let request = ReadRequest { token, partition: id, target, bytes_max: 1 << 20 };
        let owner = self.owner[&id];
        self.read_answers.insert(token, Vec::new());
        self.engines[owner].read(request);
        token
    }

    /// The one answer to a read.
    pub fn read_answer(&self, token: Token) -> Option<Result<Records, ReadError>> {
        let answers = &self.read_answers[&token];
        assert!(answers.len() <= 1, "every read is answered once");
        answers.first().cloned()
    }

    pub fn offsets(&self, id: PartitionId) -> PartitionOffsets {
        self.engines[self.owner[&id]].offsets(id).unwrap()
    }

    pub fn delete_records(&mut self, id: PartitionId, offset: Offset) {
        let token = self.token();
        self.engines[0].delete_records(token, id, offset);
        self.finish(token);
    }

    pub fn delete(&mut self, id: PartitionId) {
        let token = self.token();
        self.engines[0].delete(token, id);
        self.finish(token);
    }

    pub fn move_to_new_shard(&mut self, id: PartitionId) {
        let shard = self.engines.len();
        self.open_engine(u32::try_from(shard).unwrap(), 0, Vec::new());
        let token = self.token();
        self.engines[0].release(token, id);
        let released = self.until(|event| match event {
            EngineEvent::Released { token: done, partition } if *done == token => {
                Some(partition.clone())
            }
            _ => None,
        });
        let token = self.token();
        self.engines[shard].adopt(token, *released);
        self.finish(token);
        self.owner.insert(id, shard);
    }

    /// A second passes.
    pub fn tick(&mut self) {
        self.now.monotonic.0 += 1_000_000_000;
        self.now.wall.0 += 1_000;
        for engine in &mut self.engines {
            engine.set_now(self.now);
            engine.on_deadline();
        }
        self.run();
    }

    pub fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub fn finish(&mut self, token: Token) {
        self.until(|event| match event {
            EngineEvent::Done { token: done, result } if *done == token => Some(result.clone()),
            _ => None,
        })
        .unwrap();
    }

    /// Runs until an event is the one sought; time passes when nothing else happens.
    fn until<T>(&mut self, sought: impl Fn(&EngineEvent) -> Option<T>) -> T {
        for _ in 0..200 {
            self.run();
            let found = self.events.iter().position(|event| sought(event).is_some());
            if let Some(at) = found {
                let event = self.events.remove(at).unwrap();
                self.events.clear();
                return sought(&event).unwrap();
            }
            self.pass(100);
        }
        panic!("the event never came: {:?}", self.events);
    }

    /// Performs effects until there are none.
    pub fn run(&mut self) {
        loop {
            let mut is_quiet = true;
            for at in 0..self.engines.len() {
                self.engines[at].set_now(self.now);
                self.engines[at].finish_batch();
                for effect in self.engines[at].take_effects() {
                    is_quiet = false;
                    if (self.hold)(&effect) {
                        self.held.push((at, effect));
                        continue;
                    }
                    if let Some(event) = self.perform(at, effect) {
                        self.engines[at].on_disk(event);
                    }
                }
                self.engines[at].invariants();
                let events = self.engines[at].take_events();
                for event in &events {
                    self.note(event);
                }
                self.events.extend(events);
            }
            if is_quiet {
                return;
            }
        }
    }

    fn note(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Appended { token, result } => {
                self.appended.entry(*token).or_default().push(result.clone());
            }
            EngineEvent::Done { token, result } => {
                self.done.entry(*token).or_default().push(result.clone());
            }
            EngineEvent::ReadDone { token, result } => {
                // Others' would keep their memory from the engine.
                if let Some(answers) = self.read_answers.get_mut(token) {
                    answers.push(result.clone());
                }
            }
            EngineEvent::DirectoryFailed { dir, .. } => self.failed_directories.push(*dir),
            EngineEvent::DamageFound(damage) => self.damages.push(damage.as_ref().clone()),
            _ => {}
        }
    }

    fn perform(&mut self, at: usize, effect: DiskEffect) -> Option<DiskEvent> {
        let op = effect.op;
        let result = match effect.request {
            DiskOp::Bind { file, dir, path } => {
                self.files.insert((at, file), (usize::from(dir.0), path));
                return None;
            }
            DiskOp::Unbind { .. } => return None,
            DiskOp::Write { file, position, data, durable, .. } => {
                let (disk, path) = self.files[&(at, file)].clone();
                self.write(disk, &path, position, &data, durable)
            }
            DiskOp::Read { file, position, mut block, length, .. } => {
                let (disk, path) = self.files[&(at, file)].clone();
                let read = self.disks[disk].read(&path, position, &mut block[..length]).unwrap();
                Ok(DiskOutput::Read { block, length: read })
            }
            DiskOp::Job(job) => {
                execute(&self.disks[usize::from(job.dir.0)], &job).map(DiskOutput::Done)
            }
        };
        Some(DiskEvent { op, result })
    }

    fn write(
        &self,
        disk: usize,
        path: &Path,
        mut position: u64,
        data: &[Bytes],
        durable: bool,
    ) -> Result<DiskOutput, FileSystemError> {
        for part in data {
            assert_eq!(part.as_ptr() as usize % 4096, 0, "direct writes are aligned");
            assert_eq!(part.len() % 4096, 0);
            self.disks[disk].write(path, position, part)?;
            position += part.len() as u64;
        }
        if durable {
            self.disks[disk].sync(path)?;
        }
        Ok(DiskOutput::Written)
    }
}

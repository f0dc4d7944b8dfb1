//! Verify and accept-loss over a data directory that is made with the engine's own writers.

use std::path::{Path, PathBuf};

use broker::shard::metadata_log;
use bytes::Bytes;
use engine::PartitionId;
use engine::config::LogConfig;
use engine::disk::real::{DataAccess, RealFileSystem};
use engine::disk::{DirId, FileSystem};
use engine::journal::entry::{Entry, EntryKind};
use engine::journal::group::{self, GroupHeader, JournalSalt};
use engine::journal::writer::JournalIdentity;
use engine::partition::PartitionDirectory;
use engine::partition::epochs::EpochHistory;
use engine::partition::index::build_files;
use engine::partition::position::LogPosition;
use engine::partition::producers::ProducerTable;
use engine::recovery::meta::{FORMAT_VERSION, MetaProperties};
use engine::recovery::{
    ActiveSegment, FilesBefore, FromJournal, LastBlock, LogDirectories, OpenedJournal,
    RecoveredPartition, identity, open_shard, recover,
};
use protocol::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use runtime::memory::Arena;
use tempfile::TempDir;

use super::accept_loss;
use super::check_node;
use super::node_data::NodeData;
use super::one_partition;
use super::report::{Report, Severity};
use crate::cli::output::{Format, Output};
use crate::cli::segment_walk::tests::batch;

const SALT: JournalSalt = JournalSalt(0x5a17);
/// The second segment's file.
const ROOM_BYTES: u64 = 65_536;
const ID: PartitionId = PartitionId { topic_id: TopicId([7; 16]), partition: PartitionIndex(0) };

/// A node's data: `orders-0` with segments at 0 (finished, offsets 0 to 39) and 40 (offsets 40 to 49),
/// and two records, 50 and 51, that only the journal has.
struct World {
    directory: TempDir,
    /// Of the second segment, as its checkpoint has it: the file has room for more.
    second_bytes: usize,
}

impl World {
    fn new() -> Self {
        Self::with_last_block(LastBlock::InJournal)
    }

    /// In the file alone, or in the journal's opening, too.
    fn with_last_block(last_block: LastBlock) -> Self {
        let directory = crate::cli::tests::directory();
        let mut world = Self { directory, second_bytes: 0 };
        let fs = world.fs();
        let meta = MetaProperties {
            cluster_id: "cluster".to_owned(),
            node_id: 1,
            directory_id: "directory".to_owned(),
            format: FORMAT_VERSION,
            incarnation: 1,
            salt: SALT,
            directories: Vec::new(),
        };
        meta.write(&fs).unwrap();
        let orders = Path::new("orders-0");
        fs.create_dir(orders).unwrap();
        fs.write_file(&orders.join(identity::FILE_NAME), &identity::encode(ID.topic_id)).unwrap();
        // A metadata log that nothing was written to yet.
        let metadata = Path::new(metadata_log::DIRECTORY);
        fs.create_dir(metadata).unwrap();
        let name = identity::encode(metadata_log::METADATA.topic_id);
        fs.write_file(&metadata.join(identity::FILE_NAME), &name).unwrap();
        let first: Vec<u8> = (0..10).flat_map(|at| batch(at * 4, 4, 0)).collect();
        let second: Vec<u8> = (0..5).flat_map(|at| batch(40 + at * 2, 2, 0)).collect();
        for (base, bytes) in [(0, &first), (40, &second)] {
            std::fs::write(world.path(&segment(base, "log")), bytes).unwrap();
            // An entry for nearly every batch.
            build_files(&fs, orders, base, 600).unwrap();
        }
        // Room is durable before the journal speaks of what belongs there.
        world.second_bytes = second.len();
        world.resize(&segment(40, "log"), ROOM_BYTES);
        let journaled = match last_block {
            LastBlock::InJournal | LastBlock::Compared => &second[second.len() / 4096 * 4096..],
            LastBlock::InFile => &[],
        };
        let opened = world.open(&fs, first.len() as u64, second.len() as u64, journaled);
        world.journal(&opened, second.len() as u64);
        world
    }

    fn fs(&self) -> RealFileSystem {
        RealFileSystem::open(self.directory.path(), DataAccess::Buffered).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(
        &self,
        fs: &RealFileSystem,
        first: u64,
        length: u64,
        last_block: &[u8],
    ) -> OpenedJournal {
        let partition = RecoveredPartition {
            id: ID,
            directory: PartitionDirectory { dir: DirId(0), path: "orders-0".into() },
            config: LogConfig::default(),
            leader_epoch: LeaderEpoch(0),
            epochs: EpochHistory::from_pairs(vec![(LeaderEpoch(0), Offset(0))]).unwrap(),
            log_start: Offset(0),
            end: LogPosition { offset: Offset(50), segment: Offset(40), position: length },
            reached: Offset(50),
            missing_below: None,
            finished: vec![(Offset(0), first)],
            cleaner: engine::partition::cleaner_checkpoint::CleanerCheckpoint::default(),
            active: Some(ActiveSegment {
                base: Offset(40),
                length,
                allocated: length,
                index: Default::default(),
                is_complete: true,
            }),
            last_block: Bytes::copy_from_slice(last_block),
            producers: ProducerTable::default(),
            producers_known: true,
            suspicion: None,
            from_journal: FromJournal::default(),
            files_before: FilesBefore::default(),
        };
        let identity = JournalIdentity { shard: 0, incarnation: 1, salt: SALT };
        open_shard(fs, identity, &[partition], 0).unwrap()
    }

    /// Two groups with a record each, and an empty one that says that they were acknowledged.
    fn journal(&self, opened: &OpenedJournal, end: u64) {
        let mut file = std::fs::read(self.path("journal/0/0.journal")).unwrap();
        let arena = Arena::new(1 << 20).unwrap();
        let mut at = usize::try_from(opened.opening.write_position).unwrap();
        let mut previous_crc = opened.opening.previous_crc;
        let mut position = end;
        for number in 0..3u64 {
            let body = if number < 2 { batch(50 + number as i64, 1, 0) } else { Vec::new() };
            let entry = Entry {
                base: Offset(50 + number as i64),
                next: Offset(51 + number as i64),
                segment: Offset(40),
                position,
                run_bytes: body.len() as u64,
                body_bytes: u32::try_from(body.len()).unwrap(),
                ..Entry::new(EntryKind::Append, ID)
            };
            let entries = if number < 2 { vec![entry] } else { Vec::new() };
            let sequence = opened.opening.next_sequence + number;
            let header = GroupHeader {
                shard: 0,
                incarnation: 1,
                sequence,
                acknowledged_end: sequence,
                live_start: 0,
                opening_end: opened.opening.next_sequence,
                previous_crc,
                file_bytes: 0,
            };
            let mut block = arena.allocate(8192).unwrap();
            let bodies = [&body[..]];
            let (length, crc) =
                group::encode(&mut block, SALT, &header, &entries, bodies.into_iter());
            file[at..at + length].copy_from_slice(&block[..length]);
            at += length;
            previous_crc = crc;
            position += body.len() as u64;
        }
        std::fs::write(self.path("journal/0/0.journal"), file).unwrap();
    }

    fn verify(&self) -> Report {
        let mut report = Report::default();
        let paths = [self.directory.path().to_owned()];
        let data = NodeData::open(&paths, &mut report).unwrap();
        check_node(&data, &mut report).unwrap();
        report
    }

    fn flip(&self, name: &str, at: usize) {
        let mut bytes = std::fs::read(self.path(name)).unwrap();
        bytes[at] ^= 0x10;
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn resize(&self, name: &str, bytes: u64) {
        let file = std::fs::OpenOptions::new().write(true).open(self.path(name)).unwrap();
        file.set_len(bytes).unwrap();
    }

    fn length(&self, name: &str) -> usize {
        usize::try_from(std::fs::metadata(self.path(name)).unwrap().len()).unwrap()
    }

    /// Verifies with one bit flipped, and flips it back.
    fn verify_flipped(&self, name: &str, at: usize) -> Report {
        self.flip(name, at);
        let report = self.verify();
        self.flip(name, at);
        report
    }

    fn accept(&self) -> Result<(), crate::cli::failure::Failure> {
        let paths = [self.directory.path().to_owned()];
        accept_loss::run(&paths, true, &mut Output::new(Format::Json))
    }

    fn recovered(&self) -> RecoveredPartition {
        let fs = self.fs();
        let recovery = recover(&LogDirectories {
            dirs: vec![(DirId(0), &fs)],
            salt: SALT,
            last_blocks: LastBlock::InFile,
            journals_missing: false,
        });
        recovery.unwrap().partitions.remove(&ID).unwrap()
    }
}

fn segment(base: i64, extension: &str) -> String {
    format!("orders-0/{base:020}.{extension}")
}

#[test]
fn sound_data_are_found_sound_and_left_as_they_are() {
    let world = World::new();
    let before = std::fs::read(world.path(&segment(40, "log"))).unwrap();
    let report = world.verify();
    assert_eq!((&report.damages, &report.notes), (&vec![], &vec![]));
    assert_eq!((report.partitions, report.batches, report.records), (2, 17, 52));
    assert_eq!(std::fs::read(world.path(&segment(40, "log"))).unwrap(), before);
    assert_eq!(world.recovered().end.offset, Offset(52));
}

#[test]
fn every_flipped_bit_of_a_segment_is_found_where_it_is() {
    let world = World::new();
    let name = segment(0, "log");
    let batch_bytes = world.length(&name) / 10;
    for at in (batch_bytes..2 * batch_bytes).step_by(3) {
        let report = world.verify_flipped(&name, at);
        let damage = report.damages.first().unwrap_or_else(|| panic!("byte {at}"));
        assert_eq!(damage.file, world.path(&name), "byte {at}");
        assert_eq!(damage.position, Some(batch_bytes as u64), "byte {at}: {damage:?}");
        assert!(damage.hurts.contains("offsets 4 to"), "{damage:?}");
    }
    assert_eq!(world.verify().damages, []);
}

#[test]
fn every_flipped_bit_of_an_index_is_found_and_hurts_no_record() {
    let world = World::new();
    for extension in ["index", "timeindex"] {
        let name = segment(0, extension);
        assert!(world.length(&name) > 20);
        for at in 0..world.length(&name) {
            let report = world.verify_flipped(&name, at);
            assert_eq!(report.damages.len(), 1, "{name} byte {at}");
            assert_eq!(report.damages[0].file, world.path(&name));
            assert!(report.damages[0].hurts.contains("speed"));
        }
    }
}

#[test]
fn small_files_are_checked_too() {
    let world = World::new();
    for (name, at) in [
        ("journal/0/state", 0),
        ("journal/0/state", 30),
        ("meta.properties", 14),
        ("orders-0/partition.metadata", 14),
    ] {
        let report = world.verify_flipped(name, at);
        assert!(!report.damages.is_empty(), "{name} byte {at}");
    }
    std::fs::remove_file(world.path(&segment(0, "log"))).unwrap();
    assert!(world.verify().damages.iter().any(|damage| damage.hurts.contains("offsets 0 to 39")));
}

#[test]
fn a_damaged_journal_names_the_partition_and_accepting_the_loss_brings_it_back() {
    let world = World::new();
    let body = world_group_position(&world, 50) + 128 + 88 + 30;
    world.flip("journal/0/0.journal", body);
    let report = world.verify();
    assert_eq!(report.damages.len(), 2, "{:?}", report.damages);
    let journal = &report.damages[0];
    assert_eq!(journal.file, world.path("journal/0/0.journal"));
    assert_eq!(journal.position, Some(world_group_position(&world, 50) as u64));
    assert!(journal.hurts.contains(&ID.topic_id.to_string()), "{journal:?}");
    assert_eq!(report.damages[1].file, world.path("orders-0"));
    assert!(report.damages[1].hurts.contains("offsets 50 to 51"), "{:?}", report.damages[1]);

    world.accept().unwrap();
    assert_eq!(world.verify().damages, []);
    let recovered = world.recovered();
    assert_eq!(recovered.suspicion, None);
    assert_eq!(recovered.end.offset, Offset(50));
    let note = std::fs::read_to_string(world.path("orders-0/accept-loss")).unwrap();
    assert!(note.contains("log_end: 50\n") && note.contains("partition: 0\n"), "{note}");
    let log = std::fs::read_to_string(world.path("accepted-losses.log")).unwrap();
    assert!(log.contains("orders-0: offsets 50 to 51 are given up"), "{log}");
    assert!(!world.path("orders-0/suspect").exists());
    world.accept().unwrap();
    let again = std::fs::read_to_string(world.path("accepted-losses.log")).unwrap();
    assert_eq!(again, log, "there was nothing to accept");
}

#[test]
fn segments_without_a_journal_keep_their_sound_batches() {
    let world = World::new();
    std::fs::remove_dir_all(world.path("journal")).unwrap();
    world.flip(&segment(40, "log"), world.second_bytes - 10);
    assert!(world.verify().damages[0].what.contains("no journal speaks of them"));
    world.accept().unwrap();
    let recovered = world.recovered();
    assert_eq!((recovered.end.offset, recovered.suspicion), (Offset(48), None));
    assert_eq!(recovered.finished.len(), 1);
    assert_eq!(world.verify().damages, []);
}

/// One flipped bit costs the records of its batch, wherever in the log that is.
#[test]
fn accepting_takes_damaged_batches_out_and_keeps_all_others() {
    let name = segment(0, "log");
    // The last is in the base offset, of which the CRC knows nothing.
    let second = World::new().length(&name) / 10 + 7;
    for (at, lost) in
        [(300, "offsets 0 to 3"), (4_000, "offsets "), (second, "offsets 4 to 7 are given up")]
    {
        let world = World::new();
        world.flip(&name, at);
        let before = world.verify();
        assert!(!before.damages.is_empty(), "byte {at}");
        world.accept().unwrap();
        let after = world.verify();
        assert_eq!(after.damages, [], "byte {at}");
        assert_eq!(after.batches, before.batches, "an empty one stands for the damaged one");
        assert_eq!(after.records, 48, "byte {at}");
        let recovered = world.recovered();
        assert_eq!((recovered.end.offset, recovered.suspicion), (Offset(52), None));
        assert!(world.path("orders-0/accept-loss").exists());
        let log = std::fs::read_to_string(world.path("accepted-losses.log")).unwrap();
        assert!(log.contains("the damaged") && log.contains(lost), "{log}");
        world.accept().unwrap();
        let again = std::fs::read_to_string(world.path("accepted-losses.log")).unwrap();
        assert_eq!(again, log, "there is nothing left to accept");
    }
}

/// The batch was looked for below the end that recovery finds, and its segment then written anew without
/// those behind that end, although they were to stay.
#[test]
fn a_damaged_batch_in_a_suspect_log_costs_no_sound_one_behind_its_end() {
    for in_next_segment in [false, true] {
        let world = World::with_last_block(LastBlock::InFile);
        let name = segment(40, "log");
        let mut bytes = std::fs::read(world.path(&name)).unwrap();
        bytes.truncate(world.second_bytes);
        bytes.extend([batch(50, 1, 0), batch(51, 1, 0), batch(52, 3, 0)].concat());
        std::fs::write(world.path(&name), bytes).unwrap();
        if in_next_segment {
            std::fs::write(world.path(&segment(55, "log")), batch(55, 1, 0)).unwrap();
        }
        let behind = 5 + i64::from(in_next_segment);
        let body = world_group_position(&world, 50) + 128 + 88 + 30;
        world.flip("journal/0/0.journal", body);
        world.flip(&name, 100);
        let recovered = world.recovered();
        assert!(recovered.suspicion.is_some());
        assert_eq!(recovered.end.offset, Offset(50));

        world.accept().unwrap();
        let report = world.verify();
        assert_eq!(report.damages, []);
        assert_eq!(report.records, 40 + (10 - 2) + behind.unsigned_abs());
        let recovered = world.recovered();
        assert_eq!((recovered.end.offset, recovered.suspicion), (Offset(50 + behind), None));
        let log = std::fs::read_to_string(world.path("accepted-losses.log")).unwrap();
        let end = 50 + behind;
        let said =
            format!("from offset {end} on is given up, the damaged offsets 40 to 41 are given");
        assert!(log.contains(&said), "{log}");
    }
}

#[test]
fn segments_that_are_cut_short_or_swapped_give_up_what_is_not_there() {
    let world = World::new();
    let (first, second) = (world.path(&segment(0, "log")), world.path(&segment(40, "log")));
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes[..bytes.len() / 2]).unwrap();
    world.accept().unwrap();
    let report = world.verify();
    assert_eq!((&report.damages, world.recovered().end.offset), (&vec![], Offset(52)));
    assert!((12 + 12..12 + 24).contains(&report.records), "{}", report.records);

    let hold = world.path("hold");
    std::fs::rename(&first, &hold).unwrap();
    std::fs::rename(&second, &first).unwrap();
    std::fs::rename(&hold, &second).unwrap();
    world.accept().unwrap();
    let report = world.verify();
    assert_eq!(report.damages, []);
    assert_eq!(world.recovered().suspicion, None);
}

/// The start heals them from the journal, and verify said "no damage".
#[test]
fn what_the_next_start_mends_is_named() {
    let world = World::new();
    let name = segment(40, "log");
    let only = |report: Report| {
        let [damage] = &report.damages[..] else { panic!("{:?}", report.damages) };
        assert_eq!(damage.severity, Severity::MendedAtStart, "{damage:?}");
        assert_eq!(damage.file, world.path(&name));
        assert!(damage.hurts.starts_with("nothing"), "{damage:?}");
        assert_eq!(report.records, 52, "{damage:?}");
        damage.clone()
    };
    assert!(world.second_bytes < 4096, "the journal has all of it");
    for at in (0..world.second_bytes).step_by(7) {
        let damage = only(world.verify_flipped(&name, at));
        assert_eq!(damage.position, Some(0), "byte {at}: {damage:?}");
        assert!(damage.what.starts_with("bytes 0 to "), "{damage:?}");
    }
    let before = std::fs::read(world.path(&name)).unwrap();
    for bytes in [world.second_bytes - 1, 100, 0] {
        world.resize(&name, bytes as u64);
        assert_eq!(only(world.verify()).position, Some(bytes as u64));
    }
    std::fs::remove_file(world.path(&name)).unwrap();
    assert_eq!(only(world.verify()).what, "it is missing");
    std::fs::write(world.path(&name), before).unwrap();
    assert_eq!(world.verify().damages, []);
}

/// Behind the checkpoint stands what was written behind before the process ended: nothing yet, or some of it.
#[test]
fn what_was_not_written_behind_yet_is_no_damage() {
    let world = World::new();
    let name = segment(40, "log");
    let mut bytes = std::fs::read(world.path(&name)).unwrap();
    let behind = [batch(50, 1, 0), batch(51, 1, 0)].concat();
    bytes[world.second_bytes..][..behind.len()].copy_from_slice(&behind);
    std::fs::write(world.path(&name), bytes).unwrap();
    assert_eq!(world.verify().damages, []);
    for at in world.second_bytes..world.second_bytes + behind.len() {
        let report = world.verify_flipped(&name, at);
        assert_eq!(report.damages.len(), 1, "byte {at}: {:?}", report.damages);
        assert_eq!(report.damages[0].severity, Severity::MendedAtStart);
    }
}

/// The directory is made first, then the state file, then the journal: a power cut at a start leaves the first alone.
#[test]
fn a_shard_that_has_no_journal_yet_needs_no_state_file() {
    let world = World::new();
    std::fs::create_dir(world.path("journal/1")).unwrap();
    assert_eq!(world.verify().damages, []);
    std::fs::remove_file(world.path("journal/0/state")).unwrap();
    assert_eq!(world.verify().damages.len(), 1);
}

/// A power cut during a start tore the first write of a shard that the start added, and `verify` called that damage.
#[test]
fn a_torn_first_write_of_a_shard_hurts_nobody_while_other_journals_tell_of_every_partition() {
    let world = World::new();
    std::fs::create_dir(world.path("journal/1")).unwrap();
    std::fs::copy(world.path("journal/0/state"), world.path("journal/1/state")).unwrap();
    let mut torn = vec![0; 65_536];
    torn[600..700].fill(7);
    std::fs::write(world.path("journal/1/0.journal"), &torn).unwrap();
    let report = world.verify();
    assert_eq!(report.damages, []);
    assert!(format!("{:?}", report.notes).contains("torn first write"), "{:?}", report.notes);
    // With two writes the start was over, and what came then may have been acknowledged.
    torn[4096..4100].copy_from_slice(b"CLJG");
    std::fs::write(world.path("journal/1/0.journal"), &torn).unwrap();
    assert_eq!(world.verify().damages.len(), 1);
    torn[4096..4100].fill(0);
    std::fs::write(world.path("journal/1/0.journal"), &torn).unwrap();
    std::fs::remove_file(world.path("journal/0/0.journal")).unwrap();
    let damages = format!("{:?}", world.verify().damages);
    assert!(damages.contains("no group of this journal"), "nobody tells of it: {damages}");
}

/// Where the group with this record begins in the journal.
fn world_group_position(world: &World, offset: i64) -> usize {
    let file = std::fs::read(world.path("journal/0/0.journal")).unwrap();
    let found = file.chunks(4096).position(|block| {
        block.starts_with(b"CLJG")
            && block[128] == 1
            && block[128 + 32..128 + 40] == offset.to_le_bytes()
    });
    found.unwrap() * 4096
}

/// A killed node has records in its journal only. Asked about one partition, verify knew neither the journal nor
/// the lock, and found damage where there was none.
#[test]
fn one_partition_is_verified_as_its_node_has_it() {
    let world = World::new();
    let verify = |path: &Path| {
        let mut report = Report::default();
        one_partition::check(path, &mut report).map(|()| report)
    };
    let partition = world.path("orders-0");
    let report = verify(&partition).unwrap();
    assert_eq!((&report.damages, &report.notes), (&vec![], &vec![]));
    assert_eq!((report.partitions, report.batches, report.records), (1, 17, 52));
    let report = verify(&world.path(&segment(40, "log"))).unwrap();
    assert_eq!((report.damages.len(), report.batches, report.records), (0, 7, 12));
    // Damage is found as with the whole directory, and only that of what was asked for.
    world.flip(&segment(0, "log"), 100);
    assert_eq!(verify(&partition).unwrap().damages, world.verify().damages);
    assert_eq!(verify(&partition).unwrap().damages.len(), 1);
    assert_eq!(verify(&world.path(&segment(40, "log"))).unwrap().damages, []);
    // A copy is checked as files, and says so.
    let copy = crate::cli::tests::directory();
    for base in [0, 40] {
        let name = format!("{base:020}.log");
        std::fs::copy(partition.join(&name), copy.path().join(&name)).unwrap();
    }
    let report = verify(copy.path()).unwrap();
    assert_eq!((report.damages.len(), report.batches, report.notes.len()), (1, 15, 1));
    assert!(report.notes[0].what.contains("journal"), "{:?}", report.notes);
    // A running node changes what is looked at.
    let lock = engine::disk::real::DirectoryLock::take(world.directory.path()).unwrap();
    let refused = verify(&partition).err().unwrap();
    assert!(refused.to_string().contains("in use"), "{refused}");
    drop(lock);
}

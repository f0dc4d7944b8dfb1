//! The journal's bytes in a partition's segments: each row of the decision table.

use bytes::Bytes;
use protocol::record_batch::{
    BatchBuilder, BatchHeader, BatchOptions, HEADER_BYTES, Producer, patch,
};
use protocol::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::{LastBlock, PartitionFiles, materialise};
use crate::batch::BatchView;
use crate::disk::{DirId, FileSystem};
use crate::fuzz::{MemoryFiles, some_partition};
use crate::journal::entry::{Entry, EntryKind};
use crate::journal::scan::{Scan, ScanStep};
use crate::partition::PartitionDirectory;
use crate::partition::cleaner_checkpoint::CleanerCheckpoint;
use crate::partition::epochs::EpochHistory;
use crate::partition::producers::ProducerTable;
use crate::recovery::replay::{doubt_older, replay};
use crate::recovery::state_file::SavedState;
use crate::recovery::unsynced::Unsynced;
use crate::recovery::{FromJournal, RecoveredPartition, Suspicion};

const LOG: &str = "topic-0/00000000000000000000.log";

/// A batch of one record at `base` that is this long in all.
fn batch(base: i64, bytes: usize) -> Vec<u8> {
    for value_bytes in bytes.saturating_sub(90)..bytes {
        let id = ProducerId(1);
        let producer = Producer { id, epoch: ProducerEpoch(0), base_sequence: base as i32 };
        let options = BatchOptions { producer: Some(producer), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        builder.push(1_000 + base, None, Some(&vec![base as u8; value_bytes]), &[]);
        let mut batch = builder.finish();
        if batch.len() == bytes {
            patch(&mut batch, Offset(base), LeaderEpoch(0));
            return batch;
        }
    }
    panic!("no batch has {bytes} bytes");
}

/// Batches of these sizes, from offset 0 on.
fn log(sizes: &[usize]) -> Vec<u8> {
    sizes.iter().enumerate().flat_map(|(at, bytes)| batch(at as i64, *bytes)).collect()
}

/// As the pointer of a run of these batches has it.
fn headers_crc(mut batches: &[u8]) -> u32 {
    let mut crc = 0;
    while let Some(header) = BatchHeader::read(batches) {
        crc = crc32c::crc32c_append(crc, &batches[..HEADER_BYTES]);
        batches = &batches[header.total_bytes()..];
    }
    crc
}

/// A log as the files and the journal have it.
struct World {
    fs: MemoryFiles,
    steps: Vec<ScanStep>,
    saved: Option<SavedState>,
    /// Journals are missing; the newest incarnation of those that are not.
    missing: Option<u64>,
    cleaner: CleanerCheckpoint,
}

impl World {
    fn new() -> Self {
        Self {
            fs: MemoryFiles::default(),
            steps: Vec::new(),
            saved: None,
            missing: None,
            cleaner: CleanerCheckpoint::default(),
        }
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.fs.put(name, bytes);
        self
    }

    /// Durable below `position` of segment `segment`; the log ends at `next`.
    fn row(self, segment: i64, position: u64, next: i64, unflushed: u64, log_start: i64) -> Self {
        let entry = Entry {
            base: Offset(log_start),
            next: Offset(next),
            segment: Offset(segment),
            position,
            run_bytes: unflushed,
            ..Entry::new(EntryKind::Checkpoint, some_partition())
        };
        self.entry(entry, &[])
    }

    fn piece(
        self,
        kind: EntryKind,
        segment: i64,
        position: u64,
        offsets: (i64, i64),
        body: &[u8],
    ) -> Self {
        let entry = Entry {
            base: Offset(offsets.0),
            next: Offset(offsets.1),
            segment: Offset(segment),
            position,
            run_bytes: if kind == EntryKind::Append { body.len() as u64 } else { 0 },
            ..Entry::new(kind, some_partition())
        };
        self.entry(entry, body)
    }

    /// A run whose whole blocks are in the file as `on_disk` has them.
    fn pointer(self, position: u64, offsets: (i64, i64), on_disk: &[u8], end: u64) -> Self {
        let blocks = (position - position % 4096) as usize..(end - end % 4096) as usize;
        let entry = Entry {
            base: Offset(offsets.0),
            next: Offset(offsets.1),
            position,
            run_bytes: end - position,
            run_crc: headers_crc(&on_disk[position as usize..end as usize]),
            ..Entry::new(EntryKind::Pointer, some_partition())
        };
        self.entry(entry, &on_disk[blocks.end..end as usize])
    }

    fn entry(mut self, mut entry: Entry, body: &[u8]) -> Self {
        entry.body_bytes = u32::try_from(body.len()).unwrap();
        self.steps.push(ScanStep::Apply(entry, Bytes::copy_from_slice(body)));
        self
    }

    fn recover(&self) -> RecoveredPartition {
        let scan = Scan { incarnation: 1, steps: self.steps.clone(), cut: 0, opening_end: 0 };
        let mut replays = replay(scan, 0);
        if let Some(newest) = self.missing {
            doubt_older(&mut replays, newest);
        }
        let mut segments: Vec<(Offset, u64)> = Vec::new();
        for entry in self.fs.entries("topic-0".as_ref()).unwrap() {
            let name = entry.name.to_str().unwrap();
            if let Some(base) = name.strip_suffix(".log") {
                segments.push((Offset(base.parse().unwrap()), entry.length));
            }
        }
        let files = PartitionFiles {
            directory: PartitionDirectory { dir: DirId(0), path: "topic-0".into() },
            segments,
            cleaner: Some(self.cleaner),
            suspect_note: None,
        };
        let replay = replays.get(&some_partition());
        let mut unsynced = Unsynced::default();
        let saved = self.saved.as_ref();
        let id = some_partition();
        let found =
            materialise(&self.fs, id, &files, replay, saved, LastBlock::Compared, &mut unsynced)
                .unwrap();
        unsynced.sync(&self.fs).unwrap();
        found
    }

    /// Recovers twice: the second time, after a crash in the middle of the first start, finds the same.
    fn sound(&self) -> RecoveredPartition {
        let first = self.recover();
        assert_eq!(first.suspicion, None);
        let second = self.recover();
        assert_eq!((first.end, &first.last_block), (second.end, &second.last_block));
        assert_eq!(second.suspicion, None);
        second
    }

    fn bytes(&self, name: &str, length: usize) -> Vec<u8> {
        self.fs.get(name).unwrap()[..length].to_vec()
    }
}

#[test]
fn a_log_that_is_in_the_journal_alone_is_written_whole() {
    let log = log(&[3_000, 3_000, 100]);
    let world = World::new()
        .row(0, 0, 0, 0, 0)
        .piece(EntryKind::Append, 0, 0, (0, 1), &log[..3_000])
        .piece(EntryKind::Append, 0, 3_000, (1, 3), &log[3_000..]);
    let found = world.sound();
    assert_eq!((found.end.offset, found.end.position), (Offset(3), 6_100));
    assert_eq!(world.bytes(LOG, 6_100), log);
    assert_eq!(found.last_block, log[4_096..]);
    assert!(found.producers_known);
    assert_eq!(found.producers.iter().next().unwrap().1.batches.len(), 3);
    assert_eq!(found.from_journal, FromJournal { entries: 2, bytes: 6_100 });
}

#[test]
fn pieces_continue_what_the_checkpoint_says_is_durable() {
    let log = log(&[3_000, 3_000, 3_000]);
    let world = World::new()
        .file(LOG, &log[..4_096])
        .row(0, 4_096, 2, 1_904, 0)
        .piece(EntryKind::Fragment, 0, 4_096, (0, 2), &log[4_096..6_000])
        .piece(EntryKind::Append, 0, 6_000, (2, 3), &log[6_000..]);
    let found = world.sound();
    assert_eq!((found.end.offset, found.end.position), (Offset(3), 9_000));
    assert_eq!(world.bytes(LOG, 9_000), log);
    assert!(!found.producers_known, "nobody saved what the first bytes said");
    let beyond_the_checkpoint = FromJournal { entries: 2, bytes: 9_000 - 4_096 };
    assert_eq!(found.from_journal, beyond_the_checkpoint);
}

/// What an orderly end leaves: a segment of exact length, its checkpoint there, its last block journaled.
#[test]
fn a_fragment_that_repeats_what_a_segment_has_is_nothing_to_recover() {
    let log = log(&[3_000, 3_000]);
    let world = World::new()
        .file(LOG, &log)
        .piece(EntryKind::Fragment, 0, 4_096, (0, 2), &log[4_096..])
        .row(0, 6_000, 2, 0, 0);
    let found = world.sound();
    assert_eq!((found.end.offset, found.end.position), (Offset(2), 6_000));
    assert_eq!(found.from_journal, FromJournal::default());
}

/// The journal's copy was taken, and the file left as it was: whoever read the file found the damage.
#[test]
fn a_damaged_last_block_is_written_again_from_the_journal() {
    let log = log(&[3_000, 3_000]);
    let world = |file: &[u8]| {
        World::new()
            .file(LOG, file)
            .piece(EntryKind::Fragment, 0, 4_096, (0, 2), &log[4_096..])
            .row(0, 6_000, 2, 0, 0)
    };
    for at in [4_096, 5_999] {
        let mut damaged = log.clone();
        damaged[at] ^= 1;
        let world = world(&damaged);
        let found = world.sound();
        assert_eq!(world.bytes(LOG, 6_000), log, "byte {at}");
        assert_eq!(found.last_block, log[4_096..]);
    }
    let sound = world(&log);
    assert!(sound.sound().active.unwrap().allocated < 6_000, "nothing was written");
}

#[test]
fn a_pointer_counts_if_its_blocks_are_as_they_were_written() {
    let log = log(&[5_000, 300_000, 200]);
    let end = 305_000u64;
    let mut file = log[..end as usize - end as usize % 4096].to_vec();
    file.resize(400_000, 0);
    let world = |file: &[u8]| {
        World::new()
            .file(LOG, file)
            .row(0, 4_096, 1, 904, 0)
            .piece(EntryKind::Fragment, 0, 4_096, (0, 1), &log[4_096..5_000])
            .pointer(5_000, (1, 2), &log, end)
            .piece(EntryKind::Append, 0, end, (2, 3), &log[end as usize..])
    };
    let sound = world(&file);
    let found = sound.sound();
    assert_eq!((found.end.offset, found.end.position), (Offset(3), 305_200));
    assert_eq!(sound.bytes(LOG, 303_104), log[..303_104]);
    assert_eq!(found.last_block, log[303_104..], "the new journal gets it");
    // In a record, in the batch's header, in the offset that no CRC of the batch covers, and in the older
    // bytes that share the run's first block.
    for at in [9_000, 5_030, 5_007, 4_500] {
        file[at] ^= 1;
        let found = world(&file).recover();
        assert_eq!(found.suspicion, Some(Suspicion::Run { base: Offset(1) }), "byte {at}");
        assert_eq!(found.end.offset, Offset(1), "what was before it is served");
        file[at] ^= 1;
    }
    let found = world(&file[..100_000]).recover();
    assert_eq!(found.suspicion, Some(Suspicion::Run { base: Offset(1) }));
}

/// The journal has the pointers of gigabytes that a checkpoint covers: a start read them all again.
#[test]
fn a_covered_run_is_read_only_for_producers_that_are_not_known() {
    let log = log(&[5_000, 300_000, 200]);
    let bytes_read = |producers_known: bool| {
        let mut world = World::new()
            .file(LOG, &log)
            .pointer(5_000, (1, 2), &log, 305_000)
            .row(0, 305_200, 3, 0, 0);
        world.saved = Some(SavedState {
            as_of: Offset(3),
            leader_epoch: LeaderEpoch(0),
            epochs: EpochHistory::default(),
            producers: ProducerTable::default(),
            producers_known,
        });
        let found = world.recover();
        assert_eq!((found.suspicion, found.end.offset), (None, Offset(3)));
        world.fs.bytes_read()
    };
    assert!(bytes_read(false) >= bytes_read(true) + 290_000, "the run's blocks");
}

#[test]
fn a_gap_ends_the_log_and_makes_it_suspect() {
    let log = log(&[3_000, 3_000, 3_000]);
    let world = World::new()
        .row(0, 0, 0, 0, 0)
        .piece(EntryKind::Append, 0, 0, (0, 1), &log[..3_000])
        .piece(EntryKind::Append, 0, 6_000, (2, 3), &log[6_000..]);
    let found = world.recover();
    let missing = Suspicion::Missing { acknowledged: Offset(3), found: Offset(1) };
    assert_eq!((found.suspicion, found.end.offset), (Some(missing), Offset(1)));
}

/// Whoever accepts the loss has a look at them first; zeros would take them away before that.
#[test]
fn bytes_behind_the_end_of_a_suspect_log_stay() {
    let log = log(&[3_000, 500, 500, 5_000]);
    let world = World::new()
        .file(LOG, &log)
        .row(0, 0, 0, 0, 0)
        .piece(EntryKind::Append, 0, 0, (0, 1), &log[..3_000])
        .piece(EntryKind::Append, 0, 3_500, (2, 3), &log[3_500..4_000]);
    for _ in 0..2 {
        let found = world.recover();
        assert!(matches!(found.suspicion, Some(Suspicion::Missing { .. })));
        assert_eq!((found.end.offset, found.end.position), (Offset(1), 3_000));
        assert_eq!(found.reached, Offset(3));
        assert_eq!(world.bytes(LOG, 9_000), log);
    }
}

#[test]
fn a_row_that_expects_bytes_in_the_journal_is_not_taken_for_the_end() {
    let log = log(&[3_000]);
    let found = World::new().file(LOG, &log).row(0, 0, 1, 3_000, 0).recover();
    assert!(matches!(found.suspicion, Some(Suspicion::Missing { .. })));
    assert_eq!(found.end.offset, Offset(0));
}

#[test]
fn a_complete_segment_is_the_end_whatever_the_journal_has_of_earlier_ones() {
    // A partition left a shard and came back with another segment, which ended with a whole block: the
    // shard's journal has older runs, and no fragment. (Found by the simulation.)
    let (first, second) = (log(&[3_000]), batch(1, 8_192));
    let next = "topic-0/00000000000000000001.log";
    let world = World::new()
        .file(LOG, &first)
        .file(next, &second)
        .row(0, 0, 0, 0, 0)
        .piece(EntryKind::Append, 0, 0, (0, 1), &first)
        .row(1, 8_192, 2, 0, 0);
    let found = world.sound();
    assert_eq!((found.end.offset, found.end.position), (Offset(2), 8_192));
}

#[test]
fn a_file_shorter_than_its_checkpoint_is_missing_something() {
    let log = log(&[9_000]);
    for length in [0, 4_096, 8_000] {
        let found = World::new().file(LOG, &log[..length]).row(0, 9_000, 1, 0, 0).recover();
        assert!(matches!(found.suspicion, Some(Suspicion::Missing { .. })), "{length} bytes");
    }
    let found = World::new().row(0, 9_000, 1, 0, 0).recover();
    assert!(matches!(found.suspicion, Some(Suspicion::Missing { .. })), "no file at all");
    // Whole batches in what is left are served.
    let two = self::log(&[5_000, 4_000]);
    let found = World::new().file(LOG, &two[..8_500]).row(0, 9_000, 2, 0, 0).recover();
    let missing = Suspicion::Missing { acknowledged: Offset(2), found: Offset(1) };
    assert_eq!((found.suspicion, found.end.offset), (Some(missing), Offset(1)));
    assert_eq!((found.end.position, &found.last_block[..]), (5_000, &two[4_096..5_000]));
    // The journal has what was cut off.
    let world = World::new().file(LOG, &two[..8_500]).row(0, 9_000, 2, 0, 0);
    let found = world.piece(EntryKind::Fragment, 0, 8_192, (0, 2), &two[8_192..]).sound();
    assert_eq!((found.end.offset, found.end.position), (Offset(2), 9_000));
    let found = World::new().file(LOG, &log).row(0, 9_000, 1, 0, 0).sound();
    assert_eq!((found.end.offset, found.end.position), (Offset(1), 9_000));
    assert_eq!(found.last_block, log[8_192..]);
}

#[test]
fn a_log_within_its_first_block_costs_no_write() {
    let log = log(&[1_000, 1_000]);
    let world = World::new().file(LOG, &vec![0; 65_536]).row(0, 0, 0, 0, 0).piece(
        EntryKind::Append,
        0,
        0,
        (0, 2),
        &log,
    );
    let found = world.sound();
    assert_eq!((found.end.position, &found.last_block[..]), (2_000, &log[..]));
    assert_eq!(world.bytes(LOG, 65_536), vec![0; 65_536], "the journal goes on holding it");
    let active = found.active.unwrap();
    assert_eq!((active.index.covered(), active.is_complete), (2_000, false));
}

#[test]
fn a_file_that_was_completed_is_complete_until_something_is_appended() {
    let log = log(&[5_000, 1_000]);
    let completed = || {
        World::new()
            .file(LOG, &log[..5_000])
            .file(&LOG.replace(".log", ".index"), &[])
            .row(0, 5_000, 1, 0, 0)
            .piece(EntryKind::Append, 0, 0, (0, 1), &log[..5_000])
    };
    assert!(completed().sound().active.unwrap().is_complete);
    let appended = completed().piece(EntryKind::Append, 0, 5_000, (1, 2), &log[5_000..]);
    assert!(!appended.sound().active.unwrap().is_complete);
}

#[test]
fn a_torn_last_block_is_rebuilt_from_its_fragment() {
    let log = log(&[5_000, 1_000]);
    let mut torn = log[..5_000].to_vec();
    torn[4_500] ^= 0xff;
    let world = World::new()
        .file(LOG, &torn)
        .row(0, 5_000, 1, 0, 0)
        .piece(EntryKind::Fragment, 0, 4_096, (0, 1), &log[4_096..5_000])
        .piece(EntryKind::Append, 0, 5_000, (1, 2), &log[5_000..]);
    world.sound();
    assert_eq!(world.bytes(LOG, 6_000), log);
}

#[test]
fn a_roll_cuts_the_segment_before() {
    let (first, second) = (log(&[3_000]), batch(1, 500));
    let mut preallocated = first.clone();
    preallocated.resize(65_536, 0);
    let next = "topic-0/00000000000000000001.log";
    let world = World::new()
        .file(LOG, &preallocated)
        .file(next, &vec![0; 65_536])
        .row(0, 0, 0, 0, 0)
        .piece(EntryKind::Append, 0, 0, (0, 1), &first)
        .piece(EntryKind::Append, 1, 0, (1, 2), &second);
    let found = world.sound();
    assert_eq!(found.finished, [(Offset(0), 3_000)]);
    assert_eq!(world.fs.length(LOG.as_ref()), Ok(3_000));
    assert_eq!((found.end.segment, found.end.position), (Offset(1), 500));
}

#[test]
fn a_segment_that_nothing_was_acknowledged_in_goes() {
    let log = log(&[3_000]);
    let newer = "topic-0/00000000000000000001.log";
    let world = World::new().file(LOG, &log).file(newer, &[1; 4_096]).row(0, 0, 0, 0, 0).piece(
        EntryKind::Append,
        0,
        0,
        (0, 1),
        &log,
    );
    world.sound();
    assert_eq!(world.fs.get(newer), None);
}

#[test]
fn files_without_a_journal_are_suspect_and_left_alone() {
    let log = log(&[3_000]);
    let world = World::new().file(LOG, &log);
    assert_eq!(world.recover().suspicion, Some(Suspicion::Unknown));
    assert_eq!(world.bytes(LOG, 3_000), log);
    assert_eq!(World::new().recover().suspicion, None, "a partition that was never written");
}

#[test]
fn what_was_deleted_is_not_missed() {
    let second = batch(1, 500);
    let next = "topic-0/00000000000000000001.log";
    // The checkpoint is from the first segment, which is gone; the pointer's run with it.
    let first = log(&[1_000, 300_000]);
    let world = World::new()
        .file(next, &vec![0; 65_536])
        .row(0, 0, 1, 1_000, 0)
        .pointer(1_000, (1, 2), &first, 301_000)
        .piece(EntryKind::LogStart, 0, 0, (1, 0), &[])
        .piece(EntryKind::Append, 1, 0, (1, 2), &second);
    let found = world.sound();
    assert_eq!((found.log_start, found.end.offset), (Offset(1), Offset(2)));
    assert_eq!((found.end.segment, found.end.position), (Offset(1), 500));
    assert_eq!(world.fs.get(LOG), None, "it does not come back");
    // And with nothing behind it.
    let world = World::new().row(0, 4_096, 7, 904, 0).piece(EntryKind::LogStart, 0, 0, (7, 0), &[]);
    let found = world.sound();
    assert_eq!((found.log_start, found.end.offset, found.end.position), (Offset(7), Offset(7), 0));
}

#[test]
fn epochs_begin_where_their_batches_do_and_never_behind_the_end() {
    let log = log(&[3_000, 3_000]);
    let epoch = |base: i64, epoch: i32, kind: EntryKind| Entry {
        leader_epoch: LeaderEpoch(epoch),
        base: Offset(base),
        ..Entry::new(kind, some_partition())
    };
    let mut world = World::new()
        .row(0, 0, 0, 0, 0)
        .piece(EntryKind::Append, 0, 0, (0, 1), &log[..3_000])
        .entry(epoch(1, 2, EntryKind::EpochStart), &[])
        .piece(EntryKind::Append, 0, 3_000, (1, 2), &log[3_000..])
        .entry(epoch(9, 5, EntryKind::EpochStart), &[]);
    if let Some(ScanStep::Apply(entry, _)) = world.steps.get_mut(3) {
        entry.leader_epoch = LeaderEpoch(2);
    }
    let found = world.sound();
    let pairs: Vec<(i32, i64)> =
        found.epochs.pairs().iter().map(|(epoch, start)| (epoch.0, start.0)).collect();
    assert_eq!(pairs, [(0, 0), (2, 1), (5, 2)]);
    assert_eq!(found.leader_epoch, LeaderEpoch(5));
}

/// The journal of the shard that had the log last was in a directory that is gone: what that one wrote was
/// cut off, without a word.
#[test]
fn what_only_a_missing_journal_spoke_of_is_left_alone() {
    let (first, more, third) = (log(&[3_000]), log(&[3_000, 3_000]), batch(2, 500));
    let newer = "topic-0/00000000000000000002.log";
    let closed = Entry {
        next: Offset(1),
        position: 3_000,
        ..Entry::new(EntryKind::Close, some_partition())
    };
    let let_go = |newest| {
        let known = World::new().row(0, 0, 0, 0, 0);
        let known = known.piece(EntryKind::Append, 0, 0, (0, 1), &first);
        World { missing: newest, ..known.entry(closed, &[]) }
    };
    let outdated = Some(Suspicion::Outdated { end: Offset(1) });
    let world = let_go(Some(1)).file(LOG, &more).file(newer, &third);
    for _ in 0..2 {
        let found = world.recover();
        assert_eq!((&found.suspicion, found.end.offset), (&outdated, Offset(1)));
        assert_eq!(world.fs.get(LOG), Some(more.clone()));
        assert_eq!(world.fs.get(newer), Some(third.clone()));
    }
    // A segment that nothing reached yet shows how far the log had come.
    let world = let_go(Some(1)).file(LOG, &first).file(newer, &[]);
    assert_eq!(world.recover().suspicion, outdated);
    // Room that was reserved for more is nothing that was written.
    let mut reserved = first.clone();
    reserved.resize(65_536, 0);
    let next = "topic-0/00000000000000000001.log";
    let world = let_go(Some(1)).file(LOG, &reserved).file(next, &[0; 4_096]);
    assert_eq!(world.sound().end.offset, Offset(1));
    // With all journals there these bytes were never acknowledged.
    assert_eq!(let_go(None).file(LOG, &more).sound().end.offset, Offset(1));
}

/// A shard states its partitions in each incarnation: one that did not let go of the log, and does not have
/// it in the newest one, is not the last that had it.
#[test]
fn an_older_incarnation_may_be_the_older_one_where_journals_are_missing() {
    let (first, more) = (log(&[3_000]), log(&[3_000, 3_000]));
    for (newest, suspicion) in [(1, None), (2, Some(Suspicion::Outdated { end: Offset(1) }))] {
        let world = World::new().file(LOG, &more).row(0, 0, 0, 0, 0);
        let world = world.piece(EntryKind::Append, 0, 0, (0, 1), &first);
        let world = World { missing: Some(newest), ..world };
        assert_eq!(world.recover().suspicion, suspicion);
    }
}

/// The journal's newest row is damaged: the one before it, and pieces, speak of a segment that was cleaned since.
#[test]
fn nothing_of_the_journal_goes_into_a_segment_that_was_cleaned() {
    let (old, cleaned, active) = (log(&[3_000, 300_000]), batch(1, 500), batch(2, 700));
    let next = "topic-0/00000000000000000002.log";
    let mut world = World::new()
        .file(LOG, &cleaned)
        .file(next, &active)
        .row(0, 0, 0, 0, 0)
        .piece(EntryKind::Append, 0, 0, (0, 1), &old[..3_000])
        .pointer(3_000, (1, 2), &old, 303_000)
        .piece(EntryKind::Append, 2, 0, (2, 3), &active);
    world.cleaner = CleanerCheckpoint { cleaned: Offset(2), ..CleanerCheckpoint::default() };
    let found = world.sound();
    assert_eq!(world.fs.get(LOG), Some(cleaned));
    assert_eq!(found.finished, [(Offset(0), 500)]);
    assert_eq!((found.end.segment, found.end.offset), (Offset(2), Offset(3)));
    assert!(!found.producers_known, "who wrote the run is in the log, not in the journal");
}

/// A loss was accepted: the log ends before what was cleaned, and goes on from there.
#[test]
fn a_log_that_was_cut_before_what_was_cleaned_goes_on_where_it_ends() {
    let log = log(&[3_000, 500]);
    let mut world = World::new().file(LOG, &log[..3_000]).row(0, 3_000, 1, 0, 0).piece(
        EntryKind::Append,
        0,
        3_000,
        (1, 2),
        &log[3_000..],
    );
    world.cleaner = CleanerCheckpoint { cleaned: Offset(9), ..CleanerCheckpoint::default() }
        .of_shorter_log(Offset(0), Offset(1));
    assert_eq!(world.cleaner.cleaned, Offset(1), "no segment behind the last one lacks offsets");
    let found = world.sound();
    assert_eq!((found.end.segment, found.end.offset), (Offset(0), Offset(2)));
}

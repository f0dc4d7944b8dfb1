//! Partitions that the metadata has on this node and recovery did not find: their directory is gone, or
//! nothing sound says what is in it.
//!
//! They get their directory back with what the journal still holds of them, and are suspect where that is
//! not all, or where a journal that is missing may have known more; never are they created anew, empty.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coordinator::metadata::{Image, LogDirectoryId};
use engine::PartitionId;
use engine::disk::{DirId, FileSystem, FileSystemError};
use engine::recovery::{LastBlock, NodeRecovery, RecoverError, restore};
use protocol::{BrokerId, PartitionIndex};

/// A log directory of this node, as recovery and as the metadata name it.
pub struct KnownDirectory<'a> {
    pub dir: DirId,
    pub id: LogDirectoryId,
    pub fs: &'a dyn FileSystem,
}

/// Puts them into `found`; gives those that were there neither.
pub fn restore_vanished(
    found: &mut NodeRecovery,
    image: &Image,
    broker: BrokerId,
    directories: &[KnownDirectory<'_>],
    last_blocks: LastBlock,
) -> Result<Vec<PartitionId>, RecoverError> {
    let mut restored = Vec::new();
    for (id, path, directory) in missing(found, image, broker, directories) {
        if is_of_a_deleted_topic(found, image, &path, directory) {
            // Its successor of the same name is created once that is gone.
            continue;
        }
        let failed = |error| RecoverError { dir: directory.dir, error };
        let known = found.vanished.remove(&id);
        let is_told_of = known.is_some() || found.journals_missing;
        if !is_told_of && !holds_segments(directory.fs, &path).map_err(failed)? {
            // It was never written: a journal would speak of it.
            continue;
        }
        let (fs, dir) = (directory.fs, directory.dir);
        let (known, journals_missing) = (known.as_ref(), found.journals_missing);
        let partition =
            restore(fs, dir, &path, id, known, journals_missing, last_blocks).map_err(failed)?;
        // Its partition.metadata named another one.
        found.partitions.retain(|_, other| other.directory != partition.directory);
        found.unknown.retain(|unknown| *unknown != (directory.dir, path.clone()));
        found.partitions.insert(id, partition);
        restored.push(id);
    }
    Ok(restored)
}

fn missing<'a, 'd>(
    found: &NodeRecovery,
    image: &Image,
    broker: BrokerId,
    directories: &'a [KnownDirectory<'d>],
) -> Vec<(PartitionId, PathBuf, &'a KnownDirectory<'d>)> {
    let by_id: BTreeMap<LogDirectoryId, &KnownDirectory<'_>> =
        directories.iter().map(|directory| (directory.id, directory)).collect();
    let mut missing = Vec::new();
    for topic in image.topics() {
        for (index, partition) in (0..).map(PartitionIndex).zip(topic.partitions()) {
            let id = PartitionId { topic_id: topic.id(), partition: index };
            let replica = partition.replica_on(broker);
            let directory = replica.and_then(|replica| by_id.get(&replica.directory));
            if let Some(directory) = directory
                && !found.partitions.contains_key(&id)
            {
                missing.push((id, PathBuf::from(format!("{}-{index}", topic.name())), *directory));
            }
        }
    }
    missing
}

/// Whether what was found in the directory belongs to a topic whose deletion is on its way.
fn is_of_a_deleted_topic(
    found: &NodeRecovery,
    image: &Image,
    path: &Path,
    directory: &KnownDirectory<'_>,
) -> bool {
    found.partitions.iter().any(|(id, partition)| {
        let is_there = partition.directory.dir == directory.dir && partition.directory.path == path;
        is_there && image.is_deleting(id.topic_id)
    })
}

fn holds_segments(fs: &dyn FileSystem, directory: &Path) -> Result<bool, FileSystemError> {
    let entries = match fs.entries(directory) {
        Err(FileSystemError::NotFound) => return Ok(false),
        entries => entries?,
    };
    let is_segment = |name: &Path| name.extension().is_some_and(|extension| extension == "log");
    Ok(entries.iter().any(|entry| entry.length > 0 && is_segment(&entry.name)))
}

#[cfg(test)]
mod tests {
    use coordinator::metadata::{
        Broker, Command, CreateTopics, DeleteTopics, FormCluster, Listener, LogDirectory,
        LogDirectoryId, Metadata, RegisterBroker, TopicSelector, WallMillis,
    };
    use coordinator::topic_config::StaticBrokerConfig;
    use engine::PartitionId;
    use engine::config::LogConfig;
    use engine::disk::DirId;
    use engine::disk::real::{DataAccess, RealFileSystem};
    use engine::journal::group::JournalSalt;
    use engine::journal::writer::JournalIdentity;
    use engine::partition::PartitionDirectory;
    use engine::partition::epochs::EpochHistory;
    use engine::partition::index::SegmentIndex;
    use engine::partition::position::LogPosition;
    use engine::partition::producers::ProducerTable;
    use engine::recovery::{
        ActiveSegment, FilesBefore, FromJournal, LastBlock, LogDirectories, RecoveredPartition,
        Suspicion, identity, open_shard, recover,
    };
    use protocol::{BrokerId, LeaderEpoch, Offset, PartitionIndex, Str, TopicId};

    use super::{KnownDirectory, restore_vanished};

    const NODE: BrokerId = BrokerId(1);
    const DIRECTORY: LogDirectoryId = LogDirectoryId([1; 16]);

    fn apply<C: Command>(metadata: &mut Metadata, command: &C)
    where
        C::Error: std::fmt::Debug,
    {
        let decision = metadata.decide(WallMillis(1_000), command).unwrap();
        for record in &decision.records {
            metadata.replay(record).unwrap();
        }
    }

    fn started() -> Metadata {
        let mut metadata = Metadata::new(NODE, StaticBrokerConfig::default());
        let cluster_id = Str::from("cluster");
        apply(&mut metadata, &FormCluster { cluster_id: cluster_id.clone() });
        let (name, host) = (Str::from("PLAINTEXT"), Str::from("127.0.0.1"));
        let directory =
            LogDirectory { id: DIRECTORY, path: Str::from("/data"), free_bytes: 1 << 30 };
        let broker = Broker {
            id: NODE,
            incarnation: 1,
            rack: None,
            listeners: vec![Listener { name, host, port: 9092 }],
            data_shards: 1,
            log_directories: vec![directory],
        };
        apply(&mut metadata, &RegisterBroker { cluster_id, broker });
        metadata
    }

    fn create(metadata: &mut Metadata, id: TopicId) {
        apply(metadata, &CreateTopics::automatic([(Str::from("t"), id)]));
        assert!(metadata.image().topics().any(|topic| topic.id() == id));
    }

    #[test]
    fn the_files_of_a_deleted_topic_do_not_become_its_successors() {
        let (old, new) = (TopicId([1; 16]), TopicId([2; 16]));
        let mut metadata = started();
        create(&mut metadata, old);
        let topics = vec![TopicSelector::Id(old)];
        apply(&mut metadata, &DeleteTopics { topics });
        create(&mut metadata, new);

        // Its directory was not renamed yet when the node died.
        let folder = tempfile::tempdir().unwrap();
        let partition = folder.path().join("t-0");
        std::fs::create_dir(&partition).unwrap();
        std::fs::write(partition.join(identity::FILE_NAME), identity::encode(old)).unwrap();
        std::fs::write(partition.join("00000000000000000000.log"), [7; 4096]).unwrap();

        let files = RealFileSystem::open(folder.path(), DataAccess::Buffered).unwrap();
        let mut found = recover(&LogDirectories {
            dirs: vec![(DirId(0), &files)],
            salt: JournalSalt(1),
            last_blocks: LastBlock::InJournal,
            journals_missing: false,
        })
        .unwrap();
        let known = [KnownDirectory { dir: DirId(0), id: DIRECTORY, fs: &files }];
        let restored =
            restore_vanished(&mut found, metadata.image(), NODE, &known, LastBlock::InJournal);
        assert_eq!(restored.unwrap(), []);
        let of = |topic_id| PartitionId { topic_id, partition: PartitionIndex(0) };
        assert!(
            found.partitions.contains_key(&of(old)) && !found.partitions.contains_key(&of(new))
        );
        let kept = std::fs::read(partition.join(identity::FILE_NAME)).unwrap();
        assert_eq!(kept, identity::encode(old), "it still says whose it is");
    }

    /// Who let it go, or had it in an earlier start, knows the older part alone: it was served as if it were all.
    #[test]
    fn what_only_a_missing_journal_knew_makes_a_partition_suspect() {
        let id = PartitionId { topic_id: TopicId([1; 16]), partition: PartitionIndex(0) };
        let mut metadata = started();
        create(&mut metadata, id.topic_id);
        for (is_stated, end) in [(false, Offset(0)), (true, Offset(1))] {
            for journals_missing in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let files = RealFileSystem::open(folder.path(), DataAccess::Buffered).unwrap();
                let partitions = if is_stated { vec![one_record(id)] } else { Vec::new() };
                for (shard, incarnation, partitions) in [(0, 1, &partitions[..]), (1, 2, &[])] {
                    let identity = JournalIdentity { shard, incarnation, salt: JournalSalt(1) };
                    open_shard(&files, identity, partitions, 0).unwrap();
                }
                let mut found = recover(&LogDirectories {
                    dirs: vec![(DirId(0), &files)],
                    salt: JournalSalt(1),
                    last_blocks: LastBlock::InJournal,
                    journals_missing,
                })
                .unwrap();
                let known = [KnownDirectory { dir: DirId(0), id: DIRECTORY, fs: &files }];
                let last_block = LastBlock::InJournal;
                restore_vanished(&mut found, metadata.image(), NODE, &known, last_block).unwrap();
                let restored = found.partitions.get(&id);
                assert_eq!(restored.is_some(), is_stated || journals_missing);
                let suspicion = restored.and_then(|partition| partition.suspicion.clone());
                let expected = journals_missing.then_some(Suspicion::Forgotten { end });
                assert_eq!(suspicion, expected, "stated {is_stated}");
                assert_eq!(folder.path().join("t-0/suspect").exists(), journals_missing);
            }
        }
    }

    /// A partition whose one record is in the journal.
    fn one_record(id: PartitionId) -> RecoveredPartition {
        let length = 100;
        RecoveredPartition {
            id,
            directory: PartitionDirectory { dir: DirId(0), path: "t-0".into() },
            config: LogConfig::default(),
            leader_epoch: LeaderEpoch(0),
            epochs: EpochHistory::default(),
            log_start: Offset(0),
            end: LogPosition { offset: Offset(1), segment: Offset(0), position: length },
            reached: Offset(1),
            missing_below: None,
            finished: Vec::new(),
            cleaner: engine::partition::cleaner_checkpoint::CleanerCheckpoint::default(),
            active: Some(ActiveSegment {
                base: Offset(0),
                length,
                allocated: 4096,
                index: SegmentIndex::default(),
                is_complete: false,
            }),
            last_block: vec![1; 100].into(),
            producers: ProducerTable::default(),
            producers_known: true,
            suspicion: None,
            from_journal: FromJournal::default(),
            files_before: FilesBefore::default(),
        }
    }
}

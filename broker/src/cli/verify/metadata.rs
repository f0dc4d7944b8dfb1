//! The cluster's metadata against the directories: who they say they are, and which partitions there
//! should be.

use broker::shard::metadata_log::{self, METADATA, MetadataLog};
use broker::vanished::{KnownDirectory, restore_vanished};
use coordinator::Metadata;
use coordinator::metadata::{Image, LogDirectoryId};
use coordinator::topic_config::StaticBrokerConfig;
use engine::PartitionId;
use engine::disk::{DirId, FileSystem};
use engine::recovery::{LastBlock, NodeRecovery, identity, meta};
use protocol::{BrokerId, Offset, PartitionIndex, TopicId};

use super::journals::JournalFacts;
use super::node_data::{DataDirectory, NodeData};
use super::of_directory;
use super::report::Report;
use crate::cli::failure::Failure;
use crate::cli::stored_files::unreadable;

pub(super) fn check<F: FileSystem>(
    data: &NodeData,
    file_systems: &[(DirId, F)],
    recovery: &NodeRecovery,
    facts: &JournalFacts,
    report: &mut Report,
) {
    let Some(partition) = recovery.partitions.get(&METADATA) else {
        // A node that was never ready has none, and nothing else.
        if is_gone(recovery) {
            let directory = data.directories[0].path.join(metadata_log::DIRECTORY);
            let hurts = "every topic: the node does not start without its metadata";
            report.damage(&directory, None, GONE, hurts);
        }
        return;
    };
    let root = data.path_of(partition.directory.dir);
    let node = BrokerId(data.directories[0].meta.node_id);
    let empty = Metadata::new(node, StaticBrokerConfig::default());
    let fs = of_directory(file_systems, partition.directory.dir);
    let log = match metadata_log::read(fs, partition, empty) {
        Ok(log) => log,
        Err(error) => {
            let directory = root.join(&partition.directory.path);
            let hurts = "every topic: the node does not start without its metadata";
            report.damage(&directory, None, error.to_string(), hurts);
            return;
        }
    };
    let image = log.metadata.image();
    if image.cluster_id().is_none() {
        // The first start was cut short.
        return;
    }
    for directory in &data.directories {
        check_identity(directory, image, report);
    }
    check_found(data, recovery, image, report);
    check_missing(data, recovery, image, facts, report);
}

const GONE: &str =
    "it is missing or damaged beside partitions of a node; bring it back from a backup";

fn is_gone(recovery: &NodeRecovery) -> bool {
    let others = !recovery.partitions.is_empty() || !recovery.vanished.is_empty();
    others && !recovery.partitions.contains_key(&METADATA)
}

/// What accepting a loss cannot mend: who the node is, and which topics there are.
pub(super) fn refusal<F: FileSystem>(
    data: &NodeData,
    file_systems: &[(DirId, F)],
    recovery: &NodeRecovery,
) -> Option<Failure> {
    if is_gone(recovery) {
        let path = data.directories[0].path.join(metadata_log::DIRECTORY);
        return Some(Failure::failed(format!("{}: {GONE}", path.display())));
    }
    let log = read_log(data, file_systems, recovery)?;
    let mut report = Report::default();
    for directory in &data.directories {
        check_identity(directory, log.metadata.image(), &mut report);
    }
    let damage = report.damages.first()?;
    let (file, what) = (damage.file.display(), &damage.what);
    Some(Failure::failed(format!("{file}: {what}; restore the line, then verify again")))
}

/// As a node's start does: partitions whose directory is gone are there again, suspect.
pub(super) fn restore<F: FileSystem>(
    data: &NodeData,
    file_systems: &[(DirId, F)],
    recovery: &mut NodeRecovery,
) -> Result<(), Failure> {
    let Some(log) = read_log(data, file_systems, recovery) else { return Ok(()) };
    let known = data.directories.iter().filter_map(|directory| {
        let id = TopicId::parse(&directory.meta.directory_id)?;
        let fs = of_directory::<F>(file_systems, directory.id);
        Some(KnownDirectory { dir: directory.id, id: LogDirectoryId(id.0), fs })
    });
    let known: Vec<KnownDirectory<'_>> = known.collect();
    let node = BrokerId(data.directories[0].meta.node_id);
    restore_vanished(recovery, log.metadata.image(), node, &known, LastBlock::InFile)
        .map_err(|failed| unreadable(data.path_of(failed.dir), &failed.error))?;
    Ok(())
}

/// `None` where the metadata cannot be read.
fn read_log<F: FileSystem>(
    data: &NodeData,
    file_systems: &[(DirId, F)],
    recovery: &NodeRecovery,
) -> Option<MetadataLog> {
    let partition = recovery.partitions.get(&METADATA)?;
    let node = BrokerId(data.directories[0].meta.node_id);
    let empty = Metadata::new(node, StaticBrokerConfig::default());
    let fs = of_directory(file_systems, partition.directory.dir);
    metadata_log::read(fs, partition, empty).ok()
}

/// `meta.properties` has no CRC; the metadata log has what stood in it.
fn check_identity(directory: &DataDirectory, image: &Image, report: &mut Report) {
    let file = directory.path.join(meta::FILE_NAME);
    let own = &directory.meta;
    let hurts = "the whole directory: restore the line";
    if let Some(cluster) = image.cluster_id().filter(|cluster| ***cluster != *own.cluster_id) {
        let what = format!("cluster.id is {}, but the metadata is of {cluster}", own.cluster_id);
        report.damage(&file, None, what, hurts);
    }
    if image.brokers().next().is_some() && image.broker(BrokerId(own.node_id)).is_none() {
        let known: Vec<String> = image.brokers().map(|broker| broker.id.to_string()).collect();
        let known = known.join(", ");
        let what = format!("node.id is {}, but the metadata knows {known}", own.node_id);
        report.damage(&file, None, what, hurts);
        return;
    }
    let id = TopicId::parse(&own.directory_id).map(|id| LogDirectoryId(id.0));
    let registered = image.brokers().flat_map(|broker| &broker.log_directories);
    let of_replicas = image
        .topics()
        .flat_map(|topic| topic.partitions())
        .flat_map(|partition| &partition.replicas)
        .map(|replica| replica.directory);
    let mut known = registered.map(|directory| directory.id).chain(of_replicas);
    if image.brokers().next().is_some() && !known.any(|known| Some(known) == id) {
        let what = format!("the metadata does not know directory.id {}", own.directory_id);
        report.damage(
            &file,
            None,
            what,
            "every partition in it: they are offline at the next start",
        );
    }
}

/// Directories must be of topics that there are.
fn check_found(data: &NodeData, recovery: &NodeRecovery, image: &Image, report: &mut Report) {
    for (id, partition) in &recovery.partitions {
        let known = image.topic(id.topic_id).is_some() || image.is_deleting(id.topic_id);
        if *id == METADATA || known {
            continue;
        }
        let path = &partition.directory.path;
        let whole = data.path_of(partition.directory.dir).join(path);
        let topic = path.to_str().and_then(identity::split_name).map(|(topic, _)| topic);
        match topic.and_then(|topic| image.topic_by_name(topic)) {
            Some(topic) => {
                let file = whole.join(identity::FILE_NAME);
                let (found, wanted) = (id.topic_id, topic.id());
                let what = format!("topic id {found}, but topic {} has {wanted}", topic.name());
                let hurts = format!("{}: its records are not served", path.display());
                report.damage(&file, None, what, hurts);
            }
            None => report.note(&whole, "it belongs to no topic, and is left alone"),
        }
    }
}

/// Partitions of which a journal speaks must have a directory.
fn check_missing(
    data: &NodeData,
    recovery: &NodeRecovery,
    image: &Image,
    facts: &JournalFacts,
    report: &mut Report,
) {
    for topic in image.topics() {
        for (index, partition) in (0..).map(PartitionIndex).zip(topic.partitions()) {
            let id = PartitionId { topic_id: topic.id(), partition: index };
            let end = facts.end_of(id).unwrap_or_default();
            let here = data.directories.iter().find(|directory| {
                let own = TopicId::parse(&directory.meta.directory_id);
                let replica = partition.replica_on(BrokerId(directory.meta.node_id));
                replica.map(|replica| replica.directory.0) == own.map(|own| own.0)
            });
            let (Some(directory), true) = (here, end > Offset(0)) else { continue };
            if recovery.partitions.contains_key(&id) {
                continue;
            }
            let name = format!("{}-{index}", topic.name());
            let what =
                format!("no directory here holds partition {index} of topic id {}", id.topic_id);
            let hurts = format!("{name}: offsets up to {}", end.0 - 1);
            report.damage(&directory.path.join(&name), None, what, hurts);
        }
    }
}

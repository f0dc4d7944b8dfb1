//! This shard's partitions follow the committed metadata: created, deleted, given new properties and
//! epochs. What is done is reported to the controller, which waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coordinator::metadata::record::ConfigTarget;
use coordinator::metadata::{LogDirectoryId, MetadataRecord, Topic};
use engine::PartitionId;
use engine::engine::lifecycle::PartitionSpec;
use engine::partition::PartitionDirectory;
use engine::request::LifecycleError;
use protocol::{LeaderEpoch, PartitionIndex, TopicId};
use runtime::clock::Monotonic;

use super::Shard;
use super::log_config::{log_config_of, metadata_log_config};
use super::mail::{Mail, News};
use super::metadata_log::METADATA;
use super::owner::Wait;
use crate::limits::RECONCILE_RETRY_MS;

/// Creations that cannot go on yet.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    /// Wait for a deleted topic's partition of the same name to be gone, or for space.
    waiting: BTreeSet<PartitionId>,
    /// What is left of deleted topics until the next start, where no more of them will go.
    left: BTreeMap<TopicId, Arc<BTreeSet<PartitionId>>>,
    /// On their way between shards, and expected here: released by this shard, to which they come back if
    /// the move fails, or not adopted yet.
    in_transit: BTreeSet<PartitionId>,
    retry_at: Option<Monotonic>,
}

impl Reconciler {
    pub(crate) fn retry_at(&self) -> Option<Monotonic> {
        self.retry_at
    }

    pub(super) fn on_released(&mut self, partition: PartitionId) {
        self.in_transit.insert(partition);
    }

    pub(super) fn on_adopted(&mut self, partition: PartitionId) {
        self.in_transit.remove(&partition);
    }
}

impl Shard {
    /// News of the controller, or its records.
    pub(super) fn on_news(&mut self, news: News) {
        match news {
            News::Records { offsets, records } => {
                for record in self.replica.apply(offsets.start, &records) {
                    self.on_record(&record);
                }
            }
            News::Usable(partitions) => self.replica.set_usable(&partitions),
            News::Left { topic, partitions } => {
                self.owner.reconciler.left.insert(topic, partitions);
                self.retry_waiting();
            }
        }
    }

    /// At start: everything that the metadata says of this shard's partitions.
    pub(super) fn reconcile_all(&mut self) {
        if self.controller.is_some() {
            return self.create_metadata_log();
        }
        let image = self.replica.metadata().image();
        let live: Vec<TopicId> = image.topics().map(Topic::id).collect();
        let deleting: Vec<TopicId> = image.deleting().map(Topic::id).collect();
        for topic in deleting {
            self.delete_topic_partitions(topic);
        }
        for topic in live {
            for partition in self.owned_of(topic) {
                match self.owner.engine.get(partition) {
                    Some(_) => self.bring_up_to_date(partition),
                    None => self.create_partition(partition),
                }
            }
        }
    }

    fn on_record(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::Partition { topic, partition, .. } => {
                self.groups.on_topics_changed();
                let id = PartitionId { topic_id: *topic, partition: *partition };
                if self.owns(id) {
                    self.create_partition(id);
                }
            }
            MetadataRecord::TopicDeleted { topic } => {
                self.groups.on_topics_changed();
                self.delete_topic_partitions(*topic);
                self.forget_deleted_topic_of_groups(*topic);
            }
            MetadataRecord::TopicRemoved { topic } => {
                self.owner.reconciler.left.remove(topic);
                self.retry_waiting();
            }
            MetadataRecord::Config { target, .. } => self.on_config(target),
            MetadataRecord::LeaderEpochBumped { topic, partition, leader_epoch, .. } => {
                let id = PartitionId { topic_id: *topic, partition: *partition };
                self.begin_epoch(id, *leader_epoch);
            }
            // Partitions move by release and adoption.
            MetadataRecord::PartitionMoved { topic, partition, broker, shard, .. } => {
                let id = PartitionId { topic_id: *topic, partition: *partition };
                let is_mine =
                    *broker == self.node.broker && self.node.mailbox_of(*shard) == self.node.me;
                if is_mine && self.owner.engine.get(id).is_none() {
                    self.owner.reconciler.in_transit.insert(id);
                } else {
                    self.owner.reconciler.in_transit.remove(&id);
                }
            }
            // The rest says nothing of partitions.
            MetadataRecord::Cluster { .. }
            | MetadataRecord::Broker(_)
            | MetadataRecord::Topic { .. }
            | MetadataRecord::ProducerIds { .. }
            | MetadataRecord::TopicsPlaced { .. } => {}
        }
    }

    fn owns(&self, partition: PartitionId) -> bool {
        let topic = self.replica.topic(partition.topic_id);
        let route = topic.and_then(|topic| self.replica.route(topic, partition.partition));
        route.is_some_and(|route| route.owner == self.node.me)
    }

    /// Partitions of a live topic that this shard owns.
    fn owned_of(&self, topic: TopicId) -> Vec<PartitionId> {
        let Some(topic) = self.replica.topic(topic) else { return Vec::new() };
        let indexes = (0..).map(PartitionIndex).take(topic.partitions().len());
        let routes = indexes.filter_map(|index| self.replica.route(topic, index));
        routes.filter(|route| route.owner == self.node.me).map(|route| route.partition).collect()
    }

    fn create_partition(&mut self, id: PartitionId) {
        let Some(topic) = self.replica.topic(id.topic_id) else { return };
        let partition = topic.partition(id.partition).expect("the caller found it in the topic");
        let replica = partition.replica_on(self.node.broker).expect("this shard owns it");
        let Some(dir) = self.node.dir_of(replica.directory) else {
            // Its log directory is missing: the partition is offline until the directory returns.
            return;
        };
        if self.is_taken(topic.name(), id.partition, replica.directory) {
            // The directory has the name of its predecessor's: that one has to go first.
            self.owner.reconciler.waiting.insert(id);
            return;
        }
        let path = PathBuf::from(format!("{}-{}", topic.name(), id.partition));
        let config = log_config_of(self.replica.metadata(), id.topic_id).unwrap_or_default();
        let spec = PartitionSpec {
            id,
            directory: PartitionDirectory { dir, path },
            config,
            leader_epoch: partition.leader_epoch,
        };
        let token = self.wait_for(Wait::Create(id));
        self.owner.engine.create(token, spec);
    }

    /// Whether a partition of a deleted topic may still stand under this name in this log directory.
    fn is_taken(&self, name: &str, index: PartitionIndex, directory: LogDirectoryId) -> bool {
        let deleting = self.replica.metadata().image().deleting();
        deleting.filter(|deleted| **deleted.name() == *name).any(|deleted| {
            let id = PartitionId { topic_id: deleted.id(), partition: index };
            let left = self.owner.reconciler.left.get(&deleted.id());
            let replica = deleted.partition(index).and_then(|it| it.replica_on(self.node.broker));
            replica.is_some_and(|replica| replica.directory == directory)
                && left.is_none_or(|left| left.contains(&id))
        })
    }

    fn create_metadata_log(&mut self) {
        if self.owner.engine.get(METADATA).is_some() {
            self.owner.engine.set_config(METADATA, metadata_log_config());
            return;
        }
        let path = PathBuf::from(super::metadata_log::DIRECTORY);
        let spec = PartitionSpec {
            id: METADATA,
            directory: PartitionDirectory { dir: engine::disk::DirId(0), path },
            config: metadata_log_config(),
            leader_epoch: LeaderEpoch(0),
        };
        let token = self.wait_for(Wait::Create(METADATA));
        self.owner.engine.create(token, spec);
    }

    pub(super) fn on_created(
        &mut self,
        partition: PartitionId,
        result: Result<(), LifecycleError>,
    ) {
        if partition == METADATA {
            // Without its directory appends fail, and with them the start.
            return;
        }
        if result.is_err() {
            self.owner.reconciler.waiting.insert(partition);
            let retry = self.now.monotonic + Duration::from_millis(RECONCILE_RETRY_MS);
            self.owner.reconciler.retry_at.get_or_insert(retry);
        }
        if result.is_ok() && self.is_of_groups(partition) {
            self.begin_loading_groups(partition);
        }
        self.outbox.post(self.node.controller(), Mail::Created { partition, result });
    }

    pub(super) fn retry_reconcile(&mut self) {
        if self.owner.reconciler.retry_at.is_some_and(|at| at <= self.now.monotonic) {
            self.owner.reconciler.retry_at = None;
            self.retry_waiting();
        }
    }

    fn retry_waiting(&mut self) {
        for partition in std::mem::take(&mut self.owner.reconciler.waiting) {
            if self.owns(partition) {
                self.create_partition(partition);
            }
        }
    }

    fn delete_topic_partitions(&mut self, topic: TopicId) {
        let broker = self.node.broker;
        let image = self.replica.metadata().image();
        let Some(topic) = image.deleting().find(|deleted| deleted.id() == topic) else { return };
        let (topic_id, me) = (topic.id(), self.node.me);
        let partitions = (0..).map(PartitionIndex).zip(topic.partitions());
        let mine = partitions.filter(|(_, partition)| {
            let replica = partition.replica_on(broker);
            replica.is_some_and(|replica| self.node.mailbox_of(replica.shard) == me)
        });
        let mine: Vec<PartitionId> =
            mine.map(|(partition, _)| PartitionId { topic_id, partition }).collect();
        for partition in mine {
            self.delete_partition(partition);
        }
    }

    fn delete_partition(&mut self, partition: PartitionId) {
        self.owner.reconciler.waiting.remove(&partition);
        if self.owner.reconciler.in_transit.contains(&partition) {
            // It goes as soon as it is here.
            return;
        }
        if self.owner.engine.get(partition).is_none() {
            let mail = Mail::Deleted { partition, result: Ok(()) };
            return self.outbox.post(self.node.controller(), mail);
        }
        self.unload_groups(partition);
        let token = self.wait_for(Wait::Delete(partition));
        self.owner.engine.delete(token, partition);
        self.fail_fetches(partition);
    }

    fn on_config(&mut self, target: &ConfigTarget) {
        let topics: Vec<TopicId> = match target {
            ConfigTarget::Topic(topic) => vec![*topic],
            ConfigTarget::Group(group) => return self.on_group_config(group),
            ConfigTarget::Broker(broker) if *broker != self.node.broker => return,
            ConfigTarget::Broker(_) | ConfigTarget::BrokerDefault => {
                self.replica.metadata().image().topics().map(Topic::id).collect()
            }
        };
        for topic in topics {
            for partition in self.owned_of(topic) {
                self.set_config(partition);
            }
        }
    }

    fn set_config(&mut self, partition: PartitionId) {
        if let Some(config) = log_config_of(self.replica.metadata(), partition.topic_id) {
            self.owner.engine.set_config(partition, config);
        }
    }

    /// Properties and epoch of a partition that this shard took over; its topic may be gone meanwhile.
    pub(super) fn bring_up_to_date(&mut self, id: PartitionId) {
        if self.replica.metadata().image().is_deleting(id.topic_id) {
            return self.delete_partition(id);
        }
        self.set_config(id);
        let topic = self.replica.topic(id.topic_id);
        let partition = topic.and_then(|topic| topic.partition(id.partition));
        if let Some(leader_epoch) = partition.map(|partition| partition.leader_epoch) {
            self.begin_epoch(id, leader_epoch);
        }
        if self.is_of_groups(id) {
            self.begin_loading_groups(id);
        }
    }

    fn begin_epoch(&mut self, id: PartitionId, leader_epoch: LeaderEpoch) {
        self.owner.engine.begin_epoch(id, leader_epoch);
        self.fail_fetches(id);
    }
}

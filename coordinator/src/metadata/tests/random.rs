//! Random command sequences: the invariants hold after every record, a replayed log and a replayed
//! snapshot give the live state, and every record survives its bytes.

use alloc::{collections::BTreeMap, string::ToString, vec, vec::Vec};

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_oneof, proptest},
};
use protocol::{BrokerId, LeaderEpoch, PartitionIndex, Str, TopicId};

use super::{NODE, broker, creation, directory, empty, registration};
use crate::metadata::{
    AllocateProducerIds, BumpLeaderEpochs, Command, ConfigResource, CreatePartitions, DeleteTopics,
    FinishDelete, FormCluster, IncrementalAlterConfigs, LeaderEpochBump, Metadata, MetadataRecord,
    MovePartition, OfflinePlaces, ShardId, TopicSelector, WallMillis,
    alter_configs::{ConfigChange, ConfigOperation},
    create_partitions::GrownTopic,
    create_topics::NewTopic,
    record::LeaderEpochReason,
    topic::{PlacementReason, Topic},
};

/// What happens next; small domains, so that steps meet.
#[derive(Clone, Debug)]
enum Step {
    Register { shards: u16, directories: u8, second: bool },
    Create { names: Vec<u8>, partitions: Option<i32>, replicas: i16 },
    Grow { name: u8, count: i32 },
    Delete { name: u8 },
    Finish,
    Config { of: ConfigOf, config: usize, operation: u8 },
    Move { name: u8, partition: i32, shard: u16, directory: Option<u8> },
    Bump { name: u8, partition: i32 },
    ProducerIds { count: u32 },
}

const NAMES: [&str; 6] = ["a", "b", "a.b", "a_b", "bad/name", "c"];
#[derive(Clone, Debug)]
enum ConfigOf {
    Topic(u8),
    Group(u8),
    Broker,
}

const CONFIGS: [(&str, &str); 7] = [
    ("retention.ms", "10"),
    ("retention.ms", "nonsense"),
    ("cleanup.policy", "compact"),
    ("min.compaction.lag.ms", "50"),
    ("log.retention.ms", "30"),
    ("consumer.session.timeout.ms", "7000"),
    ("consumer.session.timeout.ms", "1"),
];

fn step() -> impl Strategy<Value = Step> {
    let name = 0..6_u8;
    prop_oneof![
        2 => (1..9_u16, 1..3_u8, any::<bool>())
            .prop_map(|(shards, directories, second)| Step::Register { shards, directories, second }),
        6 => (vec(name.clone(), 1..4), proptest::option::of(-1..20_i32), 1..3_i16)
            .prop_map(|(names, partitions, replicas)| Step::Create { names, partitions, replicas }),
        2 => (name.clone(), 0..30_i32).prop_map(|(name, count)| Step::Grow { name, count }),
        2 => name.clone().prop_map(|name| Step::Delete { name }),
        1 => proptest::strategy::Just(Step::Finish),
        4 => (config_of(), 0..CONFIGS.len(), 0..4_u8)
            .prop_map(|(of, config, operation)| Step::Config { of, config, operation }),
        2 => (name.clone(), 0..4_i32, 0..9_u16, proptest::option::of(1..4_u8))
            .prop_map(|(name, partition, shard, directory)| Step::Move { name, partition, shard, directory }),
        1 => (name, 0..4_i32).prop_map(|(name, partition)| Step::Bump { name, partition }),
        1 => (0..3_u32).prop_map(|count| Step::ProducerIds { count }),
    ]
}

fn config_of() -> impl Strategy<Value = ConfigOf> {
    prop_oneof![
        (0..6_u8).prop_map(ConfigOf::Topic),
        (0..6_u8).prop_map(ConfigOf::Group),
        proptest::strategy::Just(ConfigOf::Broker),
    ]
}

struct World {
    live: Metadata,
    log: Vec<MetadataRecord>,
    ids: u32,
}

impl World {
    fn new() -> Self {
        let mut world = Self { live: empty(), log: vec![], ids: 0 };
        world.apply(&FormCluster { cluster_id: Str::from("cluster") });
        world.apply(&registration(broker(1, 3)));
        world
    }

    fn apply<C: Command>(&mut self, command: &C) -> Option<C::Reply> {
        let before = self.live.image().clone();
        let decided = self.live.decide(WallMillis(1), command);
        assert_eq!(self.live.image(), &before, "deciding changes nothing");
        let decision = decided.ok()?;
        for record in decision.records {
            assert_eq!(MetadataRecord::decode(&record.encode()).as_ref(), Ok(&record));
            self.live.replay(&record).unwrap();
            self.log.push(record);
        }
        self.live.invariants();
        Some(decision.reply)
    }

    fn step(&mut self, step: &Step) {
        let name = |name: &u8| Str::from(NAMES[usize::from(*name)]);
        let selector = |topic: &u8| TopicSelector::Name(name(topic));
        match step {
            Step::Register { shards, directories, second } => {
                self.register(*shards, *directories, *second);
            }
            Step::Create { names, partitions, replicas } => {
                self.create(&names.iter().map(name).collect::<Vec<_>>(), *partitions, *replicas);
            }
            Step::Grow { name: topic, count } => {
                let topics =
                    vec![GrownTopic { name: name(topic), count: *count, assignments: None }];
                let offline = OfflinePlaces::NONE;
                self.apply(&CreatePartitions { topics, validate_only: false, offline });
            }
            Step::Delete { name: topic } => {
                self.apply(&DeleteTopics { topics: vec![selector(topic)] });
            }
            Step::Finish => {
                let first = self.live.image().deleting().next().map(Topic::id);
                let topic = first.unwrap_or(TopicId::NONE);
                self.apply(&FinishDelete { topic });
            }
            Step::Config { of, config, operation } => {
                let resource = match of {
                    ConfigOf::Topic(topic) => ConfigResource::Topic(name(topic)),
                    ConfigOf::Group(group) => ConfigResource::Group(name(group)),
                    ConfigOf::Broker => ConfigResource::Broker(NODE),
                };
                let (name, value) = CONFIGS[*config];
                let operation = [
                    ConfigOperation::Set,
                    ConfigOperation::Delete,
                    ConfigOperation::Append,
                    ConfigOperation::Subtract,
                ][usize::from(*operation)];
                let (name, value) = (Str::from(name), Some(Str::from(value)));
                let changes = vec![ConfigChange { name, operation, value }];
                let resources = vec![(resource, changes)];
                self.apply(&IncrementalAlterConfigs { resources, validate_only: false });
            }
            Step::Move { name: topic, partition, shard, directory: to } => {
                let directory = to.map(|id| directory(id, 1).id);
                let shard = Some(ShardId(*shard));
                let (topic, partition) = (selector(topic), PartitionIndex(*partition));
                self.apply(&MovePartition { topic, partition, broker: NODE, shard, directory });
            }
            Step::Bump { name: topic, partition } => {
                let topic = self.live.image().topic_by_name(&name(topic)).map(Topic::id);
                let topic = topic.unwrap_or(TopicId::NONE);
                let (partition, above) = (PartitionIndex(*partition), LeaderEpoch(0));
                let partitions = vec![LeaderEpochBump { topic, partition, above }];
                let reason = LeaderEpochReason::UncleanStart;
                self.apply(&BumpLeaderEpochs { partitions, reason });
            }
            Step::ProducerIds { count } => {
                self.apply(&AllocateProducerIds { count: *count });
            }
        }
    }

    fn register(&mut self, shards: u16, directories: u8, second: bool) {
        let id = if second { 2 } else { 1 };
        let mut registered = broker(id, shards);
        registered.log_directories =
            (1..=directories).map(|id| directory(id, u64::from(id) * 50)).collect();
        let before = self.live.image().broker(BrokerId(id)).map(|broker| broker.data_shards);
        let reply = self.apply(&registration(registered)).unwrap();
        assert!(reply.complete);
        if before.is_some_and(|before| before != shards) {
            let placed = |reason| reason == PlacementReason::Moved;
            let replicas = |topic: &Topic| {
                topic.partitions().iter().flat_map(|p| p.replicas.clone()).collect::<Vec<_>>()
            };
            let topics = self.live.image().topics();
            let free = topics.filter(|t| !replicas(t).iter().any(|r| placed(r.reason)));
            for topic in free {
                self.balanced(topic.id(), BrokerId(id));
            }
        }
    }

    fn create(&mut self, names: &[Str], partitions: Option<i32>, replicas: i16) {
        let mut topics = vec![];
        for name in names {
            self.ids += 1;
            let mut id = [7; 16];
            id[..4].copy_from_slice(&self.ids.to_le_bytes());
            topics.push(NewTopic {
                name: name.clone(),
                id: TopicId(id),
                partitions,
                replication_factor: Some(replicas),
                assignments: vec![],
                configs: vec![],
            });
        }
        let reply = self.apply(&creation(topics)).unwrap();
        for (_, result) in reply {
            if let Ok(created) = result {
                self.balanced(created.id, BrokerId(1));
                self.balanced(created.id, BrokerId(2));
            }
        }
    }

    /// A topic's partitions differ by at most one between the shards of a broker.
    fn balanced(&self, topic: TopicId, broker: BrokerId) {
        let Some(registered) = self.live.image().broker(broker) else { return };
        let mut counts: BTreeMap<u16, u32> =
            (0..registered.data_shards).map(|shard| (shard, 0)).collect();
        for partition in self.live.image().topic(topic).unwrap().partitions() {
            if let Some(replica) = partition.replica_on(broker) {
                *counts.get_mut(&replica.shard.0).unwrap() += 1;
            }
        }
        let (min, max) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        assert!(max - min <= 1, "{topic} on broker {broker}: {counts:?}");
    }

    fn check(&self) {
        let mut replayed = empty();
        for record in &self.log {
            replayed.replay(record).unwrap();
        }
        assert_eq!(replayed.image(), self.live.image(), "the log gives the live state");
        let mut restored = empty();
        for record in self.live.snapshot_records() {
            restored.replay(&record).unwrap();
        }
        restored.invariants();
        assert_eq!(restored.image(), self.live.image(), "a snapshot gives the live state");
        for topic in self.live.image().topics() {
            for (index, partition) in topic.indexed() {
                for replica in &partition.replicas {
                    let why = self.live.image().explain(topic.id(), index, replica.broker).unwrap();
                    assert!(!why.to_string().is_empty());
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn every_history_replays_to_the_state_it_left(steps in vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check();
        }
    }
}

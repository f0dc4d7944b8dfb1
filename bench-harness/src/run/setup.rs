//! The clients that a workload asks for, connected and not yet started.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::clients::raw_consumer::{RawConsumer, RawConsumerPlan};
use crate::clients::raw_producer::{DueTimes, RawProducer, RawProducerPlan};
use crate::clients::rdkafka_consumer::{RdkafkaConsumer, RdkafkaConsumerPlan};
use crate::clients::rdkafka_producer::{RdkafkaProducer, RdkafkaProducerPlan};
use crate::clients::{BatchNames, Progress};
use crate::cluster::{PartitionPlace, by_leader};
use crate::failure::Failure;
use crate::keys::Keys;
use crate::payload::PayloadPool;
use crate::recorder::{Reading, Window};
use crate::run_clock::{Gate, RunClock};
use crate::verification::{ProducerNumber, VerifiedScope};
use crate::workload::{ClientTier, Grouping, PayloadChoice, Workload};

/// Batches of the `raw` tier where the workload says nothing.
const RAW_BATCH_BYTES_DEFAULT: u32 = 64 << 10;

pub(super) enum ProducerClient {
    Raw(Box<RawProducer>),
    Rdkafka(Box<RdkafkaProducer>),
}

pub(super) enum ConsumerClient {
    Raw(Box<RawConsumer>),
    Rdkafka(Box<RdkafkaConsumer>),
}

/// A producer and its share of the run's rate.
pub(super) struct ProducerPart {
    pub(super) client: ProducerClient,
    pub(super) share: f64,
}

pub(super) struct SubscriptionPart {
    pub(super) name: String,
    pub(super) consumers: Vec<ConsumerClient>,
}

/// A group that divides partitions among its members.
pub(super) struct GroupSettling {
    partitions: usize,
    /// What each member has so far.
    members: Vec<Arc<AtomicUsize>>,
}

impl GroupSettling {
    /// Everything is assigned, and no member has nothing while another has more than it needs.
    pub(super) fn is_settled(&self) -> bool {
        let counts: Vec<usize> =
            self.members.iter().map(|count| count.load(Ordering::Acquire)).collect();
        let has_idle = counts.contains(&0) && self.members.len() <= self.partitions;
        counts.iter().sum::<usize>() == self.partitions && !has_idle
    }
}

pub(super) struct Clients {
    pub(super) producers: Vec<ProducerPart>,
    pub(super) subscriptions: Vec<SubscriptionPart>,
    /// Groups that are to settle before the load begins.
    pub(super) groups: Vec<GroupSettling>,
    pub(super) windows: Sender<Window>,
}

/// Where the run's partitions are, and what is to be verified of them.
pub(super) struct Place<'a> {
    pub(super) bootstrap: &'a str,
    pub(super) run_id: &'a str,
    pub(super) partitions: &'a [PartitionPlace],
    pub(super) verified: VerifiedScope,
}

pub(super) fn clients(
    workload: &Workload,
    place: &Place<'_>,
    clock: &Arc<RunClock>,
    windows: &Sender<Window>,
) -> Result<Clients, Failure> {
    let setup = Setup {
        workload,
        bootstrap: place.bootstrap,
        run_id: place.run_id,
        places: place.partitions,
        verified: place.verified,
        clock,
        windows,
        pool: Arc::new(payloads(workload)?),
    };
    match workload.own.client {
        ClientTier::Raw => setup.raw(),
        ClientTier::Rdkafka => setup.rdkafka(),
    }
}

struct Setup<'a> {
    workload: &'a Workload,
    bootstrap: &'a str,
    run_id: &'a str,
    places: &'a [PartitionPlace],
    verified: VerifiedScope,
    clock: &'a Arc<RunClock>,
    windows: &'a Sender<Window>,
    pool: Arc<PayloadPool>,
}

/// A subscription that the workload asks for, or that verification needs.
struct SubscriptionPlan {
    name: String,
    /// Of each topic, as the OpenMessaging benchmark counts them; `None` is one for all topics.
    consumers_of_topic: Option<u32>,
    gate: Gate,
    reading: Reading,
    grouping: Grouping,
}

/// Consumers that divide some partitions among them.
struct Team<'a> {
    partitions: &'a [PartitionPlace],
    consumers: u32,
}

impl Team<'_> {
    /// The partitions of one of them.
    fn part_of(&self, consumer: u32) -> Vec<PartitionPlace> {
        let (consumer, consumers) = (consumer as usize, self.consumers as usize);
        self.partitions.iter().skip(consumer).step_by(consumers).cloned().collect()
    }
}

impl Setup<'_> {
    fn subscriptions(&self) -> Vec<SubscriptionPlan> {
        let workload = self.workload;
        let mut plans = Vec::new();
        if workload.is_consumed() {
            let gate = if workload.backlog_bytes > 0 { Gate::Measuring } else { Gate::Start };
            plans.extend((0..workload.subscriptions_per_topic).map(|at| SubscriptionPlan {
                name: format!("subscription-{at}"),
                consumers_of_topic: Some(workload.consumers_per_subscription),
                gate,
                reading: Reading::Tail,
                grouping: workload.own.groups,
            }));
        }
        plans.extend((0..workload.own.catch_up_readers).map(|at| SubscriptionPlan {
            name: format!("catch-up-{at}"),
            consumers_of_topic: None,
            gate: Gate::Measuring,
            reading: Reading::CatchUp,
            grouping: Grouping::Assigned,
        }));
        if plans.is_empty() && self.verified == VerifiedScope::ReadBack {
            plans.push(SubscriptionPlan {
                name: "verification".to_owned(),
                consumers_of_topic: None,
                gate: Gate::AfterLoad,
                reading: Reading::Verification,
                grouping: Grouping::Assigned,
            });
        }
        plans
    }

    /// Each topic's partitions, in order.
    fn topics(&self) -> impl Iterator<Item = &[PartitionPlace]> {
        self.places.chunks(self.workload.partitions_per_topic as usize)
    }

    /// What each team of consumers reads: those of one topic, or one consumer of everything.
    fn teams(&self, subscription: &SubscriptionPlan) -> Vec<Team<'_>> {
        match subscription.consumers_of_topic {
            Some(consumers) => {
                self.topics().map(|partitions| Team { partitions, consumers }).collect()
            }
            None => vec![Team { partitions: self.places, consumers: 1 }],
        }
    }

    fn keys(&self, producer: usize) -> Keys {
        Keys::new(self.workload.keys, self.workload.own.seed.wrapping_add(producer as u64))
    }

    fn raw(&self) -> Result<Clients, Failure> {
        let own = &self.workload.own;
        if own.groups != Grouping::Assigned {
            return Err(Failure::new(
                "the raw tier has no groups; set `groups: assigned`, or use --client rdkafka",
            ));
        }
        // Each producer of a topic has its own connection to each broker that leads some of the topic.
        let mut connections: Vec<(String, Vec<PartitionPlace>)> = Vec::new();
        for topic in self.topics() {
            for _ in 0..self.workload.producers_per_topic {
                connections.extend(by_leader(topic));
            }
        }
        let names = BatchNames::new(now_ms(), connections.len());
        let due_times: Vec<Arc<DueTimes>> = connections.iter().map(|_| Arc::default()).collect();
        let all: usize = connections.iter().map(|(_, partitions)| partitions.len()).sum();
        let mut producers = Vec::new();
        for (at, (leader, partitions)) in connections.into_iter().enumerate() {
            let share = partitions.len() as f64 / all as f64;
            let number = u16::try_from(at).map_err(|_| {
                Failure::new("this many producers and brokers need more than 65,536 connections")
            })?;
            let plan = RawProducerPlan {
                number: ProducerNumber(number),
                partitions,
                leader,
                acks: own.acks.code(),
                is_idempotent: own.idempotence,
                batch_bytes: own.batch_bytes.unwrap_or(RAW_BATCH_BYTES_DEFAULT) as usize,
                codec: own.codec,
                in_flight_max: own.in_flight_max as usize,
                keys: self.keys(at),
                names,
                due_times: Arc::clone(&due_times[at]),
            };
            let client = ProducerClient::Raw(Box::new(RawProducer::connect(plan, &self.pool)?));
            producers.push(ProducerPart { client, share });
        }
        let subscriptions = self.raw_subscriptions(names, &Arc::new(due_times))?;
        Ok(self.done(producers, subscriptions, Vec::new()))
    }

    fn raw_subscriptions(
        &self,
        names: BatchNames,
        due_times: &Arc<Vec<Arc<DueTimes>>>,
    ) -> Result<Vec<SubscriptionPart>, Failure> {
        let own = &self.workload.own;
        let key_bytes = self.keys(0).next_key().map_or(0, |key| key.len());
        let payload_bytes = (self.pool.bytes(0).len() + key_bytes) as u64;
        let mut parts = Vec::new();
        for subscription in self.subscriptions() {
            let progress = Progress::default();
            let mut consumers = Vec::new();
            let teams = self.teams(&subscription);
            let shares = teams
                .iter()
                .flat_map(|team| (0..team.consumers).map(|consumer| team.part_of(consumer)));
            for partitions in shares {
                for (leader, partitions) in by_leader(&partitions) {
                    let plan = RawConsumerPlan {
                        partitions,
                        leader,
                        gate: subscription.gate,
                        reading: subscription.reading,
                        payload_bytes,
                        fetch_min_bytes: own.fetch_min_bytes,
                        fetch_wait_milliseconds_max: own.fetch_wait_milliseconds_max,
                        names,
                        due_times: Arc::clone(due_times),
                        progress: progress.clone(),
                        clock: Arc::clone(self.clock),
                    };
                    let client = RawConsumer::connect(plan, self.windows.clone())?;
                    consumers.push(ConsumerClient::Raw(Box::new(client)));
                }
            }
            parts.push(SubscriptionPart { name: subscription.name, consumers });
        }
        Ok(parts)
    }

    fn rdkafka(&self) -> Result<Clients, Failure> {
        let own = &self.workload.own;
        let count = self.workload.producers();
        let mut producers = Vec::new();
        for topic in self.topics() {
            for _ in 0..self.workload.producers_per_topic {
                let at = producers.len();
                let number = u16::try_from(at).expect("the workload was checked");
                let plan = RdkafkaProducerPlan {
                    number: ProducerNumber(number),
                    bootstrap: self.bootstrap.to_owned(),
                    topic: topic[0].topic.clone(),
                    partitions: topic.to_vec(),
                    keys: self.keys(at),
                    own: own.clone(),
                    pool: Arc::clone(&self.pool),
                };
                let client = RdkafkaProducer::create(plan, self.clock)?;
                let client = ProducerClient::Rdkafka(Box::new(client));
                producers.push(ProducerPart { client, share: 1.0 / count as f64 });
            }
        }
        let mut parts = Vec::new();
        let mut groups = Vec::new();
        for subscription in self.subscriptions() {
            let progress = Progress::default();
            let is_group = subscription.grouping != Grouping::Assigned;
            let mut consumers = Vec::new();
            for (number, team) in self.teams(&subscription).into_iter().enumerate() {
                let members: Vec<Arc<AtomicUsize>> =
                    (0..team.consumers).map(|_| Arc::default()).collect();
                for (consumer, assigned) in (0..).zip(&members) {
                    let partitions =
                        if is_group { team.partitions.to_vec() } else { team.part_of(consumer) };
                    let name = &subscription.name;
                    let plan = RdkafkaConsumerPlan {
                        bootstrap: self.bootstrap.to_owned(),
                        group: format!("corelane-bench-{}-{name}-{number}", self.run_id),
                        partitions,
                        grouping: subscription.grouping,
                        gate: subscription.gate,
                        reading: subscription.reading,
                        own: own.clone(),
                        progress: progress.clone(),
                        assigned: Arc::clone(assigned),
                        clock: Arc::clone(self.clock),
                    };
                    let client = RdkafkaConsumer::create(plan, self.windows.clone())?;
                    consumers.push(ConsumerClient::Rdkafka(Box::new(client)));
                }
                if is_group && subscription.gate == Gate::Start {
                    groups.push(GroupSettling { partitions: team.partitions.len(), members });
                }
            }
            parts.push(SubscriptionPart { name: subscription.name, consumers });
        }
        Ok(self.done(producers, parts, groups))
    }

    fn done(
        &self,
        producers: Vec<ProducerPart>,
        subscriptions: Vec<SubscriptionPart>,
        groups: Vec<GroupSettling>,
    ) -> Clients {
        Clients { producers, subscriptions, groups, windows: self.windows.clone() }
    }
}

fn payloads(workload: &Workload) -> Result<PayloadPool, Failure> {
    match &workload.payload {
        PayloadChoice::Generated { entropy, pool } => {
            Ok(PayloadPool::generated(workload.record_bytes, *entropy, *pool, workload.own.seed))
        }
        PayloadChoice::File { path } => {
            let bytes = std::fs::read(path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            Ok(PayloadPool::of_bytes(bytes))
        }
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(now).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::GroupSettling;

    #[test]
    fn a_group_has_settled_when_nobody_waits_for_another_to_give() {
        let is_settled = |partitions, counts: &[usize]| {
            let members = counts.iter().map(|count| Arc::new(AtomicUsize::new(*count))).collect();
            GroupSettling { partitions, members }.is_settled()
        };
        assert!(is_settled(4, &[2, 2]));
        assert!(!is_settled(4, &[4, 0]), "the second will get some of the first's");
        assert!(!is_settled(4, &[2, 1]));
        assert!(is_settled(2, &[1, 0, 1]), "there are not enough for all");
    }
}

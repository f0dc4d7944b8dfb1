//! A broker in one mode, as it is measured and as it is told.

use crate::brokers::Broker;
use crate::brokers::corelane::Corelane;
use crate::brokers::kafka::Kafka;
use crate::brokers::null::Null;
use crate::results::comparison::{Subject, SubjectKind};
use crate::workload::{Durability, Workload};

/// What Kafka's topics need for a sync before each acknowledgement.
const FLUSH_EACH: (&str, &str) = ("flush.messages", "1");

/// A broker in one mode.
#[derive(Clone, Debug)]
pub struct Contender {
    pub broker: Broker,
    /// What is told of it; its command and configuration come with its first start.
    pub subject: Subject,
    /// The property of its runs' topics.
    pub durability: Durability,
}

impl Contender {
    #[must_use]
    pub fn corelane(corelane: Corelane, version: &str) -> Self {
        let (durability, name) = (corelane.durability, corelane.durability.name());
        let explained = match durability {
            Durability::Memory => {
                "a record is acknowledged in memory and written soon after: a power cut may take it"
            }
            _ => "a record is acknowledged when it is on stable storage",
        };
        let subject = Subject {
            id: format!("corelane-{name}"),
            name: format!("Corelane {version}, {name}"),
            kind: SubjectKind::Corelane,
            version: Some(version.to_owned()),
            durability: name.to_owned(),
            durability_explained: explained.to_owned(),
            command: Vec::new(),
            configuration: Vec::new(),
            topic_configs: Vec::new(),
        };
        Self { broker: Broker::Corelane(corelane), subject, durability }
    }

    /// Beside the build that it is compared with.
    #[must_use]
    pub fn as_other_build(mut self) -> Self {
        self.subject.id = format!("other-{}", self.subject.durability);
        self.subject.name += ", the other build";
        self
    }

    /// With Kafka's default flush, or with a sync of each batch.
    #[must_use]
    pub fn kafka(kafka: Kafka, is_flushed: bool) -> Self {
        let version = kafka.jars.version.clone();
        let (id, durability, explained) = if is_flushed {
            (
                "kafka-flush-1",
                "flush.messages=1",
                "a record batch is acknowledged when its segment was synced",
            )
        } else {
            (
                "kafka-default",
                "default flush",
                "a record is acknowledged in the page cache, which the kernel writes later: a power \
                 cut may take it",
            )
        };
        let configs = is_flushed.then(|| (FLUSH_EACH.0.to_owned(), FLUSH_EACH.1.to_owned()));
        let subject = Subject {
            id: id.to_owned(),
            name: format!("Apache Kafka {version}, {durability}"),
            kind: SubjectKind::Kafka,
            version: Some(version),
            durability: durability.to_owned(),
            durability_explained: explained.to_owned(),
            command: Vec::new(),
            configuration: Vec::new(),
            topic_configs: configs.into_iter().collect(),
        };
        Self { broker: Broker::Kafka(kafka), subject, durability: Durability::Broker }
    }

    /// What client, loopback and CRCs allow.
    #[must_use]
    pub fn null(null: Null) -> Self {
        let subject = Subject {
            id: "null".to_owned(),
            name: "a broker that keeps nothing".to_owned(),
            kind: SubjectKind::Null,
            version: None,
            durability: "none".to_owned(),
            durability_explained: "batches are received, their CRCs checked, and forgotten"
                .to_owned(),
            command: Vec::new(),
            configuration: Vec::new(),
            topic_configs: Vec::new(),
        };
        Self { broker: Broker::Null(null), subject, durability: Durability::Broker }
    }

    /// A broker that somebody else started.
    #[must_use]
    pub fn address(bootstrap: &str) -> Self {
        let subject = Subject {
            id: "address".to_owned(),
            name: format!("the broker at {bootstrap}"),
            kind: SubjectKind::Address,
            version: None,
            durability: "unknown".to_owned(),
            durability_explained: "whatever its operator set".to_owned(),
            command: Vec::new(),
            configuration: Vec::new(),
            topic_configs: Vec::new(),
        };
        Self {
            broker: Broker::Address(bootstrap.to_owned()),
            subject,
            durability: Durability::Broker,
        }
    }

    /// The workload with this mode's properties.
    #[must_use]
    pub fn workload(&self, workload: &Workload) -> Workload {
        let mut workload = workload.clone();
        workload.own.durability = self.durability;
        workload.own.topic_configs.extend(self.subject.topic_configs.iter().cloned());
        workload
    }

    /// Whether it is started for each run, and nothing of it is left after it.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        !matches!(self.broker, Broker::Address(_))
    }
}

//! Our keys, in a mapping `corelane:` of a workload file.

use protocol::record_batch::Compression;
use serde::{Serialize, Serializer};

use super::KeyChoice;
use super::yaml::{Fields, WorkloadError};
use crate::histograms::Latency;

/// What each key is, as `workloads keys` and the documentation show it.
pub const EXPLAINED: [(&str, &str); 27] = [
    ("client", "rdkafka (what users have; default) or raw (batches encoded beforehand)"),
    ("arrival", "constant (default), poisson or bursty"),
    ("burstOnMilliseconds", "bursty: how long a burst lasts (default 100)"),
    ("burstOffMilliseconds", "bursty: how long the silence after it lasts (default 900)"),
    ("seed", "of everything that is random (default 1)"),
    ("payloadEntropy", "share of bytes that do not compress, 0 to 1 (default 0.5)"),
    ("keys", "none, round-robin, uniform or zipf (default: keyDistributor)"),
    ("keyCount", "different keys (default 10000)"),
    ("codec", "none (default), gzip, snappy, lz4 or zstd"),
    ("acks", "all (default) or 1; 0 cannot be verified"),
    ("idempotence", "true or false (default)"),
    ("batchBytes", "most bytes of a batch (default: 1000000 rdkafka, 65536 raw)"),
    ("lingerMilliseconds", "rdkafka: how long a batch waits for records (default 5)"),
    ("inFlightMax", "requests of a connection that wait for their answer (default 5)"),
    ("durability", "broker (its default), fsync or memory: the topics' corelane.durability"),
    ("groups", "assigned (default), classic or consumer: how partitions get to consumers"),
    ("catchUpReaders", "readers that begin at offset 0 when measuring begins (default 0)"),
    ("fetchMinBytes", "least bytes of a fetch (default 1)"),
    ("fetchWaitMillisecondsMax", "how long a fetch waits for them (default 500)"),
    (
        "warmUp",
        "seconds, or stable: until throughput and p99 hold within 5 % (default, ≤ 30 s or warmUpSecondsMin + 20)",
    ),
    ("warmUpSecondsMin", "stable: not before so many seconds (default 0)"),
    ("durationSeconds", "replaces testDurationMinutes"),
    ("replicationFactor", "of the topics (default: the broker's)"),
    ("topicConfigs", "properties of the topics, NAME: VALUE"),
    ("clientConfigs", "properties of librdkafka, NAME: VALUE"),
    (
        "invalidation",
        "stealPercentMax (2), ioPressurePercentMax (off), clientCpuPercentMax (90, of each load \
         thread's core), otherCpuPercentMax (30, of the machine, by neither broker nor client), \
         scheduleDelayMillisecondsMax (1, its p99)",
    ),
    ("slo", "latency (response), percent (99), milliseconds: exit code 2 when missed"),
];

/// The names alone.
pub(super) const KEYS: [&str; EXPLAINED.len()] = {
    let mut keys = [""; EXPLAINED.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = EXPLAINED[at].0;
        at += 1;
    }
    keys
};

/// Keys of this kind, so many.
type KeysOf = fn(u32) -> KeyChoice;

#[derive(Clone, Debug, Serialize)]
pub struct OwnKeys {
    pub client: ClientTier,
    pub arrival: ArrivalKind,
    pub burst_on_milliseconds: u32,
    pub burst_off_milliseconds: u32,
    pub seed: u64,
    pub payload_entropy: Option<f64>,
    #[serde(skip)]
    pub keys: Option<KeysOf>,
    pub key_count: Option<u32>,
    #[serde(serialize_with = "codec_as_text")]
    pub codec: Compression,
    pub acks: Acks,
    pub idempotence: bool,
    pub batch_bytes: Option<u32>,
    pub linger_milliseconds: f64,
    pub in_flight_max: u32,
    pub durability: Durability,
    pub groups: Grouping,
    pub catch_up_readers: u32,
    pub fetch_min_bytes: u32,
    pub fetch_wait_milliseconds_max: u32,
    pub warm_up: Option<WarmUp>,
    pub warm_up_seconds_min: f64,
    pub duration_seconds: Option<f64>,
    pub replication_factor: Option<u32>,
    pub topic_configs: Vec<(String, String)>,
    pub client_configs: Vec<(String, String)>,
    pub invalidation: InvalidationRules,
    pub slo: Option<Slo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ClientTier {
    /// librdkafka: what most users have.
    Rdkafka,
    /// Batches encoded beforehand, sent as they are: it costs little beside the broker.
    Raw,
}

impl ClientTier {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rdkafka => "rdkafka",
            Self::Raw => "raw",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalKind {
    Constant,
    Poisson,
    Bursty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Acks {
    Leader,
    All,
}

impl Acks {
    /// As in a produce request.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The topics are created without a word about it.
    Broker,
    Fsync,
    Memory,
}

impl Durability {
    /// As shown, and as the value of the topics' property.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broker => "the broker's default",
            Self::Fsync => "fsync",
            Self::Memory => "memory",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// Each consumer is told its partitions: no coordinator.
    Assigned,
    Classic,
    Consumer,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmUp {
    Seconds(f64),
    Stable,
}

/// Conditions under which a run says more about the machine or the harness than about the broker.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InvalidationRules {
    pub steal_percent_max: f64,
    pub io_pressure_percent_max: Option<f64>,
    pub client_cpu_percent_max: f64,
    pub other_cpu_percent_max: f64,
    pub schedule_delay_milliseconds_max: f64,
}

/// An objective: this percentile of this latency stays below.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slo {
    pub latency: Latency,
    pub percent: f64,
    pub milliseconds: f64,
}

const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// As in workload files and librdkafka's properties.
#[must_use]
pub fn name_of(codec: Compression) -> &'static str {
    CODECS.iter().find(|(_, listed)| *listed == codec).map_or("none", |(name, _)| name)
}

fn codec_as_text<S: Serializer>(codec: &Compression, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name_of(*codec))
}

pub(super) fn read(mut fields: Fields) -> Result<OwnKeys, WorkloadError> {
    let keys_by_name: [(&str, KeysOf); 4] = [
        ("none", |_| KeyChoice::None),
        ("round-robin", |count| KeyChoice::RoundRobin { count }),
        ("uniform", |count| KeyChoice::Uniform { count }),
        ("zipf", |count| KeyChoice::Zipf { count }),
    ];
    let f = &mut fields;
    let own = OwnKeys {
        client: f
            .word("client", &[("rdkafka", ClientTier::Rdkafka), ("raw", ClientTier::Raw)])?
            .unwrap_or(ClientTier::Rdkafka),
        arrival: f
            .word(
                "arrival",
                &[
                    ("constant", ArrivalKind::Constant),
                    ("poisson", ArrivalKind::Poisson),
                    ("bursty", ArrivalKind::Bursty),
                ],
            )?
            .unwrap_or(ArrivalKind::Constant),
        burst_on_milliseconds: f.count("burstOnMilliseconds")?.unwrap_or(100).max(1),
        burst_off_milliseconds: f.count("burstOffMilliseconds")?.unwrap_or(900),
        seed: u64::from(f.count("seed")?.unwrap_or(1)),
        payload_entropy: f.number("payloadEntropy")?,
        keys: f.word("keys", &keys_by_name)?,
        key_count: f.count("keyCount")?,
        codec: f.word("codec", &CODECS)?.unwrap_or(Compression::None),
        acks: acks(f)?,
        idempotence: f.boolean("idempotence")?.unwrap_or(false),
        batch_bytes: f.count("batchBytes")?.map(|bytes| bytes.max(1)),
        linger_milliseconds: f.number("lingerMilliseconds")?.unwrap_or(5.0),
        in_flight_max: f.count("inFlightMax")?.unwrap_or(5).max(1),
        durability: f
            .word(
                "durability",
                &[
                    ("broker", Durability::Broker),
                    ("fsync", Durability::Fsync),
                    ("memory", Durability::Memory),
                ],
            )?
            .unwrap_or(Durability::Broker),
        groups: f
            .word(
                "groups",
                &[
                    ("assigned", Grouping::Assigned),
                    ("classic", Grouping::Classic),
                    ("consumer", Grouping::Consumer),
                ],
            )?
            .unwrap_or(Grouping::Assigned),
        catch_up_readers: f.count("catchUpReaders")?.unwrap_or(0),
        fetch_min_bytes: f.count("fetchMinBytes")?.unwrap_or(1),
        fetch_wait_milliseconds_max: f.count("fetchWaitMillisecondsMax")?.unwrap_or(500),
        warm_up: warm_up(f)?,
        warm_up_seconds_min: f.number("warmUpSecondsMin")?.unwrap_or(0.0),
        duration_seconds: f.number("durationSeconds")?,
        replication_factor: f.count("replicationFactor")?,
        topic_configs: f.texts("topicConfigs")?,
        client_configs: f.texts("clientConfigs")?,
        invalidation: invalidation(f.mapping("invalidation")?)?,
        slo: slo(f.mapping("slo")?)?,
    };
    refuse_unknown(&fields)?;
    Ok(own)
}

fn acks(fields: &mut Fields) -> Result<Acks, WorkloadError> {
    match fields.string("acks")?.as_deref() {
        None | Some("all" | "-1") => Ok(Acks::All),
        Some("1") => Ok(Acks::Leader),
        Some("0") => Err(fields.refused(
            "acks",
            "0 is answered with nothing, so nothing can be verified; give all or 1",
        )),
        Some(_) => Err(fields.refused("acks", "is all or 1")),
    }
}

fn warm_up(fields: &mut Fields) -> Result<Option<WarmUp>, WorkloadError> {
    match fields.string("warmUp")? {
        None => Ok(None),
        Some(text) if text == "stable" => Ok(Some(WarmUp::Stable)),
        Some(text) => match text.parse::<f64>() {
            Ok(seconds) if seconds >= 0.0 => Ok(Some(WarmUp::Seconds(seconds))),
            _ => Err(fields.refused("warmUp", "is a number of seconds, or stable")),
        },
    }
}

fn invalidation(mut fields: Fields) -> Result<InvalidationRules, WorkloadError> {
    let rules = InvalidationRules {
        steal_percent_max: fields.number("stealPercentMax")?.unwrap_or(2.0),
        io_pressure_percent_max: fields.number("ioPressurePercentMax")?,
        client_cpu_percent_max: fields.number("clientCpuPercentMax")?.unwrap_or(90.0),
        other_cpu_percent_max: fields.number("otherCpuPercentMax")?.unwrap_or(30.0),
        schedule_delay_milliseconds_max: fields
            .number("scheduleDelayMillisecondsMax")?
            .unwrap_or(1.0),
    };
    refuse_unknown(&fields)?;
    Ok(rules)
}

fn slo(mut fields: Fields) -> Result<Option<Slo>, WorkloadError> {
    let latencies = Latency::ALL.map(|latency| (latency.name(), latency));
    let latency = fields.word("latency", &latencies)?.unwrap_or(Latency::Response);
    let percent = fields.number("percent")?.unwrap_or(99.0);
    let milliseconds = fields.number("milliseconds")?;
    if percent >= 100.0 {
        return Err(fields.refused("percent", "is below 100"));
    }
    refuse_unknown(&fields)?;
    Ok(milliseconds.map(|milliseconds| Slo { latency, percent, milliseconds }))
}

fn refuse_unknown(fields: &Fields) -> Result<(), WorkloadError> {
    match fields.unread().first() {
        None => Ok(()),
        Some(key) => {
            Err(fields
                .refused(key, "is no key of ours; `corelane bench workloads keys` lists them"))
        }
    }
}

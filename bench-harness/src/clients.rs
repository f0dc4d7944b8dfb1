//! What sends and reads: the tier that users have, and the one that costs little beside the broker.
//!
//! * `encoded_batch`: batches encoded beforehand, and how each sending of one gets a name of its own
//! * `raw_producer`, `raw_consumer`: frames over blocking sockets, several requests in flight
//! * `rdkafka_producer`, `rdkafka_consumer`: librdkafka
//!
//! Each client has its own threads, its own chains and its own recorder; what threads share is the run's clock.

mod encoded_batch;
pub mod raw_consumer;
pub mod raw_producer;
pub mod rdkafka_consumer;
pub mod rdkafka_producer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::failure::Failure;
use crate::run_clock::RunClock;
use crate::verification::{ConsumedChains, ProducedChains};

pub use encoded_batch::BatchNames;

/// How long producers go on after the measured time: what is due is sent and answered.
pub const DRAIN_TIME: Duration = Duration::from_secs(30);
/// How long a subscription waits for records that were acknowledged.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// When records are sent.
#[derive(Clone, Debug)]
pub enum Pace {
    Open(crate::schedule::Schedule),
    Closed,
}

/// What a producer leaves.
pub struct Produced {
    pub chains: ProducedChains,
    /// Records that were due and never sent: the broker did not hold the rate.
    pub unsent_records: u64,
    pub failure: Option<Failure>,
}

/// What a consumer leaves.
pub struct Read {
    pub chains: ConsumedChains,
    pub failure: Option<Failure>,
}

/// The consumers of one subscription together: each adds what it reads, and all end when it is enough.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    records: Arc<AtomicU64>,
}

impl Progress {
    pub fn add(&self, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Whether everything that was acknowledged was read, or nothing has come for a while though there should be
    /// more.
    #[must_use]
    pub fn is_over(&self, clock: &RunClock, idle: &mut Idle) -> bool {
        let Some(wanted) = clock.records_to_read() else { return clock.is_aborted() };
        let (records, now_ns) = (self.records(), clock.now_ns());
        if idle.records != Some(records) {
            *idle = Idle { records: Some(records), since_ns: now_ns };
        }
        let limit = u64::try_from(IDLE_TIME_MAX.as_nanos()).unwrap_or(u64::MAX);
        records >= wanted || clock.is_aborted() || now_ns - idle.since_ns > limit
    }
}

/// Since when a subscription has read nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle {
    records: Option<u64>,
    since_ns: u64,
}

/// Ends the run because a client cannot go on.
pub(crate) fn give_up(clock: &RunClock, failure: Failure) -> Option<Failure> {
    // Whoever fails after the first does so because of it.
    let is_first = !clock.is_aborted();
    clock.abort();
    is_first.then_some(failure)
}

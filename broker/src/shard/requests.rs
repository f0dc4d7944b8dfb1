//! Requests in progress: who asked, since when, and what is still awaited.

use net::{ConnectionId, Sequence};
use protocol::{ApiKey, CorrelationId};
use runtime::clock::Monotonic;

use super::slab::SlabKey;
use crate::handlers::Work;

/// A request in progress on its connection's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl SlabKey for RequestId {
    fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    fn raw(self) -> u64 {
        self.0
    }
}

impl RequestId {
    pub(crate) const FIRST: Self = Self(0);
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// For the node's main thread, whose requests are numbered by itself.
    pub fn external(number: u64) -> Self {
        Self(number)
    }

    pub fn number(self) -> u64 {
        self.0
    }
}

/// Where a request came from and in which version its answer goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) connection: ConnectionId,
    pub(crate) sequence: Sequence,
    pub(crate) api_key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: CorrelationId,
    /// Its client id is that of Kafka's own tools, which alone may write to internal topics.
    pub(crate) is_admin_client: bool,
    pub(crate) stages: Stages,
}

/// When a request reached each stage; for latency by stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stages {
    /// Its frame was complete.
    pub(crate) received: Monotonic,
    /// Its handler began.
    pub(crate) dispatched: Monotonic,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: Head,
    /// When it is answered with what is there.
    pub(crate) deadline: Option<Monotonic>,
    pub(crate) work: Work,
}

//! What the coordinator decides and replays: the durable records of `__consumer_offsets`, and what only
//! the living know.

use alloc::{rc::Rc, vec::Vec};

use bytes::Bytes;
use protocol::{PartitionIndex, Str};

use super::{
    classic::ClassicGroup,
    consumer::{ConsumerPart, Refreshed},
    expiry::Expiry,
    offsets::CommittedOffset,
    timers::Timer,
};
use crate::metadata::WallMillis;

/// One change of the machine's state.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRecord {
    Durable(DurableRecord),
    Live(LiveRecord),
}

impl GroupRecord {
    /// The group whose memory it changes.
    pub(super) fn group(&self) -> Option<&Str> {
        match self {
            Self::Durable(record) => match record {
                DurableRecord::ClassicGroup { group, .. }
                | DurableRecord::GroupGone { group }
                | DurableRecord::Offset { group, .. }
                | DurableRecord::OffsetGone { group, .. }
                | DurableRecord::Consumer { group, .. } => Some(group),
                DurableRecord::Apart { .. } => None,
            },
            Self::Live(record) => match record {
                LiveRecord::ClassicGroup { group, .. } => Some(group),
                LiveRecord::Refreshed { .. } | LiveRecord::Timer { .. } | LiveRecord::Expiry(_) => {
                    None
                }
            },
        }
    }
}

/// A change that is written to the log and survives a restart: one record of Kafka's format each.
#[derive(Clone, Debug, PartialEq)]
pub enum DurableRecord {
    /// A group of the classic protocol as its last completed rebalance left it.
    ClassicGroup { group: Str, value: StoredClassicGroup },
    /// A tombstone: the group is gone. Its offsets have tombstones of their own.
    GroupGone { group: Str },
    /// A committed offset of a group, which need not have members.
    Offset { group: Str, topic: Str, partition: PartitionIndex, value: CommittedOffset },
    /// A tombstone: the offset is gone.
    OffsetGone { group: Str, topic: Str, partition: PartitionIndex },
    /// A part of a group of the consumer protocol, or its tombstone.
    Consumer { group: Str, part: ConsumerPart },
    /// What Kafka wrote for a group of another kind: kept by its key as it is, and not understood here.
    Apart { key: Bytes, value: Option<Bytes> },
}

/// What is kept of a group of the classic protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredClassicGroup {
    pub protocol_type: Str,
    pub generation: i32,
    /// `None`: it has no members.
    pub protocol: Option<Str>,
    pub leader: Option<Str>,
    /// `None`: written by a Kafka that did not say.
    pub state_since: Option<WallMillis>,
    /// By member id.
    pub members: Vec<StoredMember>,
}

/// What is kept of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredMember {
    pub member: Str,
    pub instance: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// Its metadata for the protocol that was chosen.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// A change that a restart forgets.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveRecord {
    /// The group is as it says from now on; `None`: it came to nothing.
    ClassicGroup { group: Str, value: Option<Rc<ClassicGroup>> },
    /// What the group saw last of the cluster's topics. Of a group that is there.
    Refreshed { group: Str, value: Refreshed },
    /// The timer ends then; `None`: it ends no more.
    Timer { group: Str, timer: Timer, at_ms: Option<u64> },
    /// The search for what has expired goes on there.
    Expiry(Expiry),
}

//! A member of a group of the consumer protocol (KIP-848), as far as it speaks to the coordinator.
//!
//! ```text
//!   heartbeat ─► assignment ─► give back: commit, forget   ─► heartbeat with what is owned ─► …
//!                              take: begin where it was committed
//! ```
//!
//! The coordinator assigns. A partition is given to this member once nobody else has it, and is somebody else's
//! once this member has said that it gave it back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::{Duration, Instant};

use protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::{ErrorCode, TopicId};

use crate::cli::client::{Client, Refusal, TopicInfo};
use crate::cli::failure::Failure;

/// Epochs of a heartbeat that joins, and of one that leaves.
const JOINS: i32 = 0;
const LEAVES: i32 = -1;
/// How long this member may take to give partitions back: it does so within one fetch and one commit.
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
/// A member without partitions asks this often whether there are some by now, if it is to be heard of more seldom.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// What a heartbeat's answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No coordinator answers for the group; it may have heard us.
    NoAnswer(Failure),
    /// All is as it was.
    Nothing,
    /// These partitions are this member's, and no others.
    Assigned(BTreeSet<i32>),
    /// The coordinator has given up on this member: nothing is its own any more, and it joins anew.
    Fenced,
}

/// How a commit came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommitOutcome {
    Committed,
    NoAnswer(Failure),
    /// The epoch moved on: the next heartbeat tells the new one.
    Later,
    Fenced,
}

pub(super) struct Member {
    pub(super) group: String,
    topic: String,
    topic_id: TopicId,
    id: String,
    epoch: i32,
    pub(super) owned: BTreeSet<i32>,
    /// The coordinator does not know yet what is owned.
    pub(super) has_news: bool,
    /// Everything is said again: what the last heartbeat said may be lost.
    says_all: bool,
    interval: Duration,
    next: Instant,
}

impl Member {
    pub(super) fn new(group: &str, topic: &TopicInfo) -> Result<Self, Failure> {
        Ok(Self {
            group: group.to_owned(),
            topic: topic.name.clone(),
            topic_id: topic.id,
            id: random_id()?,
            epoch: JOINS,
            owned: BTreeSet::new(),
            has_news: false,
            says_all: true,
            interval: IDLE_INTERVAL,
            next: Instant::now(),
        })
    }

    pub(super) fn is_in_group(&self) -> bool {
        self.epoch > JOINS
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// When the coordinator is to hear of this member next: at once, when there is news.
    pub(super) fn due(&self) -> Instant {
        if self.has_news { Instant::now() } else { self.next }
    }

    /// The last heartbeat may not have arrived.
    pub(super) fn repeat_after(&mut self, pause: Duration) {
        self.says_all = true;
        self.next = Instant::now() + pause;
    }

    pub(super) fn heartbeat(&mut self, client: &mut Client) -> Result<Heard, Failure> {
        let request = self.request(self.epoch);
        let response =
            client.on_coordinator(&self.group, || request.clone(), |response| response.error_code);
        let response = match response {
            Ok(response) => response,
            Err(failure) => return Ok(Heard::NoAnswer(failure)),
        };
        if let Some(refusal) = Refusal::of(response.error_code) {
            return self.on_refusal(refusal, response.error_message.as_deref());
        }
        Ok(self.on_answer(response))
    }

    fn request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        let says_all = self.says_all || epoch == JOINS;
        let owned = (says_all || self.has_news).then(|| match self.owned.is_empty() {
            true => Vec::new(),
            false => {
                let partitions = self.owned.iter().copied().collect();
                vec![TopicPartitions { topic_id: self.topic_id, partitions }]
            }
        });
        ConsumerGroupHeartbeatRequest {
            group_id: self.group.as_str().into(),
            member_id: self.id.as_str().into(),
            member_epoch: epoch,
            rebalance_timeout_ms: if says_all { REBALANCE_TIMEOUT_MS } else { -1 },
            subscribed_topic_names: says_all.then(|| vec![self.topic.as_str().into()]),
            topic_partitions: owned,
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }

    fn on_answer(&mut self, response: ConsumerGroupHeartbeatResponse) -> Heard {
        // A broker of the protocol's first version makes the id.
        if let Some(id) = response.member_id.filter(|id| !id.is_empty()) {
            id.as_str().clone_into(&mut self.id);
        }
        self.epoch = response.member_epoch;
        let interval_ms = u64::try_from(response.heartbeat_interval_ms).unwrap_or(0).max(1);
        self.interval = Duration::from_millis(interval_ms);
        let is_idle = self.owned.is_empty();
        self.next =
            Instant::now() + if is_idle { self.interval.min(IDLE_INTERVAL) } else { self.interval };
        (self.has_news, self.says_all) = (false, false);
        let Some(assignment) = response.assignment else { return Heard::Nothing };
        let of_topic =
            assignment.topic_partitions.into_iter().filter(|of| of.topic_id == self.topic_id);
        let assigned: BTreeSet<i32> = of_topic.flat_map(|of| of.partitions).collect();
        if assigned == self.owned { Heard::Nothing } else { Heard::Assigned(assigned) }
    }

    fn on_refusal(&mut self, refusal: Refusal, said: Option<&str>) -> Result<Heard, Failure> {
        if refusal.is(ErrorCode::UnknownMemberId) || refusal.is(ErrorCode::FencedMemberEpoch) {
            self.join_anew();
            return Ok(Heard::Fenced);
        }
        // Of a group of the classic protocol this protocol knows nothing.
        if refusal.is(ErrorCode::GroupIdNotFound) {
            return Err(Failure::failed(format!(
                "group {} speaks another protocol; stop its members, or take another group",
                self.group
            )));
        }
        Err(refusal.failure(&format!("group {}", self.group), said))
    }

    /// Nothing is this member's own any more.
    pub(super) fn join_anew(&mut self) {
        self.epoch = JOINS;
        self.owned.clear();
        (self.has_news, self.says_all) = (false, true);
        self.next = Instant::now();
    }

    /// Others may have the partitions at once.
    pub(super) fn leave(&self, client: &mut Client) -> Result<(), Failure> {
        if !self.is_in_group() {
            return Ok(());
        }
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.as_str().into(),
            member_id: self.id.as_str().into(),
            member_epoch: LEAVES,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        // Who is unknown has left already.
        client
            .on_coordinator(&self.group, || request.clone(), |response| response.error_code)
            .map(|_| ())
    }

    pub(super) fn commit(
        &self,
        client: &mut Client,
        positions: &BTreeMap<i32, i64>,
    ) -> Result<CommitOutcome, Failure> {
        let partition = |(index, offset): (&i32, &i64)| OffsetCommitRequestPartition {
            partition_index: *index,
            committed_offset: *offset,
            committed_leader_epoch: -1,
            committed_metadata: Some("".into()),
        };
        let request = || OffsetCommitRequest {
            group_id: self.group.as_str().into(),
            generation_id_or_member_epoch: self.epoch,
            member_id: self.id.as_str().into(),
            topics: vec![OffsetCommitRequestTopic {
                name: self.topic.as_str().into(),
                partitions: positions.iter().map(partition).collect(),
            }],
            ..OffsetCommitRequest::default()
        };
        let response = client.on_coordinator(&self.group, request, |response| {
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.next().map_or(0, |partition| partition.error_code)
        });
        let response = match response {
            Ok(response) => response,
            Err(failure) => return Ok(CommitOutcome::NoAnswer(failure)),
        };
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let Some(refusal) = Refusal::of(partition.error_code) else { continue };
            if refusal.is(ErrorCode::StaleMemberEpoch) {
                return Ok(CommitOutcome::Later);
            }
            let is_fenced = refusal.is(ErrorCode::UnknownMemberId)
                || refusal.is(ErrorCode::FencedMemberEpoch)
                || refusal.is(ErrorCode::IllegalGeneration);
            if is_fenced {
                return Ok(CommitOutcome::Fenced);
            }
            let what = format!("the commit of partition {}", partition.partition_index);
            return Err(refusal.failure(&what, None));
        }
        Ok(CommitOutcome::Committed)
    }
}

/// An id that no other member has.
fn random_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::failed(format!("/dev/urandom cannot be read: {error}")))?;
    Ok(format!("corelane-{:032x}", u128::from_be_bytes(bytes)))
}

//! What nobody asks for any more goes: offsets after their retention, groups that have neither members nor
//! offsets.
//!
//! ```text
//! group                              an offset's retention begins
//! offsets alone                      with its commit
//! empty                              when the group became empty
//! stable consumers                   with its commit, for topics that none of them subscribes to
//! of the consumer protocol           with its commit, for topics that none of its members subscribes to
//! rebalancing, or not consumers      never
//! ```
//!
//! An offset whose commit named its retention itself ends then, where the table lets offsets end at all. That
//! is Kafka's rule.

use core::ops::Bound;

use protocol::Str;

use super::{
    ClassicGroup, ConsumerGroup, DurableRecord, GroupDecision, GroupRecord, Groups, LiveRecord,
    Moment, Offsets, batch::Batch, classic::ClassicState, subscribed::SubscribedTopics,
};
use crate::{limits::EXPIRY_VISITS_MAX, metadata::WallMillis};

/// Where the search for what has expired stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// When it goes on; `None`: the log is not loaded yet.
    pub at_ms: Option<u64>,
    /// The group that it goes on with, while it is under way.
    pub next: Option<Str>,
}

/// From when on an offset's retention counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    Never,
    SinceCommit,
    Since(WallMillis),
}

impl Retention {
    fn of(group: &ClassicGroup) -> Self {
        match group.state() {
            _ if group.protocol_type().is_none() => Self::SinceCommit,
            ClassicState::Empty => group.state_since().map_or(Self::SinceCommit, Self::Since),
            ClassicState::Stable
                if group.is_of_consumers()
                    && *group.subscribed_topics() != SubscribedTopics::Unknown =>
            {
                Self::SinceCommit
            }
            ClassicState::Stable
            | ClassicState::PreparingRebalance { .. }
            | ClassicState::CompletingRebalance => Self::Never,
        }
    }
}

/// One step of the search, from where the last one ended. It is due once in every
/// `offsets.retention.check.interval.ms`, and at once while it is under way.
pub(super) fn search(groups: &Groups, now: Moment) -> GroupDecision {
    let mut batch = Batch::default();
    let mut visits = 0_usize;
    let from = groups.expiry.next.as_deref().unwrap_or_default();
    let mut next = groups.first_id_from(Bound::Included(from));
    while let Some(id) = next {
        if visits >= EXPIRY_VISITS_MAX {
            break;
        }
        visits += 1 + groups.offsets_of(id).map_or(0, Offsets::len);
        if !expire(groups, id, now, &mut batch) {
            break;
        }
        next = groups.first_id_from(Bound::Excluded(id));
    }
    let at_ms = match next {
        Some(_) => now.monotonic_ms,
        None => now.monotonic_ms.saturating_add(groups.settings.offsets_retention_check_ms),
    };
    let expiry = Expiry { at_ms: Some(at_ms), next: next.cloned() };
    let mut decision = batch.decided();
    decision.records.push(GroupRecord::Live(LiveRecord::Expiry(expiry)));
    decision
}

/// Of one group; false when there was no room for all of it.
fn expire(groups: &Groups, id: &Str, now: Moment, batch: &mut Batch) -> bool {
    let consumers = groups.consumer(id);
    let classic = groups.get(id);
    // Of a group of the consumer protocol it is known what its members read, whatever they are doing.
    let retention = match (consumers, classic) {
        (Some(_), _) => Retention::SinceCommit,
        (None, Some(classic)) => Retention::of(classic),
        (None, None) => return true,
    };
    let mut stays = false;
    for (topic, partition, offset) in groups.offsets_of(id).into_iter().flat_map(|of| of.iter()) {
        let since = match retention {
            Retention::Never => return true,
            Retention::SinceCommit => offset.committed_at,
            Retention::Since(since) => since,
        };
        let age_ms = now.wall.0.saturating_sub(since.0);
        let is_over = match offset.expires_at {
            Some(expires_at) => now.wall >= expires_at,
            None => age_ms >= groups.settings.offsets_retention_ms,
        };
        if !is_over || groups.is_subscribed_to(id, topic) {
            stays = true;
            continue;
        }
        let (group, topic) = (id.clone(), topic.clone());
        if !batch.push(DurableRecord::OffsetGone { group, topic, partition }) {
            return false;
        }
    }
    // Whoever was given an id is on its way.
    let is_over = consumers.is_some_and(ConsumerGroup::is_empty)
        || classic.is_some_and(ClassicGroup::is_over);
    stays || !is_over || batch.push_tombstones(groups, id)
}

//! What shards ask the group coordinator, as one closed list: the machine's commands. A question goes to one
//! partition of `__consumer_offsets`, and its answer to the request that asked.

use coordinator::group::classic::heartbeat::Heartbeat;
use coordinator::group::classic::join::JoinGroup;
use coordinator::group::classic::leave::LeaveGroup;
use coordinator::group::classic::sync::SyncGroup;
use coordinator::group::commit::OffsetCommit;
use coordinator::group::consumer::describe::DescribeConsumerGroup;
use coordinator::group::consumer::request::ConsumerHeartbeat;
use coordinator::group::delete::DeleteGroup;
use coordinator::group::describe::{DescribeGroup, ListGroups};
use coordinator::group::offset_delete::OffsetDelete;
use coordinator::group::offset_fetch::OffsetFetch;
use coordinator::group::{Answer, GroupDecision, Groups, Moment, Token};
use engine::PartitionId;

use crate::shard::mail::ReplyTo;

/// A question on its way to the coordinator shard.
#[derive(Debug)]
pub struct GroupAsk {
    pub reply: ReplyTo,
    pub partition: PartitionId,
    pub question: GroupQuestion,
}

/// The coordinator's answer, or why it gives none.
pub type GroupReply = Result<Answer, GroupRefused>;

/// Why the coordinator cannot say anything of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupRefused {
    /// The log of the group's partition is still being read.
    Loading,
    /// Nobody coordinates the group here, or not any more.
    NotCoordinator,
    /// The log cannot be read or written, or too much waits for it.
    Unavailable,
}

macro_rules! questions {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug)]
        pub enum GroupQuestion {
            $($name($name),)*
        }

        impl GroupQuestion {
            pub(super) fn set_token(&mut self, token: Token) {
                match self {
                    $(Self::$name(command) => command.token = token,)*
                }
            }

            /// Of questions whose answer holds what groups hold.
            pub(super) fn set_answer_bytes_max(&mut self, bytes_max: usize) {
                match self {
                    Self::OffsetFetch(command) => command.bytes_max = bytes_max,
                    Self::DescribeGroup(command) => command.bytes_max = bytes_max,
                    Self::DescribeConsumerGroup(command) => command.bytes_max = bytes_max,
                    Self::ListGroups(command) => command.bytes_max = bytes_max,
                    _ => {}
                }
            }

            pub(super) fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
                match self {
                    $(Self::$name(command) => groups.decide(now, command),)*
                }
            }
        }

        $(impl From<$name> for GroupQuestion {
            fn from(command: $name) -> Self {
                Self::$name(command)
            }
        })*
    };
}

questions!(
    JoinGroup,
    SyncGroup,
    Heartbeat,
    LeaveGroup,
    OffsetCommit,
    OffsetFetch,
    OffsetDelete,
    DeleteGroup,
    DescribeGroup,
    ListGroups,
    ConsumerHeartbeat,
    DescribeConsumerGroup,
);
